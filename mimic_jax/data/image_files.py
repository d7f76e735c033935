"""One image from a file, decoded as viewers show it: upright, and with its transparency."""

import warnings
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO

import numpy as np
from PIL import ExifTags, Image, UnidentifiedImageError

from mimic_jax.errors import UserError, first_line
from mimic_jax.runtime import files
from mimic_jax.runtime.interrupt import Interrupted

# Part of the names of what is decoded here: raise when the same file gives other pixels.
VERSION = 2

LARGEST = 64_000_000  # pixels of an image: more is a mistake, or meant to exhaust memory
PROGRAMS = ('EPS', 'WMF')  # formats that other programs would have to draw
MODES = {1: 'L', 2: 'LA', 3: 'RGB', 4: 'RGBA'}  # Pillow's, by number of channels
_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}  # what an EXIF orientation asks for

FRAMES = 'further frames, of which the first alone is read'
DEPTH = '16 bits a channel, of which the upper 8 are read'
Note = Callable[[str, str], None]  # (what a file holds that is not kept, its name)


class Noted(dict):
    """What decoding did not keep: the number of files and the first of their names, by what."""

    def __call__(self, what: str, name: str) -> None:
        count, first = self.get(what, (0, files.printable(name)))
        self[what] = (count + 1, first)

    def lines(self) -> list[str]:
        return [
            f'{count} image{"s" if count > 1 else ""} ({first}{", …" if count > 1 else ""}) '
            f'{"have" if count > 1 else "has"} {what}'
            for what, (count, first) in sorted(self.items())
        ]


def decode(
    file: Path | BinaryIO,
    name: str,
    shape: tuple[int, ...],
    like: str = '',
    note: Note = lambda what, name: None,
    fit: str = 'none',
) -> np.ndarray:
    """One image [H, W, C] uint8 of a file, path or stream, in any format that Pillow opens.

    It is turned as its EXIF or XMP orientation says. Palettes become RGB, or RGBA where a colour is
    transparent; single bits become grey levels 0 and 255; a transparent grey level or colour becomes a
    channel of its own. No other conversion is made. An image of another size is refused before any of
    its pixels is decoded, unless `fit` says how it is resized.

    like: the image whose shape it must have, to be named in an error.
    fit: 'cut': the largest centred part of the wanted proportions is resized, by Pillow's bicubic filter,
    which averages where it makes smaller; 'stretch': all of it; 'none': nothing is.
    note: called with `FRAMES` or `DEPTH` and the name where the file holds more than is kept.

    Raises:
      UserError: by `name`, what Pillow cannot read, or an image of another size or mode.
    """
    wanted, mend = (shape[1], shape[0]), _mend(shape, like)

    def check_size(size: tuple[int, int], allowed: tuple) -> None:
        if size not in allowed:
            resize = ', or set config.data.size' if like else ''
            raise UserError(f'{name} has {size[1]}×{size[0]} pixels; {mend}{resize}')

    try:
        with Image.open(file) as image:
            if fit == 'none':
                check_size(image.size, (wanted, wanted[::-1]))  # it may have to be turned yet
            elif image.size[0] * image.size[1] > LARGEST:
                raise _too_large(name)
            if image.format in PROGRAMS:
                raise UserError(f'{name} is {image.format}, which is a program to run; {mend}')
            if ';16' in str(image.tile) and image.mode in MODES.values():
                note(DEPTH, name)
            turned = _upright(image)
            if fit == 'none':
                check_size(turned.size, (wanted,))
            pixels = _pixels(turned, shape[2])
            if pixels is None:
                alpha = ', with transparency' * ('transparency' in turned.info)
                bands = len(_expanded(turned).getbands())
                raise UserError(
                    f'{name} has {_channels(bands)} (mode {turned.mode}{alpha}); {mend}'
                )
            if _has_frames(image):
                note(FRAMES, name)
            return _resized(pixels, wanted, fit).reshape(shape)
    except (UserError, Interrupted):
        raise
    except UnidentifiedImageError:
        raise UserError(f'{name} is no image that Pillow can read; remove it') from None
    except Exception as error:  # Pillow raises OSError, SyntaxError, ValueError, zlib.error ...
        reason = first_line(error)
        raise UserError(f'{name} cannot be decoded ({reason}); replace or remove it') from error


