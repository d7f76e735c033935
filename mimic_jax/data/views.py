"""Views: augmented examples as a pure function of (seed, view number, example index).

A view can be replayed anywhere, in any order, batch size or number of hosts, so a logit cache holds
no pixels. Views are made of raw inputs, before preprocessing: zero padding is black.
"""

import dataclasses
import functools
from collections.abc import Mapping

import jax
import jax.numpy as jnp
import numpy as np

from mimic_jax.artifacts import source
from mimic_jax.data import augmentation, colour, draws, mixing, spline
from mimic_jax.data.view_settings import NamedViews, Views
from mimic_jax.errors import UserError, first_line
from mimic_jax.runtime.interrupt import Interrupted

# Part of artifacts' names: any change of the pixels that a (seed, view, index) gives must raise it.
VERSION = 1


def is_identity(settings: Views) -> bool:
    """Whether these settings leave every example as it is."""
    moved = settings.mirror or settings.shift or settings.crop or settings.area or settings.cutout
    lit = settings.brightness or settings.contrast
    own = settings.own or mixing.is_on(settings)
    return not (moved or lit or _changes_colour(settings) or own)


def check(settings: Views, shape: tuple[int, ...], where: str) -> None:
    """UserError, calling the settings `where`, unless examples of this shape can have them."""
    if is_identity(settings):
        return
    _check_image(settings, shape, where)
    if settings.own:
        example, key = jax.ShapeDtypeStruct(shape, np.uint8), jax.eval_shape(_some_key)
        jax.eval_shape(lambda key, example: _own(key, example, settings, where), key, example)


def named(settings: Views, where: str) -> Views:
    """The settings, with the digest of a person's own function where they have one."""
    if not settings.own:
        return settings
    values = {field.name: getattr(settings, field.name) for field in dataclasses.fields(Views)}
    return NamedViews(**values, own_sha256=source.identity(settings.own, f'{where}.own')['sha256'])


def view(
    key: jax.Array, example: jax.Array, settings: Views, mirrored: jax.Array | None = None
) -> jax.Array:
    """One augmented example, by itself: each augmentation that is on, in the order below.

    example: [H, W, C], any type, pixels from 0 to 255 where colours change or a crop is resampled;
    anything at all when nothing is on.
    settings: `seed` is not read; the key has it. Mixup and CutMix, which take a second example, are
    done by `of_batch`.
      hue, saturation, value: shifts uniform in [−D, D], after saturation_scale and value_scale:
        factors uniform in [1/(1 + A), 1 + A] (Urban et al. 2017).
      brightness, contrast: factors uniform in [1 − A, 1 + A], see `augmentation.light`.
      mirror: left and right exchanged with probability ½.
      shift: rows and columns move by integers uniform in [−shift, shift]; `padding`, 'zero' or
        'reflect', is what moves in from outside.
      crop: a square whose side is an integer uniform in [crop, H], at a uniform place, resampled to
        H×W by the cubic spline through its pixels, each channel for itself.
      area: a crop of an area and aspect as `draws.box` has it, enlarged by linear interpolation.
      cutout: a square around a uniform centre becomes the image's mean colour.
      own: a person's own function.
    mirrored: [] bool, whether it is mirrored where `settings.alternate` holds (`draws.alternating`).
    Returns the example's shape, and its type unless colours or light change or a crop is resampled:
    that gives float32, not rounded, from 0 to 255.

    Raises:
      UserError: an example that these settings do not fit.
    """
    if is_identity(settings):
        return example
    _check_image(settings, example.shape, 'config.views')
    if _changes_colour(settings):
        example = colour.adjust(example, *draws.colour(key, settings))
    if settings.brightness or settings.contrast:
        example = augmentation.light(example, draws.light(key, settings))
    if settings.mirror:
        flag = mirrored if settings.alternate else draws.mirrored(key)
        example = augmentation.mirror(example, flag)
    if settings.shift:
        offset = draws.offset(key, settings.shift)
        example = augmentation.shift(example, offset, settings.shift, settings.padding)
    if settings.crop:
        example = _resampled(example, draws.crop(key, settings.crop, len(example)), settings.crop)
    if settings.area:
        corner, sides = draws.box(key, settings.area, *example.shape[:2])
        example = augmentation.resized_crop(example, corner, sides)
    if settings.cutout:
        centre = draws.centre(key, *example.shape[:2])
        example = augmentation.cut_out(example, centre, settings.cutout)
    if settings.own:
        example = _own(draws.own(key), example, settings, 'config.views')
    return example


