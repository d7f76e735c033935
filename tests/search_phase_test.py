"""--phase=search on digits: trials are teachers, and an ensemble is made of the best."""

import contextlib
import importlib.util
import json
import sqlite3
from types import SimpleNamespace

import numpy as np
import pytest
from conftest import refusal, tiny_digits

from mimic_jax import pipeline
from mimic_jax.artifacts import store
from mimic_jax.config import experiment as experiments
from mimic_jax.config.fields import as_json
from mimic_jax.data.view_settings import OwnViews
from mimic_jax.errors import NotFinite, UserError
from mimic_jax.runtime import interrupt
from mimic_jax.search import from_study, trials
from mimic_jax.training import loop

optuna = pytest.importorskip('optuna', reason='the search extra is not installed')

from mimic_jax.search import study as studies  # noqa: E402

FINISHED, FAILED = optuna.trial.TrialState.COMPLETE, optuna.trial.TrialState.FAIL
RUNNING = optuna.trial.TrialState.RUNNING


def searching(count=3):
    """Tiny nets searched over rate, width and dropout, and an ensemble of the best two."""
    config = tiny_digits()
    template = config.members.cnn_1.to_dict()
    del config.students.labels
    config.students.mimic.seeds = (0,)
    config.report = {}
    config.search = {
        'space': {
            'rate': {'low': 0.01, 'high': 0.2, 'log': True},
            'filters': {'low': 3, 'high': 8, 'int': True},
            'drop': {'low': 0.0, 'high': 0.5},
        },
        'member': {**template, 'model': '{filters}c3-bn-p2-16-d{drop:.3f}'},
        'sets': {'rate': 'train.learning_rate'},
        'trials': count,
        'study': 'tiny',
        'startup': 10,
    }
    config.search.member.train.epochs = 4
    config.members = {
        f'best_{rank}': {'from_study': {'study': 'tiny', 'rank': rank}} for rank in (1, 2)
    }
    config.logits.ensemble.members = ('best_1', 'best_2')
    return config


def run(config, workdir, device, phase='search'):
    pipeline.run(config, workdir=workdir, experiment='tiny', phase=phase, devices=device)


def stored(workdir):
    return optuna.load_study(
        study_name='tiny', storage=f'sqlite:///{workdir / "studies.sqlite"}'
    ).get_trials()


def teachers(workdir):
    return {path.name for path in workdir.glob('teacher-*') if store.is_complete(path)}


def last_accuracy(folder):
    records = [json.loads(line) for line in (folder / 'metrics.jsonl').read_text().splitlines()]
    return [r['validation_accuracy'] for r in records if 'validation_accuracy' in r][-1]


@pytest.fixture(scope='module')
def searched(tmp_path_factory, device):
    """A workdir in which three trials were run, with the last interrupted and taken up again."""
    workdir = tmp_path_factory.mktemp('searched')
    run(searching(2), workdir, device)
    with pytest.MonkeyPatch.context() as patch:
        evaluate = loop._Loop._evaluate

        def stop_there(loop, state, step, log):
            interrupt._Request.pending = step > 4  # as a signal in the second epoch would
            return evaluate(loop, state, step, log)

        patch.setattr(loop._Loop, '_evaluate', stop_there)
        with pytest.raises(interrupt.Interrupted):
            run(searching(), workdir, device)
    interrupt._Request.pending = False
    begun = {path.name for path in workdir.glob('teacher-*')}
    run(searching(), workdir, device)
    return workdir, begun


def test_a_trial_is_a_teacher_and_its_value_the_last_validation_accuracy(searched):
    workdir, _ = searched
    finished = [trial for trial in stored(workdir) if trial.state == FINISHED]
    assert {trial.user_attrs['artifact'] for trial in finished} == teachers(workdir)
    for trial in finished:
        folder = workdir / trial.user_attrs['artifact']
        recipe = json.loads((folder / 'config.json').read_text())['config']
        filters, drop = trial.params['filters'], trial.params['drop']
        assert recipe['model'] == f'{filters}c3-bn-p2-16-d{drop:.3f}'
        assert recipe['train']['learning_rate'] == trial.params['rate']
        assert trial.value == last_accuracy(folder)
    assert len({trial.user_attrs['member']['seed'] for trial in finished}) == 3


