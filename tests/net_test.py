"""Nets built from specs: parameters, masks, modes, dtypes."""

import functools

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mimic_jax.errors import UserError
from mimic_jax.models import notation
from mimic_jax.models.net import build

CIFAR, TIMIT = ((32, 32, 3), 10), ((1845,), 183)
NETS = [
    ('', CIFAR),
    ('76c3^2-p2-126c3^2-p2-148c3^4-p2-1200^2', CIFAR),
    ('96c3^2-p2-171c3^2-p2-128c3^4-p2-512^2', CIFAR),
    ('54c3^2-p2-158c3^2-p2-189c3^4-p2-1044^2', CIFAR),
    ('128c5-p3/2-1200L-30k', CIFAR),
    ('64c5-p3/2s-1200L-30k', CIFAR),
    ('d.2-128c5-p3/2-128c5-p3/2-128c5-p3/2-1kfc-d.5', CIFAR),
    ('64c5-p3/2s-lrn-64c5-ap3/2s-lrn-64c5-ap3/2s-16lc3-d.5', CIFAR),
    ('64c5-sp3/2-lrn-64c5-sp3/2-lrn-128c5-sp3/2-lrn', CIFAR),
    ('32c3-bn^1-p2-64c3v-bn-ap2-5lc3-bn-9L-bn-20-bn-d.1', CIFAR),
    ('2k-2k-2k', TIMIT),
    ('250L-8k', TIMIT),
    ('150c15x8v-p1x6/1x2-2k-2k-2k', ((15, 41, 3), 183)),
]
EVERY_KIND = '8c3-bn-p2-sp2-d.2-lrn-4lc3-ap2s-6L-9-bn'


def _inputs(*shape):
    return jnp.asarray(np.random.default_rng(0).standard_normal(shape), jnp.float32)


def _init(net, inputs):
    """Variables with no bias at 0 and no scale at 1; NumPy's draws need no compiling."""
    rng = np.random.default_rng(1)
    return jax.tree.map(
        lambda leaf: jnp.float32(rng.uniform(-0.2, 0.3, leaf.shape) + 0.5 * (leaf.ndim == 1)),
        jax.eval_shape(net.init, jax.random.key(0), inputs),
    )


@pytest.mark.parametrize(('spec', 'sizes'), NETS)
def test_counts_equal_the_initialised_parameters(spec, sizes):
    shape, classes = sizes
    variables = jax.eval_shape(build(spec, classes).init, jax.random.key(0), jnp.zeros((1, *shape)))
    sizes = {
        int(name.split('_')[1]): sum(leaf.size for leaf in jax.tree.leaves(layer))
        for name, layer in variables['params'].items()
    }
    rows = [row for row in notation.count(spec, shape, classes).rows if row.params]
    assert [sizes[number] for number in range(len(sizes))] == [row.params for row in rows]


def test_shapes_within_the_net_equal_the_counted_ones():
    net = build('8c5-p3/2-8c4v-ap3/2s-8c3-sp2-9-7L', 10)
    inputs = jnp.zeros((2, 31, 28, 3))
    init = functools.partial(net.init, capture_intermediates=True, mutable=True)
    state = jax.eval_shape(init, jax.random.key(0), inputs)
    seen = {
        int(name.split('_')[1]): layer['__call__'][0].shape[1:]
        for name, layer in state['intermediates'].items()
        if name != '__call__'
    }
    rows = [row for row in notation.count(net.spec, (31, 28, 3)).rows if row.params]
    assert [seen[number] for number in range(len(seen))] == [row.shape for row in rows]


def test_parameter_names_tell_kind_and_order():
    net = build('4c3-bn-p2-5L-6-d.5', 10)
    variables = _init(net, _inputs(2, 6, 6, 1))
    assert sorted(variables['params']) == ['conv_00', 'hidden_02', 'linear_01', 'output_03']
    assert sorted(variables['params']['conv_00']) == ['bn', 'kernel']
    assert list(variables['batch_stats']) == ['conv_00']


def test_a_net_equals_the_same_layers_written_out():
    net, inputs = build('4c3-p2-5L-6', 3), _inputs(2, 6, 6, 1)
    variables = _init(net, inputs)
    params = variables['params']
    params['linear_01']['bias'] -= 3.0  # negative outputs, which a ReLU would lose
    x = nn.Conv(4, (3, 3)).apply({'params': params['conv_00']}, inputs)
    x = nn.max_pool(nn.relu(x), (2, 2), (2, 2)).reshape(2, -1)
    for name, relu in (('linear_01', False), ('hidden_02', True), ('output_03', False)):
        x = x @ params[name]['kernel'] + params[name]['bias']
        assert jnp.any(x < 0) or name != 'linear_01'
        x = nn.relu(x) if relu else x
    np.testing.assert_allclose(net.apply(variables, inputs), x, rtol=1e-4, atol=1e-5)


def test_equal_builds_are_one_static_argument():
    traces = []

    @functools.partial(jax.jit, static_argnums=0)
    def run(net, variables, inputs):
        traces.append(net)
        return net.apply(variables, inputs)

    inputs = _inputs(2, 5)
    first, second, other = build('7', 3), build('7', np.int64(3), init_scale=1), build('8', 3)
    assert first == second and hash(first) == hash(second) and first != other
    variables = _init(first, inputs)
    run(first, variables, inputs)
    run(second, variables, inputs)
    assert len(traces) == 1


