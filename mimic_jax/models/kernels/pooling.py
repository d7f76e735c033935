"""Max, average and stochastic pooling on [B, H, W, C].

`window` and `stride` are (height, width). `padding` is 'VALID' or 'SAME'; SAME gives ceil(size /
stride) positions and pads as XLA does (the odd row or column goes last). Padding never counts: not
in a maximum, not in the mean's denominator, not as a location to draw.
"""

import functools
import operator

import chex
import jax
import jax.numpy as jnp
from jax import lax

from mimic_jax.runtime import backend

# A window of a smaller sum counts as zeros: the gradient has the sum to the power −2, which overflows.
LEAST_TOTAL = 1e-15


def max_pool(inputs, window, stride, padding):
    """The maximum of each window, [B, H', W', C].

    The CPU backend takes an elementwise maximum over shifted, strided views, down each column and
    then along the row that is left, because XLA's gradient of a windowed maximum is slow there.
    Overlapping windows have a gradient written here. benchmarks/layers.py compares both with XLA's.

    The three gradients differ only where a window has ties. XLA's and that of overlapping windows go
    to one of the tied elements; that of windows side by side is shared among them.
    """
    _check(inputs, padding)
    if not backend.is_cpu():
        return _reduce_window_max(inputs, window, stride, padding)
    if any(length > step for length, step in zip(window, stride, strict=True)):
        return _overlapping_max(inputs, window, stride, padding)
    return _by_axis(jnp.maximum, inputs, window, stride, padding, fill=-jnp.inf)


def average_pool(inputs, window, stride, padding):
    """The mean of each window's real elements, [B, H', W', C]."""
    _check(inputs, padding)
    sums = _window_sums(inputs, window, stride, padding)
    ones = jnp.ones((1, *inputs.shape[1:3], 1), inputs.dtype)
    return sums / _window_sums(ones, window, stride, padding)


def stochastic_pool(key, inputs, window, stride, padding):
    """Training's half of stochastic pooling (Zeiler & Fergus 2013, equations 4 and 5).

    In each window and channel one location is drawn with probability a_i / sum_j a_j, and its
    activation is the output. A window of zeros gives 0. The gradient goes to the drawn location.

    Args:
        key: a JAX random key.
        inputs: activations a >= 0, [B, H, W, C].

    Returns:
        [B, H', W', C].
    """
    _check(inputs, padding)
    views = _views(inputs, window, stride, padding, fill=0)
    # One uniform number a window, on the cumulated activations. Float32, for bfloat16 cannot
    # resolve the sums; the comparisons below carry no gradient.
    totals = functools.reduce(operator.add, [view.astype(jnp.float32) for view in views])
    threshold = jax.random.uniform(key, (totals.size,)).reshape(totals.shape) * totals
    pooled, below = jnp.zeros_like(views[0]), jnp.zeros_like(totals)
    for view in views:
        upto = below + view.astype(jnp.float32)
        pooled += jnp.where((below <= threshold) & (threshold < upto), view, 0)
        below = upto
    return pooled


def expected_pool(inputs, window, stride, padding):
    """Testing's half of stochastic pooling: sum a_i^2 / sum a_i (Zeiler & Fergus 2013, eq. 6).

    It is the mean of what `stochastic_pool` draws. A window of zeros gives 0, with gradient 0.

    Args:
        inputs: activations a >= 0, [B, H, W, C].

    Returns:
        [B, H', W', C].
    """
    _check(inputs, padding)
    totals = _window_sums(inputs, window, stride, padding)
    squares = _window_sums(inputs**2, window, stride, padding)
    return squares / jnp.where(totals > LEAST_TOTAL, totals, 1)


def _check(inputs, padding):
    chex.assert_rank(inputs, 4)
    if padding not in ('SAME', 'VALID'):
        raise ValueError(f"padding is {padding!r}: it must be 'SAME' or 'VALID'")


