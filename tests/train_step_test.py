import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from mimic_jax.data.view_settings import Views
from mimic_jax.models import nets
from mimic_jax.runtime import sharding
from mimic_jax.training.checkpoint import Checkpoints
from mimic_jax.training.loss_settings import LOSSES, Loss
from mimic_jax.training.objective import example_losses
from mimic_jax.training.schedules import learning_rate
from mimic_jax.training.settings import Train
from mimic_jax.training.train_step import (
    Task,
    create_train_state,
    eval_step,
    train_step,
)

CLASSES = 4


def make_task(spec='6c3-p2-16L-512', loss='logits', **train):
    settings = {'batch_size': 16, 'learning_rate': 0.1, 'schedule': 'constant', 'warmup': 0.0}
    train = Train(**settings | train)
    return Task(nets.of_spec(spec, CLASSES), 'scale', Views(shift=1), Loss(kind=loss), train, 10)


def make_state(task, seed=0):
    constants = {'inputs': {}, 'logit_mean': np.zeros(4), 'logit_deviation': np.ones(4)}
    return create_train_state(task, (8, 8, 1), seed, 0, constants)


def make_batch(size=16, seed=0):
    draw = np.random.default_rng(seed)
    return {
        'inputs': draw.integers(0, 256, (size, 8, 8, 1)).astype(np.uint8),
        'labels': draw.integers(0, CLASSES, size).astype(np.int32),
        'teacher_logits': draw.normal(size=(size, CLASSES)).astype(np.float16),
        'index': np.arange(size, dtype=np.int32),
        'mask': np.ones(size, np.float32),
        'view': np.int32(0),
    }


def assert_trees_close(a, b, **tolerance):
    jax.tree.map(lambda x, y: np.testing.assert_allclose(x, y, **tolerance), a, b)


def test_step_equals_nesterov_by_hand_on_a_linear_student():
    """BC's equation 1 for a linear net: gradient and both momentum steps in numpy."""
    task = make_task('2L', loss='logits', momentum=0.9)
    task = Task(task.net, 'scale', Views(), task.loss, task.train, task.steps)
    state, batch = make_state(task), make_batch()
    params = jax.tree.map(np.asarray, state.variables['params'])
    x = batch['inputs'].reshape(16, -1).astype(np.float64) / 255
    z = batch['teacher_logits'].astype(np.float64)
    w = {k: {n: v.astype(np.float64) for n, v in p.items()} for k, p in params.items()}
    trace = jax.tree.map(np.zeros_like, w)
    for _ in range(2):
        state, _ = train_step(state, batch)
        first, second = w['linear_00'], w['output_01']
        hidden = x @ first['kernel'] + first['bias']
        error = (hidden @ second['kernel'] + second['bias'] - z) / 16  # ½ Σ(g−z)², mean over 16
        back = error @ second['kernel'].T
        gradient = {
            'linear_00': {'kernel': x.T @ back, 'bias': back.sum(0)},
            'output_01': {'kernel': hidden.T @ error, 'bias': error.sum(0)},
        }
        trace = jax.tree.map(lambda t, g: 0.9 * t + g, trace, gradient)
        w = jax.tree.map(lambda p, t, g: p - 0.1 * (0.9 * t + g), w, trace, gradient)
    assert_trees_close(state.variables['params'], w, rtol=1e-4, atol=1e-6)


def test_padding_changes_nothing():
    task = make_task('6c3-bn-p2-16', loss='cross_entropy')
    batch = make_batch(12)
    padded = {
        key: value if key == 'view' else np.concatenate([value, value[:4]])
        for key, value in batch.items()
    }
    padded['mask'] = np.array([1] * 12 + [0] * 4, np.float32)
    (plain, sums), (other, padded_sums) = (train_step(make_state(task), b) for b in (batch, padded))
    assert_trees_close(plain.variables, other.variables, rtol=1e-4, atol=1e-6)
    assert_trees_close(sums, padded_sums, rtol=1e-5)


def test_dropout_depends_on_seed_and_step_alone():
    task = make_task('64-d.5', loss='cross_entropy')
    batch = make_batch()
    (_, first), (_, again) = (train_step(make_state(task), batch) for _ in range(2))
    assert first['loss_sum'] == again['loss_sum']
    later = make_state(task).replace(step=jnp.int32(1))
    assert train_step(later, batch)[1]['loss_sum'] != first['loss_sum']


def test_clipping_bounds_the_step():
    """With momentum off, a step's length is at most rate × clip_norm."""
    task = make_task(momentum=0.0, clip_norm=0.01)
    state, batch = make_state(task), make_batch()
    after, _ = train_step(state, batch)
    change = jax.tree.map(lambda a, b: a - b, after.variables['params'], state.variables['params'])
    np.testing.assert_allclose(optax.tree.norm(change), 0.1 * 0.01, rtol=1e-3)


def test_weight_decay_pulls_kernels_and_leaves_biases():
    task = make_task('2L', momentum=0.0, weight_decay=0.5)
    plain = make_task('2L', momentum=0.0)
    state = make_state(task)
    state = state.replace(variables=jax.tree.map(lambda leaf: leaf + 1.0, state.variables))
    before = state.variables['params']
    decayed, _ = train_step(state, make_batch())
    undecayed, _ = train_step(state.replace(task=plain), make_batch())
    for name in before:
        expected = (
            undecayed.variables['params'][name]['kernel'] - 0.1 * 0.5 * before[name]['kernel']
        )
        np.testing.assert_allclose(
            decayed.variables['params'][name]['kernel'], expected, rtol=1e-5, atol=1e-6
        )
        np.testing.assert_allclose(
            decayed.variables['params'][name]['bias'],
            undecayed.variables['params'][name]['bias'], rtol=1e-6,
        )  # fmt: skip


