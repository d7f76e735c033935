"""Global contrast normalisation and ZCA whitening (Krizhevsky 2009) as pylearn2's maxout nets had them."""

from collections.abc import Iterable

import chex
import jax
import jax.numpy as jnp
import numpy as np

SMALLEST_NORM = 1e-8  # of an image; one grey level in one pixel of uint8 gives about 1


def contrast_normalise(images: jax.Array, scale: float) -> jax.Array:
    """Each image minus its own mean, over the L2 norm of what is left, times `scale`.

    Mean and norm are over all of H, W and C (Goodfellow et al. 2013, maxout networks). A constant
    image gives zeros.

    images: [B, H, W, C] float32.  Returns the same shape and type.
    """
    chex.assert_rank(images, 4)
    chex.assert_type(images, float)
    axes = (1, 2, 3)
    # From the darkest value up, so that a constant image is exactly 0 whatever its level: the
    # rounding of a mean would otherwise be divided by a norm as small as itself.
    images = images - images.min(axis=axes, keepdims=True)
    images = images - images.mean(axis=axes, keepdims=True)
    norm = jnp.sqrt(jnp.sum(images**2, axis=axes, keepdims=True))
    return scale * images / jnp.maximum(norm, SMALLEST_NORM)


def moments(parts: Iterable[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """Mean [D] and covariance [D, D] of rows that come in parts, in float64, read once.

    The covariance is that of the rows as a whole population: divided by their number N, not N − 1.
    It is exactly symmetric. Sums are of values as they come, so the rows' mean must not be large
    against their deviation.

    parts: arrays [n, D], at least one row in all.
    """
    count, total, products = 0, 0.0, 0.0
    for part in parts:
        chex.assert_rank(part, 2)
        part = np.asarray(part, np.float64)
        count += len(part)
        total = total + part.sum(axis=0)
        products += part.T @ part
    mean = total / count
    return mean, products / count - np.outer(mean, mean)


def zca_matrix(covariance: np.ndarray, bias: float) -> np.ndarray:
    """W = U diag(1/√(λ + bias)) Uᵀ, where the covariance is U diag(λ) Uᵀ.

    Rows minus their mean, times W, have the covariance U diag(λ/(λ + bias)) Uᵀ. The bias keeps
    directions in which the rows hardly vary from being blown up.

    covariance: [D, D] float64, symmetric.  bias: above 0.
    Returns [D, D] float64, exactly symmetric.
    """
    chex.assert_rank(covariance, 2)
    eigenvalues, vectors = np.linalg.eigh(covariance)
    # Rounding may leave an eigenvalue of 0 slightly negative.
    root = vectors * (np.maximum(eigenvalues, 0) + bias) ** -0.25
    return root @ root.T


def whiten(rows: jax.Array, mean: jax.Array, matrix: jax.Array) -> jax.Array:
    """(rows − mean) W in full float32, on accelerators too, which round factors by default.

    rows: [B, D].  mean: [D].  matrix: [D, D], W of `zca_matrix`.  Returns [B, D].
    """
    chex.assert_rank([rows, mean, matrix], [2, 1, 2])
    return jnp.matmul(rows - mean, matrix, precision=jax.lax.Precision.HIGHEST)
