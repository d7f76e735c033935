"""Preprocessing: what stands between a view and the net, fitted once on the training inputs."""

from collections.abc import Mapping

import jax
import jax.numpy as jnp
import numpy as np

from mimic_jax.errors import UserError
from mimic_jax.settings import nearest

KINDS = ('image', 'feature', 'scale')

_ROWS = 4096  # examples a pass holds in float64: the inputs may be larger than memory
_SMALLEST_DEVIATION = 1e-6  # of an image; a single grey level in uint8 gives about .02


def fit(kind: str, inputs: np.ndarray) -> dict[str, np.ndarray]:
    """What `apply` needs to know of the training inputs.

    inputs: [N, ...], raw, memory-mapped if need be; read only for 'feature'.
    Returns {mean, deviation}, each [...] float32, for 'feature' (deviation exactly 0 where the
    training inputs are constant), and {} otherwise.

    Raises:
      UserError: an unknown kind, 'image' on inputs that are no images, no examples to fit on.
    """
    _check(kind, inputs.shape)
    if kind != 'feature':
        return {}
    if len(inputs) == 0:
        raise UserError("config.data.preprocess 'feature' has no training examples; add some")
    mean = sum(part.sum(axis=0) for part in _parts(inputs)) / len(inputs)
    variance = sum(((part - mean) ** 2).sum(axis=0) for part in _parts(inputs)) / len(inputs)
    return {'mean': mean.astype(np.float32), 'deviation': np.sqrt(variance).astype(np.float32)}


def apply(kind: str, stats: Mapping[str, np.ndarray], inputs: jax.Array) -> jax.Array:
    """The net's inputs.

    kind 'image': each image minus its mean, over its deviation, both over all of H, W and C (Urban
    et al. 2017); a constant image gives zeros.
    kind 'feature': each feature minus its training mean, over its training deviation; one that was
    constant gives 0.
    kind 'scale': uint8 over 255; floating-point inputs as they are.

    stats: from `fit` with the same kind.  inputs: [B, ...], after the view.
    Returns [B, ...] float32.

    Raises:
      UserError: an unknown kind, or 'image' on inputs that are no images.
    """
    _check(kind, inputs.shape)
    values = jnp.asarray(inputs).astype(jnp.float32)
    match kind:
        case 'image':
            return _standardise_images(values)
        case 'feature':
            deviation = jnp.asarray(stats['deviation'])
            divisor = jnp.where(deviation > 0, deviation, 1.0)
            return jnp.where(deviation > 0, (values - stats['mean']) / divisor, 0.0)
        case _:
            return values / 255 if inputs.dtype == jnp.uint8 else values


def _standardise_images(images: jax.Array) -> jax.Array:
    axes = (1, 2, 3)
    # From the darkest value up, so that a constant image is exactly 0 whatever its level: the
    # rounding of a mean would otherwise be divided by a deviation as small as itself.
    images = images - images.min(axis=axes, keepdims=True)
    deviation = jnp.maximum(images.std(axis=axes, keepdims=True), _SMALLEST_DEVIATION)
    return (images - images.mean(axis=axes, keepdims=True)) / deviation


def _parts(inputs: np.ndarray):
    for start in range(0, len(inputs), _ROWS):
        # By way of float32, `apply`'s precision: equal float32 values have an exact float64 sum
        # (up to 2²⁹ of them), so that the variance of a constant feature is exactly 0.
        yield np.asarray(inputs[start : start + _ROWS], np.float32).astype(np.float64)


def _check(kind: str, shape: tuple[int, ...]) -> None:
    if kind not in KINDS:
        raise UserError(f'config.data.preprocess is {kind!r}; {nearest(kind, KINDS)}')
    if kind == 'image' and len(shape) != 4:
        raise UserError(
            f"config.data.preprocess is 'image', but the inputs have shape {shape}; "
            "set it to 'feature', or give images [N, H, W, C]"
        )
