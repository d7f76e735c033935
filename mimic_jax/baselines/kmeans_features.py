"""Single-layer features of images: whitened patches coded against k-means centroids.

The pipeline of Coates, Lee & Ng 2011, "An analysis of single-layer networks in unsupervised feature
learning", section 3: patches → normalisation → whitening → k-means → triangle code → sums over the
four quadrants. The offsets are those of the authors' own code, for pixels from 0 to 255; variances
are over n. Letters: B images of H × W × C, patches of P × P pixels and D = P²C values, K centroids,
H' = H − P + 1 positions down and W' across.
"""

import functools

import chex
import jax
import jax.numpy as jnp
import numpy as np

PATCH_OFFSET = 10.0  # added to a patch's variance before dividing by its root
WHITENING_OFFSET = 0.1  # added to the eigenvalues of the patches' covariance
FEATURE_OFFSET = 0.01  # added to a feature's variance before dividing by its root

START_DEVIATION = 0.1  # of the numbers that centroids start from

_PATCHES_A_CALL = 1 << 15
_VALUES_A_CALL = 1 << 12  # whose products with all centroids a device holds at a time
_ROWS_A_PASS = 1000


def sample_patches(
    images: np.ndarray, examples: np.ndarray, size: int, count: int, seed: int
) -> np.ndarray:
    """`count` different patches of the images that `examples` names, on the host.

    images: [N, H, W, C], memory-mapped if need be.  examples: indices [n] into them.
    Returns [count, D] in the images' dtype, values ordered row, column, channel.

    Raises:
      ValueError: patches larger than the images, or more patches than the images hold.
    """
    available = len(examples) * positions(images.shape[1:], size)
    if count > available:
        raise ValueError(f'{count} patches are asked for, but the images hold {available}')
    windows = np.lib.stride_tricks.sliding_window_view(images, (size, size), axis=(1, 2))
    draw = np.random.default_rng(seed)
    chosen = np.sort(draw.choice(available, count, replace=False, shuffle=False))
    image, row, column = np.unravel_index(chosen, (len(examples), *windows.shape[1:3]))
    found = windows[np.asarray(examples)[image], row, column]  # [count, C, P, P]
    return found.transpose(0, 2, 3, 1).reshape(count, -1)


def positions(shape: tuple[int, ...], size: int) -> int:
    """H'·W', the patches of an image of shape (H, W, C) at stride 1.

    Raises:
      ValueError: patches larger than the image, or smaller than a pixel.
    """
    height, width, _ = shape
    if not 1 <= size <= min(height, width):
        raise ValueError(f'patches of {size} × {size} do not fit images of {height} × {width}')
    return (height - size + 1) * (width - size + 1)


def extract_patches(images: jax.Array, size: int) -> jax.Array:
    """All patches at stride 1: [B, H, W, C] → [B, H', W', D], ordered row, column, channel."""
    chex.assert_rank(images, 4)
    height, width = (length - size + 1 for length in images.shape[1:3])
    shifted = [
        images[:, row : row + height, column : column + width]
        for row in range(size)
        for column in range(size)
    ]
    return jnp.concatenate(shifted, axis=-1)


def normalise(patches: jax.Array) -> jax.Array:
    """Each patch [..., D] minus its mean, over √(variance + 10), float32 (section 3.1)."""
    values = patches.astype(jnp.float32)
    values = values - values.mean(axis=-1, keepdims=True)
    return values / jnp.sqrt(jnp.mean(values**2, axis=-1, keepdims=True) + PATCH_OFFSET)


