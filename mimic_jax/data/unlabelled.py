"""Unlabelled images from elsewhere, in an order that never changes, a few megabytes at a time."""

import contextlib
import hashlib
import os
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

import numpy as np
from PIL import Image, UnidentifiedImageError

from mimic_jax.artifacts import store
from mimic_jax.data import array_files, tfds_images
from mimic_jax.data.settings import Transfer
from mimic_jax.errors import UserError
from mimic_jax.runtime.interrupt import Interrupted

CHUNK_BYTES = 16 << 20  # of pixels held at a time
KEYS = ('unlabelled', 'images')  # of an .npz file, the first that it has
PROGRAMS = ('EPS', 'WMF')  # formats that other programs would have to draw
MODES = {1: 'L', 2: 'LA', 3: 'RGB', 4: 'RGBA'}  # Pillow's, by number of channels
WHERE = 'config.data.transfer'


def identity(settings: Transfer) -> dict:
    """What determines the images.

    An .npz or .npy file counts by its content, a folder by its files' names, sizes and times of
    change, a TFDS data set by name, version and number of images.

    Raises:
      UserError: nothing there to read.
    """
    common = {'kind': settings.kind, 'limit': settings.limit}
    match settings.kind:
        case 'npz':
            return {**common, 'sha256': store.file_digest(_path(settings, Path.is_file))}
        case 'folder':
            return {**common, 'files_sha256': listing_digest(*_listing(settings))}
        case _:
            return {**common, **tfds_images.identity(settings)}


