"""Optimisers against NumPy in float64, and against optax's own."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from conftest import refusal

from mimic_jax.config.fields import Entries
from mimic_jax.training import clipping, optimizers, plateau
from mimic_jax.training.settings import Group, Train

SHAPES = {
    'conv_00': {'kernel': (3, 2, 4, 8), 'bias': (8,)},
    'local_01': {'kernel': (2, 2, 3, 3, 8, 5), 'bias': (2, 2, 5)},
    'hidden_02': {'kernel': (20, 6), 'bn': {'scale': (6,), 'bias': (6,)}},
    'output_03': {'kernel': (6, 3), 'bias': (3,)},
}
STEADY = {'schedule': 'constant', 'warmup': 0.0, 'learning_rate': 0.1}
MUON = ('conv_00/kernel', 'hidden_02/kernel', 'output_03/kernel')


def drawn(seed):
    draw = np.random.default_rng(seed)
    is_shape = lambda node: isinstance(node, tuple)  # noqa: E731
    return jax.tree.map(lambda shape: draw.normal(size=shape), SHAPES, is_leaf=is_shape)


PARAMS, GRADIENTS = drawn(0), [drawn(seed) for seed in (1, 2, 3)]


def named(tree):
    return {
        optimizers.name_of(path): np.asarray(leaf, np.float64)
        for path, leaf in jax.tree_util.tree_leaves_with_path(tree)
    }


def run(train, gradients=GRADIENTS, change=lambda state: state):
    """Parameters by name after steps along these gradients."""
    chain = optimizers.optimizer(train, 10)
    params = jax.tree.map(jnp.float32, PARAMS)
    state = change(chain.init(params))

    @jax.jit
    def step(params, state, gradient):
        norm = clipping.global_norm(gradient)
        changes, state = chain.update(gradient, state, params, norm=norm)
        return optax.apply_updates(params, changes), state

    for gradient in gradients:
        params, state = step(params, state, jax.tree.map(jnp.float32, gradient))
    return named(params)


def assert_close(found, expected, rtol=2e-5):
    assert found.keys() == expected.keys()
    for name, array in expected.items():
        np.testing.assert_allclose(found[name], array, rtol=rtol, atol=1e-5, err_msg=name)


def sgd_by_hand(momentum, nesterov, decay=0.0):
    params, trace = named(PARAMS), dict.fromkeys(named(PARAMS), 0.0)
    for gradient in map(named, GRADIENTS):
        for name in params:
            g = gradient[name] + (decay * params[name] if name.endswith('kernel') else 0)
            trace[name] = momentum * trace[name] + g
            params[name] = params[name] - 0.1 * (
                momentum * trace[name] + g if nesterov else trace[name]
            )
    return params


def adam_direction(gradients, beta1, beta2):
    first, second = 0.0, 0.0
    for number, g in enumerate(gradients, 1):
        first = beta1 * first + (1 - beta1) * g
        second = beta2 * second + (1 - beta2) * g**2
        yield first / (1 - beta1**number) / (np.sqrt(second / (1 - beta2**number)) + 1e-8)


def muon_direction(gradients, beta, steps):
    """Jordan et al. 2024: plain momentum, then Newton–Schulz on [inputs, outputs]."""
    trace = 0.0
    for g in gradients:
        trace = beta * trace + g
        matrix = trace.reshape(-1, g.shape[-1])
        inputs, outputs = matrix.shape
        wide = matrix.T if inputs > outputs else matrix
        wide = wide / np.linalg.norm(wide)
        for _ in range(steps):
            square = wide @ wide.T
            wide = 3.4445 * wide + (-4.7750 * square + 2.0315 * square @ square) @ wide
        matrix = wide.T if inputs > outputs else wide
        yield np.sqrt(max(1, outputs / inputs)) * matrix.reshape(g.shape)


@pytest.mark.parametrize('nesterov', [True, False])
@pytest.mark.parametrize('momentum', [0.0, 0.9])
def test_sgd_by_hand(nesterov, momentum):
    train = Train(momentum=momentum, nesterov=nesterov, weight_decay=0.3, **STEADY)
    assert_close(run(train), sgd_by_hand(momentum, nesterov, 0.3))


def test_adamw_by_hand():
    """Loshchilov & Hutter 2019, algorithm 2: the decay is no part of the moments."""
    settings = {'momentum': 0.8, 'beta2': 0.95, 'weight_decay': 0.3}
    params = named(PARAMS)
    for name in params:
        directions = adam_direction([named(g)[name] for g in GRADIENTS], 0.8, 0.95)
        for direction in directions:
            decay = 0.3 * params[name] if name.endswith('kernel') else 0
            params[name] = params[name] - 0.1 * (direction + decay)
    assert_close(run(Train(optimizer='adamw', **settings, **STEADY)), params)


@pytest.mark.parametrize('companion', ['adamw', 'sgd'])
def test_muon_by_hand(companion):
    params = named(PARAMS)
    for name in params:
        gradients = [named(g)[name] for g in GRADIENTS]
        if name in MUON:
            directions, rate = muon_direction(gradients, 0.7, 3), 0.1
        elif companion == 'adamw':
            directions, rate = adam_direction(gradients, 0.6, 0.999), 0.1 * 0.4
        else:
            directions, rate, trace = [], 0.1 * 0.4, 0.0
            for g in gradients:
                trace = 0.6 * trace + g
                directions.append(g + 0.6 * trace)
        for direction in directions:
            decay = 0.3 * params[name] if name.endswith('kernel') else 0
            params[name] = params[name] - rate * (direction + decay)
    train = Train(
        optimizer='muon',
        momentum=0.7,
        nesterov=False,
        muon_steps=3,
        companion=companion,
        companion_rate=0.4,
        companion_momentum=0.6,
        weight_decay=0.3,
        **STEADY,
    )
    assert_close(run(train), params, rtol=1e-4)


def test_muon_is_optaxs():
    """Both have Nesterov momentum. optax's companion has it too, unlike ours."""

    def dimensions(params):
        def one(path, leaf):
            last = leaf.ndim - 1
            axes = optax.contrib.MuonDimensionNumbers(tuple(range(last)), last)
            return axes if optimizers.name_of(path) in MUON else None

        return jax.tree_util.tree_map_with_path(one, params)

    theirs = optax.contrib.muon(0.1, beta=0.9, muon_weight_dimension_numbers=dimensions)
    params = jax.tree.map(jnp.float32, PARAMS)
    state = theirs.init(params)
    for gradient in GRADIENTS:
        changes, state = theirs.update(jax.tree.map(jnp.float32, gradient), state, params)
        params = optax.apply_updates(params, changes)
    found, expected = run(Train(optimizer='muon', **STEADY)), named(params)
    assert_close({name: found[name] for name in MUON}, {name: expected[name] for name in MUON})


