"""The largest stable learning rate: against quadratics worked out by hand, and as a phase."""

import json

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from conftest import refusal

from mimic_jax import pipeline
from mimic_jax.data.view_settings import Views
from mimic_jax.mimic import rates
from mimic_jax.models import nets
from mimic_jax.training import curvature
from mimic_jax.training.loss_settings import Loss
from mimic_jax.training.optimizers import optimizer
from mimic_jax.training.settings import Train
from mimic_jax.training.train_step import Task, create_train_state

CLASSES = 4


def make_state(spec, loss='logits', scale=0.5):
    train = Train(batch_size=16, schedule='constant', warmup=0.0)
    task = Task(
        nets.of_spec(spec, CLASSES), 'scale', Views(), Loss(kind=loss, scale=scale), train, 10
    )
    constants = {'inputs': {}, 'logit_mean': np.zeros(4), 'logit_deviation': np.ones(4)}
    return create_train_state(task, (8, 8, 1), 0, 0, constants)


def make_batch(size=16, real=16):
    draw = np.random.default_rng(0)
    return {
        'inputs': draw.integers(0, 256, (size, 8, 8, 1)).astype(np.uint8),
        'labels': draw.integers(0, CLASSES, size).astype(np.int32),
        'index': np.arange(size, dtype=np.int32),
        'mask': (np.arange(size) < real).astype(np.float32),
        'view': np.int32(0),
    }


@pytest.mark.parametrize('momentum', [0.0, 0.5, 0.9])
@pytest.mark.parametrize('nesterov', [True, False])
def test_the_optimiser_is_stable_just_below_the_limit_and_not_above(momentum, nesterov):
    curve = 3.0

    def distance(rate):
        how = {'momentum': momentum, 'nesterov': nesterov, 'schedule': 'constant', 'warmup': 0.0}
        train = Train(learning_rate=rate, **how)
        steps, weights = optimizer(train, 10), {'kernel': jnp.array([1.0])}
        state = steps.init(weights)

        def step(carry, _):
            weights, state = carry
            changes, state = steps.update(
                {'kernel': curve * weights['kernel']}, state, weights, norm=1.0
            )
            return (optax.apply_updates(weights, changes), state), None

        (weights, _), _ = jax.lax.scan(step, (weights, state), None, 2000)
        return abs(float(weights['kernel'][0]))

    largest = curvature.limit(momentum, nesterov) / curve
    assert distance(0.98 * largest) < 1e-3
    assert not distance(1.02 * largest) < 1e3


def test_the_limit_at_a_momentum_of_nine_tenths():
    assert curvature.limit(0.9) == pytest.approx(1.357, abs=1e-3)


@pytest.mark.parametrize('scale', [0.5, 1.0])
def test_eigenvalue_of_a_linear_net_on_logits_is_that_of_its_inputs(scale):
    """The loss is quadratic: 2 · scale · mean of [x, 1][x, 1]^T, once for each class."""
    batch = make_batch(real=12)
    x = batch['inputs'][:12].reshape(12, -1) / 255  # padding does not count
    extended = np.concatenate([x, np.ones((12, 1))], axis=1)
    expected = 2 * scale * np.linalg.eigvalsh(extended.T @ extended / 12)[-1]
    state = make_state('ap1', scale=scale)  # pools of one pixel: the output layer alone
    assert curvature.largest_eigenvalue(state, batch) == pytest.approx(expected, rel=2e-3)


@pytest.mark.parametrize('loss', ['cross_entropy', 'kl', 'probabilities'])
def test_eigenvalue_of_a_deep_net_equals_the_whole_matrix(loss):
    """J by JAX's Jacobian, H of the softmax by hand; a CPU kernel's overlapping pool is on the way."""
    batch, state = make_batch(), make_state('4c3-bn-p3/2-8', loss)
    inputs = batch['inputs'] / 255.0

    def outputs(params):
        variables = {**state.variables, 'params': params}
        return state.task.net.apply(variables, inputs, train=True)[0]

    params = state.variables['params']
    columns = jax.tree.leaves(jax.jacrev(outputs)(params))
    jacobian = np.concatenate([np.reshape(c, (16 * CLASSES, -1)) for c in columns], axis=1)
    blocks = np.zeros((16 * CLASSES, 16 * CLASSES))
    for row, p in enumerate(np.asarray(jax.nn.softmax(outputs(params)), np.float64)):
        block = np.diag(p) - np.outer(p, p)
        part = slice(row * CLASSES, (row + 1) * CLASSES)
        blocks[part, part] = block @ block if loss == 'probabilities' else block
    expected = np.linalg.eigvals(blocks @ jacobian @ jacobian.T / 16).real.max()
    assert curvature.largest_eigenvalue(state, batch) == pytest.approx(expected, rel=2e-3)


