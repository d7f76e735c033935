"""Layers with parameters, and local response normalisation, against loops in NumPy."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mimic_jax.models import layers


def _normal(*shape):
    return np.random.default_rng(0).standard_normal(shape).astype(np.float32)


def _init(layer, inputs):
    init = jax.jit(lambda key, inputs: layer.init(key, inputs, False, None))
    return init(jax.random.key(0), inputs)


def test_locally_connected_layer_equals_a_loop_over_positions():
    inputs = _normal(2, 4, 5, 3)
    layer = layers.LocallyConnected(width=6, window=(3, 2))
    params = _init(layer, inputs)['params']
    params = {**params, 'bias': _normal(4, 5, 6)}
    padded = np.pad(inputs, [(0, 0), (1, 1), (0, 1), (0, 0)])
    expected = np.empty((2, 4, 5, 6))
    for row in range(4):
        for column in range(5):
            patch = padded[:, row : row + 3, column : column + 2]
            kernel = np.asarray(params['kernel'][row, column])
            expected[:, row, column] = np.tensordot(patch, kernel, 3) + params['bias'][row, column]
    ours = layer.apply({'params': params}, inputs, False, None)
    np.testing.assert_allclose(ours, np.maximum(expected, 0), rtol=1e-4, atol=1e-5)


def test_local_response_norm_equals_a_loop_over_channels():
    inputs = 30 * _normal(2, 2, 3, 13)
    expected = np.empty_like(inputs)
    for channel in range(13):
        near = inputs[..., max(channel - 4, 0) : channel + 5]
        expected[..., channel] = inputs[..., channel] / (1 + 0.001 * (near**2).sum(-1)) ** 0.75
    np.testing.assert_allclose(layers.local_response_norm(inputs), expected, rtol=1e-5)


@pytest.mark.parametrize(
    ('layer', 'input_shape', 'fans'),
    [
        (layers.Dense(width=300), (1, 200), 200 + 300),
        (layers.Convolution(width=30, window=(5, 3)), (1, 8, 8, 20), 15 * (20 + 30)),
        (layers.LocallyConnected(width=8, window=(3, 3)), (1, 9, 9, 4), 9 * (4 + 8)),
    ],
)
@pytest.mark.parametrize('init_scale', [1.0, 0.4])
def test_initial_kernels_are_glorot_uniform(layer, input_shape, fans, init_scale):
    layer = layer.copy(init_scale=init_scale)
    params = _init(layer, jnp.zeros(input_shape))['params']
    limit = init_scale * np.sqrt(6 / fans)
    kernel = np.asarray(params['kernel'])
    assert 0.99 * limit < np.abs(kernel).max() <= limit
    assert kernel.std() == pytest.approx(limit / np.sqrt(3), rel=0.02)
    assert not np.any(params['bias'])


def test_batch_norm_stands_between_the_affine_map_and_the_relu():
    inputs = _normal(8, 5)
    layer = layers.Dense(width=4, batch_norm=True)
    variables = _init(layer, inputs)
    outputs, _ = layer.apply(variables, inputs, True, None, mutable=['batch_stats'])
    affine = inputs @ np.asarray(variables['params']['kernel'])
    normalised = (affine - affine.mean(0)) / np.sqrt(affine.var(0) + 1e-5)
    np.testing.assert_allclose(outputs, np.maximum(normalised, 0), rtol=1e-4, atol=1e-5)


def test_a_layer_without_relu_is_linear():
    layer = layers.Dense(width=4, relu=False)
    inputs = _normal(8, 5)
    variables = _init(layer, inputs)
    outputs = layer.apply(variables, inputs, False, None)
    expected = inputs @ np.asarray(variables['params']['kernel'])
    np.testing.assert_allclose(outputs, expected, rtol=1e-5, atol=1e-6)
    assert np.any(outputs < 0)