def batch_views(
    inputs: jax.Array,
    view_number: jax.Array | int,
    index: jax.Array,
    seed: int,
    settings: Views,
    partners: tuple[jax.Array, jax.Array] | None = None,
) -> jax.Array:
    """View `view_number` of every example of a batch, inside jit or outside.

    inputs: [B, H, W, C]; [B, F] too when the settings are the identity.
    view_number: scalar int.  index: [B] int, the examples' own numbers.
    seed: of the views; `settings.seed` is not read, as a net trained on labels has its own.
    partners: raw inputs [B, H, W, C] and numbers [B] of the examples that each is mixed with
    (`mixing.with_partners`), where the settings mix.
    Returns the inputs' shape, and type as `view` and `mixing.apply` say; the inputs themselves when the
    settings are the identity.

    Raises:
      UserError: inputs that these settings do not fit.
    """
    if is_identity(settings):
        return inputs

    def one(example: jax.Array, number: jax.Array) -> jax.Array:
        flag = draws.alternating(seed, view_number, number) if settings.alternate else None
        return view(draws.view_key(seed, view_number, number), example, settings, flag)

    def mixed(example, number, other, other_number) -> jax.Array:
        key = draws.view_key(seed, view_number, number)
        mix = mixing.draw(key, settings, *example.shape[:2])
        return mixing.apply(mix, one(example, number), one(other, other_number))

    if mixing.is_on(settings):
        _check_image(settings, inputs.shape[1:], 'config.views')
        return jax.vmap(mixed)(inputs, index, *partners)
    return jax.vmap(one)(inputs, index)


def of_batch(batch: Mapping, seed: jax.Array | int, settings: Views) -> jax.Array:
    """`batch_views` of a batch as `batches.gather` makes it, [B, ...]."""
    partners = (batch['partner_inputs'], batch['partner']) if mixing.is_on(settings) else None
    return batch_views(batch['inputs'], batch['view'], batch['index'], seed, settings, partners)


def _own(key: jax.Array, example: jax.Array, settings: Views, where: str) -> jax.Array:
    """A person's own view of one example."""
    where, path = f'{where}.own', settings.own
    if isinstance(settings, NamedViews):
        now = source.identity(path, where)['sha256']
        if now != settings.own_sha256:
            raise UserError(f'{where} is {path!r}, which was edited during this run; run it again')
    function = source.load(path, where)
    try:
        made = jnp.asarray(function(key, example))
    except Interrupted:
        raise
    except Exception as error:  # whatever the function does
        reason = first_line(error)
        raise UserError(
            f'{where} is {path!r}, which fails on an image of shape {tuple(example.shape)} ({reason}); '
            'it is given a key and one image, as jax arrays'
        ) from error
    if made.shape != example.shape or made.dtype not in (example.dtype, jnp.float32):
        raise UserError(
            f'{where} is {path!r}, which makes {made.dtype} of shape {made.shape} of an image of shape '
            f"{tuple(example.shape)}; return that shape, in float32 or the image's type"
        )
    return made


def _some_key() -> jax.Array:
    return draws.view_key(0, 0, 0)


def _changes_colour(settings: Views) -> bool:
    shifts = settings.hue or settings.saturation or settings.value
    return bool(shifts or settings.saturation_scale or settings.value_scale)


def _resampled(image: jax.Array, crop: jax.Array, smallest: int) -> jax.Array:
    zooms = jnp.asarray(_zoom_matrices(smallest, len(image)))
    rows, columns = (spline.crop_matrix(zooms, crop[0], start) for start in crop[1:])
    # A spline overshoots beside an edge.
    return jnp.clip(spline.resample(image, rows, columns), 0, 255)


@functools.cache
def _zoom_matrices(smallest: int, length: int) -> np.ndarray:
    return spline.zoom_matrices(smallest, length)


def _check_image(settings: Views, shape: tuple[int, ...], where: str) -> None:
    if len(shape) != 3:
        raise UserError(
            f'{where} augments images [H, W, C], but an example has shape {tuple(shape)}; '
            'turn all of it off'
        )
    size = f'{shape[0]}×{shape[1]}'
    for name in ('shift', 'cutout'):
        if getattr(settings, name) >= min(shape[:2]):
            raise UserError(
                f'{where}.{name} is {getattr(settings, name)}, but images are {size}; make it smaller'
            )
    if settings.crop and settings.shift:
        raise UserError(f'{where} has both crop and shift; set one of them to 0')
    for name in ('crop', 'shift'):
        if settings.area and getattr(settings, name):
            raise UserError(f'{where} has both area and {name}; set one of them to 0')
    if settings.mixup and settings.cutmix:
        raise UserError(f'{where} has both mixup and cutmix; set one of them to 0')
    if settings.crop and shape[0] != shape[1]:
        raise UserError(f'{where}.crop is for square images, but these are {size}; set it to 0')
    if settings.crop > shape[0]:
        raise UserError(f'{where}.crop is {settings.crop}, but images are {size}; make it smaller')
    if (settings.brightness or settings.contrast) and shape[2] not in (1, 3):
        raise UserError(
            f'{where} changes light, but images have {shape[2]} channels, neither 1 nor 3; set '
            'brightness and contrast to 0'
        )
    if _changes_colour(settings) and shape[2] != 3:
        raise UserError(
            f'{where} changes colours, but images have {shape[2]} channels, not 3; set hue, '
            'saturation, value and their scales to 0'
        )
