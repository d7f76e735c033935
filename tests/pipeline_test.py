import collections
import dataclasses
import json
import logging
import re
import shutil

import jax
import numpy as np
import pytest
from conftest import refusal

from mimic_jax import pipeline
from mimic_jax.artifacts import locks, store
from mimic_jax.config import command_line
from mimic_jax.errors import UserError
from mimic_jax.mimic import ensemble
from mimic_jax.reporting import figures
from mimic_jax.reporting import run as report_phase
from mimic_jax.training import checkpoint

ROW_KEYS = {
    'name', 'model', 'parameters', 'target', 'metric', 'values', 'mean', 'std', 'n', 'agreement',
    'paper', 'units', 'paper_parameters', 'paper_units', 'note', 'shortfall', 'cache',
}  # fmt: skip


def run(config, workdir, device, phase='all', experiment='tiny'):
    pipeline.run(
        config, workdir=workdir, experiment=experiment, phase=phase, command='a command',
        devices=device,
    )  # fmt: skip
    path = workdir / experiment / 'report.json'
    return json.loads(path.read_text()) if path.exists() else None


def folders(workdir, phase):
    return {path.name for path in workdir.glob(f'{phase}-*')}


@pytest.fixture(scope='module')
def ran(tmp_path_factory, device):
    """The tiny experiment, run once: its workdir, its report and what jax compiled meanwhile."""
    from conftest import tiny_digits

    workdir = tmp_path_factory.mktemp('finished')
    jax.clear_caches()
    messages = []
    handler = logging.Handler()
    handler.emit = lambda record: messages.append(record.getMessage())
    logging.getLogger('jax').addHandler(handler)
    with jax.log_compiles():
        report = run(tiny_digits(), workdir, device)
    logging.getLogger('jax').removeHandler(handler)
    found = (re.match(r'Compiling (?:jit\()?(\w+)\)? with', message) for message in messages)
    return workdir, report, collections.Counter(name[1] for name in found if name)


@pytest.fixture
def finished(ran):
    """A workdir in which the tiny experiment has run, and its report."""
    return ran[:2]


def test_a_setting_that_nothing_reads_is_told_first(config, tmp_path, device, capsys):
    config.students.mimic.loss.temperature = 4.0
    config.search.trials = 7
    with pytest.raises(UserError, match='--phase=teacher'):
        run(config, tmp_path, device, phase='evaluate')
    said = capsys.readouterr().err.splitlines()
    told = [line for line in said if 'is not used' in line]
    assert told == [
        'config.search.trials is 7 and is not used: it is read where space has parameters',
        'config.students.mimic.loss.temperature is 4.0 and is not used: it is read where kind is '
        "'kl', 'hinton', 'z_scores', 'dkd' or 'dist'",
    ]


def test_no_step_is_compiled_twice(ran):
    """Two members and two seeds of each student: a program a kind of net, not a program a net."""
    # Of the teachers, of the students on labels and of those on logits, each.
    assert ran[2]['train_call'] == 3
    assert ran[2]['eval_call'] == 3
    # Teachers on the cache's views; teachers, and the students' two nets, on the test examples.
    assert ran[2]['forward_call'] == 4


def test_run_writes_one_artifact_a_member_cache_and_student_seed(finished):
    workdir, _ = finished
    counts = {
        phase: len(folders(workdir, phase))
        for phase in ('data', 'teacher', 'logits', 'student', 'evaluate')
    }
    assert counts == {'data': 1, 'teacher': 2, 'logits': 1, 'student': 4, 'evaluate': 6}
    for path in workdir.glob('*-*'):
        assert store.is_complete(path)
        store.verify(path)
        assert (path / 'config.json').is_file()
    for path in [*workdir.glob('teacher-*'), *workdir.glob('student-*')]:
        records = [json.loads(line) for line in (path / 'metrics.jsonl').read_text().splitlines()]
        assert any('loss' in record for record in records)
        assert any('validation_accuracy' in record for record in records)
    named = json.loads((workdir / 'tiny' / 'report.json').read_text())['artifacts']
    assert set(named) == {path.name for path in workdir.glob('*-*')}, 'data too'
    found = {
        path.parent.relative_to(workdir / 'tensorboard').as_posix()
        for path in workdir.glob('tensorboard/**/events.*')
    }
    students = {f'tiny/{name}/seed {seed}' for name in ('labels', 'mimic') for seed in (0, 1)}
    assert found == {'tiny/cnn_1', 'tiny/cnn_2', *students}


