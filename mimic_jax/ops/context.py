"""Context: a frame with its neighbours, gathered when needed rather than stored."""

import chex
import jax
import numpy as np

CHANNELS = 3  # static, Δ, ΔΔ
WIDTH = 7  # frames on each side


def windows(
    frames: jax.Array, first: jax.Array, last: jax.Array, index: jax.Array, width: int = WIDTH
) -> jax.Array:
    """Frames with `width` neighbours on each side; pure, inside jit or outside.

    A frame near its utterance's edge sees the first or last frame repeated, never another
    utterance.

    frames: [N, 3 F], the features of a frame ordered so that its reshape to [F, 3] has static, Δ
    and ΔΔ last (123 = 41 × 3).
    index: [B] int, rows of `frames`.  first, last: [B] int, the first and the last row (included)
    of the utterance that each row of `index` belongs to, as `edges(bounds)` gives them.
    Host arrays give windows that are a host array too.
    Returns [B, 2 width + 1, F, 3] of the frames' type.
    """
    chex.assert_rank([frames, first, last, index], [2, 1, 1, 1])
    chex.assert_type([first, last, index], int)
    chex.assert_equal_shape([first, last, index])
    rows = index[:, None] + np.arange(-width, width + 1, dtype=np.int32)
    rows = rows.clip(first[:, None], last[:, None])
    return frames[rows].reshape(*rows.shape, -1, CHANNELS)


def edges(bounds: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The first and the last row of every row's utterance. Host arrays.

    bounds: [U + 1] int, rising; utterance u holds the rows from bounds[u] to bounds[u + 1] − 1.
    Returns first and last, each [N] int32.
    """
    lengths = np.diff(bounds)
    first = np.repeat(bounds[:-1], lengths).astype(np.int32)
    last = np.repeat(bounds[1:] - 1, lengths).astype(np.int32)
    return first, last