def test_a_stopped_trial_goes_on_at_its_point(searched):
    workdir, begun = searched
    *_, stopped, again = stored(workdir)
    assert (stopped.state, again.state) == (FAILED, FINISHED)
    assert again.params == stopped.params
    assert teachers(workdir) == begun, 'what was begun was finished, and nothing else begun'
    records = (workdir / again.user_attrs['artifact'] / 'metrics.jsonl').read_text().splitlines()
    steps = [json.loads(r)['step'] for r in records if 'validation_accuracy' in json.loads(r)]
    assert steps == [4, 8, 12, 16], 'each epoch once'


def test_a_second_run_does_nothing(searched, device):
    workdir, _ = searched
    before = len(stored(workdir))
    markers = {path: path.stat().st_mtime_ns for path in workdir.glob('*/COMPLETE')}
    run(searching(), workdir, device)
    assert len(stored(workdir)) == before
    assert markers == {path: path.stat().st_mtime_ns for path in workdir.glob('*/COMPLETE')}


def test_an_ensemble_from_the_study_is_of_the_best_by_validation(searched, device):
    workdir, _ = searched
    before = teachers(workdir)
    run(searching(), workdir, device, phase='all')
    assert teachers(workdir) == before, 'no member is trained again'
    (cache,) = workdir.glob('logits-*')
    members = json.loads((cache / 'config.json').read_text())['reads']
    accuracy = {name: last_accuracy(workdir / name) for name in before}
    assert (
        sorted((accuracy[name] for name in members), reverse=True)
        == (sorted(accuracy.values(), reverse=True)[:2])
    )
    report = json.loads((workdir / 'tiny' / 'report.json').read_text())
    assert report['search']['trials'] == 3 and len(report['search']['best']) == 4
    page = (workdir / 'tiny' / 'report.html').read_text()
    assert 'trials have finished' in page
    assert (workdir / 'tiny' / 'search_history.png').is_file()
    assert page.count('src="data:image/png') >= 3
    names = {row['name'] for row in report['rows']}
    assert names >= {'best_1', 'best_2', 'ensemble', 'mimic'}
    costs = report['costs']
    assert set(costs['search']['artifacts']) == before and not costs['teacher']['artifacts']
    seconds = [store.manifest(workdir / name)['seconds'] for name in before]
    assert costs['search']['seconds'] == pytest.approx(sum(seconds), abs=0.06)
    assert report['seconds'] == pytest.approx(sum(cost['seconds'] for cost in costs.values()))


def test_a_greedy_choice_and_members_one_by_one_are_brute_forces(searched, device, make_session):
    workdir, _ = searched
    config = searching()
    names = ('greedy_1', 'greedy_2', 'greedy_3')
    config.members = {
        name: {'from_study': {'study': 'tiny', 'rank': rank, 'choice': 'greedy'}}
        for rank, name in enumerate(names, 1)
    }
    config.logits = {'all': {'members': names, 'views': 1}}
    config.students = {}
    config.report = {'by_members': True}
    run(config, workdir, device, phase='all')
    read = {}
    for folder in workdir.glob('evaluate-*'):
        (net,) = json.loads((folder / 'config.json').read_text())['reads']
        read[net] = np.load(folder / 'validation.npy').astype(np.float64)
    data = make_session(tiny_digits(), workdir)[0].data
    labels = data.labels[data.splits['validation']]

    def right(chosen):
        return float(np.mean(np.mean([read[n] for n in chosen], 0).argmax(1) == labels))

    (cache,) = (
        folder
        for folder in workdir.glob('logits-*')
        if len(json.loads((folder / 'config.json').read_text())['reads']) == 3
    )
    chosen = json.loads((cache / 'config.json').read_text())['reads']
    for number in (1, 2, 3):
        before = chosen[: number - 1]
        left = [name for name in chosen if name not in before]
        assert right(chosen[:number]) == max(right([*before, name]) for name in left)
    report = json.loads((workdir / 'tiny' / 'report.json').read_text())
    assert report['by_members'] == {'all': pytest.approx([right(chosen[:n]) for n in (1, 2, 3)])}
    assert (workdir / 'tiny' / 'members.png').stat().st_size > 1000