def load(settings: Transfer, shape: tuple[int, ...]) -> tuple[int, Iterator[np.ndarray]]:
    """How many images there are, and an iterator over them in chunks, uint8 [n, H, W, C].

    shape: [H, W, C], of the data set's own images.

    Raises:
      UserError: here or while iterating: what is no image, or one of another size, number of
        channels or type, by name.
    """
    if len(shape) != 3:
        raise UserError(
            f'{WHERE} gives images, but the examples of config.data have shape {tuple(shape)}; '
            "set its kind to 'none'"
        )
    size = max(1, CHUNK_BYTES // int(np.prod(shape)))
    match settings.kind:
        case 'npz':
            count, chunks = _load_file(_path(settings, Path.is_file), shape, settings.limit, size)
        case 'folder':
            root, names = _listing(settings)
            count = len(names)
            chunks = (
                np.stack([_decoded(root / name, shape) for name in names[start : start + size]])
                for start in range(0, count, size)
            )
        case _:
            count, chunks = tfds_images.load(
                settings, size, lambda file, name: decode(file, name, shape)
            )
    return count, chunks


def decode(file, name: str, shape: tuple[int, ...], like: str = '') -> np.ndarray:
    """One image [H, W, C] uint8 of a file, path or stream, in any format that Pillow opens.

    Palettes become RGB, single bits grey levels 0 and 255; no other conversion is made.
    like: the image whose shape it must have, to be named in an error.

    Raises:
      UserError: by `name`, what Pillow cannot read, or an image of another size or mode.
    """
    as_in = f' as {like} has' if like else ''
    mend = (
        f'convert it to {shape[0]}×{shape[1]} pixels and {_channels(shape[2])}{as_in}, or remove it'
    )
    try:
        with Image.open(file) as image:
            if image.size != (shape[1], shape[0]):
                height, width = image.size[::-1]
                raise UserError(f'{name} has {height}×{width} pixels; {mend}')
            if image.format in PROGRAMS:
                raise UserError(f'{name} is {image.format}, which is a program to run; {mend}')
            if image.mode in ('1', 'P'):
                image = image.convert({'1': 'L', 'P': 'RGB'}[image.mode])
            if image.mode != MODES.get(shape[2]):
                raise UserError(
                    f'{name} has {_channels(len(image.getbands()))} (mode {image.mode}); {mend}'
                )
            return np.asarray(image).reshape(shape)
    except (UserError, Interrupted):
        raise
    except UnidentifiedImageError:
        raise UserError(f'{name} is no image that Pillow can read; remove it') from None
    except Exception as error:  # Pillow raises OSError, SyntaxError, ValueError, zlib.error ...
        reason = (str(error) or type(error).__name__).splitlines()[0]
        raise UserError(f'{name} cannot be decoded ({reason}); replace or remove it') from error


def _decoded(path: Path, shape: tuple[int, ...]) -> np.ndarray:
    return decode(path, str(path), shape)


def _channels(count: int) -> str:
    return f'{count} channel' if count == 1 else f'{count} channels'


def _path(settings: Transfer, is_there) -> Path:
    what = {'npz': 'an .npz or .npy file', 'folder': 'a folder'}[settings.kind]
    if not settings.root:
        raise UserError(f'{WHERE}.root is empty; set it to {what} of images')
    path = Path(settings.root).expanduser()
    if not is_there(path):
        raise UserError(f'{WHERE}.root is {settings.root!r}, which is not {what}; give one')
    return path


def _listing(settings: Transfer) -> tuple[Path, list[str]]:
    """The folder, and its files' names below it, sorted; hidden files and folders left out."""
    root = _path(settings, Path.is_dir)
    names = []
    for folder, inner, files in os.walk(root, onerror=_raise):
        inner[:] = [name for name in inner if not name.startswith('.')]
        below = Path(folder).relative_to(root)
        names.extend((below / name).as_posix() for name in files if not name.startswith('.'))
    if not names:
        raise UserError(f'{root} holds no files; set {WHERE}.root to a folder of images')
    return root, sorted(names)[: settings.limit or None]


def _raise(error: OSError) -> None:
    raise error


def listing_digest(root: Path, names: list[str]) -> str:
    """SHA-256 of files' names below `root`, sizes and times of change."""
    digest = hashlib.sha256()
    for name in names:
        status = os.lstat(root / name)
        digest.update(f'{name}\0{status.st_size}\0{status.st_mtime_ns}\n'.encode())
    return digest.hexdigest()


def _load_file(
    path: Path, shape: tuple[int, ...], limit: int, size: int
) -> tuple[int, Iterator[np.ndarray]]:
    with _reading(path) as (file, name):
        count = _length(file, name, shape)
    count = min(count, limit or count)

    def chunks() -> Iterator[np.ndarray]:
        with _reading(path) as (file, name):
            _length(file, name, shape)
            for start in range(0, count, size):
                part = (min(size, count - start), *shape)
                data = file.read(int(np.prod(part)))
                if len(data) != np.prod(part):
                    raise UserError(f'{name} ends early; write the file again')
                yield np.frombuffer(data, np.uint8).reshape(part)

    return count, chunks()


@contextlib.contextmanager
def _reading(path: Path) -> Iterator[tuple[BinaryIO, str]]:
    """The .npy file at `path`, or within the .npz file there, and what to call it."""
    try:
        if not zipfile.is_zipfile(path):
            with path.open('rb') as file:
                yield file, str(path)
            return
        with zipfile.ZipFile(path) as archive:
            held = archive.namelist()
            key = next((key for key in KEYS if f'{key}.npy' in held), None)
            if key is None:
                held = ', '.join(sorted(name.removesuffix('.npy') for name in held))
                raise UserError(f'{path} holds {held or "nothing"}; it needs {" or ".join(KEYS)}')
            with archive.open(f'{key}.npy') as file:
                yield file, f'{path}: {key}'
    except (UserError, Interrupted):
        raise
    except Exception as error:  # zipfile, zlib and struct raise a dozen kinds
        reason = (str(error) or type(error).__name__).splitlines()[0]
        raise UserError(f'{path} cannot be read ({reason}); write it with numpy.savez') from error


def _length(file: BinaryIO, name: str, shape: tuple[int, ...]) -> int:
    """Reads an .npy file's header; the number of images, uint8 of the given shape, that follow."""
    try:
        found, by_columns, dtype = array_files.read_header(file)
    except ValueError:
        raise UserError(f'{name} is no plain array; write it with numpy.savez') from None
    if len(found) != 4 or found[0] == 0:
        raise UserError(f'{name} has shape {found}; it must be [N, H, W, C], none of them 0')
    if found[1:] != tuple(shape):
        raise UserError(
            f'{name} has images of shape {found[1:]}, config.data of {tuple(shape)}; make them equal'
        )
    if dtype != np.uint8:
        raise UserError(f'{name} is {dtype}; it must be uint8, 0 to 255')
    if by_columns:
        raise UserError(f'{name} is stored by columns; write numpy.ascontiguousarray of it')
    return found[0]
