"""Fitted preprocessing as an artifact, in a session, and through a whole small run."""

import dataclasses
import json

import numpy as np
import pytest

from mimic_jax import pipeline
from mimic_jax.artifacts import store
from mimic_jax.data import preprocess, statistics
from mimic_jax.data.dataset import Dataset
from mimic_jax.errors import UserError


def dataset(kind='gcn_zca', fingerprint='a', count=100):
    """Images of which every fifth is for validation, the next for test, the next unlabelled."""
    inputs = np.random.default_rng(0).integers(0, 256, (count, 4, 3, 1), dtype=np.uint8)
    index = np.arange(count, dtype=np.int32)
    splits = {'validation': index[0::5], 'test': index[1::5], 'unlabelled': index[2::5]}
    splits['train'] = np.random.default_rng(1).permutation(
        np.concatenate([index[3::5], index[4::5]])
    )
    return Dataset(inputs, index, splits, 10, fingerprint, kind)


def folders(workdir):
    return list(workdir.glob('preprocess-*'))


@pytest.mark.parametrize('kind', preprocess.KINDS)
def test_fitted_kinds_are_an_artifact_and_others_are_not(tmp_path, kind):
    data = dataset(kind)
    stats = statistics.open_fitted(tmp_path, data)
    expected = preprocess.fit(kind, data.inputs, statistics.examples(data))
    assert set(stats) == set(expected)
    for key, array in expected.items():
        np.testing.assert_array_equal(stats[key], array)
        assert isinstance(stats[key], np.memmap)
    assert len(folders(tmp_path)) == (kind in preprocess.FITTED)


def test_the_artifact_is_made_once(tmp_path, monkeypatch):
    first = statistics.open_fitted(tmp_path, dataset())
    with monkeypatch.context() as patch:
        patch.setattr(preprocess, 'fit', None)  # fitting again would fail
        again = statistics.open_fitted(tmp_path, dataset())
    np.testing.assert_array_equal(again['matrix'], first['matrix'])
    assert len(folders(tmp_path)) == 1


def test_other_data_and_other_kinds_have_artifacts_of_their_own(tmp_path):
    for data in (dataset(), dataset(fingerprint='b'), dataset(kind='feature')):
        statistics.open_fitted(tmp_path, data)
    assert len(folders(tmp_path)) == 3


def test_a_damaged_file_is_refused_by_name(tmp_path):
    statistics.open_fitted(tmp_path, dataset())
    (folder,) = folders(tmp_path)
    matrix = np.load(folder / 'matrix.npy')
    np.save(folder / 'matrix.npy', 2 * matrix)
    store._verified_manifest.cache_clear()
    with pytest.raises(UserError, match=r'matrix\.npy has changed'):
        statistics.open_fitted(tmp_path, dataset())


@pytest.mark.parametrize(
    ('kind', 'seen'), [('feature', {'train'}), ('gcn_zca', {'train', 'unlabelled'})]
)
def test_only_what_training_may_see_is_fitted_to(tmp_path, kind, seen):
    """Other pixels change the statistics only in splits that training may see."""
    data = dataset(kind)
    stats = statistics.open_fitted(tmp_path / 'clean', data)
    for split, indices in data.splits.items():
        inputs = data.inputs.copy()
        inputs[indices] = 255 - inputs[indices] // 3
        poisoned = dataclasses.replace(data, inputs=inputs)
        other = statistics.open_fitted(tmp_path / split, poisoned)
        assert np.array_equal(other['mean'], stats['mean']) == (split not in seen), split


def test_of_too_many_images_the_training_ones_come_first(monkeypatch):
    data = dataset()
    assert (
        sorted([*data.splits['train'], *data.splits['unlabelled']])
        == statistics.examples(data).tolist()
    )
    monkeypatch.setattr(statistics, 'MOST_IMAGES', 50)  # of 40 for training and 20 unlabelled
    chosen = statistics.examples(data)
    assert len(set(chosen.tolist())) == 50 and np.all(np.diff(chosen) > 0)
    assert (
        set(data.splits['train'])
        <= set(chosen)
        <= {*data.splits['train'], *data.splits['unlabelled']}
    )
    np.testing.assert_array_equal(statistics.examples(data), chosen)
    monkeypatch.setattr(statistics, 'MOST_IMAGES', 30)
    assert set(statistics.examples(data)) < set(data.splits['train'])


def whitening_run(config):
    """The tiny experiment with whitening, cut to a teacher, a cache and a student."""
    config.data.preprocess = 'gcn_zca'
    del config.members.cnn_2
    config.logits.ensemble.members = ('cnn_1',)
    config.logits.ensemble.views = 1
    del config.students.labels
    config.students.mimic.seeds = (0,)
    del config.report.rows['labels']
    config.report.order = ('teacher', 'mimic')
    config.views.shift = 0  # of 64 whitened pixels a few steps teach no invariance
    for net, epochs in ((config.members.cnn_1, 30), (config.students.mimic, 6)):
        net.model = '64'
        net.train.update({'epochs': epochs, 'batch_size': 50})
    config.run.evaluation_steps = config.run.checkpoint_steps = 1000
    return config


def test_a_run_with_whitening_trains_and_shows_it(config, tmp_path, device, make_session):
    settings = whitening_run(config)
    pipeline.run(settings, workdir=tmp_path, experiment='white', devices=device)
    report = json.loads((tmp_path / 'white' / 'report.json').read_text())
    assert [row['mean'] > 0.6 for row in report['rows']] == [True, True]
    assert len(folders(tmp_path)) == 1

    import matplotlib.pyplot as plt

    picture = plt.imread(tmp_path / 'white' / 'whitened.png')
    assert picture.std() > 0.1, 'an empty picture'
    assert '![whitened.png](whitened.png)' in (tmp_path / 'white' / 'report.md').read_text()

    session, _ = make_session(settings, tmp_path)
    data = session.data
    assert len(statistics.examples(data)) == len(data.splits['train']) + len(
        data.splits['unlabelled']
    )
    np.testing.assert_array_equal(
        session.constants['inputs']['matrix'],
        statistics.open_fitted(tmp_path, data)['matrix'],
    )


def test_too_few_images_are_told_of_before_any_training(config, tmp_path, device):
    settings = whitening_run(config)
    settings.data.train, settings.data.unlabelled = 60, 3
    with pytest.raises(UserError, match='64 dimensions, but there are only 63 images') as error:
        pipeline.run(settings, workdir=tmp_path, experiment='white', devices=device)
    assert '\n' not in str(error.value)
    assert not list(tmp_path.glob('teacher-*'))