def test_too_few_finished_trials_and_other_data_are_refused(searched, device):
    workdir, _ = searched
    config = searching()
    config.members.best_2.from_study.rank = 4
    with pytest.raises(UserError, match="'tiny' has 3 finished trials and 4 are asked for"):
        run(config, workdir, device, phase='teacher')
    config = searching()
    config.data.seed = 1
    with pytest.raises(UserError, match='other data'):
        run(config, workdir, device, phase='teacher')
    with pytest.raises(UserError, match='another data'):
        run(config, workdir, device)
    for change in (
        lambda c: c.search.member.train.update(epochs=5),
        lambda c: c.search.member.update(seed=5),
        lambda c: c.search.member.views.update(mirror=True),
        lambda c: c.views.update(shift=2),  # the member's too
    ):
        config = searching()
        change(config)
        with pytest.raises(UserError, match=r'another config\.search\.member'):
            run(config, workdir, device)


def test_without_a_study_there_are_no_members(tmp_path, device):
    with pytest.raises(UserError, match="no study 'tiny'"):
        run(searching(), tmp_path, device, phase='teacher')
    assert not (tmp_path / 'studies.sqlite').exists()


@pytest.fixture
def stand_in(monkeypatch):
    """Trials without training: what `train` makes of them is their points' own value."""

    def by(outcome):
        calls = []

        def run_net(folder, net, targets, session):
            calls.append(net)
            value = outcome(len(calls), net)
            record = {'step': 1, 'seconds': 0.0, 'validation_accuracy': value}
            (folder / 'metrics.jsonl').write_text(json.dumps(record) + '\n')
            return {'seconds': 0.0}

        monkeypatch.setattr(loop, 'run', run_net)
        return calls

    return by


@pytest.mark.parametrize(('keep', 'value'), [('best', 0.8), ('last', 0.6)])
def test_a_trials_value_is_that_of_the_net_it_keeps(tmp_path, device, monkeypatch, keep, value):
    def run_net(folder, net, targets, session):
        lines = [
            json.dumps({'step': 1, 'seconds': 0.0, 'validation_accuracy': x}) for x in (0.8, 0.6)
        ]
        (folder / 'metrics.jsonl').write_text('\n'.join(lines) + '\n')
        return {'seconds': 0.0}

    monkeypatch.setattr(loop, 'run', run_net)
    config = searching(1)
    config.search.member.train.schedule = 'plateau'
    config.search.member.train.keep = keep
    run(config, tmp_path, device)
    assert [trial.value for trial in stored(tmp_path)] == [value]


def test_a_trial_that_diverges_is_recorded_as_failed_and_the_search_goes_on(
    tmp_path, device, stand_in
):
    def outcome(call, job):
        if call == 2:
            raise NotFinite(f'{job.name}: loss or gradient not finite at step 7')
        return 0.5 + 0.01 * call

    calls = stand_in(outcome)
    run(searching(4), tmp_path, device)
    states = [trial.state for trial in stored(tmp_path)]
    assert states == [FINISHED, FAILED, FINISHED, FINISHED] and len(calls) == 4
    assert 'not finite at step 7' in stored(tmp_path)[1].user_attrs['failed']
    # An ensemble takes none that failed.
    config = searching(4)
    config.members.best_2.from_study.rank = 4
    with pytest.raises(UserError, match='3 finished trials and 4'):
        run(config, tmp_path, device, phase='teacher')


# Like a disk with no more room, a trigger that fails refuses what is written and shows what is there.
FAULTS = {
    'full': (
        'CREATE TRIGGER full BEFORE UPDATE ON trials BEGIN DELETE FROM no_room; END',
        'DROP TRIGGER full',
    ),
    'lost': ('ALTER TABLE trials RENAME TO lost', 'ALTER TABLE lost RENAME TO trials'),
}


def tell(workdir, statement):
    with contextlib.closing(sqlite3.connect(workdir / 'studies.sqlite')) as database:
        database.execute('PRAGMA legacy_alter_table = ON')  # which leaves what refers to a table
        database.execute(statement)
        database.commit()


@pytest.fixture
def clock(tmp_path, monkeypatch):
    """To wait takes no time: a worker that sleeps moves its clock on, and its database's."""
    now = [1000.0]

    def sleep(seconds):
        now[0] += seconds
        tell(
            tmp_path,
            f"UPDATE trial_heartbeats SET heartbeat = datetime(heartbeat, '-{seconds} seconds')",
        )

    monkeypatch.setattr('mimic_jax.search.worker.POLL', 30)
    monkeypatch.setattr('mimic_jax.search.worker.time', SimpleNamespace(sleep=sleep))
    monkeypatch.setattr(studies, 'time', SimpleNamespace(monotonic=lambda: now[0]))
    monkeypatch.setattr('optuna.storages._rdb.storage.time', SimpleNamespace(sleep=lambda _: None))


