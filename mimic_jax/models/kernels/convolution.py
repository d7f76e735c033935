"""Convolutions on [B, H, W, C] with stride 1, the faster way, and their patches."""

import chex
import jax
import jax.numpy as jnp
from jax import lax

from mimic_jax.models.kernels import winograd
from mimic_jax.runtime import backend


def conv2d(inputs, kernel, padding):
    """Convolves images with a bank of filters, by Winograd's products where they pay.

    Which way it goes depends on the shapes of image and kernel and on the backend, not on the batch.
    Arguments, result and errors are those of `direct`.
    """
    if inputs.ndim == 4 and winograd.pays(inputs, kernel, padding):
        return winograd.conv2d(inputs, kernel, padding)
    return direct(inputs, kernel, padding)


def direct(inputs, kernel, padding):
    """Convolves images with a bank of filters.

    The CPU backend's gradients are convolutions in the forward pass's order of axes. JAX's gradients
    have another order, for which XLA has no fast kernels within a loop: several steps a call would
    take more than 30 times as long (jax 0.10.2).

    Args:
        inputs: [B, H, W, C_in].
        kernel: [kernel_height, kernel_width, C_in, C_out], of the same dtype.
        padding: 'SAME' or 'VALID'.

    Returns:
        [B, H', W', C_out]. Reverse-mode differentiable.

    Raises:
        ValueError: for another padding.
    """
    chex.assert_rank([inputs, kernel], 4)
    _check_padding(padding)
    pads = lax.padtype_to_pads(inputs.shape[1:3], kernel.shape[:2], (1, 1), padding)
    convolve = _cpu_conv if backend.is_cpu() else _conv
    return convolve(inputs, kernel, tuple(pads))


def patches(inputs, kernel_size, padding):
    """The window under each output position of a stride 1 convolution, flattened.

    Args:
        inputs: [B, H, W, C].
        kernel_size: (height, width).
        padding: 'SAME' or 'VALID'.

    Returns:
        [B, H', W', height * width * C], in the order of a kernel's [height, width, C].
    """
    chex.assert_rank(inputs, 4)
    _check_padding(padding)
    if padding == 'SAME':
        pads = [((size - 1) // 2, size // 2) for size in kernel_size]
        inputs = jnp.pad(inputs, [(0, 0), *pads, (0, 0)])
    height, width = (
        size - window + 1 for size, window in zip(inputs.shape[1:3], kernel_size, strict=True)
    )
    views = [
        inputs[:, row : row + height, column : column + width]
        for row in range(kernel_size[0])
        for column in range(kernel_size[1])
    ]
    return jnp.concatenate(views, axis=-1)


def _conv(inputs, kernel, pads):
    """pads: ((above, below), (left, right))."""
    return lax.conv_general_dilated(
        inputs, kernel, (1, 1), pads, dimension_numbers=('NHWC', 'HWIO', 'NHWC')
    )


_cpu_conv = jax.custom_vjp(_conv, nondiff_argnums=(2,))


def _cpu_conv_forward(inputs, kernel, pads):
    return _conv(inputs, kernel, pads), (inputs, kernel)


def _cpu_conv_backward(pads, residuals, gradient):
    inputs, kernel = residuals
    rest = [
        tuple(size - 1 - pad for pad in each)
        for size, each in zip(kernel.shape[:2], pads, strict=True)
    ]
    of_inputs = _conv(gradient, jnp.flip(kernel, (0, 1)).swapaxes(2, 3), rest)
    # The channels take the batch's place, and the batch takes the channels' place.
    of_kernel = _conv(inputs.transpose(3, 1, 2, 0), gradient.transpose(1, 2, 0, 3), pads)
    return of_inputs, of_kernel.transpose(1, 2, 0, 3)


_cpu_conv.defvjp(_cpu_conv_forward, _cpu_conv_backward)


def _check_padding(padding):
    """Raises ValueError unless `padding` is 'SAME' or 'VALID'."""
    if padding not in ('SAME', 'VALID'):
        raise ValueError(f"padding is {padding!r}: it must be 'SAME' or 'VALID'")
