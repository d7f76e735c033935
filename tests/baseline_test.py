"""K-means features with an SVM as a phase: through the pipeline, interrupted, and misused."""

import dataclasses
import io
import json
import zlib

import jax
import numpy as np
import pytest
from sklearn.svm import LinearSVC

from mimic_jax import pipeline
from mimic_jax.artifacts import store
from mimic_jax.baselines import kmeans_features, svm
from mimic_jax.baselines import plan as baseline_plan
from mimic_jax.baselines import run as baseline
from mimic_jax.baselines.settings import Baseline
from mimic_jax.errors import UserError
from mimic_jax.runtime.interrupt import Interrupted

IMAGES_A_BATCH = 32
STAGES = ('dictionary', 'scale', 'svm_0', 'svm_1')


@pytest.fixture(autouse=True, scope='module')
def small_batches():
    """Batches and chunks of few images: 36 positions and 20 centroids, 80 features."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(baseline, 'CODE_BYTES', IMAGES_A_BATCH * 4 * 36 * 20)
        patch.setattr(baseline, 'CHUNK_BYTES', 70 * 4 * 80)
        yield


@pytest.fixture
def alone(config):
    """Digits with a baseline and no net."""
    return without_nets(config)


def without_nets(config):
    for group in ('members', 'logits', 'students'):
        setattr(config, group, {})
    config.report = {}
    config.baselines = {
        'coates': {
            'kind': 'kmeans_svm',
            'patches': 3000,
            'patch_size': 3,
            'centroids': 20,
            'iterations': 10,
            'penalties': (0.001, 5.0),
            'seed': 0,
        }
    }
    return config


def run(config, workdir, device, phase='all'):
    pipeline.run(config, workdir=workdir, experiment='tiny', phase=phase, devices=device)
    return json.loads((workdir / 'tiny' / 'report.json').read_text())


@pytest.fixture(scope='module')
def finished(tmp_path_factory, device):
    """A workdir in which a baseline stands beside an ensemble of one small net."""
    from conftest import tiny_digits

    config = tiny_digits()
    cnn = config.members.cnn_1
    cnn.model, cnn.train.epochs, cnn.train.batch_size = '32', 4, 20
    cache = config.logits.ensemble
    cache.members, cache.views = ('cnn_1',), 1
    baselines = without_nets(tiny_digits()).baselines
    config.members, config.logits, config.students = {'cnn_1': cnn}, {'ensemble': cache}, {}
    config.baselines = baselines
    config.report = {
        'ensemble': 'ensemble',
        'order': ('ensemble', 'coates'),
        'rows': {
            'coates': {'source': 'baselines.coates', 'label': 'k-means', 'paper': 0.796},
            'ensemble': {'source': 'logits.ensemble'},
        },
    }
    workdir = tmp_path_factory.mktemp('finished')
    return config, workdir, run(config, workdir, device)


def test_the_report_has_a_row_and_a_cost(finished, device, make_session):
    config, workdir, report = finished
    ensemble, row = report['rows']
    assert (row['name'], row['model'], row['target']) == (
        'k-means',
        '20c3v-quadrants-svm',
        'labels',
    )
    # 9 values and a bias a centroid; 80 features and a bias a class.  36 positions, 4 quadrants.
    assert row['parameters'] == 20 * (9 + 1) + 10 * (80 + 1)
    assert row['units'] == 20 * (36 + 4)
    assert (row['n'], row['std'], row['paper']) == (1, None, 0.796)
    session, plan = make_session(config, workdir)
    folder = workdir / plan.baselines['coates'].recipe.name
    values = np.load(folder / 'test.npy')
    test = session.data.splits['test']
    assert values.shape == (500, 10)
    assert values.dtype == np.float32
    np.testing.assert_allclose(row['mean'], np.mean(values.argmax(1) == session.data.labels[test]))
    member = np.load(workdir / plan.members['cnn_1'].evaluation.name / 'test.npy')
    np.testing.assert_allclose(row['agreement'], np.mean(values.argmax(1) == member.argmax(1)))
    assert ensemble['agreement'] is None
    assert row['mean'] > 0.85
    assert report['costs']['baseline']['artifacts'] == [folder.name]
    facts = store.manifest(folder)
    assert report['costs']['baseline']['seconds'] == round(facts['seconds'], 1) > 0
    timing = report['timings'][1]
    assert timing['training_seconds'] == round(facts['seconds'], 1)
    assert timing['milliseconds'] is None
    counted = sum(plan.baselines['coates'].work.values())
    assert timing['training_flops'] == timing['whole_flops'] == counted > 0
    assert {path.name for path in folder.iterdir()} == {
        *('config.json', 'manifest.json', 'COMPLETE', 'digests.json', 'seconds.json'),
        *('dictionary.npz', 'scale.npz', 'svm_0.npz', 'svm_1.npz', 'validation.npy', 'test.npy'),
    }


def test_validation_chooses_the_penalty(finished, make_session):
    config, workdir, _ = finished
    session, plan = make_session(config, workdir)
    folder = workdir / plan.baselines['coates'].recipe.name
    facts = store.manifest(folder)
    weak, strong = (entry['validation_accuracy'] for entry in facts['penalties'])
    assert weak != strong
    best = max(facts['penalties'], key=lambda entry: entry['validation_accuracy'])
    assert facts['penalty'] == best['penalty']
    validation = np.load(folder / 'validation.npy')
    labels = session.data.labels[session.data.splits['validation']]
    assert np.mean(validation.argmax(1) == labels) == pytest.approx(best['validation_accuracy'])


def test_decision_values_are_linear_svcs_on_the_same_features(finished, make_session):
    """Our C multiplies the mean of the squared hinges, liblinear's their sum: theirs is C / N."""
    config, workdir, _ = finished
    session, plan = make_session(config, workdir)
    folder = workdir / plan.baselines['coates'].recipe.name
    with np.load(folder / 'dictionary.npz') as file:
        dictionary = dict(file)
    sets = {}
    for split in ('train', 'test'):
        shown = session.data.inputs[session.data.splits[split]]
        sets[split] = np.asarray(kmeans_features.features(shown, dictionary, 3), np.float64)
    mean = sets['train'].mean(0)
    deviation = np.sqrt(sets['train'].var(0) + 0.01)
    theirs = LinearSVC(
        C=store.manifest(folder)['penalty'] / 200, dual=False, tol=1e-8, max_iter=10_000
    ).fit((sets['train'] - mean) / deviation, session.data.labels[session.data.splits['train']])
    expected = theirs.decision_function((sets['test'] - mean) / deviation)
    np.testing.assert_allclose(np.load(folder / 'test.npy'), expected, atol=0.02)
    assert np.std(expected) > 0.5


