"""What a kind of data adds to a report. The room that owns the kind implements a `Part`."""

from collections.abc import Iterator, Mapping, Sequence, Set
from types import MappingProxyType
from typing import Protocol

import numpy as np

from mimic_jax.artifacts.recipes import Recipe
from mimic_jax.reporting.settings import Row
from mimic_jax.training.plan import NetPlan

Made = Mapping[str, Sequence[tuple[str, Recipe]]]  # by phase: description and recipe of artifacts


class Part(Protocol):
    """What a report needs from a kind of data.

    before, after: artifacts of phases that precede the teachers, and that follow the evaluations.
    trained: the nets among them, by phase.  captions: captions of the part's figures, by file name.
    seen: a sentence on what a picture of an example shows; empty where pictures need none.
    """

    before: Made
    after: Made
    trained: Mapping[str, Sequence[NetPlan]]
    captions: Mapping[str, str]
    seen: str

    def check(self) -> None:
        """Raises UserError where an artifact that the report reads is not there."""

    def rows(self, row: dict, source: Row, outputs: Sequence[np.ndarray]) -> list[dict]:
        """The rows of report.json that replace a row on accuracy.

        outputs: logits [n, K] of the test examples, one array a seed.
        """

    def timing(self, source: Row) -> dict:
        """The entries of a row's timing beside training and answering."""

    def draw(self) -> Iterator[tuple[str, object]]:
        """(file name, Matplotlib figure) of the part's figures; the caller saves and closes them."""

    def picture(self, example: np.ndarray) -> np.ndarray:
        """An example as an image [H, W, C], where it is one."""


class Searched(Protocol):
    """What a search adds to a report.

    artifacts: names of its finished trials' artifacts.  count: of finished trials.  best: the best of
    them as lines of cells, the head first.  captions: of its figures, by file name.
    """

    artifacts: Set[str]
    count: int
    best: list[list[str]]
    captions: Mapping[str, str]

    def draw(self) -> Iterator[tuple[str, object]]:
        """(file name, Matplotlib figure) of its figures; the caller saves and closes them."""


class Plain:
    """The part of data that add nothing."""

    before = after = trained = captions = MappingProxyType({})
    seen = ''

    def check(self) -> None:
        pass

    def rows(self, row: dict, source: Row, outputs: Sequence[np.ndarray]) -> list[dict]:
        return [row]

    def timing(self, source: Row) -> dict:
        return {}

    def draw(self) -> Iterator[tuple[str, object]]:
        return iter(())

    def picture(self, example: np.ndarray) -> np.ndarray:
        return example


PLAIN = Plain()
