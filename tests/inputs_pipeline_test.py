"""From a person's file to predictions: what is centred for training is centred for whoever asks."""

import json

import numpy as np
import pytest

import mimic_jax
from mimic_jax import api
from mimic_jax.export import predict
from mimic_jax.mimic import external_teacher
from mimic_jax.mimic.settings import ExternalTeacher

random = np.random.default_rng(0)
STAMPS = 20240101000000 + random.integers(0, 1000, 120)
TABLE = np.stack([STAMPS, random.integers(0, 9, 120)], 1)
LABELS = (STAMPS > 20240101000500).astype(int)
TRAIN = {'epochs': 40, 'batch_size': 16, 'learning_rate': 0.1}


def given(inputs):
    """A teacher made elsewhere, which knows the table as the file has it."""
    assert inputs.dtype == np.float64 and set(inputs[:, 0]) <= set(STAMPS.astype(float))
    late = inputs[:, 0] > 20240101000500
    return np.stack([-5.0 * late, 5.0 * late], 1)


@pytest.fixture(scope='module')
def finished(tmp_path_factory):
    folder = tmp_path_factory.mktemp('stamps')
    tests = np.concatenate([np.arange(20), [0, 1, 2]])
    np.savez(
        folder / 'own.npz',
        features=TABLE,
        labels=LABELS,
        test_features=TABLE[tests],
        test_labels=LABELS[tests],
    )
    config = {
        'data': {
            'name': 'npz',
            'root': str(folder / 'own.npz'),
            'preprocess': 'feature',
            'validation': 20,
        },
        'members': {'net': {'model': '16', 'train': TRAIN}},
        'students': {'labels': {'model': '16', 'train': TRAIN, 'seeds': (0,)}},
        'report': {'rows': {'labels': {'source': 'students.labels'}}},
        'run': {'evaluation_steps': 20, 'checkpoint_steps': 20},
    }
    return folder, config, mimic_jax.run(config, folder / 'runs')


def test_a_column_of_stamps_is_learnt(finished):
    _, _, result = finished
    (row,) = result.rows
    assert row['mean'] > 0.9
    assert (result.student('labels').predict(TABLE) == LABELS).mean() > 0.95
    assert (result.teacher('net')(TABLE).argmax(axis=1) == LABELS).mean() > 0.95


def test_an_export_takes_the_table_as_the_file_has_it(finished, capsys):
    folder, config, result = finished
    api.run(config, folder / 'runs', phase='export')
    (exported,) = (folder / 'runs').glob('export-*')
    facts = json.loads((exported / 'export.json').read_text())
    assert list(facts['input']['centre']) == ['0']
    assert (api.load_student(exported).predict(TABLE) == LABELS).mean() > 0.95
    np.save(folder / 'table.npy', TABLE)
    predict.run(result._session, exported, folder / 'table.npy', folder / 'out.npz')
    with np.load(folder / 'out.npz', allow_pickle=False) as said:
        assert (said['class'] == LABELS).mean() > 0.95


def test_a_teacher_made_elsewhere_is_given_what_the_file_has(finished):
    _, _, result = finished
    session = result._session
    batch = {'index': np.arange(30), 'mask': np.ones(30, np.float32), 'view': 0}
    raw = external_teacher.inputs(session, ExternalTeacher(path=('x:y',)), batch)
    np.testing.assert_array_equal(raw, TABLE[:30])
    np.testing.assert_array_equal(given(raw).argmax(axis=1), LABELS[:30])


def test_twins_are_in_the_reports_data_block(finished):
    _, _, result = finished
    data = json.loads(result.report.with_suffix('.json').read_text())['data']
    twins = data['twins']
    assert twins['test_in_train'] + twins['test_in_validation'] == 23
    assert twins['dropped'] == 0