def test_second_run_fits_nothing(finished, device, monkeypatch):
    config, workdir, report = finished
    monkeypatch.setattr(kmeans_features, 'fit_dictionary', None)
    monkeypatch.setattr(svm, 'fit', None)
    markers = {path: path.stat().st_mtime_ns for path in workdir.glob('*-*/COMPLETE')}
    assert run(config, workdir, device)['rows'] == report['rows']
    assert markers == {path: path.stat().st_mtime_ns for path in workdir.glob('*-*/COMPLETE')}


def stop_after(monkeypatch, module, name, calls):
    """Replaces a function by one that counts its calls and is interrupted after so many."""
    function, counted = getattr(module, name), []

    def counting(*arguments, **named):
        if len(counted) == calls:
            raise Interrupted
        counted.append(name)
        return function(*arguments, **named)

    monkeypatch.setattr(module, name, counting)
    return counted


def test_a_stopped_run_goes_on_behind_the_last_whole_stage(
    alone, finished, tmp_path, device, make_session, monkeypatch
):
    session, plan = make_session(alone, tmp_path)
    folder = tmp_path / plan.baselines['coates'].recipe.name
    _, workdir, _ = finished
    names = (*(f'{stage}.npz' for stage in STAGES), 'validation.npy', 'test.npy')
    whole = {name: (workdir / folder.name / name).read_bytes() for name in names}

    def go_on():
        with pytest.raises(Interrupted):
            baseline.run(session, plan.baselines['coates'])

    # In k-means: nothing is kept.
    with monkeypatch.context() as patch:
        stop_after(patch, kmeans_features, 'fit_dictionary', 0)
        go_on()
    assert not list(folder.glob('*.npz'))
    # A kill while a stage's file is written leaves a part under another name.
    (folder / '.dictionary.npz.tmp').write_bytes(b'half')
    # In the training features, 200 images in batches of 32: five calls leave four batches written,
    # and a kill leaves half a batch more.
    with monkeypatch.context() as patch:
        stop_after(patch, baseline, '_features', 5)
        go_on()
    features = folder / 'features.tmp'
    assert features.stat().st_size == 4 * IMAGES_A_BATCH * 80 * 4
    with features.open('ab') as file:
        file.write(b'x' * (17 * 80 * 4 + 3))
    # In the second SVM: three batches were still to do, and k-means was not repeated.
    with monkeypatch.context() as patch:
        patch.setattr(kmeans_features, 'fit_dictionary', None)
        called = stop_after(patch, baseline, '_features', 100)
        stop_after(patch, svm, 'fit', 1)
        go_on()
        assert len(called) == 3
    assert features.exists()
    # In the test split: 4 batches of validation images, then 2 of 16.
    with monkeypatch.context() as patch:
        called = stop_after(patch, svm, 'fit', 1)
        stop_after(patch, baseline, '_features', 1 + 4 + 2)
        go_on()
        assert len(called) == 1
    assert not features.exists()
    assert not store.is_complete(folder)
    with monkeypatch.context() as patch:
        patch.setattr(svm, 'fit', None)
        baseline.run(session, plan.baselines['coates'])
    store.verify(folder)
    for name, content in whole.items():
        assert same(content, (folder / name).read_bytes()), name