def shape_of(file: Path | BinaryIO, name: str) -> tuple[int, int, int]:
    """[H, W, C] of an image as `decode` gives it; UserError by `name` where there is none.

    An image of more than 64 megapixels, or of a mode that is not read, is refused by its header.
    """
    try:
        with warnings.catch_warnings():
            # Pillow warns of a header that promises very many pixels; it is refused below.
            warnings.simplefilter('ignore', Image.DecompressionBombWarning)
            with Image.open(file) as image:
                _check_header(image, name)
                turned = _upright(image)
                width, height = turned.size
                channels = next(c for c in (1, 2, 3, 4) if _pixels(turned, c) is not None)
                return height, width, channels
    except Image.DecompressionBombError:
        raise _too_large(name) from None
    except (UserError, Interrupted):
        raise
    except Exception as error:  # Pillow raises OSError, SyntaxError, ValueError, struct.error ...
        raise UserError(
            f'{name} is no image that Pillow can read ({type(error).__name__}); remove it'
        ) from None


def _resized(pixels: np.ndarray, wanted: tuple[int, int], fit: str) -> np.ndarray:
    """Pixels [H, W] or [H, W, C] in the wanted width and height."""
    height, width = pixels.shape[:2]
    if (width, height) == wanted:
        return pixels
    image = Image.fromarray(
        pixels.squeeze(-1) if pixels.ndim == 3 and pixels.shape[-1] == 1 else pixels
    )
    box = _box((width, height), wanted, fit)
    return np.asarray(image.resize(wanted, Image.Resampling.BICUBIC, box=box))


def _box(
    size: tuple[int, int], wanted: tuple[int, int], fit: str
) -> tuple[float, float, float, float]:
    """Left, top, right and bottom of what is resized, within an image of `size`, width first."""
    width, height = size
    if fit != 'cut':
        return 0.0, 0.0, float(width), float(height)
    scale = min(width / wanted[0], height / wanted[1])
    # Rounding may put an edge just outside the image, which Pillow refuses.
    left = max(0.0, (width - scale * wanted[0]) / 2)
    top = max(0.0, (height - scale * wanted[1]) / 2)
    return left, top, width - left, height - top


def _check_header(image: Image.Image, name: str) -> None:
    if image.size[0] * image.size[1] > LARGEST:
        raise _too_large(name)
    if image.format in PROGRAMS:
        raise UserError(f'{name} is {image.format}, which is a program to run; remove it')
    if image.mode not in ('1', 'P', 'PA', *MODES.values()):
        raise UserError(f'{name} has the mode {image.mode}; convert it to 8-bit grey levels or RGB')


def _too_large(name: str) -> UserError:
    return UserError(f'{name} has more than {LARGEST:,} pixels; make it smaller or remove it')


def _upright(image: Image.Image) -> Image.Image:
    image.load()  # by this Pillow turns a TIFF, and reads a PNG's metadata behind the pixels
    try:
        orientation = image.getexif().get(ExifTags.Base.Orientation)
    except Interrupted:
        raise
    except Exception:  # damaged EXIF, which viewers ignore too
        return image
    turn = _TURNS.get(orientation)
    if turn is None:
        return image
    return image.transpose(turn)


def _expanded(image: Image.Image) -> Image.Image:
    """Its bits, palette and transparent colour as channels."""
    wide = {'1': 'L', 'P': 'RGB', 'PA': 'RGBA'}.get(image.mode, image.mode)
    if 'transparency' in image.info and wide in ('L', 'RGB'):
        wide += 'A'
    return image if wide == image.mode else image.convert(wide)


def _pixels(image: Image.Image, channels: int) -> np.ndarray | None:
    """[H, W, C] or [H, W] uint8; None where so many channels do not hold exactly this image."""
    expanded = _expanded(image)
    mode, wanted, pixels = expanded.mode, MODES.get(channels), np.asarray(expanded)
    if mode == wanted:
        return pixels
    if mode == f'{wanted}A' and mode != image.mode and (pixels[..., -1] == 255).all():
        return pixels[..., :-1]  # no pixel has the colour that is transparent
    if image.mode == 'P' and wanted == 'RGBA':
        return np.asarray(image.convert('RGBA'))
    return None


def _has_frames(image: Image.Image) -> bool:
    try:
        return bool(getattr(image, 'is_animated', False))
    except Interrupted:
        raise
    except Exception:  # what follows the first frame is damaged: there is none that can be shown
        return False


def _mend(shape: tuple[int, ...], like: str) -> str:
    as_in = f' as {like} has' if like else ''
    return (
        f'convert it to {shape[0]}×{shape[1]} pixels and {_channels(shape[2])}{as_in}, or remove it'
    )


def _channels(count: int) -> str:
    return f'{count} channel' if count == 1 else f'{count} channels'
