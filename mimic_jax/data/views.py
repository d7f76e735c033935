"""Views: augmented examples as a pure function of (seed, view number, example index).

A view can be replayed anywhere, in any order, batch size or number of hosts, so a logit cache holds
no pixels. Views are made of raw inputs, before preprocessing: zero padding is black.
"""

import jax
import jax.numpy as jnp

from mimic_jax import config
from mimic_jax.errors import UserError
from mimic_jax.ops import augmentation

# Part of artifacts' names: any change of the pixels that a (seed, view, index) gives must raise it.
VERSION = 1
PRNG = 'threefry2x32'

# Each augmentation draws from a key of its own, so that turning one on, or adding one (HSV, a
# resampled crop), leaves the others' draws as they were. A number is never given away again.
_MIRROR, _SHIFT = 0, 1


def is_identity(settings: config.Views) -> bool:
    """Whether these settings leave every example as it is."""
    return not settings.mirror and settings.shift == 0


def check(settings: config.Views, shape: tuple[int, ...], where: str) -> None:
    """UserError, calling the settings `where`, unless examples of this shape can have them."""
    if not is_identity(settings):
        _check_image(shape, settings.shift, where)


def view_key(seed: jax.Array | int, view: jax.Array | int, index: jax.Array | int) -> jax.Array:
    """The random key of one view of one example: what the whole view depends on.

    seed: of the views, from 0 to 2³² − 1 (`config` holds people to it).  view, index: from 0.
    """
    key = jax.random.key(seed, impl=PRNG)
    return jax.random.fold_in(jax.random.fold_in(key, view), index)


def view(
    key: jax.Array, example: jax.Array, *, mirror: bool, shift: int, padding: str
) -> jax.Array:
    """One augmented example.

    example: [H, W, C], any type; anything at all when nothing is on.
    mirror: left and right exchanged with probability ½.
    shift: rows and columns move by integers uniform in [−shift, shift].
    padding: 'zero' or 'reflect', what moves in from outside.
    Returns the example's shape and type.

    Raises:
      UserError: an example that is no image, or a shift as large as the image.
    """
    if mirror or shift:
        _check_image(example.shape, shift, 'config.views')
    if mirror:
        example = augmentation.mirror(example, draw_mirror(key))
    if shift:
        example = augmentation.shift(example, draw_offset(key, shift), shift, padding)
    return example


def batch_views(
    inputs: jax.Array,
    view_number: jax.Array | int,
    index: jax.Array,
    seed: int,
    settings: config.Views,
) -> jax.Array:
    """View `view_number` of every example of a batch, inside jit or outside.

    inputs: [B, H, W, C]; [B, F] too when the settings are the identity.
    view_number: scalar int.  index: [B] int, the examples' own numbers.
    seed: of the views; `settings.seed` is not read, as a net trained on labels has its own.
    Returns the inputs' shape and type; the inputs themselves when the settings are the identity.

    Raises:
      UserError: augmentation of inputs that are no images, or a shift as large as they are.
    """
    if is_identity(settings):
        return inputs

    def one(example: jax.Array, number: jax.Array) -> jax.Array:
        return view(
            view_key(seed, view_number, number),
            example,
            mirror=settings.mirror,
            shift=settings.shift,
            padding=settings.padding,
        )

    return jax.vmap(one)(inputs, index)


def draw_mirror(key: jax.Array) -> jax.Array:
    """[] bool, true with probability ½."""
    return _words(key, _MIRROR, ()) >= jnp.uint32(2**31)


def draw_offset(key: jax.Array, shift: int) -> jax.Array:
    """[2] int32, rows and columns, uniform in [−shift, shift]; probabilities are right to 2⁻³²."""
    choices = jnp.uint32(2 * shift + 1)
    return (_words(key, _SHIFT, (2,)) % choices).astype(jnp.int32) - shift


def _words(key: jax.Array, augmentation_number: int, shape: tuple[int, ...]) -> jax.Array:
    # Raw 32-bit words rather than randint and bernoulli, whose draws depend on whether 64-bit types
    # are enabled and may change between releases of jax: caches outlive both.
    return jax.random.bits(jax.random.fold_in(key, augmentation_number), shape, jnp.uint32)


def _check_image(shape: tuple[int, ...], shift: int, where: str) -> None:
    if len(shape) != 3:
        raise UserError(
            f'{where} augments images [H, W, C], but an example has shape {tuple(shape)}; '
            'set mirror to False and shift to 0'
        )
    if shift >= min(shape[:2]):
        raise UserError(
            f'{where}.shift is {shift}, but images are {shape[0]}×{shape[1]}; make it smaller'
        )