def test_report_rows_keep_the_contract(finished):
    workdir, report = finished
    assert report['experiment'] == 'tiny'
    rows = {row['name']: row for row in report['rows']}
    assert [row['target'] for row in report['rows']] == ['labels', None, 'labels', 'logits']
    for row in rows.values():
        assert set(row) == ROW_KEYS
        assert row['metric'] == 'accuracy'
        assert row['n'] == len(row['values'])
        assert all(0 <= value <= 1 for value in row['values'])
        np.testing.assert_allclose(row['mean'], np.mean(row['values']))
        if row['n'] > 1:
            np.testing.assert_allclose(row['std'], np.std(row['values'], ddof=1))
        else:
            assert row['std'] is None
    assert rows['ensemble']['agreement'] is None
    assert 0 < rows['student mimicking']['agreement'] <= 1
    # 8L on 64 pixels, 32 units, 10 classes: 64·8+8 + 8·32+32 + 32·10+10
    assert rows['student mimicking']['parameters'] == 64 * 8 + 8 + 8 * 32 + 32 + 32 * 10 + 10
    assert rows['student mimicking']['units'] == 8 + 32
    for name in ('report.md', 'accuracy.png', 'agreement.png'):
        assert (workdir / 'tiny' / name).stat().st_size > 100


def test_ensemble_row_is_the_mean_of_the_members_logits(finished, device, make_session, config):
    workdir, report = finished
    session, plan = make_session(config, workdir)
    labels = session.data.labels[session.data.splits['test']]
    outputs = [
        np.load(workdir / member.evaluation.name / 'test.npy') for member in plan.members.values()
    ]
    expected = np.mean(np.argmax(sum(outputs) / 2, axis=1) == labels)
    row = next(row for row in report['rows'] if row['target'] is None)
    np.testing.assert_allclose(row['values'], [expected])


def test_a_run_with_nothing_to_do_draws_nothing_unless_a_page_is_gone(
    finished, device, config, monkeypatch
):
    workdir, _ = finished
    folder = workdir / 'tiny'
    run(config, workdir, device)

    def pages():
        return {path.name: path.stat().st_mtime_ns for path in folder.iterdir()}

    before, drawn = pages(), []
    draw = figures.draw

    def watched(*arguments):
        drawn.append(True)
        return draw(*arguments)

    monkeypatch.setattr(figures, 'draw', watched)
    run(config, workdir, device)
    assert pages() == before and not drawn
    (folder / 'agreement.png').unlink()
    run(config, workdir, device)
    assert len(drawn) == 1 and set(pages()) == set(before)
    run(config, workdir, device, phase='report')
    assert len(drawn) == 2, 'it was asked for'
    config.report.x_label = 'something else'
    run(config, workdir, device)
    assert len(drawn) == 3, 'the page shows the config'
    monkeypatch.setattr(report_phase, '_code', lambda: 'other code')
    run(config, workdir, device)
    assert len(drawn) == 4


def test_second_run_computes_nothing_and_prints_the_same_table(finished, device, config, capsys):
    workdir, report = finished
    markers = {path: path.stat().st_mtime_ns for path in workdir.glob('*-*/COMPLETE')}
    again = run(config, workdir, device)
    assert again['rows'] == report['rows']
    assert markers == {path: path.stat().st_mtime_ns for path in workdir.glob('*-*/COMPLETE')}
    lines = capsys.readouterr().out.strip().splitlines()
    assert lines[-1] == str(workdir / 'tiny' / 'report.md')
    assert lines[-2].startswith('| student mimicking')


def test_changing_a_student_retrains_that_student_alone(finished, device, config):
    workdir, _ = finished
    before = {phase: folders(workdir, phase) for phase in ('teacher', 'logits', 'student')}
    config.students.mimic.train.learning_rate = 0.03
    run(config, workdir, device, phase='student')
    assert folders(workdir, 'teacher') == before['teacher']
    assert folders(workdir, 'logits') == before['logits']
    assert len(folders(workdir, 'student') - before['student']) == 2


def test_names_depend_on_what_determines_the_content(config, make_session):
    _, plan = make_session(config)
    cache, mimic = plan.caches['ensemble'].recipe.name, plan.students['mimic'][0].recipe.name

    config.views.seed = 1
    _, other = make_session(config)
    assert other.caches['ensemble'].recipe.name != cache
    assert other.students['mimic'][0].recipe.name != mimic
    # Nets on labels draw their views from their own seeds.
    assert other.members['cnn_1'].recipe.name == plan.members['cnn_1'].recipe.name

    config.views.seed = 0
    config.views.shift = 2
    _, other = make_session(config)
    assert other.caches['ensemble'].recipe.name != cache

    config.views.shift = 1
    config.data.seed = 3
    _, other = make_session(config)
    assert other.members['cnn_1'].recipe.name != plan.members['cnn_1'].recipe.name