@pytest.mark.parametrize('fault', FAULTS)
def test_a_database_that_fails_in_a_trial_is_a_line_and_then_the_search_goes_on(
    tmp_path, device, stand_in, clock, fault
):
    fail, mend = FAULTS[fault]

    def outcome(call, job):
        if call == 2:
            tell(tmp_path, fail)
        return 0.5 + 0.01 * call

    calls = stand_in(outcome)
    message = refusal(run, searching(3), tmp_path, device)
    assert message.startswith(f'the study database sqlite:///{tmp_path}/studies.sqlite failed: ')
    assert 'no such table: ' + {'full': 'main.no_room', 'lost': 'trials'}[fault] in message
    assert message.endswith('run the same command again: finished trials are kept')
    tell(tmp_path, mend)
    run(searching(3), tmp_path, device)
    found = [trial.value for trial in stored(tmp_path) if trial.state == FINISHED]
    assert sorted(found) == pytest.approx([0.51, 0.52, 0.53])
    assert len(calls) == 3, 'the net of that trial was whole, and is not trained again'


@pytest.mark.parametrize(
    ('fault', 'error'),
    [('lost', UserError('the training’s own')), ('full', interrupt.Interrupted('by a signal'))],
)
def test_what_ended_a_trial_is_told_though_the_database_fails_too(
    tmp_path, device, stand_in, clock, fault, error
):
    def outcome(call, job):
        tell(tmp_path, FAULTS[fault][0])
        raise error

    stand_in(outcome)
    with pytest.raises(type(error), match=str(error)):
        run(searching(3), tmp_path, device)


@pytest.mark.parametrize('heard', [True, False], ids=['later', 'at once'])
def test_a_trial_of_a_killed_process_is_run_again(tmp_path, device, stand_in, clock, capsys, heard):
    run_job = stand_in(lambda call, job: 0.5)
    run(searching(1), tmp_path, device)
    study = optuna.load_study(
        study_name='tiny', storage=f'sqlite:///{tmp_path / "studies.sqlite"}'
    )  # fmt: skip
    # What a kill leaves: a running trial with a point, and a heartbeat that has stopped or never was.
    dead = study.ask(studies.distributions(experiments.read(searching()).search.space))
    if heard:
        storage = optuna.storages.RDBStorage(
            f'sqlite:///{tmp_path / "studies.sqlite"}', heartbeat_interval=studies._HEARTBEAT
        )
        storage.record_heartbeat(dead._trial_id)
    capsys.readouterr()
    run(searching(2), tmp_path, device)
    first, killed, again = stored(tmp_path)
    assert [t.state for t in (first, killed, again)] == [FINISHED, FAILED, FINISHED]
    assert again.params == killed.params and len(run_job) == 2
    assert capsys.readouterr().err.count('waiting for trials that other workers run') == 1


def test_a_trial_that_has_just_begun_is_not_taken_for_dead(tmp_path, monkeypatch):
    """By the clock of the worker that looks: another's may be hours behind, or ahead."""
    space = experiments.read(searching()).search.space
    study = studies.open_study(tmp_path / 's.db', 's', space)
    silent = study.ask()._trial_id
    with contextlib.closing(sqlite3.connect(tmp_path / 's.db')) as database:
        database.execute("UPDATE trials SET datetime_start = '2020-01-01 00:00:00'")
        database.commit()
    now = [1000.0]
    monkeypatch.setattr(studies.time, 'monotonic', lambda: now[0])

    def stale():
        return study._storage._get_stale_trial_ids(study._study_id)

    assert stale() == []
    now[0] += 2 * studies._HEARTBEAT
    assert stale() == []
    now[0] += 1
    assert stale() == [silent]
    study._storage.record_heartbeat(silent)
    assert stale() == []


