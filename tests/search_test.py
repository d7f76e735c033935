"""The search: its space, its sampler and the study that workers share."""

import dataclasses
import re
import sqlite3
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from conftest import ROOT, tiny_digits
from ml_collections import ConfigDict

from mimic_jax.config import experiment as experiments
from mimic_jax.errors import UserError
from mimic_jax.reporting import html_provenance
from mimic_jax.runtime.address import without_password
from mimic_jax.search import space as spaces

optuna = pytest.importorskip('optuna', reason='the search extra is not installed')

from mimic_jax.search import acquisition, ranking, study  # noqa: E402
from mimic_jax.search.sampler import GaussianProcessSampler  # noqa: E402

optuna.logging.set_verbosity(optuna.logging.WARNING)
FINISHED, FAILED = optuna.trial.TrialState.COMPLETE, optuna.trial.TrialState.FAIL
SPACE = {'a': spaces.Parameter(-5.0, 10.0), 'b': spaces.Parameter(0.0, 15.0)}
STARTUP = 4


def read(entries):
    """`config.search.space` of a config that holds these entries."""
    return experiments.read({'search': {'space': entries}}).search.space


def branin(point):
    a, b = point['a'], point['b']
    bowl = (b - 5.1 / (4 * np.pi**2) * a**2 + 5 / np.pi * a - 6) ** 2
    return bowl + 10 * (1 - 1 / (8 * np.pi)) * np.cos(a) + 10


def in_memory(seed=0, direction='minimize', sampler=None):
    sampler = sampler or GaussianProcessSampler(seed, study.distributions(SPACE), STARTUP)
    return optuna.create_study(sampler=sampler, direction=direction)


def run(search, trials, sign=1):
    search.optimize(
        lambda trial: sign * branin(study.suggest(trial, SPACE)), n_trials=trials, catch=()
    )
    return search


def ask(search):
    trial = search.ask()
    return trial, study.suggest(trial, SPACE)


def apart(first, second):
    return float(np.linalg.norm(spaces.to_unit(SPACE, [first]) - spaces.to_unit(SPACE, [second])))


def points(search):
    return [trial.params for trial in search.trials]


# The space.


def test_a_space_and_the_unit_cube():
    space = read(
        ConfigDict(
            {
                'rate': {'low': 1e-4, 'high': 1.0, 'log': True},
                'filters': {'low': 1, 'high': 4, 'int': True},
                'drop': {'low': 0.2, 'high': 0.6},
            }
        )
    )
    assert list(space) == ['drop', 'filters', 'rate']
    point = {'drop': 0.3, 'filters': 2, 'rate': 1e-3}
    # 2 is the second of four equal cells, 1e-3 a quarter of the way from 1e-4 to 1.
    np.testing.assert_allclose(spaces.to_unit(space, [point]), [[0.25, 0.375, 0.25]])
    back = spaces.from_unit(space, np.array([0.25, 0.49, 0.25]))
    assert back == {'drop': pytest.approx(0.3), 'filters': 2, 'rate': pytest.approx(1e-3)}
    assert isinstance(back['filters'], int)
    np.testing.assert_allclose(
        spaces.snap(space, np.array([[0.7, 0.49, 0.7]])), [[0.7, 0.375, 0.7]]
    )
    for end, unit in [('low', 0.0), ('high', 1.0)]:
        expected = {name: pytest.approx(getattr(p, end)) for name, p in space.items()}
        assert spaces.from_unit(space, np.full(3, unit)) == expected


@pytest.mark.parametrize(
    'entry, words',
    [
        ({'low': 2.0, 'high': 1.0}, 'low must be below high'),
        ({'low': 1.0, 'high': 1.0}, 'low must be below high'),
        ({'low': 0.0, 'high': 1.0, 'log': True}, 'a log scale needs low above 0'),
        ({'low': -1.0, 'high': 1.0, 'log': True}, 'a log scale needs low above 0'),
        ({'low': 0.5, 'high': 3.0, 'int': True}, 'make both ends whole'),
        ({'low': float('nan'), 'high': 1.0}, 'both ends must be finite'),
        ({'low': 0.0, 'high': float('inf')}, 'both ends must be finite'),
        ({'low': 0.0}, 'has no high; set it'),
        ({'high': 1.0}, 'has no low; set it'),
        ({'low': 0.0, 'high': 1.0, 'logs': True}, "did you mean 'log'"),
        ({'low': 'x', 'high': 1.0}, 'must be of type float'),
        (3, 'must be a group of settings'),
    ],
)
def test_bad_entries_are_one_line(entry, words):
    with pytest.raises(UserError, match=words) as raised:
        read({'rate': entry})
    assert '\n' not in str(raised.value)
    assert 'config.search.space.rate' in str(raised.value)


