"""Views as files: what is written, and answers that are bound to it."""

import json
import shutil
import sys
from pathlib import Path

import jax
import ml_collections
import numpy as np
import pytest
from conftest import ROOT, refusal
from PIL import Image

from mimic_jax import pipeline
from mimic_jax.config.experiment import read
from mimic_jax.data import views
from mimic_jax.data.view_settings import Views
from mimic_jax.mimic import ensemble, external_views, logits, views_phase

COUNT, CLASSES = 90, 3
RANDOM = np.random.default_rng(0)
IMAGES = RANDOM.integers(0, 256, (COUNT, 6, 6, 3)).astype(np.uint8)
LABELS = np.arange(COUNT) % CLASSES
WEIGHTS = RANDOM.normal(size=(108, CLASSES)).astype(np.float32) / 100
AUGMENTATION = {'seed': 3, 'mirror': True, 'shift': 1, 'padding': 'reflect'}


@pytest.fixture
def settings(tmp_path):
    """A config with one cache of two augmented views, whose answers are to come as files."""
    np.savez(tmp_path / 'data.npz', images=IMAGES, labels=LABELS)
    config = ml_collections.ConfigDict()
    config.data = {
        'name': 'npz', 'root': str(tmp_path / 'data.npz'), 'train': 50, 'validation': 15,
        'test': 15, 'preprocess': 'image',
    }  # fmt: skip
    config.views = dict(AUGMENTATION)
    folder = str(tmp_path / 'views')
    config.logits = {
        'own': {'views': 2, 'dtype': 'float32', 'source': {'kind': 'logits', 'path': (folder,)}}
    }
    config.students = {
        'mimic': {
            'model': '4', 'target': 'logits', 'logits': 'own', 'loss': {'kind': 'logits'},
            'train': {'epochs': 2, 'batch_size': 25}, 'seeds': (0,),
        }
    }  # fmt: skip
    return config


def write(settings, tmp_path, output='views'):
    pipeline.run(
        settings,
        workdir=tmp_path / 'work',
        experiment='own',
        phase='views',
        output=str(tmp_path / output),
        devices=jax.devices()[:1],
    )
    return tmp_path / output


def linear(inputs):
    return inputs.reshape(len(inputs), -1).astype(np.float32) @ WEIGHTS


def answer(folder):
    """Answers every file, as a person's own script would."""
    facts = json.loads((folder / 'views.json').read_text())
    for source, target in zip(facts['files'], facts['answers'], strict=True):
        np.save(folder / target, linear(np.load(folder / source)))
    return folder


def opened(make_session, settings):
    session, plan = make_session(settings)
    logits.run(session, plan.caches['own'])
    return plan.caches['own'], ensemble.open_checked(session, plan.caches['own'])


def test_the_files_are_the_very_views(settings, tmp_path, make_session):
    folder = write(settings, tmp_path)
    examples = np.load(folder / 'examples.npy')
    session, _ = make_session({**settings, 'logits': {}, 'students': {}})
    np.testing.assert_array_equal(examples, session.data.examples(('train', 'unlabelled'), ''))
    np.testing.assert_array_equal(np.load(folder / 'labels.npy'), session.data.labels[examples])
    for view in range(2):
        expected = views.batch_views(IMAGES[examples], view, examples, 3, Views(**AUGMENTATION))
        found = np.load(folder / f'view_00{view}.npy', mmap_mode='r')
        assert found.dtype == np.uint8
        np.testing.assert_array_equal(found, expected)
    for split in ('validation', 'test'):
        expected = IMAGES[session.data.splits[split]]
        np.testing.assert_array_equal(np.load(folder / f'{split}.npy'), expected)
    facts = json.loads((folder / 'views.json').read_text())
    assert facts['range'] == [0, 255] and facts['of']['view_function']['seed'] == 3


