"""Preprocessing: from a view to the net's inputs, fitted once on the training inputs."""

import math
from collections.abc import Mapping

import jax
import jax.numpy as jnp
import numpy as np

from mimic_jax.config.fields import nearest
from mimic_jax.data import whitening
from mimic_jax.data.settings import PREPROCESSING as KINDS
from mimic_jax.errors import UserError
from mimic_jax.runtime.progress import Watch

FITTED = ('channel', 'feature', 'gcn_zca')  # those that need `fit`
BY_EXAMPLE = ('image', 'gcn', 'gcn_zca')  # those that mix an example's values with each other
IMAGES = ('image', 'channel', 'gcn', 'gcn_zca')  # those that take images [H, W, C] alone

GCN_SCALE = 55.0  # √3072 = 55.4 would give a 32×32×3 image's values unit deviation
ZCA_BIAS = 0.1

_ROWS = 4096  # examples a pass holds in float64: the inputs may be larger than memory
SMALLEST_DEVIATION = 1e-6  # of an image; a single grey level in uint8 gives about .02


def fit(
    kind: str,
    inputs: np.ndarray,
    examples: np.ndarray,
    watch: Watch = lambda done, total: None,
) -> dict[str, np.ndarray]:
    """The statistics of the training inputs that `apply` needs, float32 arrays by name.

    'feature': {mean, deviation}, each [...]; the deviation is exactly 0 where the training inputs
    are constant.
    'channel': the same of each channel of images, over all positions: [C] each.
    'gcn_zca': {mean [D], matrix [D, D]} of the images after 'gcn', D = H·W·C. The matrix is
    U diag(1/√(λ + .1)) Uᵀ, λ and U being eigenvalues and eigenvectors of their covariance with
    divisor N, accumulated in float64 (as pylearn2's ZCA with filter_bias .1).
    Other kinds: {}.

    inputs: [N, ...], raw, memory-mapped if need be.  examples: [n], the indices to fit on; no other
    row is read.  watch: called as `watch(done, total)` in the course of each pass over them.

    Raises:
      UserError: an unknown kind, inputs that are no images where the kind wants them, no examples
        to fit on, fewer images than D for ZCA.
    """
    _check(kind, inputs.shape)
    if kind not in FITTED:
        return {}
    if len(examples) == 0:
        raise UserError(f'config.data.preprocess {kind!r} has no training examples; add some')
    fitted = {'channel': _fit_channels, 'feature': _fit_features, 'gcn_zca': _fit_zca}[kind]
    return fitted(inputs, examples, watch)


def shapes(kind: str, shape: tuple[int, ...]) -> dict[str, tuple[int, ...]]:
    """The shapes of what `fit` gives, for inputs [N, *shape]."""
    match kind:
        case 'channel':
            return {'mean': shape[-1:], 'deviation': shape[-1:]}
        case 'feature':
            return {'mean': shape, 'deviation': shape}
        case 'gcn_zca':
            dimensions = math.prod(shape)
            return {'mean': (dimensions,), 'matrix': (dimensions, dimensions)}
    return {}


def apply(
    kind: str, stats: Mapping[str, np.ndarray], inputs: jax.Array, raw_type=None
) -> jax.Array:
    """The net's inputs.

    kind 'image': each image minus its mean, over its deviation, both over all of H, W and C (Urban
    et al. 2017); a constant image gives zeros.
    kind 'feature': each feature minus its training mean, over its training deviation; one that was
    constant gives 0.
    kind 'channel': each channel minus its training mean, over its training deviation.
    kind 'scale': over 255 where the raw type is uint8; as they are where it is floating-point.
    kind 'gcn': each image minus its mean, over its L2 norm, times 55; a constant image gives zeros.
    kind 'gcn_zca': 'gcn', then ZCA whitening (Ba & Caruana 2014, section 4, after Goodfellow et al.
    2013), fitted to all images that are trained on, with labels or without.

    stats: from `fit` with the same kind.  inputs: [B, ...], after the view.  raw_type: of the inputs
    before a view that may have changed it; their own when left out.
    Returns [B, ...] float32.

    Raises:
      UserError: an unknown kind, or inputs that are no images where the kind wants them.
    """
    _check(kind, inputs.shape)
    values = jnp.asarray(inputs).astype(jnp.float32)
    match kind:
        case 'image':
            return _standardise_images(values)
        case 'channel' | 'feature':
            deviation = jnp.asarray(stats['deviation'])
            divisor = jnp.where(deviation > 0, deviation, 1.0)
            return jnp.where(deviation > 0, (values - stats['mean']) / divisor, 0.0)
        case 'gcn':
            return whitening.contrast_normalise(values, GCN_SCALE)
        case 'gcn_zca':
            rows = _contrast_normalised_rows(values)
            mean, matrix = jnp.asarray(stats['mean']), jnp.asarray(stats['matrix'])
            return whitening.whiten(rows, mean, matrix).reshape(values.shape)
        case _:
            raw_type = inputs.dtype if raw_type is None else raw_type
            return values / 255 if raw_type == jnp.uint8 else values