def test_an_empty_space_is_no_search():
    assert read({}) == {}
    assert experiments.read({'search': {'space': {}, 'member': {'model': '8'}}}).search.kind == ''
    with pytest.raises(UserError, match=r'config\.search\.space is None; it must be a group'):
        read(None)


# The sampler.


def test_far_better_than_random_on_branin():
    ours = [run(in_memory(seed), 16).best_value for seed in range(2)]
    random = [
        run(in_memory(sampler=optuna.samplers.RandomSampler(seed)), 16).best_value
        for seed in range(2)
    ]
    regrets = np.array([ours, random]) - 0.397887
    assert regrets[0].max() < 0.2 * regrets[1].min(), regrets


def test_maximising_is_minimising_the_negative():
    assert points(run(in_memory(), 7)) == points(run(in_memory(direction='maximize'), 7, sign=-1))


def test_a_suggestion_depends_on_the_seed():
    assert points(run(in_memory(0), 2)) != points(run(in_memory(1), 2))


def test_running_trials_are_fantasised():
    """The same point is not suggested again while it runs, nor one beside it."""
    rng = np.random.default_rng(0)
    inputs = rng.random((8, 2))
    outcomes = np.sum((inputs - 0.4) ** 2, axis=1)
    nothing, same = inputs[:0], (0, 8)
    first = acquisition.suggest(inputs, outcomes, nothing, lambda units: units, same)
    again = acquisition.suggest(inputs, outcomes, nothing, lambda units: units, same)
    second = acquisition.suggest(inputs, outcomes, first[None], lambda units: units, same)
    np.testing.assert_array_equal(first, again)
    assert np.linalg.norm(second - first) > 0.05


def test_a_point_that_failed_is_not_asked_for_again():
    """After ten trials of a bowl its bottom is certain: only the failure there moves the next ones."""
    search = in_memory()
    for _ in range(10):
        trial, point = ask(search)
        search.tell(trial, apart(point, {'a': 1.0, 'b': 6.0}) ** 2)
    trial, first = ask(search)
    search.tell(trial, state=FAILED)
    trial, second = ask(search)
    search.tell(trial, state=FAILED)
    _, third = ask(search)
    assert min(apart(first, second), apart(first, third), apart(second, third)) > 0.02


def test_a_failed_point_that_ran_again_is_left_out(monkeypatch):
    seen = []

    def spy(inputs, outcomes, pending, *_):
        seen.append((outcomes, len(pending)))
        return np.array([0.1 * len(seen), 0.5])

    monkeypatch.setattr(acquisition, 'suggest', spy)
    search = run(in_memory(), STARTUP)
    worst = max(trial.value for trial in search.trials)
    trial, point = ask(search)
    search.tell(trial, state=FAILED)
    ask(search)
    search.enqueue_trial(point)
    again, _ = ask(search)
    search.tell(again, 1.5)
    ask(search)
    values = [trial.value for trial in search.trials[:STARTUP]]
    np.testing.assert_array_equal(seen[0][0], values)
    np.testing.assert_array_equal(seen[1][0], [*values, worst])
    np.testing.assert_array_equal(seen[2][0], [*values, 1.5])
    assert [count for _, count in seen] == [0, 0, 1]


def test_pruned_and_non_finite_trials_are_left_out(monkeypatch):
    seen = []
    monkeypatch.setattr(
        acquisition, 'suggest', lambda inputs, outcomes, *_: seen.append(outcomes) or inputs[0]
    )
    search = run(in_memory(), STARTUP)
    trial, _ = ask(search)
    search.tell(trial, state=optuna.trial.TrialState.PRUNED)
    trial, _ = ask(search)
    search.tell(trial, float('inf'))
    ask(search)
    assert [len(outcomes) for outcomes in seen] == [STARTUP] * 3


def test_without_a_space_the_trials_tell_it():
    search = in_memory(sampler=GaussianProcessSampler(0, startup=2))
    search.optimize(
        lambda t: t.suggest_float('x', 0, 1) + (t.suggest_categorical('c', ['p', 'q']) == 'p'), 4
    )
    sampler, trial = search.sampler, search.ask()
    assert list(sampler.infer_relative_search_space(search, trial)) == ['x']


