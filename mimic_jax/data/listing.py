"""One digest of many files, for the name of an artifact that is made from them."""

import hashlib
import os
from collections.abc import Sequence
from pathlib import Path

from mimic_jax.runtime import files

MOST_BYTES = 1 << 30  # of files whose content is read for a name, some seconds each time


def digest(root: Path, names: Sequence[str]) -> str:
    """SHA-256 of files' names below `root`, sizes and content; a copy elsewhere has the same.

    Links count as what they point to. Where the files have more than 1 GB in all, times of change take
    the content's place: a file that is changed and keeps its size and time then goes unnoticed.

    Raises:
      OSError: a file that cannot be read.
    """
    statuses = [os.stat(root / name) for name in names]
    whole = sum(status.st_size for status in statuses) <= MOST_BYTES
    result = hashlib.sha256()
    for name, status in zip(names, statuses, strict=True):
        content = files.digest(root / name) if whole else status.st_mtime_ns
        result.update(os.fsencode(name))
        result.update(f'\0{status.st_size}\0{content}\n'.encode())
    return result.hexdigest()
