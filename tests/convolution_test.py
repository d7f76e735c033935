"""Convolutions against XLA's and SciPy's."""

import functools
import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax
from scipy import signal

from mimic_jax.models.kernels import convolution

SHAPES = [  # input, kernel: thin and thick channels, even kernels, 1x1, small maps
    ((2, 8, 9, 3), (3, 3, 3, 4)),
    ((2, 8, 9, 3), (4, 2, 3, 5)),
    ((2, 9, 9, 20), (5, 3, 20, 4)),
    ((2, 9, 9, 16), (1, 1, 16, 3)),
    ((2, 6, 7, 2), (6, 7, 2, 3)),
    ((2, 7, 6, 3), (3, 5, 3, 24)),
    ((2, 6, 7, 9), (4, 6, 9, 3)),
    ((1, 3, 4, 8), (5, 7, 8, 2)),
    ((2, 4, 4, 2), (5, 5, 2, 3)),
    ((1, 15, 41, 3), (15, 8, 3, 2)),
]
CASES = [
    (*shapes, padding)
    for shapes in SHAPES
    for padding in ('SAME', 'VALID')
    if padding == 'SAME' or shapes[0][1] >= shapes[1][0]
]


def _arrays(*shapes):
    rng = np.random.default_rng(0)
    return [jnp.asarray(rng.standard_normal(shape), jnp.float32) for shape in shapes]


def _reference(inputs, kernel, padding):
    return lax.conv_general_dilated(
        inputs, kernel, (1, 1), padding, dimension_numbers=('NHWC', 'HWIO', 'NHWC')
    )


@functools.partial(jax.jit, static_argnums=(0, 3))
def _output_and_gradients(function, inputs, kernel, padding, upstream):
    output, pull_back = jax.vjp(lambda x, k: function(x, k, padding), inputs, kernel)
    return output, *pull_back(upstream)


def _assert_close(ours, theirs):
    np.testing.assert_allclose(ours, theirs, rtol=1e-5, atol=1e-5 * np.abs(theirs).max())


@pytest.mark.parametrize(('shape', 'kernel_shape', 'padding'), CASES)
def test_output_and_gradients_equal_lax(shape, kernel_shape, padding):
    inputs, kernel = _arrays(shape, kernel_shape)
    (upstream,) = _arrays(_reference(inputs, kernel, padding).shape)
    theirs = _output_and_gradients(_reference, inputs, kernel, padding, upstream)
    ours = _output_and_gradients(convolution.conv2d, inputs, kernel, padding, upstream)
    for our_array, their_array in zip(ours, theirs, strict=True):
        _assert_close(our_array, their_array)


def test_all_passes_have_the_order_of_axes_that_is_fast():
    """Inside a loop XLA has naive kernels for any other order, and a step takes 30 times as long."""
    inputs, kernel = _arrays((4, 9, 9, 8), (3, 3, 8, 16))

    def trained(kernel):
        def step(kernel, _):
            def energy(kernel, inputs):
                return jnp.sum(jnp.sin(convolution.conv2d(inputs, kernel, 'SAME')))

            gradients = jax.grad(energy, (0, 1))(kernel, inputs)
            return kernel - gradients[0], gradients[1]

        return jax.lax.scan(step, kernel, length=3)

    program = jax.jit(trained).lower(kernel).as_text()
    orders = re.findall(r'dim_numbers = (\[.*?\]x\[.*?\]->\[.*?\]),', program)
    assert orders == ['[b, 0, 1, f]x[0, 1, i, o]->[b, 0, 1, f]'] * 3
    assert 'reverse = [true' not in program


@pytest.mark.parametrize('padding', ['SAME', 'VALID'])
def test_output_equals_scipys_correlation(padding):
    inputs, kernel = _arrays((2, 7, 6, 2), (3, 5, 2, 3))
    ours = convolution.conv2d(inputs, kernel, padding)
    for image in range(2):
        for filter_ in range(3):
            expected = sum(
                signal.correlate2d(inputs[image, ..., c], kernel[..., c, filter_], padding.lower())
                for c in range(2)
            )
            _assert_close(ours[image, :, :, filter_], expected)


@pytest.mark.parametrize('padding', ['SAME', 'VALID'])
def test_patches_times_a_kernel_are_its_convolution(padding):
    inputs, kernel = _arrays((2, 8, 7, 3), (4, 3, 3, 5))
    patches = convolution.patches(inputs, (4, 3), padding)
    assert patches.shape[-1] == 36
    _assert_close(patches @ kernel.reshape(36, 5), _reference(inputs, kernel, padding))


def test_bfloat16_stays_bfloat16():
    inputs, kernel = _arrays((4, 16, 16, 3), (3, 3, 3, 8))
    low = inputs.astype(jnp.bfloat16), kernel.astype(jnp.bfloat16)

    def energy(inputs, kernel):
        return jnp.sum(convolution.conv2d(inputs, kernel, 'SAME').astype(jnp.float32) ** 2)

    gradient = jax.jit(jax.grad(energy, (0, 1)))
    gradients = gradient(*low)
    assert [gradient.dtype for gradient in gradients] == [jnp.bfloat16, jnp.bfloat16]
    for ours, exact in zip(gradients, gradient(inputs, kernel), strict=True):
        error = np.linalg.norm(ours.astype(jnp.float32) - exact) / np.linalg.norm(exact)
        assert error < 0.02


def test_rejects_other_paddings():
    with pytest.raises(ValueError, match='SAME'):
        convolution.conv2d(*_arrays((1, 4, 4, 1), (3, 3, 1, 1)), 'same')