def test_whole_numbers_are_suggested_on_the_grid():
    space = read({'n': {'low': 1, 'high': 5, 'int': True}, 'x': {'low': 0, 'high': 1}})
    sampler = GaussianProcessSampler(0, study.distributions(space), STARTUP)
    search = optuna.create_study(sampler=sampler)
    for _ in range(8):
        trial = search.ask()
        point = study.suggest(trial, space)
        search.tell(trial, (point['n'] - 4) ** 2 + (point['x'] - 0.3) ** 2)
    assert search.best_params['n'] == 4


# The study.


def test_a_killed_study_goes_on_with_the_same_suggestions(tmp_path):
    whole = run(study.open_study(tmp_path / 'a.db', 's', SPACE, startup=STARTUP), 8)
    run(study.open_study(tmp_path / 'b.db', 's', SPACE, startup=STARTUP), 5)
    resumed = run(study.open_study(tmp_path / 'b.db', 's', SPACE, startup=STARTUP), 3)
    assert points(whole) == points(resumed)


def test_a_trial_whose_process_was_killed_runs_again(tmp_path):
    search = run(study.open_study(tmp_path / 's.db', 's', SPACE, startup=99), 1)
    with pytest.warns(UserWarning, match='Heartbeat'):
        _, point = ask(search)  # and then nothing is heard of it
    with sqlite3.connect(tmp_path / 's.db') as database:
        (killed,) = database.execute("SELECT trial_id FROM trials WHERE state = 'RUNNING'")
        database.execute(
            "INSERT INTO trial_heartbeats (trial_id, heartbeat) VALUES (?, '2020-01-01 00:00:00')",
            killed,
        )
    again = run(study.open_study(tmp_path / 's.db', 's', SPACE, startup=99), 1)
    assert [trial.state for trial in again.trials] == [FINISHED, FAILED, FINISHED]
    assert again.trials[2].params == point


def test_two_workers_share_a_study(tmp_path):
    code = (
        'import sys; from mimic_jax.search import study; from mimic_jax.search.space import Parameter\n'
        "space = {'a': Parameter(-5.0, 10.0), 'b': Parameter(0.0, 15.0)}\n"
        'search = study.open_study(sys.argv[1], "s", space, startup=99)\n'
        'search.optimize(lambda t: sum(study.suggest(t, space).values()), n_trials=5)\n'
    )
    url = f'sqlite:///{tmp_path}/shared.db'
    root = str(Path(__file__).parent.parent)
    workers = [
        subprocess.Popen(
            [sys.executable, '-c', code, url], stderr=subprocess.PIPE, text=True, cwd=root
        )
        for _ in range(2)
    ]
    for worker in workers:
        _, errors = worker.communicate(timeout=300)
        assert worker.returncode == 0, errors
    search = study.open_study(url, 's', SPACE)
    assert [trial.number for trial in search.trials] == list(range(10))
    assert {trial.state for trial in search.trials} == {FINISHED}
    assert len({tuple(trial.params.values()) for trial in search.trials}) == 10


def test_a_study_is_opened_without_a_line_of_optunas_own(tmp_path, caplog):
    optuna.logging.set_verbosity(optuna.logging.INFO)
    optuna.logging.enable_propagation()
    try:
        study.open_study(tmp_path / 's.db', 's', SPACE)
        study.open_study(tmp_path / 's.db', 's', SPACE)
    finally:
        optuna.logging.disable_propagation()
    assert not caplog.records


def test_a_study_of_another_space_is_refused(tmp_path):
    study.open_study(tmp_path / 's.db', 's', SPACE)
    study.open_study(
        tmp_path / 's.db', 's', dict(reversed(SPACE.items()))
    )  # the order does not matter
    for entries, words in [
        ({'a': {'low': -5.0, 'high': 11.0}}, r'a\.high is 10\.0 there and 11\.0 in the config'),
        ({'c': {'low': 0.0, 'high': 1.0}}, 'c is new in the config'),
        ({'b': None}, 'b is missing from the config'),
    ]:
        other = {**SPACE, **{name: e and spaces.Parameter(**e) for name, e in entries.items()}}
        other = {name: p for name, p in other.items() if p}
        with pytest.raises(UserError, match=words) as raised:
            study.open_study(tmp_path / 's.db', 's', other)
        assert '\n' not in str(raised.value)
    with pytest.raises(UserError, match='to minimize and the config to maximize'):
        study.open_study(tmp_path / 's.db', 's', SPACE, direction='maximize')