def test_preprocessed_views_with_channels_first(settings, tmp_path):
    plain = write(settings, tmp_path, 'plain')
    settings.logits.own.source = {'inputs': 'preprocessed', 'layout': 'channels_first'}
    settings.logits.own.members = ('net',)
    settings.members = {'net': {'model': '4'}}  # of any cache
    found = np.load(write(settings, tmp_path) / 'view_001.npy')
    raw = np.load(plain / 'view_001.npy').astype(np.float64)
    expected = raw - raw.mean((1, 2, 3), keepdims=True)
    expected /= expected.std((1, 2, 3), keepdims=True)
    np.testing.assert_allclose(found, expected.transpose(0, 3, 1, 2), rtol=1e-3, atol=1e-4)


def test_answers_beside_the_manifest_become_the_cache(settings, tmp_path, make_session):
    folder = answer(write(settings, tmp_path))
    cache, found = opened(make_session, settings)
    for view in range(2):
        seen = np.asarray(
            views.batch_views(IMAGES[cache.examples], view, cache.examples, 3, cache.views)
        )
        np.testing.assert_allclose(found.view(view), linear(seen), rtol=1e-5)
    assert cache.answered == ('validation', 'test')
    first = cache.recipe.name
    # Elsewhere, with a copy of the manifest, and by name.
    (tmp_path / 'elsewhere').mkdir()
    paths = [
        shutil.copy(folder / name, tmp_path / 'elsewhere')
        for name in ('answers_000.npy', 'answers_001.npy', 'views.json')
    ]
    settings.logits.own.source.path = tuple(map(str, paths[:2]))
    _, plan = make_session(settings)
    assert plan.caches['own'].recipe.name == first, 'content counts, not where it lies'


def change_data(settings, tmp_path):
    IMAGES_2 = IMAGES.copy()
    IMAGES_2[5, 0, 0, 0] ^= 1
    np.savez(tmp_path / 'other.npz', images=IMAGES_2, labels=LABELS)
    settings.data.root = str(tmp_path / 'other.npz')


def change_names(settings, tmp_path):
    names = np.array(['one', 'two', 'three'])
    np.savez(tmp_path / 'other.npz', images=IMAGES, labels=LABELS, class_names=names)
    settings.data.root = str(tmp_path / 'other.npz')


CHANGES = {
    'view_function.seed': lambda s, _: s.views.update(seed=4),
    'view_function.mirror': lambda s, _: s.views.update(mirror=False),
    'view_function.shift': lambda s, _: s.views.update(shift=2),
    'view_function.padding': lambda s, _: s.views.update(padding='zero'),
    'view_function.hue': lambda s, _: s.views.update(hue=0.25),
    'order_sha256': lambda s, _: s.data.update(seed=1),
    'examples': lambda s, _: s.logits.own.update(limit=40),
    'data': change_data,
    'class_names': change_names,
}


@pytest.mark.parametrize('field', CHANGES)
def test_answers_to_other_views_are_refused_by_the_field(settings, tmp_path, make_session, field):
    answer(write(settings, tmp_path))
    make_session(settings)
    CHANGES[field](settings, tmp_path)
    message = refusal(make_session, settings, tmp_path / 'work2')
    assert f'views.json is of other views: its {field} is ' in message


def test_other_counts_of_views_are_refused(settings, tmp_path, make_session):
    folder = answer(write(settings, tmp_path))
    settings.logits.own.views = 3
    assert 'no answers_002.npy' in refusal(make_session, settings)
    settings.logits.own.source.path = tuple(str(folder / f'answers_00{i}.npy') for i in (0, 1, 1))
    assert 'its views is 2, this run has 3' in refusal(make_session, settings)


def test_views_that_are_off_are_other_views(settings, tmp_path, make_session):
    answer(write(settings, tmp_path))
    settings.views = {'seed': 3}
    assert 'view_function.seed is 3' in refusal(make_session, settings)


def test_a_manifest_of_examples_as_they_are_asks_for_no_seed(settings, tmp_path, make_session):
    settings.views = {'seed': 3}
    answer(write(settings, tmp_path))
    settings.views = {'seed': 4}
    make_session(settings)


