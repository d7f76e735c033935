"""Unlabelled images from elsewhere, in an order that never changes, a few megabytes at a time."""

import contextlib
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

import numpy as np

from mimic_jax.data import array_files, image_files, listing, tfds_images
from mimic_jax.data.image_files import Noted
from mimic_jax.data.settings import Transfer
from mimic_jax.errors import UserError, first_line
from mimic_jax.runtime import files
from mimic_jax.runtime.interrupt import Interrupted

CHUNK_BYTES = 16 << 20  # of pixels held at a time
KEYS = ('unlabelled', 'images')  # of an .npz file, the first that it has
WHERE = 'config.data.transfer'


def identity(settings: Transfer) -> dict:
    """What determines the images.

    An .npz or .npy file counts by its content, a folder and the files of a TFDS data set as
    `listing.digest` says.

    Raises:
      UserError: nothing there to read.
    """
    common = {'kind': settings.kind, 'limit': settings.limit}
    if settings.fit != 'none' and settings.kind in ('folder', 'tfds'):
        common['fit'] = settings.fit
    match settings.kind:
        case 'npz':
            return {**common, 'sha256': files.digest(_path(settings, Path.is_file))}
        case 'folder':
            root, names, _ = _listing(settings)
            decoded = {'version': image_files.VERSION}
            return {**common, 'files_sha256': listing.digest(root, names), **decoded}
        case _:
            return {**common, **tfds_images.identity(settings)}


def described(settings: Transfer) -> str:
    """A line on what lies unread where the images are; empty where nothing does."""
    unread = []
    if settings.kind == 'folder':
        _, _, unread = _listing(settings)
    elif settings.kind == 'npz' and zipfile.is_zipfile(_path(settings, Path.is_file)):
        held = array_files.names(files.expand(settings.root))
        key = next((key for key in KEYS if key in held), None)
        unread = [name for name in held if name != key]
    if not unread:
        return ''
    return f'{WHERE}: {files.printable(settings.root)}: not read: {files.few(unread)}'


def load(
    settings: Transfer, shape: tuple[int, ...], noted: Noted | None = None
) -> tuple[int, Iterator[np.ndarray]]:
    """How many images there are, and an iterator over them in chunks, uint8 [n, H, W, C].

    shape: [H, W, C], of the data set's own images.  noted: told of what decoding does not keep.

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
    noted = Noted() if noted is None else noted

    def decode(file, name: str) -> np.ndarray:
        return image_files.decode(file, name, shape, note=noted, fit=settings.fit)

    match settings.kind:
        case 'npz':
            count, chunks = _load_file(_path(settings, Path.is_file), shape, settings.limit, size)
        case 'folder':
            root, names, _ = _listing(settings)
            paths = [root / name for name in names]
            count = len(paths)
            chunks = (
                np.stack([decode(path, str(path)) for path in paths[start : start + size]])
                for start in range(0, count, size)
            )
        case _:
            count, chunks = tfds_images.load(settings, size, decode)
    return count, chunks


def _path(settings: Transfer, is_there) -> Path:
    what = {'npz': 'an .npz or .npy file', 'folder': 'a folder'}[settings.kind]
    if not settings.root:
        raise UserError(f'{WHERE}.root is empty; set it to {what} of images')
    path = files.expand(settings.root)
    if not is_there(path):
        raise UserError(f'{WHERE}.root is {settings.root!r}, which is not {what}; give one')
    return path


def _listing(settings: Transfer) -> tuple[Path, list[str], list[str]]:
    """The folder, its files' names below it, sorted, and what lies there unread, in words."""
    root = _path(settings, Path.is_dir)
    names, unread = files.walk(root)
    if not names:
        raise UserError(f'{root} holds no files; set {WHERE}.root to a folder of images')
    return root, sorted(names)[: settings.limit or None], unread


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
        reason = first_line(error)
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
            f'{name} has images of shape {found[1:]}, config.data of {tuple(shape)}; '
            + (
                'write its transpose(0, 2, 3, 1), channels last'
                if (*found[2:], found[1]) == tuple(shape)
                else 'make them equal'
            )
        )
    if dtype != np.uint8:
        raise UserError(f'{name} is {dtype}; it must be uint8, 0 to 255')
    if by_columns:
        raise UserError(f'{name} is stored by columns; write numpy.ascontiguousarray of it')
    return found[0]
