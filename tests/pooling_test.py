"""Pooling against brute force over windows, XLA's gradient, and the law of stochastic pooling."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax

from mimic_jax.models.kernels import pooling

GEOMETRIES = [  # window, stride, padding on a 7x10 map
    ((2, 2), (2, 2), 'VALID'),
    ((3, 3), (2, 2), 'VALID'),
    ((3, 3), (2, 2), 'SAME'),
    ((1, 6), (1, 2), 'VALID'),
    ((4, 3), (3, 1), 'SAME'),
    ((1, 2), (3, 4), 'SAME'),
    ((8, 11), (5, 5), 'SAME'),
]


def _activations(shape=(2, 7, 10, 3), seed=0):
    return jnp.asarray(np.random.default_rng(seed).standard_normal(shape), jnp.float32)


def _brute_force(inputs, window, stride, padding, reduce):
    """`reduce` over the real elements of each window, found by walking over the positions."""
    inputs = np.asarray(inputs, np.float64)
    sizes, starts = inputs.shape[1:3], []
    for size, length, step in zip(sizes, window, stride, strict=True):
        if padding == 'VALID':
            starts.append(range(0, size - length + 1, step))
        else:
            positions = -(-size // step)
            before = max((positions - 1) * step + length - size, 0) // 2
            starts.append([step * i - before for i in range(positions)])
    out = np.empty((len(inputs), len(starts[0]), len(starts[1]), inputs.shape[3]))
    for i, top in enumerate(starts[0]):
        for j, left in enumerate(starts[1]):
            rows = slice(max(top, 0), top + window[0])
            columns = slice(max(left, 0), left + window[1])
            out[:, i, j] = reduce(inputs[:, rows, columns].reshape(len(inputs), -1, out.shape[3]))
    return out


def _jitted(function, geometry):
    return jax.jit(lambda inputs: function(inputs, *geometry))


@pytest.mark.parametrize('geometry', GEOMETRIES)
def test_pools_equal_brute_force(geometry):
    inputs = _activations()
    largest = _brute_force(inputs, *geometry, lambda values: values.max(axis=1))
    np.testing.assert_array_equal(_jitted(pooling.max_pool, geometry)(inputs), largest)
    np.testing.assert_array_equal(_jitted(pooling._reduce_window_max, geometry)(inputs), largest)
    mean = _brute_force(inputs, *geometry, lambda values: values.mean(axis=1))
    np.testing.assert_allclose(_jitted(pooling.average_pool, geometry)(inputs), mean, atol=1e-6)
    expected = _brute_force(
        abs(inputs), *geometry, lambda values: (values**2).sum(axis=1) / values.sum(axis=1)
    )
    ours = _jitted(pooling.expected_pool, geometry)(abs(inputs))
    np.testing.assert_allclose(ours, expected, rtol=1e-5)


@pytest.mark.parametrize('geometry', GEOMETRIES)
def test_max_pool_gradient_equals_reduce_windows(geometry):
    inputs = _activations()

    def reduce_window(inputs):
        window, stride, padding = geometry
        return lax.reduce_window(
            inputs, -jnp.inf, lax.max, (1, *window, 1), (1, *stride, 1), padding
        )

    upstream = _activations(reduce_window(inputs).shape, seed=1)
    theirs = jax.jit(jax.grad(lambda x: jnp.vdot(reduce_window(x), upstream)))(inputs)
    for function in (pooling.max_pool, pooling._reduce_window_max):
        pool = _jitted(function, geometry)
        ours = jax.jit(jax.grad(lambda x, pool=pool: jnp.vdot(pool(x), upstream)))(inputs)
        np.testing.assert_allclose(ours, theirs, atol=1e-6)


def test_stochastic_pool_draws_in_proportion_to_activation():
    window = jnp.asarray([[1.0, 0.0], [2.0, 5.0]]).reshape(1, 2, 2, 1)
    draws = 20_000
    inputs = jnp.tile(window, (draws, 1, 1, 1))
    drawn = pooling.stochastic_pool(jax.random.key(0), inputs, (2, 2), (2, 2), 'VALID').ravel()
    for value in (1, 2, 5):
        share = value / 8
        deviation = np.sqrt(share * (1 - share) / draws)
        assert abs(np.mean(drawn == value) - share) < 4 * deviation
    assert not np.any(drawn == 0)
    mean = pooling.expected_pool(window, (2, 2), (2, 2), 'VALID').item()
    assert mean == pytest.approx(30 / 8)
    assert abs(drawn.mean() - mean) < 4 * np.std(drawn) / np.sqrt(draws)


def test_stochastic_pool_draws_windows_and_channels_independently():
    inputs = jnp.ones((1, 40, 40, 2)).at[:, ::2].set(2.0)  # each window holds 2 2 1 1
    drawn = np.asarray(pooling.stochastic_pool(jax.random.key(1), inputs, (2, 2), (2, 2), 'VALID'))
    agreement = np.mean(drawn[..., 0] == drawn[..., 1])
    assert abs(agreement - 5 / 9) < 4 * np.sqrt(20 / 81 / 400)


def test_stochastic_pool_never_draws_padding():
    inputs = jnp.full((3, 5, 5, 2), 0.5)
    drawn = pooling.stochastic_pool(jax.random.key(2), inputs, (3, 3), (2, 2), 'SAME')
    np.testing.assert_array_equal(drawn, 0.5)


def test_stochastic_pool_gradient_goes_to_the_drawn_location():
    inputs = jnp.asarray(np.random.default_rng(3).uniform(0.1, 1, (1, 6, 6, 2)), jnp.float32)

    def pool(inputs):
        return pooling.stochastic_pool(jax.random.key(4), inputs, (2, 2), (2, 2), 'VALID')

    gradient = jax.grad(lambda inputs: pool(inputs).sum())(inputs)
    np.testing.assert_array_equal(gradient, np.isin(inputs, pool(inputs)))


@pytest.mark.parametrize('level', [0.0, 1e-30, 1e-38])
def test_windows_of_nothing_give_nothing_and_finite_gradients(level):
    inputs = jnp.full((1, 4, 4, 1), level)
    functions = (
        lambda inputs: pooling.stochastic_pool(jax.random.key(0), inputs, (2, 2), (2, 2), 'SAME'),
        lambda inputs: pooling.expected_pool(inputs, (2, 2), (2, 2), 'SAME'),
    )
    for function in functions:
        pooled, gradient = jax.value_and_grad(lambda x, f=function: f(x).sum())(inputs)
        assert abs(pooled) <= 4 * level
        assert np.isfinite(gradient).all()


def test_rejects_other_paddings():
    with pytest.raises(ValueError, match='SAME'):
        pooling.max_pool(_activations(), (2, 2), (2, 2), 's')