def test_masked_padding_leaves_statistics_and_real_logits_alone():
    net, real = build('4c3-bn-p2-5-bn', 3), _inputs(6, 8, 8, 2)
    variables = _init(net, real)
    padded = jnp.concatenate([real, 100 + real[:2]])
    mask = jnp.asarray([1.0] * 6 + [0.0] * 2)
    run = jax.jit(functools.partial(net.apply, variables, train=True, mutable=['batch_stats']))
    logits, state = run(real)
    masked_logits, masked_state = run(padded, mask=mask)
    np.testing.assert_allclose(masked_logits[:6], logits, rtol=1e-4, atol=1e-5)
    close = functools.partial(np.testing.assert_allclose, rtol=1e-4, atol=1e-6)
    jax.tree.map(close, masked_state, state)
    _, polluted = run(padded)
    assert not np.allclose(
        polluted['batch_stats']['conv_00']['bn']['mean'],
        state['batch_stats']['conv_00']['bn']['mean'],
        atol=0.1,
    )


def test_testing_uses_the_running_statistics():
    net, inputs = build('5-bn', 3), 3 + _inputs(40, 6)
    variables = _init(net, inputs)
    train = jax.jit(functools.partial(net.apply, train=True, mutable=['batch_stats']))
    for _ in range(100):
        training, state = train(variables, inputs)
        variables = {**variables, **state}
    np.testing.assert_allclose(net.apply(variables, inputs), training, rtol=1e-3, atol=1e-3)


def test_training_draws_and_testing_does_not():
    inputs = _inputs(4, 8, 8, 3)
    for spec in ('4c3-sp2', '9-d.5'):
        net = build(spec, 3)
        variables = _init(net, inputs)
        net.apply(variables, inputs)  # testing needs no key
        train = jax.jit(functools.partial(net.apply, variables, inputs, train=True))
        first, again, second = (train(rngs={'dropout': jax.random.key(seed)}) for seed in (1, 1, 2))
        np.testing.assert_array_equal(first, again)
        assert not np.allclose(first, second)


def test_leading_dropout_acts_on_the_input():
    net, inputs = build('d.5', 1), jnp.ones((1, 1000))
    variables = {'params': {'output_00': {'kernel': jnp.ones((1000, 1)), 'bias': jnp.zeros(1)}}}
    total = net.apply(variables, inputs, train=True, rngs={'dropout': jax.random.key(0)}).item()
    assert total % 2 == 0 and abs(total - 1000) < 4 * np.sqrt(1000)


@pytest.mark.parametrize('dtype', ['float32', 'bfloat16'])
def test_parameters_logits_and_gradients_are_float32(dtype):
    net, inputs = build(EVERY_KIND, 10, dtype), _inputs(8, 12, 12, 3)
    variables = jax.jit(net.init)(jax.random.key(0), inputs)

    @jax.jit
    def gradient(params):
        def loss(params):
            logits, state = net.apply(
                {**variables, 'params': params},
                inputs,
                train=True,
                mask=jnp.ones(8),
                rngs={'dropout': jax.random.key(1)},
                mutable=['batch_stats'],
            )
            return jnp.sum(logits**2), (logits, state)

        return jax.grad(loss, has_aux=True)(params)

    gradients, (logits, state) = gradient(variables['params'])
    assert logits.shape == (8, 10) and logits.dtype == jnp.float32
    leaves = jax.tree.leaves((variables, gradients, state))
    assert {leaf.dtype for leaf in leaves} == {jnp.dtype('float32')}
    assert all(np.isfinite(leaf).all() for leaf in leaves)
    assert all(np.any(leaf) for leaf in jax.tree.leaves(gradients))


def test_bfloat16_computes_in_bfloat16():
    inputs = _inputs(4, 50)
    exact, rounded = build('200', 3), build('200', 3, 'bfloat16')
    variables = _init(exact, inputs)
    difference = rounded.apply(variables, inputs) - exact.apply(variables, inputs)
    assert 1e-5 < np.abs(difference).max() < 0.1


def test_init_scale_multiplies_every_kernel():
    inputs = _inputs(1, 6, 6, 2)
    one, half = (
        build('4c3-5L', 10, init_scale=scale).init(jax.random.key(0), inputs)
        for scale in (1.0, 0.5)
    )
    jax.tree.map(lambda a, b: np.testing.assert_allclose(0.5 * a, b, rtol=1e-6), one, half)


@pytest.mark.parametrize('dtype', ['float32', 'bfloat16'])
def test_an_input_scale_multiplies_the_inputs(dtype):
    inputs, plain = _inputs(3, 6, 6, 2), build('4c3-5L', 10, dtype)
    variables = _init(plain, inputs)
    # 2 is a power of the base, so that no rounding differs.
    scaled = build('4c3-5L', 10, dtype, input_scale=2.0).apply(variables, inputs)
    np.testing.assert_array_equal(scaled, plain.apply(variables, 2 * inputs))
    assert np.abs(scaled - plain.apply(variables, inputs)).max() > 0.01


@pytest.mark.parametrize(
    ('arguments', 'words'),
    [
        (('4c3-?', 10), 'to be solved'),
        (('4c3-x', 10), 'not a layer'),
        (('9', 0), 'num_classes'),
        (('9', 'ten'), 'num_classes'),
        (('9', 10, 'float16'), 'dtype'),
        (('9', 10, 'float32', 0.0), 'init_scale'),
        (('9', 10, 'float32', float('inf')), 'init_scale'),
        (('9', 10, 'float32', 1.0, 0.0), 'input_scale'),
    ],
)
def test_bad_settings(arguments, words):
    with pytest.raises(UserError, match=words):
        build(*arguments)


def test_inputs_that_do_not_fit_are_a_user_error():
    with pytest.raises(UserError, match='needs a map'):
        build('4c3', 10).init(jax.random.key(0), jnp.zeros((1, 20)))
    with pytest.raises(UserError, match='window on a 2x2 map'):
        build('4c3-p3', 10).init(jax.random.key(0), jnp.zeros((1, 2, 2, 1)))
