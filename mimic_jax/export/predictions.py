"""A student's predictions for a person's own examples: as lines to read, and as a file."""

import csv
import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple, Protocol

import numpy as np

from mimic_jax.errors import UserError
from mimic_jax.runtime import files

SUFFIXES = ('.npz', '.csv')
TOP = 3  # classes that a line names


class Predictions(Protocol):
    """A student's answers to some examples, `names` of which there are [N]."""

    names: Sequence[str]

    def lines(self) -> Iterable[str]:
        """A line to read for each example."""

    def arrays(self) -> dict[str, np.ndarray]:
        """The content of an .npz file."""

    def table(self) -> Iterable[Sequence]:
        """The rows of a .csv file, the head first."""


class Classified(NamedTuple):
    """names: [N], of the examples.  probabilities: [N, K].  classes: [K], what they are called."""

    names: Sequence[str]
    probabilities: np.ndarray
    classes: Sequence[str]

    def lines(self) -> Iterable[str]:
        """`3.png  7 0.981, 1 0.012, 9 0.004` of each example, the likeliest class first."""
        for name, row in zip(self.names, self.probabilities, strict=True):
            best = np.argsort(-row, kind='stable')[:TOP]
            yield f'{name}  {", ".join(f"{self.classes[k]} {row[k]:.3f}" for k in best)}'

    def arrays(self) -> dict[str, np.ndarray]:
        return {
            'names': np.array(self.names),
            'probabilities': self.probabilities,
            'class': self.probabilities.argmax(axis=1),
            'classes': np.array(self.classes),
        }

    def table(self) -> Iterable[Sequence]:
        """A header, then a row an example, its likeliest class and the probability of each."""
        yield ('input', 'class', *self.classes)
        for name, row in zip(self.names, self.probabilities, strict=True):
            yield (name, self.classes[row.argmax()], *(f'{value:.6g}' for value in row))


class Valued(NamedTuple):
    """names: [N], of the examples.  values: [N, K], in the targets' units.  targets: [K], their names."""

    names: Sequence[str]
    values: np.ndarray
    targets: Sequence[str]

    def lines(self) -> Iterable[str]:
        """`12  price 17.25, rent 3.1` of each example."""
        for name, row in zip(self.names, self.values, strict=True):
            told = (f'{of} {value:.6g}' for of, value in zip(self.targets, row, strict=True))
            yield f'{name}  {", ".join(told)}'

    def arrays(self) -> dict[str, np.ndarray]:
        return {
            'names': np.array(self.names),
            'values': self.values,
            'targets': np.array(self.targets),
        }

    def table(self) -> Iterable[Sequence]:
        """A header, then a row an example and a column a target."""
        yield ('input', *self.targets)
        for name, row in zip(self.names, self.values, strict=True):
            yield (name, *(f'{value:.9g}' for value in row))


def check_path(path: Path) -> None:
    """UserError unless `write` can write there, as far as can be known."""
    if path.suffix not in SUFFIXES:
        raise UserError(f'--output={path}: give a name that ends in {" or ".join(SUFFIXES)}')
    if not path.parent.is_dir():
        raise UserError(f'--output={path}: there is no folder {path.parent}; make it first')


def write(found: Predictions, path: Path) -> None:
    """All of it, as .npz or .csv; a file that was there is replaced once the new one is whole."""
    temporary = path.with_name(f'.{path.name}.{os.getpid()}.tmp')
    try:
        with files.placing(path):
            if path.suffix == '.npz':
                with temporary.open('wb') as file:
                    np.savez(file, **found.arrays())
            else:
                with temporary.open('w', newline='', encoding='utf-8') as file:
                    csv.writer(file).writerows(found.table())
            temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
