"""Views: augmented examples as a pure function of (seed, view number, example index).

A view can be replayed anywhere, in any order, batch size or number of hosts, so a logit cache holds
no pixels. Views are made of raw inputs, before preprocessing: zero padding is black.
"""

import functools

import jax
import jax.numpy as jnp
import numpy as np

from mimic_jax.data import augmentation, colour, spline
from mimic_jax.data.settings import Views
from mimic_jax.errors import UserError

# Part of artifacts' names: any change of the pixels that a (seed, view, index) gives must raise it.
VERSION = 1
PRNG = 'threefry2x32'

# Each augmentation draws from a key of its own, so that turning one on, or adding one, leaves the
# others' draws as they were. A number is never given away again.
_MIRROR, _SHIFT, _COLOUR, _CROP = 0, 1, 2, 3


def is_identity(settings: Views) -> bool:
    """Whether these settings leave every example as it is."""
    return not (settings.mirror or settings.shift or settings.crop or _changes_colour(settings))


def check(settings: Views, shape: tuple[int, ...], where: str) -> None:
    """UserError, calling the settings `where`, unless examples of this shape can have them."""
    if not is_identity(settings):
        _check_image(settings, shape, where)


def view_key(seed: jax.Array | int, view: jax.Array | int, index: jax.Array | int) -> jax.Array:
    """The random key of one view of one example: what the whole view depends on.

    seed: of the views, from 0 to 2³² − 1 (the settings hold people to it).  view, index: from 0.
    """
    key = jax.random.key(seed, impl=PRNG)
    return jax.random.fold_in(jax.random.fold_in(key, view), index)


def view(key: jax.Array, example: jax.Array, settings: Views) -> jax.Array:
    """One augmented example: first its colours, then the mirror, then the shift or the crop.

    example: [H, W, C], any type, pixels from 0 to 255 where colours change or a crop is resampled;
    anything at all when nothing is on.
    settings: `seed` is not read; the key has it.
      mirror: left and right exchanged with probability ½.
      shift: rows and columns move by integers uniform in [−shift, shift]; `padding`, 'zero' or
        'reflect', is what moves in from outside.
      crop: a square whose side is an integer uniform in [crop, H], at a uniform place, resampled to
        H×W by the cubic spline through its pixels, each channel for itself.
      hue, saturation, value: shifts uniform in [−D, D], after saturation_scale and value_scale:
        factors uniform in [1/(1 + A), 1 + A] (Urban et al. 2017).
    Returns the example's shape, and its type unless colours change or a crop is resampled: that
    gives float32, not rounded, from 0 to 255.

    Raises:
      UserError: an example that these settings do not fit.
    """
    if is_identity(settings):
        return example
    _check_image(settings, example.shape, 'config.views')
    if _changes_colour(settings):
        example = colour.adjust(example, *draw_colour(key, settings))
    if settings.mirror:
        example = augmentation.mirror(example, draw_mirror(key))
    if settings.shift:
        offset = draw_offset(key, settings.shift)
        example = augmentation.shift(example, offset, settings.shift, settings.padding)
    if settings.crop:
        example = _resampled(example, draw_crop(key, settings.crop, len(example)), settings.crop)
    return example


def batch_views(
    inputs: jax.Array,
    view_number: jax.Array | int,
    index: jax.Array,
    seed: int,
    settings: Views,
) -> jax.Array:
    """View `view_number` of every example of a batch, inside jit or outside.

    inputs: [B, H, W, C]; [B, F] too when the settings are the identity.
    view_number: scalar int.  index: [B] int, the examples' own numbers.
    seed: of the views; `settings.seed` is not read, as a net trained on labels has its own.
    Returns the inputs' shape, and type as `view` says; the inputs themselves when the settings are
    the identity.

    Raises:
      UserError: inputs that these settings do not fit.
    """
    if is_identity(settings):
        return inputs

    def one(example: jax.Array, number: jax.Array) -> jax.Array:
        return view(view_key(seed, view_number, number), example, settings)

    return jax.vmap(one)(inputs, index)


