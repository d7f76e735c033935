"""Convolutions on [B, H, W, C] with stride 1, and their patches."""

import chex
import jax.numpy as jnp
from jax import lax


def conv2d(inputs, kernel, padding):
    """Convolves images with a bank of filters.

    Args:
        inputs: [B, H, W, C_in].
        kernel: [kernel_height, kernel_width, C_in, C_out], of the same dtype.
        padding: 'SAME' or 'VALID'.

    Returns:
        [B, H', W', C_out].

    Raises:
        ValueError: for another padding.
    """
    chex.assert_rank([inputs, kernel], 4)
    _check_padding(padding)
    return lax.conv_general_dilated(
        inputs, kernel, (1, 1), padding, dimension_numbers=('NHWC', 'HWIO', 'NHWC')
    )


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


def _check_padding(padding):
    """Raises ValueError unless `padding` is 'SAME' or 'VALID'."""
    if padding not in ('SAME', 'VALID'):
        raise ValueError(f"padding is {padding!r}: it must be 'SAME' or 'VALID'")
