"""Crops resampled by cubic splines, as matrices: crop and spline together are linear on each axis."""

import chex
import jax
import jax.numpy as jnp
import numpy as np


def zoom_matrix(size: int, length: int) -> np.ndarray:
    """The matrix that takes `size` samples to `length` by the cubic spline through them.

    The new samples lie evenly from the first old sample to the last, and the spline goes on beyond
    both ends as in a mirror that stands on the end sample: `scipy.ndimage.zoom(samples,
    length / size, order=3)` with its defaults. As a sum of B-splines (Unser 1999, 'Splines: a
    perfect fit for signal and image processing'): the coefficients whose spline meets the samples,
    then that spline's values.

    size, length: 2 or more.  Returns [length, size] float64; the identity where they are equal.
    """
    at_samples = _basis(np.arange(size), size)
    return _basis(np.linspace(0, size - 1, length), size) @ np.linalg.inv(at_samples)


def zoom_matrices(smallest: int, length: int) -> np.ndarray:
    """The matrices of all sizes from `smallest` to `length`, each with zeros on both sides.

    Returns [n, length, n + length − 1] float32 with n = length − smallest + 1: `crop_matrix` slices the
    matrix of any crop out of it.
    """
    room = length - smallest
    matrices = [
        np.pad(zoom_matrix(size, length), ((0, 0), (room, length - size)))
        for size in range(smallest, length + 1)
    ]
    return np.asarray(matrices, np.float32)


def crop_matrix(zooms: jax.Array, size: jax.Array | int, start: jax.Array | int) -> jax.Array:
    """The matrix [length, length] that takes a whole axis to the crop's samples, resampled to `length`.

    zooms: of `zoom_matrices`.  size, start: of the crop, which lies within the axis.
    """
    count, length, _ = zooms.shape
    at = (size - (length - count + 1), 0, count - 1 - start)
    return jax.lax.dynamic_slice(zooms, at, (1, length, length))[0]


def resample(image: jax.Array, rows: jax.Array, columns: jax.Array) -> jax.Array:
    """The image with one matrix applied to every column and one to every row of each channel.

    image: [H, W, C], any type.  rows: [I, H].  columns: [J, W].  Returns [I, J, C] float32.
    """
    chex.assert_rank([image, rows, columns], [3, 2, 2])
    height, width, channels = image.shape
    # The highest precision, since accelerators' own would lose the lower bits of a pixel. One after
    # the other: under vmap on two CPU cores, 128 images of 32×32×3 took 2.3 ms; with the channels
    # first 2.4–2.7, as an einsum of all three 7.4.
    flat = image.astype(jnp.float32).reshape(height, width * channels)
    flat = jnp.matmul(rows, flat, precision='highest')
    image = flat.reshape(len(rows), width, channels)
    return jnp.einsum('jw,iwc->ijc', columns, image, precision='highest')


def _basis(positions: np.ndarray, size: int) -> np.ndarray:
    """[P, size]: the cubic B-splines at each position, those beyond the ends mirrored in."""
    centres = np.arange(-1, size + 1)
    distance = np.abs(positions[:, None] - centres)
    near = 2 / 3 - distance**2 * (2 - distance) / 2
    far = (2 - distance) ** 3 / 6
    weights = np.where(distance < 1, near, np.where(distance < 2, far, 0.0))
    basis = weights[:, 1:-1].copy()
    basis[:, 1] += weights[:, 0]
    basis[:, -2] += weights[:, -1]
    return basis