def test_bare_files_are_refused_under_augmentation_alone(settings, tmp_path, make_session):
    folder = answer(write(settings, tmp_path))
    (folder / 'views.json').unlink()
    message = refusal(make_session, settings)
    assert '--phase=views' in message and 'config.views augments' in message
    everything = tmp_path / 'all.npy'
    np.save(everything, np.stack([linear(IMAGES)] * 2))
    settings.logits.own.source.path = (str(everything),)
    assert '--phase=views' in refusal(make_session, settings)
    settings.views = {'seed': 3}
    make_session(settings)


def test_under_augmentation_rows_are_the_transfer_sets(settings, tmp_path, make_session):
    folder = answer(write(settings, tmp_path))
    np.save(folder / 'answers_001.npy', linear(IMAGES))
    message = refusal(make_session, settings)
    assert 'answers_001.npy' in message and 'it needs 60 rows' in message


def test_a_manifest_without_a_later_setting_still_fits(settings, tmp_path, make_session):
    path = answer(write(settings, tmp_path)) / 'views.json'
    facts = json.loads(path.read_text())
    del facts['of']['view_function']['hue']
    path.write_text(json.dumps(facts))
    make_session(settings)
    facts['of']['view_function']['fog'] = 0.5
    path.write_text(json.dumps(facts))
    assert 'view_function.fog is 0.5' in refusal(make_session, settings)


@pytest.mark.parametrize('text', ['', '{}', '[]', '{"format": 1, "of": 3}', '{"of": {}}'])
def test_what_is_no_manifest_is_told(settings, tmp_path, make_session, text):
    (answer(write(settings, tmp_path)) / 'views.json').write_text(text)
    assert 'no manifest of views' in refusal(make_session, settings)


def test_what_is_there_stays_and_a_killed_run_goes_on(settings, tmp_path, monkeypatch):
    folder = write(settings, tmp_path)
    kept = {path.name: path.read_bytes() for path in folder.iterdir()}
    write(settings, tmp_path)
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == kept
    settings.views.seed = 5
    assert 'view_function.seed' in refusal(write, settings, tmp_path)

    class Killed(Exception):
        pass

    real, done = views_phase._write_array, []

    def killed(session, teacher, examples, path, *rest):
        if path.name == 'view_001.npy':
            raise Killed
        done.append(path.name)
        real(session, teacher, examples, path, *rest)

    monkeypatch.setattr(views_phase, '_write_array', killed)
    with pytest.raises(Killed):
        write(settings, tmp_path, 'again')
    assert not (tmp_path / 'again' / 'views.json').exists()
    monkeypatch.undo()
    first = (tmp_path / 'again' / 'view_000.npy').stat().st_mtime_ns
    settings.views.seed = 6
    assert 'not of these views' in refusal(write, settings, tmp_path, 'again')
    settings.views.seed = 5
    again = write(settings, tmp_path, 'again')
    assert (again / 'view_000.npy').stat().st_mtime_ns == first
    assert json.loads((again / 'views.json').read_text())['of']['view_function']['seed'] == 5
    assert not list(again.glob('*.tmp')) and not (again / '.views.json').exists()


def test_what_a_person_keeps_in_the_folder_is_not_taken_for_views(settings, tmp_path):
    (tmp_path / 'views').mkdir()
    np.save(tmp_path / 'views' / 'test.npy', np.zeros(3))
    assert 'holds test.npy' in refusal(write, settings, tmp_path)


def test_a_full_disk_is_told_ahead(settings, tmp_path, monkeypatch):
    usage = shutil.disk_usage(tmp_path)._replace(free=1000)
    monkeypatch.setattr(shutil, 'disk_usage', lambda path: usage)
    assert 'make room' in refusal(write, settings, tmp_path)


def test_several_caches_get_a_folder_each(settings, tmp_path):
    settings.logits.second = settings.logits.own.copy_and_resolve_references()
    settings.logits.second.limit = 20
    folder = write(settings, tmp_path)
    assert np.load(folder / 'second' / 'view_000.npy').shape == (20, 6, 6, 3)
    assert np.load(folder / 'own' / 'view_000.npy').shape == (60, 6, 6, 3)


