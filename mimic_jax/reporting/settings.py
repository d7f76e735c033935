"""Settings of a report."""

import dataclasses
from collections.abc import Mapping

from mimic_jax.config import rules
from mimic_jax.config.fields import entries, setting


@dataclasses.dataclass(frozen=True)
class Row:
    """A row of the report."""

    source: str = setting(
        '', "What it measures: 'members.NAME', 'logits.NAME', 'students.NAME' or 'baselines.NAME'."
    )
    label: str = setting('', "The row's name in the table; empty: its name in the config.")
    paper: float = setting(
        -1.0,
        "The paper's accuracy, or its phone error rate for speech; negative for none.",
        (lambda value: value <= 1, 'a fraction of 1, or negative for none'),
    )
    paper_parameters: str = setting('', "The paper's number of parameters, as printed.")
    paper_units: str = setting('', "The paper's number of hidden units, as printed.")
    note: str = setting('', 'A note below the table.')
    absorbed: bool = setting(
        False, "Multiply a student's bottleneck into the layer after it before measuring."
    )
    curve: str = setting(
        '', "The curve of the figure 'curves.png' that the row is a point of, or a part of."
    )
    x: float = setting(0.0, "The row's x on its curve.")
    against: str = setting('', "The row whose accuracy is this row's x.")
    line: bool = setting(False, "Draw the row's accuracy as a line across the figure.")

    @property
    def group(self) -> str:
        """The part of the config that the source is in: 'members', 'logits', 'students', 'baselines'."""
        return self.source.partition('.')[0]

    @property
    def entry(self) -> str:
        """The source's name in its group."""
        return self.source.partition('.')[2]


@dataclasses.dataclass(frozen=True)
class Gap:
    """A distance that 'curves.png' marks: from the best of the rows `low` to the best of `high`."""

    label: str = setting('', 'The name in the figure.')
    low: tuple[str, ...] = setting((), 'The rows at the lower end.', rules.NAMES)
    high: tuple[str, ...] = setting((), 'The rows at the upper end.', rules.NAMES)


@dataclasses.dataclass(frozen=True)
class Point:
    """A printed result that 'curves.png' shows as a star beside what was measured."""

    label: str = setting('', 'The name in the figure.')
    x: float = setting(0.0, 'Its x.')
    accuracy: float = setting(0.0, 'Its accuracy.', rules.TO_1)


@dataclasses.dataclass(frozen=True)
class Report:
    """What to tabulate and plot."""

    rows: Mapping[str, Row] = entries('The rows by name; empty: everything that was trained.')
    order: tuple[str, ...] = setting(
        (), 'The order of the rows (ConfigDicts sort their keys); empty: all, by name.'
    )
    ensemble: str = setting(
        '', 'The name in config.logits of the ensemble that agreement is measured with.'
    )
    x_label: str = setting('', "The label of the x-axis of 'curves.png'.")
    gaps: Mapping[str, Gap] = entries("Distances that 'curves.png' marks.")
    points: Mapping[str, Point] = entries("Other papers' results that 'curves.png' shows.")
    grid: bool = setting(
        False, 'Print a second table of the rows that have a `curve`: curves down, `x` across.'
    )
    by_members: bool = setting(
        False, "Draw 'members.png': ensembles on validation, member by member."
    )
    by_time: bool = setting(
        False, "Draw 'time.png': students on validation by seconds of training."
    )
    latency: bool = setting(False, "Measure how long the rows' nets take to answer.")
