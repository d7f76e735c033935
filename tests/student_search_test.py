"""--phase=search over students of a logit cache, on digits."""

import json
import re
import shutil

import pytest
from conftest import refusal, tiny_digits

from mimic_jax import pipeline
from mimic_jax.artifacts import store
from mimic_jax.config import experiment as experiments
from mimic_jax.errors import NotFinite, UserError
from mimic_jax.models import counts
from mimic_jax.runtime import interrupt
from mimic_jax.training import loop

optuna = pytest.importorskip('optuna', reason='the search extra is not installed')

BUDGET = 3000.0


def searching(count=2):
    """A search over students with one width from the budget, and its best as the only student."""
    config = tiny_digits()
    for member in config.members.values():
        member.model = '16'
        member.train.epochs = 1
    student = {**config.students.mimic.to_dict(), 'seeds': (0,)}
    student['train']['epochs'] = 1
    config.search = {
        'space': {
            'hidden': {'low': 10, 'high': 40, 'int': True},
            'rate': {'low': 0.01, 'high': 0.1, 'log': True},
            'input_scale': {'low': 0.8, 'high': 1.25},
            'init': {'low': 0.4, 'high': 2.0},
        },
        'student': {**student, 'model': '?L-{hidden}', 'budget': BUDGET},
        'sets': {
            'rate': 'train.learning_rate',
            'input_scale': 'train.input_scale',
            'init': 'train.init_scale',
        },
        'trials': count,
        'study': 'nets',
        'startup': 5,
    }
    config.students = {'found': {'from_study': {'study': 'nets', 'rank': 1}}}
    config.report = {}
    return config


def run(config, workdir, device, phase='all'):
    pipeline.run(config, workdir=workdir, experiment='tiny', phase=phase, devices=device)


def stored(workdir):
    study = optuna.load_study(
        study_name='nets', storage=f'sqlite:///{workdir / "studies.sqlite"}'
    )  # fmt: skip
    return study.get_trials()


@pytest.fixture(scope='module')
def searched(tmp_path_factory, device):
    workdir = tmp_path_factory.mktemp('searched')
    run(searching(), workdir, device)
    return workdir


def test_a_trial_is_a_student_on_the_cache_within_the_budget(searched):
    finished = stored(searched)
    assert len(finished) == 2
    (cache,) = (path.name for path in searched.glob('logits-*'))
    for trial in finished:
        folder = searched / trial.user_attrs['artifact']
        assert folder.name.startswith('student-') and store.is_complete(folder)
        recipe = json.loads((folder / 'config.json').read_text())
        assert recipe['reads'] == [cache]
        linear, hidden = recipe['config']['model'].split('-')
        assert hidden == str(trial.params['hidden'])
        width = int(linear.removesuffix('L'))
        for more, fits in ((0, True), (1, False)):
            wider = counts.count(f'{width + more}L-{hidden}', (8, 8, 1)).params
            assert (wider <= BUDGET) == fits
        for name in ('input_scale', 'init'):
            setting = 'init_scale' if name == 'init' else name
            assert recipe['config']['train'][setting] == trial.params[name]
        records = map(json.loads, (folder / 'metrics.jsonl').read_text().splitlines())
        values = [r['validation_accuracy'] for r in records if 'validation_accuracy' in r]
        assert trial.value == values[-1]


def test_the_best_on_validation_stands_in_the_report(searched):
    best = max(stored(searched), key=lambda trial: trial.value)
    recipe = json.loads((searched / best.user_attrs['artifact'] / 'config.json').read_text())
    rows = json.loads((searched / 'tiny' / 'report.json').read_text())['rows']
    row = next(row for row in rows if row['name'] == 'found')
    assert row['model'] == recipe['config']['model']
    assert len(list(searched.glob('student-*'))) == 2, 'none is trained twice'


def test_another_run_of_it_searches_no_further(searched, device):
    before = {path: path.stat().st_mtime_ns for path in searched.glob('*/COMPLETE')}
    run(searching(), searched, device, phase='search')
    assert len(stored(searched)) == 2
    assert before == {path: path.stat().st_mtime_ns for path in searched.glob('*/COMPLETE')}


