"""Test-time augmentation: fixed transforms of an image, over which logits are averaged."""

from typing import NamedTuple

import jax
import jax.numpy as jnp

from mimic_jax.data import augmentation
from mimic_jax.errors import UserError


class Transform(NamedTuple):
    """weight: of the answer.  mirrored: left and right exchanged.  offset: rows and columns moved."""

    weight: float
    mirrored: bool = False
    offset: tuple[int, int] = (0, 0)


_DIAGONAL = [(mirrored, (by, by)) for mirrored in (False, True) for by in (-1, 1)]

# 'mirror_shift' is that of cifar10-airbench (Jordan 2024): what moves in is the image, reflected.
TRANSFORMS = {
    'none': (Transform(1.0),),
    'mirror': (Transform(0.5), Transform(0.5, True)),
    'mirror_shift': (
        Transform(0.25),
        Transform(0.25, True),
        *(Transform(0.125, *each) for each in _DIAGONAL),
    ),
}


def check(kind: str, shape: tuple[int, ...], where: str) -> None:
    """UserError unless examples of this shape can be transformed.  where: the setting."""
    if kind != 'none' and (len(shape) != 3 or min(shape[:2]) < 2):
        raise UserError(
            f'{where} is {kind!r}, which transforms images of at least 2×2 pixels, but an example has '
            f"shape {tuple(shape)}; set it to 'none'"
        )


def apply(transform: Transform, images: jax.Array) -> jax.Array:
    """Images [B, H, W, C], any type, mirrored and moved."""

    def one(image: jax.Array) -> jax.Array:
        image = augmentation.mirror(image, jnp.bool_(transform.mirrored))
        return augmentation.shift(image, jnp.array(transform.offset), 1, 'reflect')

    if transform == Transform(transform.weight):
        return images
    return jax.vmap(one)(images)
