"""The package from Python: what a notebook calls."""

import os
import subprocess
import sys

import numpy as np
import pytest
import scipy.special
from conftest import ROOT, refusal, tiny_digits

import mimic_jax
from mimic_jax import api
from mimic_jax.models import notation
from mimic_jax.runtime.progress import Progress


@pytest.fixture(scope='module')
def workdir(tmp_path_factory):
    return tmp_path_factory.mktemp('api')


@pytest.fixture(scope='module')
def result(workdir):
    return mimic_jax.run(tiny_digits(), workdir=str(workdir), name='tiny')


def test_an_experiment_is_found_by_name_from_any_folder_and_changed_by_settings(tmp_path):
    names = ('experiments/digits_student.py', 'experiments/digits_student', 'digits_student')
    before = os.getcwd()
    os.chdir(tmp_path)
    try:
        configs = [mimic_jax.load_experiment(name) for name in names]
    finally:
        os.chdir(before)
    assert configs[0].to_dict() == configs[1].to_dict() == configs[2].to_dict()
    changed = mimic_jax.load_experiment(
        ROOT / 'experiments' / 'cifar_student.py:smoke',
        **{'students.mimic.train.learning_rate': 0.5, 'members.cnn_1.views.crop': 24},
    )
    assert changed.students.mimic.train.learning_rate == 0.5
    assert changed.members.cnn_1.views.crop == 24 and changed.data.train == 1000
    with pytest.raises(AttributeError):
        changed.data.trian = 3


@pytest.mark.parametrize(
    ('path', 'changes', 'words'),
    [
        ('nonesuch', {}, ['there is no experiment nonesuch', 'experiments/digits_student.py']),
        ('digits_student:nonesuch', {}, ["unknown preset 'nonesuch'"]),
        ('digits_student', {'data.trian': 3}, ["config.data has no setting 'trian'", "'train'"]),
        ('digits_student', {'data.train.x': 3}, ["config.data.train has no setting 'x'"]),
        ('digits_student', {'data.train': 'many'}, ["config.data.train is 'many'", 'type int']),
        ('digits_student', {'students.mimic.loss': 'kl'}, ['set students.mimic.loss.kind']),
        (
            'digits_student',
            {'data': 'npz'},
            ['config.data is a group of settings; it has ', 'root'],
        ),
    ],
)
def test_what_cannot_be_loaded_is_one_line(path, changes, words):
    message = refusal(lambda: mimic_jax.load_experiment(path, **changes))
    assert all(word in message for word in words)


def test_a_file_that_returns_no_config_is_named(tmp_path):
    path = tmp_path / 'plain.py'
    path.write_text('def get_config():\n    return {}\n')
    message = refusal(lambda: mimic_jax.load_experiment(path))
    assert str(path) in message and 'returns dict; return a ConfigDict' in message


def test_a_run_gives_the_reports_rows_and_its_place(result, workdir):
    assert result.report == workdir / 'tiny' / 'report.html' and result.report.is_file()
    assert [row['name'] for row in result.rows] == [
        *('one teacher', 'ensemble', 'student on labels', 'student mimicking')
    ]
    assert all(folder.is_dir() for folder in result.folders.values())
    assert set(result.folders) == {
        *('teacher cnn_1', 'teacher cnn_2', 'logits ensemble'),
        *(f'student {name}, seed {seed}' for name in ('labels', 'mimic') for seed in (0, 1)),
    }


def test_a_report_that_is_drawn_shows_how_far_it_is(result, workdir, monkeypatch):
    seen = []
    monkeypatch.setattr(Progress, 'count', lambda self, *count: seen.append(count))
    mimic_jax.run(tiny_digits(), workdir=workdir, name='tiny', phase='report')
    assert [done for what, *done in seen if what == 'writing the report'] == [
        [number, 3] for number in range(4)
    ]


def test_nets_answer_on_raw_inputs_as_they_were_evaluated(result):
    data = result._session.data
    images, labels = (array[data.splits['test']] for array in (data.inputs, data.labels))
    row = next(row for row in result.rows if row['name'] == 'student mimicking')
    for seed, value in enumerate(row['values']):
        net = result.student('mimic', seed)
        evaluated = np.load(
            result.workdir / result._plan.students['mimic'][seed].evaluation.name / 'test.npy'
        )
        np.testing.assert_allclose(net(images), evaluated, atol=1e-4)
        chances = scipy.special.softmax(evaluated, axis=1)
        np.testing.assert_allclose(net.predict_proba(images), chances, atol=1e-4)
        assert np.mean(net.predict(images) == labels.astype(str)) == pytest.approx(value)
    assert (result.student('mimic')(images) == result.student('mimic', 0)(images)).all()
    members = [result.teacher(name)(images) for name in ('cnn_1', 'cnn_2')]
    np.testing.assert_allclose(result.ensemble('ensemble')(images), np.mean(members, 0), atol=1e-5)