def draw_mirror(key: jax.Array) -> jax.Array:
    """[] bool, true with probability ½."""
    return _words(key, _MIRROR, ()) >= jnp.uint32(2**31)


def draw_offset(key: jax.Array, shift: int) -> jax.Array:
    """[2] int32, rows and columns, uniform in [−shift, shift]; probabilities are right to 2⁻³²."""
    choices = jnp.uint32(2 * shift + 1)
    return (_words(key, _SHIFT, (2,)) % choices).astype(jnp.int32) - shift


def draw_crop(key: jax.Array, smallest: int, length: int) -> jax.Array:
    """[3] int32: a side S uniform in [smallest, length], then first row and column in [0, length − S]."""
    words = _words(key, _CROP, (3,))
    smaller = words[0] % jnp.uint32(length - smallest + 1)
    size = jnp.uint32(smallest) + smaller
    places = words[1:] % (jnp.uint32(length + 1) - size)
    return jnp.concatenate([size[None], places]).astype(jnp.int32)


def draw_colour(key: jax.Array, settings: Views) -> tuple[jax.Array, jax.Array]:
    """Shifts [3] of hue, saturation and value, and factors [2] of the last two, float32."""
    # The upper 24 bits, as many as float32 has: multiples of 2⁻²⁴ in [0, 1).
    uniform = (_words(key, _COLOUR, (5,)) >> 8).astype(jnp.float32) * jnp.float32(2**-24)
    most = jnp.array([settings.hue, settings.saturation, settings.value], jnp.float32)
    largest = 1 + jnp.array([settings.saturation_scale, settings.value_scale], jnp.float32)
    smallest = 1 / largest
    return (2 * uniform[:3] - 1) * most, smallest + uniform[3:] * (largest - smallest)


def _words(key: jax.Array, augmentation_number: int, shape: tuple[int, ...]) -> jax.Array:
    # Raw 32-bit words rather than randint and bernoulli, whose draws depend on whether 64-bit types
    # are enabled and may change between releases of jax: caches outlive both.
    return jax.random.bits(jax.random.fold_in(key, augmentation_number), shape, jnp.uint32)


def _changes_colour(settings: Views) -> bool:
    shifts = settings.hue or settings.saturation or settings.value
    return bool(shifts or settings.saturation_scale or settings.value_scale)


def _resampled(image: jax.Array, crop: jax.Array, smallest: int) -> jax.Array:
    length = len(image)
    matrices = jnp.asarray(_crop_matrices(smallest, length))
    rows, columns = (
        matrices[spline.crop_number(crop[0], start, smallest, length)] for start in crop[1:]
    )
    # A spline overshoots beside an edge.
    return jnp.clip(spline.resample(image, rows, columns), 0, 255)


@functools.cache
def _crop_matrices(smallest: int, length: int) -> np.ndarray:
    return spline.crop_matrices(smallest, length)


def _check_image(settings: Views, shape: tuple[int, ...], where: str) -> None:
    if len(shape) != 3:
        raise UserError(
            f'{where} augments images [H, W, C], but an example has shape {tuple(shape)}; '
            'turn all of it off'
        )
    size = f'{shape[0]}×{shape[1]}'
    if settings.shift >= min(shape[:2]):
        raise UserError(
            f'{where}.shift is {settings.shift}, but images are {size}; make it smaller'
        )
    if settings.crop and settings.shift:
        raise UserError(f'{where} has both crop and shift; set one of them to 0')
    if settings.crop and shape[0] != shape[1]:
        raise UserError(f'{where}.crop is for square images, but these are {size}; set it to 0')
    if settings.crop > shape[0]:
        raise UserError(f'{where}.crop is {settings.crop}, but images are {size}; make it smaller')
    if _changes_colour(settings) and shape[2] != 3:
        raise UserError(
            f'{where} changes colours, but images have {shape[2]} channels, not 3; set hue, '
            'saturation, value and their scales to 0'
        )
