"""Arrays that are files: memory-mapped by numpy, read page by page as they are asked for."""

import mmap

import numpy as np


def release(array: np.ndarray) -> None:
    """Takes the pages of a memory-mapped array that were read out of this process's memory.

    They stay in the system's cache as long as it has room, and are mapped again when next read; a
    process that reads a large file in a random order thus stays small. Other arrays are left alone.
    """
    pages = getattr(array, 'base', None)
    if isinstance(pages, mmap.mmap) and hasattr(mmap, 'MADV_DONTNEED'):
        pages.madvise(mmap.MADV_DONTNEED)
