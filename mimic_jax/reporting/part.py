"""What a kind of data adds to a report. The room that owns the kind makes a `Part` of its own."""

from collections.abc import Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import Protocol

import numpy as np

from mimic_jax.artifacts.store import Recipe
from mimic_jax.reporting.settings import Row
from mimic_jax.training.plan import NetPlan

Made = Mapping[str, Sequence[tuple[str, Recipe]]]  # by phase: what each artifact is, its recipe


class Part(Protocol):
    """What a report asks of a kind of data.

    before, after: artifacts of phases that precede the teachers, and that follow the evaluations.
    trained: the nets among them by phase.  captions: of its figures, by file name.
    seen: what a picture of an example shows, a sentence; empty where pictures need none.
    """

    before: Made
    after: Made
    trained: Mapping[str, Sequence[NetPlan]]
    captions: Mapping[str, str]
    seen: str

    def check(self) -> None:
        """UserError where an artifact that the report reads is not there."""

    def rows(self, row: dict, source: Row, outputs: Sequence[np.ndarray]) -> list[dict]:
        """The rows of report.json in the place of one on accuracy.

        outputs: logits [n, K] of the test examples, one a seed.
        """

    def timing(self, source: Row) -> dict:
        """What a row's timing has beside training and answering."""

    def draw(self) -> Iterator[tuple[str, object]]:
        """The names of its files and matplotlib's figures, which whoever asks saves and closes."""

    def picture(self, example: np.ndarray) -> np.ndarray:
        """An example as an image [H, W, C], where it is one."""


class Plain:
    """Data that add nothing."""

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