def test_the_phase_tries_every_net_once_and_goes_on_where_it_stopped(
    config, make_session, capsys, monkeypatch
):
    monkeypatch.setattr(rates, 'AROUND', (0.5,))
    monkeypatch.setattr(rates, 'STEPS', 3)
    session, plan = make_session(config)
    path = rates.run(session, plan, session.workdir / 'report')
    shown, rows = capsys.readouterr().out, json.loads(path.read_text())
    assert [row['name'] for row in rows] == [
        'teacher cnn_1',  # cnn_2 has its architecture
        'student labels, seed 0',
        'student mimic, seed 0',
    ]
    labels, mimic = rows[1:]
    ((rate, accuracy),) = (trial.values() for trial in labels['trials'])
    assert rate == pytest.approx(0.5 * labels['largest_stable_rate'], rel=0.06)
    assert 0 <= accuracy <= 1
    assert labels['largest_stable_rate'] * labels['eigenvalue'] == pytest.approx(1.357, abs=1e-3)
    assert mimic['largest_stable_rate'] > 0 and not mimic['trials']  # its cache is missing
    assert len(shown.splitlines()) == 5

    monkeypatch.setattr(rates, 'AROUND', (1e30,))
    path.write_text(json.dumps([rows[0], {**mimic, 'model': 'kept'}]))
    pipeline.run(config, workdir=session.workdir, experiment='report', phase='rates')
    again = json.loads(path.read_text())
    assert [row['model'] for row in again] == [rows[0]['model'], labels['model'], 'kept']
    assert again[0] == rows[0]
    assert again[1]['trials'][0]['validation_accuracy'] is None
    assert 'diverged' in capsys.readouterr().out


def test_groups_with_rates_of_their_own_have_no_bound_and_nothing_is_computed_twice(
    config, make_session, capsys, monkeypatch
):
    with config.unlocked():
        config.students = {'labels': config.students.labels}
        config.members, config.logits, config.report.ensemble = {}, {}, ''
        config.report.rows, config.report.order = {}, ()
        config.students.labels.train.groups = {'out': {'parameters': '^output', 'rate': 3.0}}
    session, plan = make_session(config)
    path = rates.run(session, plan, session.workdir / 'report')
    (row,) = json.loads(path.read_text())
    assert row['largest_stable_rate'] is None and not row['trials'] and row['eigenvalue'] > 0
    assert capsys.readouterr().out.splitlines()[-1].count('–') == 4
    monkeypatch.setattr(rates, '_row', None)  # which nobody may call again
    rates.run(session, plan, session.workdir / 'report')
    assert json.loads(path.read_text()) == [row]


def test_a_group_that_fits_no_parameter_is_refused_in_the_plan(config, make_session):
    with config.unlocked():
        config.students.mimic.train.groups = {'out': {'parameters': '^nothing'}}
    assert refusal(make_session, config).startswith(
        "config.students.mimic.train.groups.out.parameters is '^nothing', which fits none of "
    )


def test_the_table_of_rates_fits_a_terminal(monkeypatch):
    trials = [{'learning_rate': 0.011, 'validation_accuracy': 0.78}] * len(rates.AROUND)
    row = {
        'name': 'student mimic, seed 0', 'model': '32L-2000', 'target': 'logits', 'clip_norm': 1.0,
        'learning_rate': 0.1, 'largest_stable_rate': 0.111, 'trials': trials,
    }  # fmt: skip
    monkeypatch.setattr(rates.console, 'width', lambda: 80)
    head, _, name, figures = rates._table([row]).splitlines()
    assert max(map(len, (head, name, figures))) <= 80
    assert name == 'student mimic, 32L-2000, on logits'
    assert figures.split('  ')[1] == '0.1, clipped' and figures.count('0.011: 78.0') == 3