@pytest.mark.parametrize('warmup', [0.0, 0.2])
def test_cosine_schedule_by_its_formula(warmup):
    schedule = learning_rate(Train(learning_rate=0.4, schedule='cosine', warmup=warmup), 100)
    rise = round(100 * warmup)
    for step in (0, 5, 19, 20, 21, 60, 99, 100):
        expected = (
            0.4 * step / rise
            if step < rise
            else 0.2 * (1 + np.cos(np.pi * (step - rise) / (100 - rise)))
        )
        np.testing.assert_allclose(schedule(step), expected, atol=1e-6)


def test_constant_schedule_warms_up():
    schedule = learning_rate(Train(learning_rate=0.4, schedule='constant', warmup=0.1), 100)
    np.testing.assert_allclose([schedule(s) for s in (0, 5, 10, 99)], [0, 0.2, 0.4, 0.4], rtol=1e-6)
    train = Train(learning_rate=0.4, schedule='constant', warmup=0.0)
    schedule = learning_rate(train, 100)
    np.testing.assert_allclose([schedule(s) for s in (0, 99)], 0.4, rtol=1e-6)


def test_every_kind_of_loss_is_computed_per_example():
    batch = make_batch()
    logits = jnp.asarray(np.random.default_rng(1).normal(size=(16, CLASSES)), jnp.float32)
    constants = {'logit_mean': np.zeros(CLASSES), 'logit_deviation': np.full(CLASSES, 2.0)}
    values = {
        kind: example_losses(Loss(kind=kind, temperature=2.0), logits, batch, constants)
        for kind in LOSSES
    }
    assert all(value.shape == (16,) for value in values.values())
    np.testing.assert_allclose(values['logits'], 4 * values['standardised_logits'], rtol=1e-5)
    np.testing.assert_allclose(
        values['logits'], 0.5 * np.square(logits - batch['teacher_logits']).sum(1), rtol=1e-5
    )
    assert len({float(value[0]) for value in values.values()}) == len(LOSSES)


def test_eval_step_counts_what_the_logits_say():
    task = make_task('8', loss='cross_entropy')
    state, batch = make_state(task), make_batch()
    batch['mask'][10:] = 0
    sums = eval_step(state, batch)
    logits = task.net.apply(state.variables, batch['inputs'].astype(np.float32) / 255)
    right = np.argmax(logits, 1) == batch['labels']
    assert int(sums['correct_sum']) == right[:10].sum()
    assert int(sums['count']) == 10


@pytest.mark.parametrize(('devices', 'model_axis'), [(8, 1), (8, 8), (8, 2)])
def test_a_sharded_step_equals_one_devices(devices, model_axis):
    """Over data, over model and over both."""
    task = make_task('6c3-p2-16L-512', loss='logits')
    batch = make_batch()
    expected, expected_sums = jax.jit(train_step)(make_state(task), batch)

    mesh = sharding.make_mesh(model_axis, jax.devices()[:devices])
    state = sharding.shard_state(mesh, make_state(task))
    split = sharding.batch_sharding(mesh)
    placed = {
        key: jax.device_put(value, sharding.replicated(mesh) if key == 'view' else split)
        for key, value in batch.items()
    }
    after, sums = jax.jit(train_step)(state, placed)
    assert_trees_close(after.variables, expected.variables, rtol=1e-4, atol=1e-5)
    assert_trees_close(sums, expected_sums, rtol=1e-4)
    kernel = after.variables['params']['hidden_02']['kernel']
    assert kernel.sharding.shard_shape(kernel.shape) == (16, 512 // model_axis)


def test_a_checkpoint_of_one_mesh_restores_on_another(tmp_path):
    task = make_task()
    wide = sharding.shard_state(sharding.make_mesh(8), make_state(task))
    training = {'step': wide.step, 'opt_state': wide.opt_state}
    with Checkpoints(tmp_path) as checkpoints:
        checkpoints.save(3, wide.variables, training)
    narrow = sharding.shard_state(
        sharding.make_mesh(1, jax.devices()[:2]), make_state(task, seed=1)
    )
    with Checkpoints(tmp_path) as checkpoints:
        items = checkpoints.restore(
            3,
            variables=narrow.variables,
            training={'step': narrow.step, 'opt_state': narrow.opt_state},
        )
    assert_trees_close(items['variables'], wide.variables, rtol=0)
    assert_trees_close(items['training'], training, rtol=0)
    leaf = jax.tree.leaves(items['variables'])[0]
    assert len(leaf.sharding.device_set) == 2


def test_bfloat16_computes_coarsely_and_keeps_float32_parameters():
    coarse = Task(nets.of_spec('6c3-p2-16L-64', CLASSES, 'bfloat16'), 'scale', Views(),
                  Loss(kind='logits'), Train(learning_rate=0.1, schedule='constant', warmup=0.0,
                                                 dtype='bfloat16'), 10)  # fmt: skip
    fine = Task(nets.of_spec('6c3-p2-16L-64', CLASSES), 'scale', Views(), coarse.loss,
                Train(learning_rate=0.1, schedule='constant', warmup=0.0), 10)  # fmt: skip
    (a, sums), (b, exact) = (train_step(make_state(task), make_batch()) for task in (coarse, fine))
    assert {leaf.dtype for leaf in jax.tree.leaves(a.variables)} == {jnp.dtype('float32')}
    assert float(sums['loss_sum']) != float(exact['loss_sum'])
    assert_trees_close(a.variables, b.variables, rtol=0.05, atol=0.01)
