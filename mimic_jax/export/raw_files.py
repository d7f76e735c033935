"""Examples that a person has in files: images and arrays, checked, and resized as the data were."""

import warnings
from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np
from PIL import Image

from mimic_jax.data import array_files, image_files
from mimic_jax.data.centring import Centre
from mimic_jax.data.image_files import Noted
from mimic_jax.errors import UserError, first_line
from mimic_jax.runtime import files
from mimic_jax.runtime.interrupt import Interrupted

ARRAYS = ('.npy', '.npz')
KEYS = ('images', 'features')  # of an .npz file, the first that it has
_NOTHING = Centre()


def examples(
    path: Path,
    shape: tuple[int, ...],
    dtype: np.dtype,
    size: int,
    centre: Centre = _NOTHING,
    fit: str = 'none',
) -> tuple[int, Iterator[tuple[list[str], np.ndarray]]]:
    """How many examples `path` holds, and their names and raw inputs [n, ...], `size` at a time.

    path: an image file; a folder, all files below which are images, hidden ones aside, in the order
    of their names; or an .npy or .npz file of [N, ...]. A name is a file's, below the folder, or a
    row's number.
    shape, dtype: of an example as the net takes it. Where the net takes uint8, arrays must be uint8;
    otherwise their numbers become `dtype`.
    centre: what was taken off the features that the net was trained on.
    fit: how images of another size are resized (`image_files.decode`); 'none' refuses such an image
    before any of its pixels is decoded. A line on stderr names what images hold that is not read, such
    as further frames.

    Raises:
      UserError: here or while iterating: nothing there, or what is no example of that shape, by name.
    """
    if path.suffix.lower() in ARRAYS and path.is_file():
        array = _array(path, shape, dtype)
        parts = ((start, array[start : start + size]) for start in range(0, len(array), size))
        return len(array), (
            (
                [str(start + row) for row in range(len(part))],
                _numbers(part, start, path, dtype, centre),
            )
            for start, part in parts
        )
    if len(shape) != 3 or dtype != np.uint8:
        raise UserError(f'{path} is no .npy or .npz file; the net takes {_wanted(shape, dtype)}')
    found = files.below(path)
    return len(found), _images(found, shape, size, fit)


def _images(
    found: Mapping[str, Path], shape: tuple[int, ...], size: int, fit: str
) -> Iterator[tuple[list[str], np.ndarray]]:
    noted = Noted()
    for names in _chunks(list(found), size):
        yield names, np.stack([_image(found[name], shape, noted, fit) for name in names])
    for line in noted.lines():
        files.say(line)


def _image(path: Path, shape: tuple[int, ...], note: Noted, fit: str) -> np.ndarray:
    with warnings.catch_warnings():
        # Pillow warns of a header that promises very many pixels; its size is then refused in a line.
        warnings.simplefilter('ignore', Image.DecompressionBombWarning)
        return image_files.decode(path, str(path), shape, note=note, fit=fit)


def _array(path: Path, shape: tuple[int, ...], dtype: np.dtype) -> np.ndarray:
    array = _opened(path)
    if array.shape[1:] != shape or array.ndim != len(shape) + 1 or not len(array):
        raise UserError(f'{path} has shape {array.shape}; the net takes {_wanted(shape, dtype)}')
    if (array.dtype != np.uint8) if dtype == np.uint8 else (array.dtype.kind not in 'fiu'):
        raise UserError(f'{path} is {array.dtype}; the net takes {_wanted(shape, dtype)}')
    return array


def _opened(path: Path) -> np.ndarray:
    if path.suffix.lower() == '.npz':
        arrays = array_files.read_npz(path, KEYS)
        if not arrays:
            held = ', '.join(array_files.names(path)) or 'nothing'
            raise UserError(f'{path} holds {held}; it needs {" or ".join(KEYS)}')
        return next(arrays[key] for key in KEYS if key in arrays)
    try:
        return np.lib.format.open_memmap(path, mode='r')  # which unpickles nothing
    except Interrupted:
        raise
    except Exception as error:  # of a strange header NumPy and ast raise a dozen kinds
        reason = first_line(error)
        raise UserError(
            f'{path} cannot be read as .npy ({reason}); write a plain array with numpy.save'
        ) from None


def _numbers(
    part: np.ndarray, start: int, path: Path, dtype: np.dtype, centre: Centre
) -> np.ndarray:
    part = np.asarray(part)
    if centre.columns:
        part = centre.apply(part)
    with np.errstate(over='ignore'):  # beyond float32 becomes infinite, which is told below
        part = part.astype(dtype)
    if not np.isfinite(part).all():
        row = start + int(np.flatnonzero(~np.isfinite(part.reshape(len(part), -1)).all(axis=1))[0])
        raise UserError(f'{path}: row {row} holds numbers that are not finite; replace them')
    return part


def _chunks(names: list[str], size: int) -> Iterator[list[str]]:
    return (names[start : start + size] for start in range(0, len(names), size))


def _wanted(shape: tuple[int, ...], dtype: np.dtype) -> str:
    kind = 'uint8' if dtype == np.uint8 else 'numbers'
    return f'[N, {", ".join(map(str, shape))}] {kind}'