@pytest.mark.parametrize(
    'url',
    [
        'sqlite:////no/such/folder/s.db',
        'postgresql://me:secret@127.0.0.1:1/none',
        'unheard-of://me:secret@host/none',
        'sqlite://:not a url:',
    ],
)
def test_a_database_that_is_not_reachable_is_one_line(url):
    with pytest.raises(UserError, match='study database') as raised:
        study.open_study(url, 's', SPACE)
    assert '\n' not in str(raised.value)
    assert 'secret' not in str(raised.value)


def test_a_sign_of_life_that_cannot_be_written_does_no_harm(tmp_path):
    search = study.open_study(tmp_path / 's.db', 's', SPACE)
    trial, _ = ask(search)
    with sqlite3.connect(tmp_path / 's.db') as database:
        database.execute('DROP TABLE trial_heartbeats')
    search._storage.record_heartbeat(trial._trial_id)


def test_a_database_that_fails_is_one_line_without_its_password():
    words = 'none failed: gone; make room for it or bring it back'
    with pytest.raises(UserError, match=words) as raised, study.in_use('mysql://me:secret@h/none'):
        raise optuna.exceptions.StorageInternalError('gone')
    assert 'secret' not in str(raised.value) and '\n' not in str(raised.value)


@pytest.mark.parametrize(
    ('text', 'shown'),
    [
        ('postgresql://me:secret@h:5432/db', 'postgresql://me:***@h:5432/db'),
        ('--a=mysql+pymysql://:sec/ret:x@h/db', '--a=mysql+pymysql://:***@h/db'),
        ('["a://me:secret@h", "b://me:secret@h"]', '["a://me:***@h", "b://me:***@h"]'),
        ('postgresql://me@h/db', 'postgresql://me@h/db'),
        ('sqlite:////runs/studies.sqlite', 'sqlite:////runs/studies.sqlite'),
        ('http://h:80/a', 'http://h:80/a'),
    ],
)
def test_a_password_is_not_shown(text, shown):
    assert without_password(text) == shown


def test_a_reports_config_has_no_password():
    settings = tiny_digits()
    storage = 'postgresql://me:secret@host/studies'
    settings.search = {
        **{'space': {'a': {'low': 1.0, 'high': 2.0}}, 'sets': {'a': 'train.learning_rate'}},
        **{'member': {'model': '8'}, 'storage': storage},
    }
    page = html_provenance.config(experiments.read(settings))
    assert 'secret' not in page and '://me:***@host/studies' in page


def test_a_port_and_a_later_at_sign_hide_no_setting():
    settings = tiny_digits()
    settings.data.root = 'gs://host:8080/digits'
    settings.search = {
        **{'space': {'a': {'low': 1.0, 'high': 2.0}}, 'sets': {'a': 'train.learning_rate'}},
        **{'member': {'model': '8'}, 'storage': 'http://me@host/studies'},
    }
    checked = experiments.read(settings)
    found = html_provenance.flat(checked)
    assert found['data.root'] == 'gs://host:8080/digits'
    assert found['search.storage'] == 'http://me@host/studies' and 'search.trials' in found
    checked = dataclasses.replace(checked, presets=('a://me:secret@h', 'b://me:secret@h'))
    assert html_provenance.flat(checked)['presets'] == ['a://me:***@h', 'b://me:***@h']


def test_a_study_that_is_not_there_is_told_without_a_password(monkeypatch):
    monkeypatch.setattr(study, 'find_study', lambda url, name: None)
    with pytest.raises(UserError, match=r"no study 's' in mysql://me:\*\*\*@h/db;"):
        ranking.ranked('mysql://me:secret@h/db', 's', 'member', 1, '', {})


def test_the_oldest_scipy_allowed_has_what_is_called():
    """`qmc.Sobol(rng=)`, which 1.15 brought."""
    text = (ROOT / 'setup.cfg').read_text()
    (oldest,) = re.findall(r'^ +scipy>=([0-9.]+)$', text, re.MULTILINE)
    assert tuple(map(int, oldest.split('.'))) >= (1, 15)


def test_the_best_trials(tmp_path):
    for direction, expected in [('minimize', [3, 1, 4]), ('maximize', [2, 0, 1])]:
        search = in_memory(direction=direction)
        for value in (3.0, 2.0, 5.0, 1.0, 2.0):
            trial, _ = ask(search)
            search.tell(trial, value)
        trial, _ = ask(search)
        search.tell(trial, state=FAILED)
        numbers = [trial.number for trial in study.best(search, 3)]
        assert numbers == expected
        with pytest.raises(UserError, match='has 5 finished trials and 6 are asked for'):
            study.best(search, 6)