def test_a_cache_and_curves_are_arrays(result):
    cache = result.cache('ensemble')
    assert cache.view(0).shape == (len(cache.examples), 10)
    again = mimic_jax.open_cache(str(result.folders['logits ensemble']))
    np.testing.assert_array_equal(again.view(1), cache.view(1))
    curve = result.curve('student mimic, seed 0')
    steps, accuracy = curve['validation_accuracy'].T
    assert (np.diff(steps) > 0).all() and ((accuracy >= 0) & (accuracy <= 1)).all()
    assert len(curve['loss']) and curve['loss'].shape[1] == 2


def test_names_that_nothing_bears_are_one_line(result):
    assert "did you mean 'mimic'?" in refusal(lambda: result.student('mimc'))
    assert 'has no seed 7; it has [0, 1]' in refusal(lambda: result.student('mimic', 7))
    assert "config.members has no 'cnn_3'" in refusal(lambda: result.teacher('cnn_3'))
    assert 'config.logits' in refusal(lambda: result.ensemble('nets'))


@pytest.mark.parametrize(
    ('call', 'words'),
    [
        (
            lambda: mimic_jax.run('digits_student'),
            ["config is 'digits_student'", 'load_experiment'],
        ),
        (lambda: mimic_jax.run({}, phase='studnet'), ["'studnet'", "did you mean 'student'?"]),
        (lambda: mimic_jax.run({}, phase='status'), ["'status', which does not run from Python"]),
        (lambda: mimic_jax.load_student('nowhere'), ['there is no nowhere; give', 'export-<id>']),
        (
            lambda: mimic_jax.open_cache('nowhere'),
            ['there is no folder nowhere; give', 'logits-<id>'],
        ),
    ],
)
def test_a_call_that_cannot_be_meant_is_one_line(call, words, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    message = refusal(call)
    assert all(word in message for word in words)
    assert not list(tmp_path.iterdir())


def test_inputs_of_another_shape_are_one_line(result):
    net = result.student('mimic')
    for ask in (net, net.predict, net.predict_proba):
        for shape in ((3, 8, 8), (8, 8, 1), (2, 9, 8, 1), (0, 8, 8, 1)):
            message = refusal(ask, np.zeros(shape, np.uint8))
            assert f'inputs have shape {shape}; the net takes [n, 8, 8, 1]' in message


def test_an_export_is_loaded_and_asked(result, workdir):
    assert mimic_jax.run(tiny_digits(), workdir=workdir, name='tiny', phase='export').rows == []
    (folder,) = workdir.glob('export-*')
    student = mimic_jax.load_student(folder)
    images = result._session.data.inputs[:7]
    expected = result.student('mimic')
    np.testing.assert_allclose(
        student.predict_proba(images), expected.predict_proba(images), atol=1e-5
    )
    assert student.predict(images).tolist() == expected.predict(images).tolist()
    assert student.classes == tuple('0123456789') and student.facts['student'] == 'mimic'
    assert 'no exported student' in refusal(lambda: mimic_jax.load_student(workdir))


def test_a_nested_dict_is_a_config_too(tmp_path):
    config = {
        'data': {'train': 100, 'validation': 50, 'test': 50, 'preprocess': 'scale'},
        'members': {'net': {'model': '8', 'train': {'epochs': 1, 'batch_size': 50}}},
    }
    result = mimic_jax.run(config, workdir=tmp_path, phase='teacher')
    assert result.rows == [] and result.report is None
    assert result.teacher('net')(np.zeros((2, 8, 8, 1), np.uint8)).shape == (2, 10)
    assert 'no setting' in refusal(lambda: mimic_jax.run({'dta': {}}, workdir=tmp_path))


def test_the_packages_names_are_the_doors_and_load_nothing_until_used():
    assert {*api.__all__} - {'CallableNet', 'Result'} | {'notation'} <= {*dir(mimic_jax)}
    assert mimic_jax.run is api.run and mimic_jax.notation is notation
    with pytest.raises(AttributeError, match='nonesuch'):
        _ = mimic_jax.nonesuch
    code = 'import sys, mimic_jax; print("jax" in sys.modules, mimic_jax.__version__)'
    done = subprocess.run([sys.executable, '-c', code], capture_output=True, text=True, cwd=ROOT)
    assert done.stdout.split()[0] == 'False', done.stderr


def test_rows_are_a_data_frame_where_pandas_is_there(result):
    pandas = pytest.importorskip('pandas', reason='pandas is no dependency of the package')
    frame = result.frame()
    assert isinstance(frame, pandas.DataFrame) and frame['mean'].tolist() == [
        row['mean'] for row in result.rows
    ]