def same(a, b):
    """Whether two .npy or .npz files hold equal arrays; an archive's bytes hold the time too."""
    a, b = (np.load(io.BytesIO(content)) for content in (a, b))
    if isinstance(a, np.ndarray):
        return np.array_equal(a, b)
    return a.files == b.files and all(np.array_equal(a[key], b[key]) for key in a.files)


def test_several_devices_agree_with_one(finished, alone, tmp_path, make_session):
    _, workdir, _ = finished
    session, plan = make_session(alone, tmp_path, devices=jax.devices()[:2])
    folder = baseline.run(session, plan.baselines['coates'])
    one, several = (np.load(path / folder.name / 'test.npy') for path in (workdir, tmp_path))
    np.testing.assert_allclose(several, one, atol=0.05)


def test_the_recipe_holds_what_determines_the_fit(alone, make_session):
    _, plan = make_session(alone)
    name = plan.baselines['coates'].recipe.name
    for key, value in (('penalties', (100.0,)), ('centroids', 21), ('seed', 1), ('patches', 2999)):
        alone.baselines.coates[key], before = value, alone.baselines.coates[key]
        assert make_session(alone)[1].baselines['coates'].recipe.name != name
        alone.baselines.coates[key] = before
    alone.run.evaluation_batch_size = 7
    assert make_session(alone)[1].baselines['coates'].recipe.name == name


def test_the_papers_pipeline_is_the_default():
    settings = Baseline()
    assert (settings.patches, settings.patch_size, settings.centroids) == (400_000, 6, 4000)
    assert (settings.iterations, settings.penalties) == (50, (100.0,))