def test_each_phase_is_preceded_by_the_one_that_it_asks_for(device, tmp_path):
    """Each phase from the student on names the phase before it; following the messages does all."""
    done, asked = [], ['student']
    while asked:
        try:
            run(searching(), tmp_path, device, phase=asked[-1])
            done.append(asked.pop())
        except UserError as error:
            asked.append(re.search(r'--phase=(\w+)', str(error)).group(1))
            assert len(set(asked)) == len(asked), f'{error}: a circle'
            assert (tmp_path / 'studies.sqlite').exists() == ('search' in done)
    assert done == ['teacher', 'logits', 'search', 'student']


def test_a_table_of_searched_students_needs_no_search(searched, device):
    config = searching()
    del config.search
    run(config, searched, device, phase='student')


def test_a_search_that_was_stopped_or_diverged_goes_on(searched, device, tmp_path, monkeypatch):
    """A study of other points in a copy of the workdir; no trial is trained."""
    workdir = tmp_path / 'copy'
    shutil.copytree(searched, workdir)
    config = searching(4)
    config.search.update(study='other', seed=1)
    config.students.found.from_study.study = 'other'
    jobs, towards = [], []

    def run_net(folder, net, targets, session):
        jobs.append(net)
        towards.append(targets)
        if len(jobs) == 2:
            raise NotFinite(f'{net.name}: loss or gradient not finite at step 7')
        if len(jobs) == 3:
            raise interrupt.Interrupted
        record = {'step': 1, 'seconds': 0.0, 'validation_accuracy': 0.5}
        (folder / 'metrics.jsonl').write_text(json.dumps(record) + '\n')
        return {'seconds': 0.0}

    monkeypatch.setattr(loop, 'run', run_net)
    with pytest.raises(interrupt.Interrupted):
        run(config, workdir, device, phase='search')
    run(config, workdir, device, phase='search')
    assert len(jobs) == 5
    assert jobs[3].task == jobs[2].task and jobs[3].seed == jobs[2].seed, 'the stopped point again'
    assert all(each.teacher is not None and each.views == 2 for each in towards)


def test_what_a_search_for_students_refuses(searched, device, tmp_path):
    config = searching()
    config.search.student.budget = 500.0
    # A bottleneck of one unit: 64 + 1, 40 × (1 + 1), 10 × (40 + 1) parameters.
    with pytest.raises(UserError) as caught:
        run(config, tmp_path, device)
    assert str(caught.value).startswith('config.search.student: ')
    assert 'at least 555 parameters' in str(caught.value) and 'budget is 500' in str(caught.value)
    config.search.student.update(model='10L-{hidden}', budget=1400.0)
    # 10 × (64 + 1), 40 × (10 + 1), 10 × (40 + 1) parameters.
    assert 'has 1,500 parameters, more than its budget of 1,400' in refusal(
        run, config, tmp_path, device
    )
    assert not list(tmp_path.glob('teacher-*')), 'told before anything is trained'
    config = searching()
    config.logits.ensemble.views = 1
    del config.search
    with pytest.raises(UserError, match=r"study 'nets' searched on logits-.*logits\.ensemble"):
        run(config, searched, device, phase='student')
    config = searching()
    config.members.cnn_1 = {'from_study': {'study': 'nets', 'rank': 1}}
    with pytest.raises(UserError, match='did not search for a member'):
        run(config, searched, device, phase='teacher')
    config = searching()
    config.students.found.from_study.storage = f'sqlite:///{tmp_path}/nowhere/studies.sqlite'
    with pytest.raises(UserError, match='cannot be opened'):
        run(config, searched, device, phase='student')
    config = searching()
    config.students.found.from_study.rank = 3
    with pytest.raises(
        UserError, match=r'search\.trials is 2, but config\.students\.found\..*rank 3'
    ):
        run(config, tmp_path, device)
    del config.search
    with pytest.raises(UserError, match='2 finished trials and 3 are asked for'):
        run(config, searched, device, phase='report')


