"""Arrays that are files: memory-mapped by numpy, read page by page as they are asked for."""

import errno
import mmap
import os
from pathlib import Path

import numpy as np

_NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


def create(path: Path, shape: tuple[int, ...]) -> np.ndarray:
    """A new .npy file of float32 zeros, to be written to. Takes its room on the disk at once.

    Otherwise a disk that fills up while pages are written would end the process without an error.

    Raises:
      OSError: not so much room.
    """
    array = np.lib.format.open_memmap(path, 'w+', np.float32, shape)
    if hasattr(os, 'posix_fallocate'):
        with path.open('r+b') as file:
            try:
                os.posix_fallocate(file.fileno(), 0, os.path.getsize(path))
            except OSError as error:
                if error.errno in _NO_ROOM:  # some file systems have no such call
                    raise OSError(error.errno, error.strerror, str(path)) from None
    return array


def release(array: np.ndarray) -> None:
    """Unmaps a memory-mapped array's pages, so that they leave this process's memory.

    They stay in the system's cache as long as it has room, and are mapped again when next read; a
    process that reads a large file in a random order thus stays small. Other arrays are left alone.
    """
    pages = getattr(array, 'base', None)
    if isinstance(pages, mmap.mmap) and hasattr(mmap, 'MADV_DONTNEED'):
        pages.madvise(mmap.MADV_DONTNEED)