def test_muons_updates_are_nearly_orthogonal():
    before, after = named(PARAMS), run(Train(optimizer='muon', **STEADY), GRADIENTS[:1])
    for name in MUON:
        update = ((before[name] - after[name]) / 0.1).reshape(-1, before[name].shape[-1])
        values = np.linalg.svd(update, compute_uv=False)
        assert values.min() > 0.6 and values.max() < 1.3, (name, values)


def test_rescaling_sets_the_norm_ahead_of_the_step():
    """airbench94_muon: p ← p·√O/‖p‖ − rate·direction."""
    settings = {'optimizer': 'muon', 'muon_rescale': True, **STEADY}
    before, plain = named(PARAMS), run(Train(**settings | {'muon_rescale': False}), GRADIENTS[:1])
    found = run(Train(**settings), GRADIENTS[:1])
    for name in before:
        start = before[name]
        if name in MUON:
            start = start * np.sqrt(start.shape[-1]) / np.linalg.norm(start)
        np.testing.assert_allclose(
            found[name], start + plain[name] - before[name], rtol=1e-4, atol=1e-5
        )


def test_groups_have_rates_and_decays_of_their_own():
    groups = Entries(
        biases=Group(r'/bias$', rate=64.0, weight_decay=0.01),
        head=Group('^output.*kernel', rate=0.5),
        kernels=Group('hidden.*kernel', weight_decay=0.0),
    )
    found = run(Train(momentum=0.0, weight_decay=0.3, groups=groups, **STEADY), GRADIENTS[:1])
    gradient = named(GRADIENTS[0])
    for name, before in named(PARAMS).items():
        rate, decay = 0.1, 0.3 if name.endswith('kernel') else 0.0
        if name.endswith('/bias'):
            rate, decay = 6.4, 0.01
        elif name == 'output_03/kernel':
            rate = 0.05
        elif name == 'hidden_02/kernel':
            decay = 0.0
        expected = before - rate * (gradient[name] + decay * before)
        np.testing.assert_allclose(found[name], expected, rtol=1e-5, atol=1e-5, err_msg=name)


def test_a_group_may_leave_muon():
    groups = Entries(head=Group('^output', companion=True))
    settings = {'optimizer': 'muon', 'companion_rate': 0.4, **STEADY}
    found, usual = run(Train(groups=groups, **settings)), run(Train(**settings))
    adam = run(Train(optimizer='adamw', **STEADY | {'learning_rate': 0.04}))
    for name, array in found.items():
        expected = adam if name == 'output_03/kernel' else usual
        np.testing.assert_allclose(array, expected[name], rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(
    ('groups', 'words'),
    [
        (
            {'head': Group('^outputs')},
            "train.groups.head.parameters is '^outputs', which fits none",
        ),
        (
            {'all': Group('kernel'), 'head': Group('output')},
            "train.groups.head.parameters is 'output', but output_03/kernel is in the group all",
        ),
    ],
)
def test_groups_that_fit_nothing_or_overlap_are_refused(groups, words):
    chain = optimizers.optimizer(Train(groups=Entries(groups)), 10)
    assert words in refusal(chain.init, PARAMS)


@pytest.mark.parametrize(
    'settings',
    [
        {'optimizer': 'sgd', 'nesterov': False},
        {'optimizer': 'adamw'},
        {'optimizer': 'muon', 'groups': Entries(biases=Group('bias', rate=3.0))},
        {'optimizer': 'muon', 'companion': 'sgd'},
    ],
    ids=str,
)
def test_half_the_rate_by_the_plateau_is_half_the_rate_by_the_config(settings):
    settings = {**settings, 'weight_decay': 0.1, 'clip_norm': 1.0, 'warmup': 0.0}

    def half(state):
        assert optimizers.plateau_of(state).scale == 1
        new = plateau.start()._replace(scale=jnp.float32(0.5))
        return optimizers.with_plateau(state, new)

    found = run(Train(schedule='plateau', learning_rate=0.2, **settings), change=half)
    assert_close(found, run(Train(schedule='constant', learning_rate=0.1, **settings)), rtol=1e-6)


def test_the_plateau_does_not_scale_what_rescales():
    settings = {'optimizer': 'muon', 'muon_rescale': True, 'learning_rate': 1e-9, 'warmup': 0.0}

    def half(state):
        new = plateau.start()._replace(scale=jnp.float32(0.5))
        return optimizers.with_plateau(state, new)

    found = run(Train(schedule='plateau', **settings), change=half)
    for name in MUON:
        norm = np.linalg.norm(found[name])
        np.testing.assert_allclose(norm, np.sqrt(found[name].shape[-1]), rtol=1e-5)