@pytest.mark.parametrize('diverges', [False, True])
def test_a_worker_that_was_suspended_too_long_goes_on(tmp_path, device, stand_in, capsys, diverges):
    """While its net was trained, another took the trial for dead and queued it again."""

    def outcome(call, job):
        if call == 1:
            with contextlib.closing(sqlite3.connect(tmp_path / 'studies.sqlite')) as database:
                database.execute("UPDATE trial_heartbeats SET heartbeat = '2020-01-01 00:00:00'")
                database.commit()
            space = experiments.read(searching()).search.space
            other = studies.open_study(
                tmp_path / 'studies.sqlite', 'tiny', space, direction='maximize'
            )
            optuna.storages.fail_stale_trials(other)
            if diverges:
                raise NotFinite(f'{job.name}: loss or gradient not finite at step 7')
        return 0.5

    calls = stand_in(outcome)
    run(searching(1), tmp_path, device)
    suspended, again = stored(tmp_path)
    assert (suspended.state, again.state) == (FAILED, FINISHED)
    assert again.params == suspended.params
    assert len(calls) == (2 if diverges else 1), 'the net that is whole is not trained again'
    assert capsys.readouterr().err.count('queued it again') == 1


def test_workers_on_one_study_share_its_trials(tmp_path, device, stand_in):
    """A worker that starts while another runs does only what is left."""
    inner = []

    def outcome(call, job):
        if call == 1:  # the other worker, while the first trial runs
            inner.append(True)
            config = searching(2)
            other = tmp_path / 'other'
            config.search.storage = f'sqlite:///{tmp_path / "studies.sqlite"}'
            with pytest.MonkeyPatch.context() as patch:
                patch.setattr('mimic_jax.search.worker.time.sleep', _leave)
                with pytest.raises(Left):
                    run(config, other, device)
        return 0.5

    calls = stand_in(outcome)
    run(searching(2), tmp_path, device)
    assert inner and len(calls) == 2
    assert len(stored(tmp_path)) == 2


class Left(Exception):
    pass


def _leave(seconds):
    raise Left


def test_equal_points_are_one_artifact_and_others_have_other_seeds():
    search = experiments.read(searching()).search
    point = {'rate': 0.05, 'filters': 4, 'drop': 0.25}
    member = trials.net_at(search, point)
    assert member == trials.net_at(search, dict(reversed(point.items())))
    assert member.model == '4c3-bn-p2-16-d0.250'
    assert (member.train.learning_rate, member.train.epochs) == (0.05, 4)
    assert member.seed != trials.net_at(search, {**point, 'filters': 5}).seed
    middle = trials.middle(search)
    np.testing.assert_allclose(middle.train.learning_rate, np.sqrt(0.01 * 0.2))
    assert middle.model == '6c3-bn-p2-16-d0.250'


@pytest.mark.parametrize(
    'change, words',
    [
        (lambda s: s.space.rate.update(low=0.0), 'config.search.space.rate has a log scale from 0'),
        (lambda s: s.space.drop.update(low=0.5), 'low must be below high'),
        (lambda s: s.update(trials=0), 'config.search.trials is 0'),
        (lambda s: setattr(s, 'sets', {}), 'config.search.space.rate is used by nothing'),
        (lambda s: s.sets.update(rat='train.momentum'), "'rat', which config.search.space"),
        (lambda s: s.sets.update(rate='train.rate'), "'train.rate', a setting that"),
        (lambda s: s.sets.update(rate='views.hu'), "'views.hu', a setting that"),
        (lambda s: s.sets.update(rate='views.seed'), "'views.seed', a setting that"),
        (lambda s: s.sets.update(rate='train.rate.low'), "'train.rate.low', a setting that"),
        (lambda s: s.sets.update(rate='train'), 'group of settings'),
        (lambda s: s.sets.update(rate='train.epochs'), 'train.epochs is'),
        (lambda s: s.member.update(model='{filtres}c3-d{drop}'), "did you mean 'filters'"),
        (lambda s: s.member.update(model='{filters}c3-d{drop'), 'cannot be read'),
        (lambda s: s.member.update(model='{filters}c3-d{drop:q}'), 'cannot be filled'),
    ],
)
def test_mistakes_in_a_search_are_one_line_before_it_starts(change, words):
    config = searching()
    change(config.search)
    with pytest.raises(UserError) as caught:
        trials.middle(experiments.read(config).search)
    assert words in str(caught.value) and '\n' not in str(caught.value)


def test_a_members_own_views_may_be_searched_whether_it_has_some_or_not():
    config = searching()
    config.search.sets.rate = 'views.hue'
    for shift in (None, 2):
        config.search.member.views.shift = shift
        search = experiments.read(config).search
        member = trials.net_at(search, {'rate': 0.05, 'filters': 4, 'drop': 0.25})
        assert member.views == OwnViews(hue=0.05, shift=shift)


