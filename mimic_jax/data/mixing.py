"""Mixup and CutMix that can be replayed: partner, weight and box come from the view's own key.

Mixup (Zhang et al. 2018): λ x_i + (1 − λ) x_j, with λ of Beta(α, α). CutMix (Yun et al. 2019): a box of
x_j, of 1 − λ of the area before it is cut at the border, in x_i; λ is then the share of x_i that is left.
Both images are on the same view number, each augmented by its own key. Labels mix with the weights λ
and 1 − λ.

Partner j is one of the examples that the net is trained on, or that the logit cache holds. So a cache
has the teacher's logits of the mixed image, and a student that reads it is shown that very image.
"""

import functools
from collections.abc import Iterable, Mapping
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from mimic_jax.data import augmentation, draws
from mimic_jax.data.view_settings import Views

# λ takes so many values, all equally likely: the quantiles of Beta(α, α) at the middles of as many
# equal parts. A table needs no sampler of Beta, whose numbers may change between releases.
CHOICES = 4096


class Mix(NamedTuple):
    """own: [] float32, the share of the example itself.  box: rows [H] and columns [W], bool, of CutMix."""

    own: jax.Array
    box: tuple[jax.Array, jax.Array] | None


def is_on(settings: Views) -> bool:
    """Whether these settings mix examples."""
    return bool(settings.mixup or settings.cutmix)


def with_partners(
    ids: Iterable[Mapping], settings: Views | None, seed: int, view: int, examples: np.ndarray
) -> list[dict]:
    """Batches of indices with `partner` [B] int32, the example that each is mixed with.

    The batches as they are where nothing is mixed.

    ids: {index [B], …}, all of one length.  examples: indices [M] that partners are drawn from.
    """
    ids = list(ids)
    if settings is None or not is_on(settings) or not ids:
        return ids
    index = np.stack([item['index'] for item in ids])
    words = np.asarray(_partner_words(np.uint32(seed), np.uint32(view), index))
    partners = np.asarray(examples, np.int32)[words % np.uint32(len(examples))]
    return [{**item, 'partner': row} for item, row in zip(ids, partners, strict=True)]


def draw(key: jax.Array, settings: Views, height: int, width: int) -> Mix:
    """How one view of one example is mixed.  key: of the view, as `draws.view_key` makes it."""
    number, centre = draws.mix(key, CHOICES, height, width)
    if settings.mixup:
        return Mix(jnp.asarray(_quantiles(settings.mixup))[number], None)
    half = jnp.asarray(_half_sides(settings.cutmix, height, width))[number]
    box = augmentation.inside(centre - half, 2 * half, height, width)
    covered = jnp.sum(box[0]) * jnp.sum(box[1])
    return Mix(1 - covered.astype(jnp.float32) / (height * width), box)


def apply(mix: Mix, image: jax.Array, other: jax.Array) -> jax.Array:
    """The example's view and its partner's [H, W, C], mixed: float32 by mixup, their type by CutMix."""
    if mix.box is None:
        return mix.own * image.astype(jnp.float32) + (1 - mix.own) * other.astype(jnp.float32)
    rows, columns = mix.box
    return jnp.where((rows[:, None] & columns)[..., None], other, image)


def own_shares(batch: Mapping, seed: jax.Array, settings: Views) -> jax.Array:
    """[B] float32: how much of each example's mixed image, and of its label, is its own.

    batch: as `batches.gather` makes it; `inputs` [B, H, W, C] are read for their shape.
    """
    height, width = batch['inputs'].shape[1:3]

    def one(number: jax.Array) -> jax.Array:
        key = draws.view_key(seed, batch['view'], number)
        return draw(key, settings, height, width).own

    return jax.vmap(one)(batch['index'])


@jax.jit
def _partner_words(seed: jax.Array, view: jax.Array, index: jax.Array) -> jax.Array:
    def one(number: jax.Array) -> jax.Array:
        return draws.partner(draws.view_key(seed, view, number))

    return jax.vmap(one)(index.reshape(-1)).reshape(index.shape)


@functools.cache
def _quantiles(alpha: float) -> np.ndarray:
    """[CHOICES] float32: the values of λ."""
    middles = (np.arange(CHOICES) + 0.5) / CHOICES
    import scipy.special  # slow to import, and most runs do without it

    return scipy.special.betaincinv(alpha, alpha, middles).astype(np.float32)


@functools.cache
def _half_sides(alpha: float, height: int, width: int) -> np.ndarray:
    """[CHOICES, 2] int32: half the rows and columns of a box, by the number of its λ."""
    sides = np.sqrt(1 - _quantiles(alpha).astype(np.float64))[:, None] * (height, width)
    return sides.astype(np.int32) // 2
