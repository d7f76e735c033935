"""Stages of a baseline: files that are written atomically and checked by digest, and their time."""

import json
import os
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from mimic_jax.artifacts import digests
from mimic_jax.runtime import files


def stage(path: Path, make: Callable[[], dict]) -> dict:
    """The arrays in `path`; `make` gives them where the file is missing or damaged.

    The file is written atomically.
    """
    if not is_whole(path):
        temporary = path.with_name(f'.{path.name}.tmp')
        with temporary.open('wb') as file:
            np.savez(file, **make())
            file.flush()
            os.fsync(file.fileno())
        record(path, files.digest(temporary))
        temporary.replace(path)
    return load(path)


def is_whole(path: Path) -> bool:
    """Whether a stage's file exists and is unchanged."""
    entry = digests.read(path.parent).get(path.name)
    return path.exists() and files.digest(path) == entry


def record(path: Path, entry: str) -> None:
    """Notes the entry by which the file will count as unchanged. Call it before the file is written."""
    digests.write(path.parent, {**digests.read(path.parent), path.name: entry})


def load(path: Path) -> dict:
    """A stage's arrays by name."""
    with np.load(path, allow_pickle=False) as file:
        return dict(file)


class Clock:
    """Seconds spent on an artifact over all runs, kept in a file."""

    def __init__(self, path: Path):
        self._path, self._last = path, time.monotonic()
        try:
            self.seconds = float(path.read_text())
        except (FileNotFoundError, ValueError):
            self.seconds = 0.0

    def lap(self) -> None:
        now = time.monotonic()
        self.seconds, self._last = self.seconds + now - self._last, now
        files.write_atomically(self._path, json.dumps(self.seconds))