def test_a_limited_transfer_set_is_the_first_of_the_whole_one(config, make_session):
    _, plan = make_session(config)
    config.logits.ensemble.limit = 150
    _, limited = make_session(config)
    whole, part = plan.caches['ensemble'], limited.caches['ensemble']
    assert part.examples.tolist() == whole.examples[:150].tolist()
    assert part.recipe.name != whole.recipe.name
    assert limited.students['mimic'][0].task.steps < plan.students['mimic'][0].task.steps
    config.logits.ensemble.limit = len(whole.examples)
    _, everything = make_session(config)
    assert everything.caches['ensemble'].examples.tolist() == whole.examples.tolist()


def test_names_do_not_depend_on_how_the_run_goes(config, make_session):
    _, plan = make_session(config)
    config.run = {'log_steps': 7, 'placement': 'host', 'evaluation_batch_size': 64}
    config.report.rows.teacher.label = 'another name'
    config.students.mimic.loss.temperature = 3.0  # which this loss does not read
    _, other = make_session(config)
    assert [net.recipe.name for net in other.nets()] == [net.recipe.name for net in plan.nets()]
    assert other.caches['ensemble'].recipe == plan.caches['ensemble'].recipe


def test_phase_without_its_input_says_which_phase_to_run(config, tmp_path, device):
    with pytest.raises(UserError, match='--phase=teacher'):
        run(config, tmp_path, device, phase='logits')
    with pytest.raises(UserError, match='--phase=logits'):
        run(config, tmp_path, device, phase='student')
    with pytest.raises(UserError, match='--phase=evaluate'):
        run(config, tmp_path, device, phase='report')


def test_an_ensembles_row_waits_for_no_cache(finished, config, device):
    """Members are trained and answer; the logits on more views are not written yet."""
    workdir, report = finished
    config.logits.ensemble.views += 1
    config.students = {}
    config.report = {'rows': {'ensemble': {'source': 'logits.ensemble'}}}
    made = run(config, workdir, device, phase='report', experiment='early')
    assert made['costs']['logits'] == {'artifacts': [], 'seconds': 0, 'bytes': 0}
    assert made['caches'] == []
    (row,) = made['rows']
    before = next(row for row in report['rows'] if row['target'] is None)
    assert row['values'] == before['values'] and row['target'] is None


def test_phases_one_by_one_equal_all_at_once(finished, config, tmp_path, device):
    workdir, report = finished
    for phase in command_line.OF_ALL:
        if phase == 'search':  # which only a config with a search has
            continue
        result = run(config, tmp_path, device, phase=phase)
    assert result['rows'] == report['rows']
    for path in tmp_path.glob('student-*'):
        mine, theirs = (
            store.manifest(folder / path.name)['variables_sha256'] for folder in (tmp_path, workdir)
        )
        assert mine == theirs


def test_arrays_on_the_host_give_the_same_nets(finished, config, tmp_path, device):
    workdir, _ = finished
    config.run.placement = 'host'
    run(config, tmp_path, device)
    names = folders(tmp_path, 'student') | folders(tmp_path, 'teacher')
    assert len(names) == 6
    for name in names:
        mine, theirs = (
            store.manifest(folder / name)['variables_sha256'] for folder in (tmp_path, workdir)
        )
        assert mine == theirs


def test_student_of_a_budget_is_solved_to_it(config, make_session):
    config.students.mimic.model = '8L-?'
    config.students.mimic.budget = 5000.0
    _, plan = make_session(config)
    net = plan.students['mimic'][0]
    assert net.parameters <= 5000 < net.parameters + 8 + 1 + 10
    assert '?' not in net.model


def test_a_net_without_a_free_width_is_held_to_its_budget(config, make_session):
    _, plan = make_session(config)
    params = plan.students['mimic'][0].parameters
    config.students.mimic.budget = float(params)
    _, plan = make_session(config)
    assert plan.students['mimic'][0].model == config.students.mimic.model
    config.students.mimic.budget = params - 1.0
    message = refusal(make_session, config)
    assert f'config.students.mimic.model has {params:,} parameters, more than' in message