def test_home_folders_and_requests_without_sense(settings, tmp_path, monkeypatch, make_session):
    checked = read(settings)
    assert '--output=FOLDER' in refusal(views_phase.check, checked.logits, '')
    assert 'config.logits has none' in refusal(views_phase.check, {}, 'x')
    (tmp_path / 'file').write_text('')
    assert 'is a file' in refusal(views_phase.check, checked.logits, str(tmp_path / 'file'))
    monkeypatch.setenv('HOME', str(tmp_path))
    session, _ = make_session({**settings, 'logits': {}, 'students': {}})
    views_phase.run(session, checked.logits, checked.views, checked.data, '~/views')
    answer(tmp_path / 'views')
    settings.logits.own.source.path = ('~/views',)
    make_session(settings)


def test_features_have_views_too(tmp_path, settings):
    np.savez(tmp_path / 'data.npz', features=IMAGES.reshape(COUNT, -1) / 2, labels=LABELS)
    settings.data.preprocess = 'feature'
    settings.views = {'seed': 0}
    folder = write(settings, tmp_path)
    examples = np.load(folder / 'examples.npy')
    expected = (IMAGES.reshape(COUNT, -1) / 2)[examples]
    np.testing.assert_array_equal(np.load(folder / 'view_001.npy'), expected)
    settings.views = dict(AUGMENTATION)
    assert 'config.views augments images' in refusal(write, settings, tmp_path, 'other')


@pytest.mark.parametrize('own_splits', [False, True])
def test_a_folder_of_images_keeps_its_names(tmp_path, settings, own_splits):
    """Each name's file holds the pixels of its row; unlabelled images from elsewhere have none."""
    settings.views = {'seed': 0}
    settings.data.update({'name': 'folder', 'root': str(tmp_path / 'images')})
    for split, count in (('train', 70), ('test', 12), ('val', 8)) if own_splits else (('', 90),):
        for number in range(count):
            place = tmp_path / 'images' / split / ('cat', 'dog', 'émeu')[number % 3]
            place.mkdir(parents=True, exist_ok=True)
            pixels = RANDOM.integers(0, 256, (6, 6, 3)).astype(np.uint8)
            Image.fromarray(pixels).save(place / f'{number}.png')
    np.savez(tmp_path / 'more.npz', images=IMAGES[:5])
    settings.data.transfer = {'kind': 'npz', 'root': str(tmp_path / 'more.npz')}
    if own_splits:
        settings.data.update({'train': 50, 'validation': 0, 'test': 0})
    folder = write(settings, tmp_path)
    names = json.loads((folder / 'file_names.json').read_text())
    for array, key in (('view_001', 'views'), ('validation', 'validation'), ('test', 'test')):
        rows = np.load(folder / f'{array}.npy')
        assert len(rows) == len(names[key])
        for row, name in zip(rows, names[key], strict=True):
            if name:
                np.testing.assert_array_equal(row, Image.open(tmp_path / 'images' / name))
        assert names[key].count('') == (5 if key == 'views' else 0)


def test_the_example_runs_through_files(tmp_path, monkeypatch):
    """It follows its docstring: views, answers by a script without this package, then a run."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(ROOT)
    from examples import answer_views, views_student

    assert 'mimic_jax' not in Path(answer_views.__file__).read_text().split('"""')[2]
    config = views_student.get_config()
    for student in config.students.values():
        student.train.epochs = 3
    given = {'workdir': tmp_path / 'work', 'experiment': 'own', 'devices': jax.devices()[:1]}
    pipeline.run(config, phase='views', output='views', **given)
    monkeypatch.setattr(sys, 'argv', ['answer_views.py', 'views'])
    answer_views.main(Path('views'))
    pipeline.run(config, **given)
    report = json.loads((tmp_path / 'work' / 'own' / 'report.json').read_text())
    (teacher,) = (row for row in report['rows'] if row['name'].startswith('random forest'))
    expected = np.load('views/answers_test.npy').argmax(1)
    session_labels = np.load(next((tmp_path / 'work').glob('data-*/labels.npy')))
    order = np.random.default_rng(0).permutation(len(session_labels))[: len(expected)]
    assert teacher['values'] == [pytest.approx(np.mean(expected == session_labels[order]))]
    assert teacher['values'][0] > 0.8
    assert external_views.MANIFEST == 'views.json'