def _reduce_window_max(inputs, window, stride, padding):
    # The initial value must be a literal -inf; with any other, JAX does not know the gradient.
    return lax.reduce_window(inputs, -jnp.inf, lax.max, (1, *window, 1), (1, *stride, 1), padding)


def _overlapping_max(inputs, window, stride, padding):
    pads = lax.padtype_to_pads(inputs.shape[1:3], window, stride, padding)
    inputs = jnp.pad(inputs, [(0, 0), *pads, (0, 0)], constant_values=-jnp.inf)
    rows = _max_along(inputs, 1, window[0], stride[0])
    return _max_along(rows, 2, window[1], stride[1])


@functools.partial(jax.custom_vjp, nondiff_argnums=(1, 2, 3))
def _max_along(inputs, axis, length, step):
    """The maximum of each window of `length` along one axis, a window every `step`."""
    return functools.reduce(jnp.maximum, _windows(inputs, axis, length, step))


def _windows(inputs, axis, length, step):
    """One array for each location in a window: the elements that all windows have there."""
    last = (inputs.shape[axis] - length) // step * step
    return [lax.slice_in_dim(inputs, at, at + last + 1, step, axis) for at in range(length)]


def _max_forward(inputs, axis, length, step):
    largest = _max_along(inputs, axis, length, step)
    return largest, (inputs, largest)


def _max_backward(axis, length, step, residuals, gradient):
    """Each window's gradient goes to the first location that has its maximum.

    Location l of window i is the input's i step + l. Locations fall into `step` classes, whose
    gradients are summed over the windows that meet there and then interleaved.
    """
    inputs, largest = residuals
    count, zero = largest.shape[axis], jnp.zeros((), gradient.dtype)
    blocks = count + (length - 1) // step
    classes = [jnp.zeros((), gradient.dtype)] * step
    free = True
    for location, window in enumerate(_windows(inputs, axis, length, step)):
        hit = window == largest
        share = jnp.where(hit & free, gradient, zero)
        free = free & ~hit
        later = location // step
        padding = _pads(axis, later, blocks - count - later)
        classes[location % step] += lax.pad(share, zero, padding)
    shape = (*largest.shape[:axis], blocks, *largest.shape[axis + 1 :])
    together = jnp.stack([jnp.broadcast_to(part, shape) for part in classes], axis=axis + 1)
    together = lax.collapse(together, axis, axis + 2)
    extra = inputs.shape[axis] - blocks * step  # below 0 where the last windows end early
    return (lax.pad(together, zero, _pads(axis, 0, extra)),)


def _pads(axis, before, after):
    """Padding of one axis of a [B, H, W, C] array, as lax.pad takes it."""
    return [(before, after, 0) if each == axis else (0, 0, 0) for each in range(4)]


_max_along.defvjp(_max_forward, _max_backward)


def _window_sums(inputs, window, stride, padding):
    return _by_axis(operator.add, inputs, window, stride, padding, fill=0)


def _by_axis(function, inputs, window, stride, padding, fill):
    """Reduces each window with `function`, first down its columns, then along the one row left."""
    rows = _views(inputs, (window[0], 1), (stride[0], 1), padding, fill)
    columns = functools.reduce(function, rows)
    return functools.reduce(
        function, _views(columns, (1, window[1]), (1, stride[1]), padding, fill)
    )


def _views(inputs, window, stride, padding, fill):
    """[B, H', W', C] for each location in the window, row by row, `fill` where it is padded."""
    pads = lax.padtype_to_pads(inputs.shape[1:3], window, stride, padding)
    inputs = jnp.pad(inputs, [(0, 0), *pads, (0, 0)], constant_values=fill)
    rows, columns = (
        (size - length) // step + 1
        for size, length, step in zip(inputs.shape[1:3], window, stride, strict=True)
    )
    return [
        inputs[
            :,
            row : row + (rows - 1) * stride[0] + 1 : stride[0],
            column : column + (columns - 1) * stride[1] + 1 : stride[1],
        ]
        for row in range(window[0])
        for column in range(window[1])
    ]