@pytest.mark.parametrize(
    ('path', 'value', 'message'),
    [
        ('students.mimic.model', '8L-3q2', '3q2'),
        ('students.mimic.train.batch_size', 5000, 'batch_size is 5000'),
        ('students.mimic.train.learning_rate', -0.1, 'learning_rate is -0.1'),
        ('students.mimic.logits', 'ensembel', "did you mean 'ensemble'"),
        ('students.mimic.model', '8L-?', 'budget'),
        ('data.train', 3000, 'data.train is 3000'),
        ('data.name', 'digit', "did you mean 'digits'"),
        ('views.shift', 9, 'views.shift is 9'),
        ('run.model_axis', 3, 'model_axis is 3'),
        ('logits.ensemble.limit', 5000, 'logits.ensemble.limit is 5000'),
        ('logits.ensemble.transfer', ('train', 'unlabeled'), "did you mean 'unlabelled'"),
    ],
)
def test_bad_settings_are_one_line_before_any_work(config, tmp_path, device, path, value, message):
    config.update_from_flattened_dict({path: value})
    with pytest.raises(UserError) as error:
        run(config, tmp_path, device)
    assert message in str(error.value)
    assert '\n' not in str(error.value)
    assert not folders(tmp_path, 'teacher')


def test_a_cache_of_other_teachers_is_refused_by_field(finished, config, tmp_path, make_session):
    """A teacher folder swapped for another net under the same name."""
    import shutil

    workdir, _ = finished
    copy = tmp_path / 'copy'
    shutil.copytree(workdir, copy)
    session, plan = make_session(config, copy)
    first, second = (copy / member.recipe.name for member in plan.members.values())
    for item in ('checkpoints', 'manifest.json', 'COMPLETE'):
        target = first / item
        shutil.rmtree(target) if target.is_dir() else target.unlink()
        source = second / item
        (shutil.copytree if source.is_dir() else shutil.copy)(source, target)
    manifest = json.loads((first / 'manifest.json').read_text())
    (first / 'COMPLETE').unlink()
    shutil.copy(second / 'metrics.jsonl', first / 'metrics.jsonl')
    store.seal(first, {key: value for key, value in manifest.items() if key != 'files'})

    with pytest.raises(UserError, match='variables_sha256'):
        ensemble.open_checked(session, plan.caches['ensemble'])


@pytest.mark.parametrize(
    ('field', 'value', 'named'),
    [
        ('draws.PRNG', 'rbg', 'view_function.prng'),
        ('views.VERSION', 99, 'view_function.version'),
        ('data.fingerprint', 'f' * 64, 'data'),
        ('data.num_classes', 11, 'num_classes'),
        ('data.preprocess', 'image', 'preprocess'),
        ('cache.dtype', 'float32', 'dtype'),
        ('cache.transfer', ('unlabelled', 'train'), r'transfer[0]'),
    ],
)
def test_a_cache_of_something_else_is_refused_by_the_field_that_differs(
    finished, config, make_session, monkeypatch, field, value, named
):
    """The id does not show every change, such as that of code whose version nobody raised."""
    session, plan = make_session(config, finished[0])
    cache = plan.caches['ensemble']
    of, name = field.split('.')
    if of in ('draws', 'views'):
        monkeypatch.setattr(getattr(ensemble, of), name, value)
    elif of == 'data':
        session = dataclasses.replace(
            session, data=dataclasses.replace(session.data, **{name: value})
        )
    else:
        settings = dataclasses.replace(cache.settings, **{name: value})
        cache = dataclasses.replace(cache, settings=settings)
    with pytest.raises(UserError) as caught:
        ensemble.open_checked(session, cache)
    assert f'does not fit: its {named} is ' in str(caught.value)


def test_another_jax_is_named_where_it_gives_other_numbers(
    finished, config, make_session, monkeypatch
):
    session, plan = make_session(config, finished[0])
    monkeypatch.setattr(ensemble.jax, '__version__', '99.0')
    load = ensemble.load
    monkeypatch.setattr(
        ensemble, 'load', lambda *a, **k: lambda *b: load(*a, **k)(*b) + np.float32(1e-4)
    )
    ensemble.open_checked(session, plan.caches['ensemble'])  # within the tolerance
    ensemble.open_checked.cache_clear()
    monkeypatch.setattr(ensemble, 'load', lambda *a, **k: lambda *b: load(*a, **k)(*b) + 1)
    with pytest.raises(UserError, match=r"written\.jax is '.*', here '99\.0', which gives other"):
        ensemble.open_checked(session, plan.caches['ensemble'])


