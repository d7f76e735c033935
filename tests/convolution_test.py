"""Convolutions against SciPy's."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import signal

from mimic_jax.ops import convolution


def _arrays(*shapes):
    rng = np.random.default_rng(0)
    return [jnp.asarray(rng.standard_normal(shape), jnp.float32) for shape in shapes]


def _assert_close(ours, theirs):
    np.testing.assert_allclose(ours, theirs, rtol=1e-5, atol=1e-5 * np.abs(theirs).max())


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
    _assert_close(patches @ kernel.reshape(36, 5), convolution.conv2d(inputs, kernel, padding))


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