def _standardise_images(images: jax.Array) -> jax.Array:
    axes = (1, 2, 3)
    # From the darkest value up, so that a constant image is exactly 0 whatever its level: the
    # rounding of a mean would otherwise be divided by a deviation as small as itself.
    images = images - images.min(axis=axes, keepdims=True)
    deviation = jnp.maximum(images.std(axis=axes, keepdims=True), SMALLEST_DEVIATION)
    return (images - images.mean(axis=axes, keepdims=True)) / deviation


def _contrast_normalised_rows(images: jax.Array) -> jax.Array:
    # Not len(images): `jax.export` has a symbolic number of them.
    return whitening.contrast_normalise(images, GCN_SCALE).reshape(images.shape[0], -1)


def _fit_features(
    inputs: np.ndarray, examples: np.ndarray, watch: Watch, axes: tuple[int, ...] = (0,)
) -> dict[str, np.ndarray]:
    # Equal float32 values have an exact float64 sum (up to 2²⁹ of them), so that the variance of a
    # constant feature is exactly 0.
    def parts():
        return (part.astype(np.float64) for part in _parts(inputs, examples, watch))

    count = len(examples) * np.prod([inputs.shape[axis] for axis in axes[1:]], dtype=np.int64)
    mean = sum(part.sum(axis=axes) for part in parts()) / count
    variance = sum(((part - mean) ** 2).sum(axis=axes) for part in parts()) / count
    return {'mean': mean.astype(np.float32), 'deviation': np.sqrt(variance).astype(np.float32)}


def _fit_channels(inputs: np.ndarray, examples: np.ndarray, watch: Watch) -> dict[str, np.ndarray]:
    return _fit_features(inputs, examples, watch, axes=(0, 1, 2))


def _fit_zca(inputs: np.ndarray, examples: np.ndarray, watch: Watch) -> dict[str, np.ndarray]:
    dimensions = int(np.prod(inputs.shape[1:]))
    if len(examples) < dimensions:
        raise UserError(
            f"config.data.preprocess 'gcn_zca' whitens {dimensions} dimensions, but there are only "
            f"{len(examples)} images to fit it to; add training images or set it to 'gcn'"
        )
    parts = _parts(inputs, examples, watch)
    rows = (_contrast_normalised_rows(jnp.asarray(part)) for part in parts)
    mean, covariance = whitening.moments(map(np.asarray, rows))
    matrix = whitening.zca_matrix(covariance, ZCA_BIAS)
    return {'mean': mean.astype(np.float32), 'matrix': matrix.astype(np.float32)}


def _parts(inputs: np.ndarray, examples: np.ndarray, watch: Watch):
    """The examples' inputs a few at a time, in `apply`'s precision."""
    for start in range(0, len(examples), _ROWS):
        yield np.asarray(inputs[examples[start : start + _ROWS]], np.float32)
        watch(min(start + _ROWS, len(examples)), len(examples))


def _check(kind: str, shape: tuple[int, ...]) -> None:
    if kind not in KINDS:
        raise UserError(f'config.data.preprocess is {kind!r}; {nearest(kind, KINDS)}')
    if kind in IMAGES and len(shape) != 4:
        raise UserError(
            f'config.data.preprocess is {kind!r}, but the inputs have shape {shape}; '
            "set it to 'feature', or give images [N, H, W, C]"
        )
