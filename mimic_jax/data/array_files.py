"""Untrusted .npz and .npy files: never unpickled, their sizes checked before memory is taken."""

import math
import os
import zipfile
from collections.abc import Collection
from pathlib import Path
from typing import BinaryIO

import numpy as np

from mimic_jax.errors import UserError, first_line
from mimic_jax.runtime.interrupt import Interrupted

_READERS = {
    (1, 0): np.lib.format.read_array_header_1_0,
    (2, 0): np.lib.format.read_array_header_2_0,
}


def read_npz(path: Path, wanted: Collection[str] | None = None) -> dict[str, np.ndarray]:
    """The arrays of an .npz file by name, or those of them that are `wanted`.

    Before any memory is taken, each header is compared with the length of its entry, and their sum with
    the machine's memory.

    Raises:
      UserError: no .npz file or part of one, what is no plain array, a header that lies, more than
        the machine's memory holds.
    """
    _check_kind(path)
    try:
        with zipfile.ZipFile(path) as archive:
            names = [info.filename.removesuffix('.npy') for info in archive.infolist()]
            chosen = [name for name in names if wanted is None or name in wanted]
            sizes = [_checked_size(archive, name) for name in chosen]
        if sum(sizes) > _memory():
            raise UserError(f'its arrays take {sum(sizes):,} bytes, more than this machine has')
        with np.load(path, allow_pickle=False) as file:
            return {name: file[name] for name in chosen}
    except Interrupted:
        raise
    except Exception as error:  # zipfile, zlib, ast and NumPy raise a dozen kinds
        raise _unreadable(path, error) from None


def names(path: Path) -> list[str]:
    """What an .npz file holds, sorted.

    Raises:
      UserError: no .npz file, or a damaged list of contents.
    """
    _check_kind(path)
    try:
        with zipfile.ZipFile(path) as archive:
            return sorted(name.removesuffix('.npy') for name in archive.namelist())
    except Interrupted:
        raise
    except Exception as error:  # zipfile raises half a dozen kinds
        raise _unreadable(path, error) from None


def _check_kind(path: Path) -> None:
    if not zipfile.is_zipfile(path):
        table = (
            ''
            if path.suffix == '.npz'
            else '; a CSV file goes through pandas to mimic_jax.run (docs/python.md)'
        )
        raise UserError(f'{path} is no .npz file, or part of one; write it with numpy.savez{table}')


def _unreadable(path: Path, error: Exception) -> UserError:
    reason = first_line(error)
    return UserError(
        f'{path} cannot be read as .npz ({reason}); write plain arrays with numpy.savez'
    )


def read_header(file: BinaryIO) -> tuple[tuple[int, ...], bool, np.dtype]:
    """Shape, whether it is stored by columns, and type of the .npy file that `file` is at.

    Raises:
      ValueError: no header of an array.
    """
    try:
        version = np.lib.format.read_magic(file)
        shape, by_columns, dtype = _READERS[version](file)
    except Interrupted:
        raise
    except Exception as error:  # SyntaxError, TokenError, RecursionError, MemoryError ...
        raise ValueError('it is no plain array') from error
    if any(size < 0 for size in shape):
        raise ValueError('it is no plain array')
    return shape, by_columns, dtype


def _checked_size(archive: zipfile.ZipFile, name: str) -> int:
    """The bytes of an entry, whose header must promise exactly what follows it."""
    info = archive.getinfo(f'{name}.npy')
    with archive.open(info) as file:
        try:
            shape, _, dtype = read_header(file)
        except ValueError:
            raise ValueError(f'{name} is no array') from None
        if dtype.hasobject:
            raise ValueError(f'{name} holds objects, which are not read')
        promised = math.prod(shape) * dtype.itemsize
        if file.tell() + promised != info.file_size:
            raise ValueError(f'{name} promises {promised:,} bytes, and is {info.file_size:,} long')
    return info.file_size


def _memory() -> int:
    """Bytes of this machine's memory."""
    if not hasattr(os, 'sysconf'):
        return 1 << 40
    return os.sysconf('SC_PHYS_PAGES') * os.sysconf('SC_PAGE_SIZE')
