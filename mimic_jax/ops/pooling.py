"""Max, average and stochastic pooling on [B, H, W, C].

`window` and `stride` are (height, width). `padding` is 'VALID' or 'SAME'; SAME gives ceil(size /
stride) positions, pads as XLA does (the odd row or column goes last), and what is padded never
counts: not in a maximum, not in the mean's denominator, not as a location to draw.
"""

import functools
import operator

import chex
import jax
import jax.numpy as jnp
from jax import lax


def max_pool(inputs, window, stride, padding):
    """The maximum of each window, [B, H', W', C].

    On the CPU backend it is an elementwise maximum over shifted, strided views, because XLA's
    gradient of a windowed maximum is slow there. Forward and gradient with jax 0.10.2 on 2 CPU
    cores of a shared machine, the quickest of 7: 466 ms against 161 for 3x3 windows of stride 2 on
    [128, 32, 32, 128], 103 against 7 for 2x2 windows on [128, 32, 32, 32]. Where a window has
    ties, this gradient is shared among them and XLA's goes to one; otherwise the two are equal.
    """
    _check(inputs, padding)
    if jax.default_backend() == 'cpu':
        return _by_axis(jnp.maximum, inputs, window, stride, padding, fill=-jnp.inf)
    return _reduce_window_max(inputs, window, stride, padding)


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
    # Not only zeros: the gradient has totals**-2, which overflows where totals are tiny.
    return squares / jnp.where(totals > 1e-15, totals, 1)


def _check(inputs, padding):
    chex.assert_rank(inputs, 4)
    if padding not in ('SAME', 'VALID'):
        raise ValueError(f"padding is {padding!r}: it must be 'SAME' or 'VALID'")


def _reduce_window_max(inputs, window, stride, padding):
    # The initial value must be a literal -inf: only so does XLA know the gradient.
    return lax.reduce_window(inputs, -jnp.inf, lax.max, (1, *window, 1), (1, *stride, 1), padding)


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
