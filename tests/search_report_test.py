"""What a search adds to a report, on a study of made-up trials."""

import math
import warnings

import numpy as np
import pytest
from conftest import tiny_digits

from mimic_jax.config import experiment as experiments

optuna = pytest.importorskip('optuna', reason='the search extra is not installed')

from mimic_jax.search import report  # noqa: E402
from mimic_jax.search import study as studies  # noqa: E402


def settings(objective='validation_accuracy'):
    config = tiny_digits()
    template = config.members.cnn_1.to_dict()
    config.search = {
        'space': {
            'rate': {'low': 0.01, 'high': 0.2, 'log': True},
            'filters': {'low': 3, 'high': 8, 'int': True},
        },
        'member': {**template, 'model': '{filters}c3-16'},
        'sets': {'rate': 'train.learning_rate'},
        'trials': 12,
        'study': 'made up',
        'objective': objective,
    }
    return experiments.read(config).search


def fill(workdir, search, value, count=12):
    """A study of `count` finished trials and one that diverged."""
    direction = 'maximize' if search.objective == 'validation_accuracy' else 'minimize'
    study = studies.open_study(
        workdir / 'studies.sqlite', search.study, search.space, direction=direction
    )
    draw = np.random.default_rng(0)
    spaces = studies.distributions(search.space)
    for number in range(count):
        point = {'rate': float(draw.uniform(0.01, 0.2)), 'filters': int(draw.integers(3, 9))}
        attributes = {
            'artifact': f'teacher-{number:012x}',
            'member': {'model': f'{point["filters"]}c3-16'},
        }
        study.add_trial(
            optuna.trial.create_trial(
                params=point, distributions=spaces, value=value(point), user_attrs=attributes
            )
        )
    point = {'rate': 0.1, 'filters': 3}
    failed = optuna.trial.TrialState.FAIL
    study.add_trial(optuna.trial.create_trial(state=failed, params=point, distributions=spaces))


def test_the_best_trials_come_first_with_their_settings(tmp_path):
    search = settings()
    fill(tmp_path, search, lambda point: 0.9 - abs(math.log(point['rate'] / 0.05)) / 10)
    found = report.findings(search, tmp_path)
    head, *body = found.best
    assert head == ['trial', 'validation accuracy', 'filters', 'rate', 'model', 'artifact']
    assert len(body) == 10 and found.count == 12 and len(found.artifacts) == 12
    values = [float(line[1]) for line in body]
    assert values == sorted(values, reverse=True)
    for line in body:
        assert float(line[1]) == pytest.approx(
            0.9 - abs(math.log(float(line[3]) / 0.05)) / 10, abs=2e-4
        )
        assert line[4] == f'{line[2]}c3-16'
        assert line[5] == f'teacher-{int(line[0]):012x}'


def test_a_loss_is_best_when_it_is_least(tmp_path):
    search = settings('validation_loss')
    fill(tmp_path, search, lambda point: point['rate'])
    values = [float(line[1]) for line in report.findings(search, tmp_path).best[1:]]
    assert values == sorted(values)


def test_optuna_draws_history_importance_slices_and_parallel_coordinates(tmp_path):
    import matplotlib

    matplotlib.use('Agg')
    import matplotlib.pyplot as plt

    search = settings()
    fill(tmp_path, search, lambda point: point['rate'])
    before = dict(plt.rcParams)
    found = report.findings(search, tmp_path)
    with warnings.catch_warnings():
        warnings.simplefilter('error', optuna.exceptions.ExperimentalWarning)
        drawn = dict(found.draw())
    assert list(drawn) == list(report.CAPTIONS)
    assert dict(plt.rcParams) == before, 'the style of other figures stays'
    history = drawn['search_history.png'].axes[0]
    (points,) = (each for each in history.collections if len(each.get_offsets()) == 12)
    np.testing.assert_allclose(
        points.get_offsets()[:, 1], [trial.params['rate'] for trial in found.finished]
    )
    bars = drawn['search_importance.png'].axes[0].patches
    names = [label.get_text() for label in drawn['search_importance.png'].axes[0].get_yticklabels()]
    share = dict(zip(names, (bar.get_width() for bar in bars), strict=True))
    assert share['rate'] > 0.9, 'the objective is the rate'
    assert len([axes for axes in drawn['search_slices.png'].axes if axes.get_xlabel()]) == 2
    plt.close('all')


def test_trials_that_are_all_alike_have_no_importance(tmp_path):
    search = settings()
    fill(tmp_path, search, lambda point: 0.5)
    with warnings.catch_warnings():
        warnings.simplefilter('error')
        names = [name for name, _ in report.findings(search, tmp_path).draw()]
    assert 'search_history.png' in names and 'search_importance.png' not in names


@pytest.mark.parametrize('count', [0, 1])
def test_too_few_trials_draw_nothing(tmp_path, count):
    search = settings()
    if count:
        fill(tmp_path, search, lambda point: 0.5, count)
    found = report.findings(search, tmp_path)
    assert list(found.draw()) == []
    assert len(found.best) == (2 if count else 0)