def test_rows_that_the_teacher_does_not_say_are_refused(finished, config, tmp_path, make_session):
    """A cache whose digests are in order but whose numbers are not the teachers'."""
    import shutil

    import orbax.checkpoint as ocp

    workdir, _ = finished
    copy = tmp_path / 'copy'
    shutil.copytree(workdir, copy)
    session, plan = make_session(config, copy)
    folder = copy / plan.caches['ensemble'].recipe.name
    opened = ensemble.open_checked(session, plan.caches['ensemble'])
    logits = opened.view(1).copy()
    logits[3, 2] += 0.5
    shutil.rmtree(folder / 'views' / '1')
    with ocp.StandardCheckpointer() as checkpointer:
        checkpointer.save((folder / 'views' / '1').resolve(), {'logits': logits})
    facts = json.loads((folder / 'manifest.json').read_text())
    store.seal(folder, {key: value for key, value in facts.items() if key != 'files'})
    store._verified_manifest.cache_clear()
    ensemble.open_checked.cache_clear()
    with pytest.raises(UserError, match='view 1'):
        ensemble.open_checked(session, plan.caches['ensemble'])


def test_checkpoint_holds_the_net_that_was_evaluated(finished, config, make_session):
    workdir, _ = finished
    session, plan = make_session(config, workdir)
    net = plan.students['mimic'][0]
    import jax

    example = jax.ShapeDtypeStruct((1, *session.data.input_shape), np.float32)
    shapes = jax.eval_shape(net.task.net.module.init, jax.random.key(0), example)
    variables = checkpoint.load_variables(workdir / net.recipe.name, shapes)
    test = session.data.inputs[session.data.splits['test']].astype(np.float32) / 255
    logits = net.task.net.apply(variables, test)
    kept = np.load(workdir / net.evaluation.name / 'test.npy')
    np.testing.assert_allclose(logits, kept, rtol=1e-4, atol=1e-4)


def test_a_table_of_ones_own_goes_through_the_whole_pipeline(config, tmp_path, device):
    """Features from an .npz, with unlabelled rows and a test split; several nets share the data."""
    draw = np.random.default_rng(0)
    centres = draw.normal(scale=3, size=(3, 5))
    labels, test_labels = (draw.integers(0, 3, size) for size in (300, 100))
    np.savez(
        tmp_path / 'own.npz',
        features=centres[labels] + draw.normal(size=(300, 5)),
        labels=labels,
        unlabelled=centres[draw.integers(0, 3, 50)] + draw.normal(size=(50, 5)),
        test_features=centres[test_labels] + draw.normal(size=(100, 5)),
        test_labels=test_labels,
    )
    config.data.update(
        {'name': 'npz', 'root': str(tmp_path / 'own.npz'), 'preprocess': 'feature', 'test': 0}
    )
    config.views.shift = 0
    for member in config.members.values():
        member.model = '16'
        member.train.epochs = 5
    report = run(config, tmp_path / 'work', device)
    rows = {row['name']: row for row in report['rows']}
    assert rows['ensemble']['mean'] > 0.9
    assert rows['student mimicking']['agreement'] > 0.8
    assert len(rows['student mimicking']['values']) == 2


def test_a_cache_that_was_begun_elsewhere_is_held_to_no_more_than_the_tolerance(
    config, make_session, monkeypatch
):
    """Its first view has another backend's last digits, whichever backend finishes it."""
    session, plan = make_session(config)
    for member in plan.members.values():
        pipeline.teachers.make(session, member)
    cache = plan.caches['ensemble']
    here, load = ensemble.where_written(session), ensemble.load
    with monkeypatch.context() as elsewhere:
        elsewhere.setattr(ensemble, 'where_written', lambda _: {**here, 'backend': 'tpu'})
        elsewhere.setattr(
            ensemble, 'load', lambda *a, **k: lambda *b: load(*a, **k)(*b) + np.float32(1e-4)
        )
        folder = pipeline.logits.run(session, cache)
    for name in ('COMPLETE', 'manifest.json'):
        (folder / name).unlink()
    shutil.rmtree(folder / 'views' / '1')
    store._verified_manifest.cache_clear()
    pipeline.logits.run(session, cache)
    written = store.manifest(folder)['written']
    assert [each['backend'] for each in written] == ['tpu', here['backend']]
    opened = ensemble.open_checked(session, cache)
    assert opened.views == 2


def test_a_net_that_another_process_trains_comes_last(config, make_session, device, monkeypatch):
    """Two processes with the same command share the work."""
    session, plan = make_session(config)
    first, second = plan.members.values()
    order, train = [], pipeline.teachers.make

    def watched(session, member):
        order.append(member.name)
        return train(session, member)

    monkeypatch.setattr(pipeline.teachers, 'make', watched)
    monkeypatch.setattr(locks, 'is_held', lambda folder: folder.name == first.recipe.name)
    run(config, session.workdir, device, phase='teacher')
    assert order == [second.name, first.name]
    run(config, session.workdir, device, phase='teacher')  # whose nets are all there
    assert order[2:] == [first.name, second.name]