def test_without_a_space_there_is_no_search(tmp_path, device):
    config = searching()
    config.search.space = {}
    assert experiments.read(config).search.kind == ''
    assert 'config.search.space' in refusal(run, config, tmp_path, device)
    with pytest.raises(UserError, match="no study 'tiny'"):
        run(config, tmp_path, device, phase='all')


def test_a_study_that_is_not_named_is_the_configs_own(tmp_path, monkeypatch):
    config = searching()
    config.search.storage = 'sqlite:///own.db'
    config.logits, config.students = {}, {}
    config.members = {
        'own': {'from_study': {'rank': 1}},
        'other': {'from_study': {'rank': 1, 'study': 'other'}},
        'elsewhere': {'from_study': {'rank': 1, 'storage': 'sqlite:///else.db'}},
        'none': {'model': '8', 'from_study': {'study': 'tiny'}},  # without a rank it is no study's
    }
    experiment = experiments.read(config)
    asked = []

    def ranked(source, *_):
        asked.append((source.study, source.storage))
        return [{'model': f'{len(asked)}c3'}]

    monkeypatch.setattr(from_study, '_ranked', ranked)
    found = from_study.found_members(experiment.members, experiment.search, tmp_path, 'data', None)
    expected = {
        'own': ('tiny', 'sqlite:///own.db'),
        'other': ('other', 'sqlite:///own.db'),
        'elsewhere': ('tiny', 'sqlite:///else.db'),
    }
    assert {
        name: asked[int(member.model[0]) - 1] for name, member in found.items() if name != 'none'
    } == expected
    assert len(asked) == 3 and found['none'] == experiment.members['none']


def test_ranks_beyond_the_trials_are_refused_before_the_search(tmp_path, device):
    config = searching(1)
    message = refusal(run, config, tmp_path, device, phase='all')
    assert message.startswith('config.search.trials is 1, but config.members.best_2.from_study has')
    assert not [*tmp_path.iterdir()]
    config.members.best_2.from_study.update(rank=7, study='other')  # whose trials are its own
    check_ranks(config)
    config.members.best_2.from_study.update(study='tiny', storage='sqlite:///other.db')
    check_ranks(config)


def check_ranks(config):
    checked = experiments.read(config)
    from_study.check_ranks(checked.members, checked.search)


def test_ranks_of_a_greedy_choice_follow_what_the_members_say(tmp_path, monkeypatch):
    config = searching()
    for member in config.members.values():
        member.from_study.choice = 'greedy'
    experiment = experiments.read(config)
    points = [{'rate': 0.05, 'filters': filters, 'drop': 0.25} for filters in (4, 5, 6)]
    nets = [trials.net_at(experiment.search, point) for point in points]
    ranked = [as_json(net) for net in nets]
    monkeypatch.setattr(from_study, '_ranked', lambda *arguments: ranked)
    labels = np.array([0, 0, 0, 1])
    # One, one and two mistakes; the third net mends the first one's.
    margins = [[1, 1, 1, 1], [1, 1, 1, 1], [0.5, -0.5, -0.5, -2]]
    logits = [np.array([[margin, 0] for margin in net]) for net in margins]
    asked = []

    def ask(members):
        asked.extend(members)
        return logits, labels

    found = from_study.found_members(experiment.members, experiment.search, tmp_path, 'data', ask)
    assert asked == nets
    assert (found['best_1'], found['best_2']) == (nets[0], nets[2])


def test_a_search_needs_a_config_with_one_and_optuna(tmp_path, device, monkeypatch):
    with pytest.raises(
        UserError, match=r'--phase=search needs parameters in config\.search\.space'
    ):
        run(tiny_digits(), tmp_path, device)
    find = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, 'find_spec', lambda name, *a: None if name == 'optuna' else find(name, *a)
    )
    with pytest.raises(UserError, match=r"pip install -e '\.\[search\]'"):
        run(searching(), tmp_path, device)


def test_a_mistake_further_on_shows_before_the_search_starts(tmp_path, device, stand_in):
    calls = stand_in(lambda call, job: 0.5)
    config = searching()
    config.students.mimic.model = '8L-nonsense'
    with pytest.raises(UserError, match='nonsense'):
        run(config, tmp_path, device, phase='all')
    assert not calls