@pytest.mark.parametrize(
    ('path', 'value', 'message'),
    [
        ('baselines.coates.centroids', 3001, 'centroids is 3001, more than its 3000 patches'),
        (
            'baselines.coates.patch_size',
            9,
            'patch_size: patches of 9 × 9 do not fit images of 8 × 8',
        ),
        ('baselines.coates.patches', 7201, 'the 200 training images hold only 7200'),
        ('baselines.coates.kind', 'svm', 'known are kmeans_svm'),
        ('baselines.coates.penalties', (), 'at least one'),
        ('baselines.coates.penalties', (1.0, 0.0), 'above 0'),
        ('report.rows', {'a': {'source': 'baselines.coate'}}, "did you mean 'coates'"),
        ('report.rows', {'a': {'source': 'baseline.coates'}}, 'baselines.NAME'),
    ],
)
def test_bad_settings_are_one_line_before_any_work(alone, tmp_path, device, path, value, message):
    group, _, key = path.rpartition('.')
    part = alone
    for name in group.split('.'):
        part = part[name]
    with part.unlocked():
        part[key] = value
    with pytest.raises(UserError) as error:
        run(alone, tmp_path, device)
    assert message in str(error.value)
    assert '\n' not in str(error.value)
    assert not list(tmp_path.glob('baseline-*'))


def test_inputs_that_are_no_images_are_refused(alone, tmp_path, device):
    draw = np.random.default_rng(0)
    np.savez(tmp_path / 'own.npz', features=draw.normal(size=(900, 5)), labels=np.arange(900) % 3)
    alone.data.update({'name': 'npz', 'root': str(tmp_path / 'own.npz'), 'preprocess': 'feature'})
    alone.views.shift = 0
    with pytest.raises(UserError, match=r'takes patches of images.*\(5,\)'):
        run(alone, tmp_path, device)


def test_a_single_class_is_refused(alone, make_session):
    session, _ = make_session(alone)
    data = dataclasses.replace(session.data, num_classes=1)
    with pytest.raises(UserError, match=r'config\.baselines\.one needs at least 2 classes'):
        baseline_plan.make('one', Baseline(patch_size=3, patches=9), data)


def test_values_that_are_not_finite_are_told(alone, tmp_path, device, monkeypatch):
    fit = baseline.svm.fit

    def spoiled(*arguments, **settings):
        weights, facts = fit(*arguments, **settings)
        return weights * np.nan, facts

    monkeypatch.setattr(baseline.svm, 'fit', spoiled)
    with pytest.raises(UserError, match='gives values that are not finite on the split validation'):
        run(alone, tmp_path, device, phase='baseline')


def test_the_report_names_the_phase_that_is_missing(alone, tmp_path, device):
    with pytest.raises(UserError, match='--phase=baseline'):
        run(alone, tmp_path, device, phase='report')


def test_a_stage_that_changed_between_two_sittings_is_made_again(tmp_path):
    made = []

    def make():
        made.append(len(made))
        return {'values': np.arange(5)}

    path = tmp_path / 'scale.npz'
    for _ in range(2):
        np.testing.assert_array_equal(baseline.stages.stage(path, make)['values'], np.arange(5))
    assert made == [0]
    whole = path.read_bytes()
    for bad in (whole[:-1], b'', whole.replace(b'values', b'valuer')):
        path.write_bytes(bad)
        np.testing.assert_array_equal(baseline.stages.stage(path, make)['values'], np.arange(5))
    assert made == [0, 1, 2, 3]


def test_features_that_changed_between_two_sittings_are_not_gone_on_with(tmp_path):
    path, rows = tmp_path / 'features.tmp', bytes(range(40))
    path.write_bytes(rows + b'half a row')
    baseline.stages.record(path, f'10 rows, CRC-32 {zlib.crc32(rows)}')
    assert baseline._rows_written(path, 4) == (10, zlib.crc32(rows))
    for bad in (b'x' + rows[1:], rows[:-1], b''):
        path.write_bytes(bad)
        assert baseline._rows_written(path, 4) == (0, 0)
    path.unlink()
    assert baseline._rows_written(path, 4) == (0, 0)
