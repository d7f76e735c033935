"""Settings of what stands in a report."""

import dataclasses
from collections.abc import Mapping

from mimic_jax.config import rules
from mimic_jax.config.fields import entries, setting


@dataclasses.dataclass(frozen=True)
class Row:
    """A row of the report."""

    source: str = setting(
        '', "What it is of: 'members.NAME', 'logits.NAME', 'students.NAME' or 'baselines.NAME'."
    )
    label: str = setting('', "What the table calls it; empty: the row's own name.")
    paper: float = setting(
        -1.0,
        "The paper's accuracy, or of speech its phone error rate; negative for none.",
        (lambda value: value <= 1, 'a fraction of 1, or negative for none'),
    )
    paper_parameters: str = setting('', "The paper's number of parameters, as printed.")
    paper_units: str = setting('', "The paper's number of hidden units, as printed.")
    note: str = setting('', 'What to say below the table.')
    absorbed: bool = setting(
        False, 'Of a student: with its bottleneck multiplied into the layer after it.'
    )
    curve: str = setting('', "In the figure 'curves.png', the curve that the row is a point of.")
    x: float = setting(0.0, 'Where on its curve.')
    against: str = setting('', "The row whose own accuracy is this one's x.")
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

    label: str = setting('', 'What the figure calls it.')
    low: tuple[str, ...] = setting((), 'The rows below.', rules.NAMES)
    high: tuple[str, ...] = setting((), 'The rows above.', rules.NAMES)


@dataclasses.dataclass(frozen=True)
class Report:
    """What to tabulate and plot."""

    rows: Mapping[str, Row] = entries('The rows by name; none: everything that was trained.')
    order: tuple[str, ...] = setting(
        (), 'The order of the rows (ConfigDicts sort their keys); empty: all, by name.'
    )
    ensemble: str = setting(
        '', 'The name in config.logits whose ensemble agreement is measured with.'
    )
    x_label: str = setting('', "The label of the x-axis of 'curves.png'.")
    gaps: Mapping[str, Gap] = entries("Distances that 'curves.png' marks.")
    grid: bool = setting(
        False, 'Print the rows that have a `curve` as a table too: a line a curve, a column an `x`.'
    )
    by_members: bool = setting(
        False, "Draw 'members.png': ensembles on validation, member by member."
    )
    by_time: bool = setting(
        False, "Draw 'time.png': students on validation by seconds of training."
    )
    latency: bool = setting(False, "Measure how long the rows' nets take to answer.")
