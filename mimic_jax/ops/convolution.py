"""Convolutions on [B, H, W, C] with stride 1, and their patches."""

import functools

import chex
import jax
import jax.numpy as jnp
from jax import lax

CHUNK_BYTES = 10e6  # of copies; with the product's own, within a CPU's last cache


def conv2d(inputs, kernel, padding):
    """Convolves images with a bank of filters.

    On accelerators this is XLA's convolution, and so are the forward pass and the input's gradient
    everywhere. On the CPU backend the kernel's gradient is matrix products over shifted views
    instead, and where 17 to 32 filters read three channels the forward pass takes a fourth, of
    zeros; with other numbers of filters or channels that gains nothing. benchmarks/layers.py has
    both beside XLA's: on 2 CPU cores with jax 0.10.2 gradients are 1.04 to 3.2 times as fast, such
    forward passes 2.8 to 8.9 times.

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
    if jax.default_backend() == 'cpu':
        return _cpu_conv(inputs, kernel, padding)
    return _lax_conv(inputs, kernel, padding)


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
    return jnp.concatenate(_shifted_views(inputs, kernel_size, padding), axis=-1)


def _check_padding(padding):
    """Raises ValueError unless `padding` is 'SAME' or 'VALID'."""
    if padding not in ('SAME', 'VALID'):
        raise ValueError(f"padding is {padding!r}: it must be 'SAME' or 'VALID'")


def _lax_conv(inputs, kernel, padding):
    return lax.conv_general_dilated(
        inputs, kernel, (1, 1), padding, dimension_numbers=('NHWC', 'HWIO', 'NHWC')
    )


def _shifted_views(inputs, kernel_size, padding):
    """[B, H', W', C] for each position in the kernel, row by row."""
    if padding == 'SAME':
        pads = [((size - 1) // 2, size // 2) for size in kernel_size]
        inputs = jnp.pad(inputs, [(0, 0), *pads, (0, 0)])
    height, width = (
        size - window + 1 for size, window in zip(inputs.shape[1:3], kernel_size, strict=True)
    )
    return [
        inputs[:, row : row + height, column : column + width]
        for row in range(kernel_size[0])
        for column in range(kernel_size[1])
    ]


@functools.partial(jax.custom_vjp, nondiff_argnums=(2,))
def _cpu_conv(inputs, kernel, padding):
    if kernel.shape[2] == 3 and 16 < kernel.shape[3] <= 32:
        inputs, kernel = (
            jnp.pad(array, [(0, int(axis == channels)) for axis in range(4)])
            for array, channels in ((inputs, 3), (kernel, 2))
        )
    return _lax_conv(inputs, kernel, padding)


def _forward(inputs, kernel, padding):
    return _cpu_conv(inputs, kernel, padding), (inputs, kernel)


def _backward(padding, residuals, gradient):
    inputs, kernel = residuals
    _, pull_back = jax.vjp(lambda inputs: _lax_conv(inputs, kernel, padding), inputs)
    return *pull_back(gradient), _kernel_gradient(inputs, kernel, padding, gradient)


def _kernel_gradient(inputs, kernel, padding, gradient):
    """A sum over chunks of images, whose copies then stay in the cache."""
    by_products = _gradient_by_rows if kernel.shape[2] < 8 else _gradient_at_once
    chunks = _chunks(inputs, kernel, gradient)
    if chunks == 1:
        return by_products(inputs, kernel, padding, gradient).astype(kernel.dtype)

    def add(total, chunk):
        return total + by_products(chunk[0], kernel, padding, chunk[1]), None

    parts = [array.reshape(chunks, -1, *array.shape[1:]) for array in (inputs, gradient)]
    total, _ = lax.scan(add, jnp.zeros(kernel.shape, jnp.float32), parts)
    return total.astype(kernel.dtype)


def _chunks(inputs, kernel, gradient):
    """Into how many a batch falls: a power of two that divides it.

    Several devices share a batch whole, where a chunk's sum would be one more collective.
    """
    if jax.device_count() > 1:
        return 1
    height, width, channels, filters = kernel.shape
    copied = height * width * channels if channels < 8 else height * channels + width * filters
    size = gradient.size // filters * (copied + filters) * gradient.dtype.itemsize
    chunks = 1
    while size > chunks * CHUNK_BYTES and len(inputs) % (2 * chunks) == 0:
        chunks *= 2
    return chunks


def _gradient_by_rows(inputs, kernel, padding, gradient):
    """Of few channels: a product for each row of the kernel, whose columns are views side by side."""
    height, width = kernel.shape[:2]
    views = _shifted_views(inputs, (height, width), padding)
    products = [
        _contracted(jnp.concatenate(views[start : start + width], axis=-1), gradient)
        for start in range(0, height * width, width)
    ]
    return jnp.concatenate(products).reshape(kernel.shape)


def _gradient_at_once(inputs, kernel, padding, gradient):
    """One product: of views of the input shifted down with views of the gradient shifted across.

    A position (row, column) of the kernel meets the input `row` down and `column` right of each
    output. Moving the gradient right instead of the input left takes the kernel's height and width
    in copies, not their product.
    """
    height, width, channels, filters = kernel.shape
    above, left = ((height - 1) // 2, (width - 1) // 2) if padding == 'SAME' else (0, 0)
    rows, wide = gradient.shape[1], inputs.shape[2]
    below = rows + height - 1 - inputs.shape[1] - above
    inputs = jnp.pad(inputs, [(0, 0), (above, below), (0, 0), (0, 0)])
    down = jnp.concatenate([inputs[:, row : row + rows] for row in range(height)], axis=-1)
    across = jnp.concatenate(
        [_moved(gradient, shift - left, wide) for shift in range(width)], axis=-1
    )
    product = _contracted(down, across).reshape(height, channels, width, filters)
    return product.transpose(0, 2, 1, 3)


def _moved(images, shift, width):
    """Columns moved right by `shift`, or left, within `width` columns; zeros come in."""
    still, columns = (0, 0, 0), images.shape[2]
    padding = [still, still, (shift, width - columns - shift, 0), still]  # below 0 cuts off
    return lax.pad(images, jnp.zeros((), images.dtype), padding)


def _contracted(left, right):
    """Over all but the last axis, [C_left, C_right] float32."""
    left, right = (array.reshape(-1, array.shape[-1]) for array in (left, right))
    return jnp.matmul(left.T, right, preferred_element_type=jnp.float32)


_cpu_conv.defvjp(_forward, _backward)