def fit_whitening(patches: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The mean [D] and the ZCA matrix V (Λ + .1)^−½ Vᵀ [D, D] of normalised patches [n, D].

    V Λ Vᵀ is the patches' covariance, worked out in float64 on the host; the results are float32.
    """
    mean = patches.mean(axis=0, dtype=np.float64)
    covariance = np.atleast_2d(np.cov(patches, rowvar=False, ddof=0))
    values, vectors = np.linalg.eigh(covariance)
    # Rounding leaves eigenvalues that should be 0 a little below it.
    scale = 1 / np.sqrt(np.maximum(values, 0) + WHITENING_OFFSET)
    return mean.astype(np.float32), (vectors * scale @ vectors.T).astype(np.float32)


def whiten(patches: jax.Array, mean: jax.Array, matrix: jax.Array) -> jax.Array:
    """Normalised patches [..., D] whitened by what `fit_whitening` found."""
    return jnp.matmul(patches - mean, matrix, precision='highest')


def fit_dictionary(
    patches: np.ndarray, centroids: int, iterations: int, seed: int
) -> dict[str, np.ndarray]:
    """Whitening and k-means of raw patches [n, D]: {mean [D], matrix [D, D], centroids [K, D]}.

    400,000 patches of 108 values against 4,000 centroids are 350 GFLOP an iteration, 17 TFLOP for 50:
    minutes on two cores.

    Raises:
      ValueError: more centroids than patches.
    """
    if centroids > len(patches):
        raise ValueError(f'{centroids} centroids need as many patches; there are {len(patches)}')
    normalised = _in_parts(normalise, patches)
    mean, matrix = fit_whitening(normalised)
    whitened = _in_parts(lambda part: whiten(part, mean, matrix), normalised)
    found = k_means(whitened, centroids, iterations, seed)
    return {'mean': mean, 'matrix': matrix, 'centroids': found}


def k_means(values: np.ndarray, centroids: int, iterations: int, seed: int) -> np.ndarray:
    """Centroids [K, D] of values [n, D], as in public copies of the authors' code.

    They start from normal numbers of deviation .1, near the middle of whitened values. So every
    iteration moves them out to where values are; drawn values as a start leave many centroids with a
    few outliers each. A centroid that no value is nearest to is set to 0. It ends after `iterations`,
    or when no value changes its centroid.
    """
    draw = np.random.default_rng(seed)
    found = (START_DEVIATION * draw.standard_normal((centroids, values.shape[1]))).astype(
        np.float32
    )
    nearest = None
    for _ in range(iterations):
        before, nearest = nearest, _nearest(values, found)
        if before is not None and np.array_equal(before, nearest):
            break
        counts = np.bincount(nearest, minlength=centroids)
        held = np.flatnonzero(counts)
        first = (np.cumsum(counts) - counts)[held]  # of each centroid's values, in their order
        order = np.argsort(nearest, kind='stable')
        sums = np.add.reduceat(values[order], first, axis=0, dtype=np.float64)
        found = np.zeros_like(found)
        found[held] = sums / counts[held, None]
    return found


def _nearest(values: np.ndarray, centroids: np.ndarray) -> np.ndarray:
    """The number of the centroid nearest to each value, [n]; the first where several are."""
    parts = range(0, len(values), _VALUES_A_CALL)
    calls = (_nearest_call(values[i : i + _VALUES_A_CALL], centroids) for i in parts)
    return np.concatenate([np.asarray(found) for found in calls])


@jax.jit
def _nearest_call(values: jax.Array, centroids: jax.Array) -> jax.Array:
    products = jnp.matmul(values, centroids.T, precision='highest')
    return jnp.argmax(products - 0.5 * jnp.sum(centroids**2, axis=-1), axis=-1)


def triangle_code(patches: jax.Array, centroids: jax.Array) -> jax.Array:
    """max(0, mean(z) − z_k), z_k being the distance to centroid k (section 3.1, 'triangle').

    patches: [..., D], whitened.  centroids: [K, D].  Returns [..., K].
    """
    # The binomial formula's terms nearly cancel, so the product needs full float32.
    products = jnp.matmul(patches, centroids.T, precision='highest')
    squares = jnp.sum(patches**2, axis=-1, keepdims=True) + jnp.sum(centroids**2, axis=-1)
    distances = jnp.sqrt(jnp.maximum(squares - 2 * products, 0))
    return jnp.maximum(distances.mean(axis=-1, keepdims=True) - distances, 0)


def pool_quadrants(codes: jax.Array) -> jax.Array:
    """Sums over the quadrants: [B, H', W', K] → [B, 4K] (section 3.2).

    Order: top left, top right, bottom left, bottom right. The middle one of an odd number of rows or
    columns counts to the top or left.
    """
    chex.assert_rank(codes, 4)
    row, column = (-(-length // 2) for length in codes.shape[1:3])
    quadrants = [
        part.sum(axis=(1, 2))
        for half in (codes[:, :row], codes[:, row:])
        for part in (half[:, :, :column], half[:, :, column:])
    ]
    return jnp.concatenate(quadrants, axis=-1)


@functools.partial(jax.jit, static_argnames='size')
def features(images: jax.Array, dictionary: dict, size: int) -> jax.Array:
    """Images [B, H, W, C] of pixels 0–255 as features [B, 4K] float32.

    dictionary: from `fit_dictionary`.  size: P.  The codes take 4·H'·W'·K bytes an image, 11.7 MB
    for 4,000 centroids on 32 × 32 pixels, so memory bounds B.
    """
    patches = normalise(extract_patches(images.astype(jnp.float32), size))
    patches = whiten(patches, dictionary['mean'], dictionary['matrix'])
    return pool_quadrants(triangle_code(patches, dictionary['centroids']))


def fit_scale(values: np.ndarray) -> dict[str, np.ndarray]:
    """{mean [F], deviation [F]} of features [N, F], the deviation being √(variance + .01).

    Reads a few rows at a time, twice, so that a memory-mapped file may be larger than memory.
    """
    parts = range(0, len(values), _ROWS_A_PASS)
    mean = sum(values[i : i + _ROWS_A_PASS].sum(axis=0, dtype=np.float64) for i in parts)
    mean = mean / len(values)
    squares = sum(((values[i : i + _ROWS_A_PASS] - mean) ** 2).sum(axis=0) for i in parts)
    deviation = np.sqrt(squares / len(values) + FEATURE_OFFSET)
    return {'mean': mean.astype(np.float32), 'deviation': deviation.astype(np.float32)}


def standardise(values, scale: dict):
    """Features [..., F], on the host or the device, by what `fit_scale` found."""
    return (values - scale['mean']) / scale['deviation']


def _in_parts(function, patches: np.ndarray) -> np.ndarray:
    """`function` of many patches [n, D] on the device, some at a time; float32 on the host."""
    result = np.empty(patches.shape, np.float32)
    call = jax.jit(function)
    for start in range(0, len(patches), _PATCHES_A_CALL):
        part = slice(start, start + _PATCHES_A_CALL)
        result[part] = call(patches[part])
    return result