@pytest.mark.parametrize(
    'change, words',
    [
        (lambda c: c.search.update(storage='sqlite:////no/such/folder/s.db'), 'cannot be opened'),
        (lambda c: c.search.space.hidden.update(high=41), 'another space: hidden.high'),
        (lambda c: c.search.update(objective='validation_loss'), 'to maximize and the config to'),
        (lambda c: c.search.student.train.update(epochs=2), 'another config.search.student'),
        (lambda c: c.search.student.update(budget=2900.0), 'another config.search.student'),
        (lambda c: c.search.student.update(seeds=(1,)), 'another config.search.student'),
        (lambda c: c.logits.ensemble.update(views=1), 'another logit cache'),
        (lambda c: c.data.update(seed=1), 'another data'),
    ],
)
def test_a_study_that_does_not_fit_is_told_before_anything_is_trained(
    searched, device, tmp_path, change, words
):
    shutil.copy(searched / 'studies.sqlite', tmp_path)
    config = searching()
    change(config)
    assert words in refusal(run, config, tmp_path, device)
    assert not list(tmp_path.glob('teacher-*')) and len(stored(tmp_path)) == 2


@pytest.mark.parametrize(
    'change, words',
    [
        (lambda c: c.students.found.from_study.update(choice='greedy'), 'members of an ensemble'),
        (lambda c: c.students.found.from_study.update(choice='worst'), "'worst'"),
        (lambda c: c.search.student.update(logits='nonesuch'), 'config.search.student.logits'),
        (lambda c: c.search.student.update(target='labels'), 'labels go with cross_entropy'),
        (lambda c: c.search.space.rate.update(low=0.0), 'a log scale from 0'),
        (lambda c: c.search.space.rate.update(low=0.5), 'low must be below high'),
    ],
)
def test_mistakes_are_one_line(change, words):
    config = searching()
    config.students.found.from_study.choice = 'best'
    change(config)
    with pytest.raises(UserError) as caught:
        experiments.read(config)
    assert words in str(caught.value) and '\n' not in str(caught.value)


def planned(config, workdir, device, capsys):
    run(config, workdir, device, phase='plan')
    return capsys.readouterr().out


def test_a_plan_knows_the_students_of_a_finished_study(searched, device, capsys):
    out = planned(searching(), searched, device, capsys)
    (line,) = (line for line in out.splitlines() if '| student found, seed ' in line)
    (net,) = (path.name for path in searched.glob('student-*') if path.name in line)
    assert 'there' in line and net and re.search(r'^0 of \d+ artifacts are to be made', out, re.M)
    assert 'not counted' not in out


def test_a_plan_counts_students_to_be_found_by_a_typical_one(tmp_path, device, capsys):
    """The search trains them; their answers come on top."""
    config = searching(count=3)
    alone = planned(config, tmp_path, device, capsys)
    config.students.second = {'from_study': {'study': 'nets', 'rank': 2}}
    out = planned(config, tmp_path, device, capsys)
    lines = [line.split('|') for line in out.splitlines() if line.startswith('| –')]
    names = [line[2].partition(', seed')[0].strip() for line in lines]
    assert names == ['answers of student found', 'answers of student second']
    assert lines[0][4:] == lines[1][4:] and '?' not in lines[0][4]
    before, after = (
        int(re.search(r'(\d+) artifacts are to be made', text)[1]) for text in (alone, out)
    )
    assert after == before + 1 and 'a search before it: at most 3 trials, each about as ' in out
    assert 'not counted' not in out


def test_a_plan_says_why_students_of_another_study_are_not_counted(tmp_path, device, capsys):
    config = searching()
    config.students.found.from_study.study = 'elsewhere'
    out = planned(config, tmp_path, device, capsys)
    assert "not counted: found, from a study (there is no study 'elsewhere'" in out
    assert '| student found' not in out
