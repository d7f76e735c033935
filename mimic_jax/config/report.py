"""Settings of what stands in a report."""

import dataclasses
from collections.abc import Mapping

from mimic_jax.config import rules
from mimic_jax.settings import setting


@dataclasses.dataclass(frozen=True)
class Row:
    """A row of the report.

    `source` is 'members.NAME', 'logits.NAME', 'students.NAME' or 'baselines.NAME'.
    """

    source: str = ''
    label: str = ''  # what the table calls it; the row's own name when left out
    # The paper's accuracy; of speech its phone error rate.
    paper: float = setting(
        -1.0, (lambda value: value <= 1, 'a fraction of 1, or negative for none')
    )
    # What the paper prints of the net's size, as it stands there, and what to say of the row.
    paper_parameters: str = ''
    paper_units: str = ''
    note: str = ''
    # Of a student: with its bottleneck multiplied into the layer after it.
    absorbed: bool = False
    # In the figure 'curves.png': rows with the same `curve` are joined, each at its own `x`.
    curve: str = ''
    x: float = 0.0
    against: str = ''  # the row whose own accuracy is this one's x
    line: bool = False  # a line across, at the row's accuracy


@dataclasses.dataclass(frozen=True)
class Gap:
    """A distance that 'curves.png' marks: from the best of the rows `low` to the best of `high`."""

    label: str = ''
    low: tuple[str, ...] = setting((), rules.NAMES)
    high: tuple[str, ...] = setting((), rules.NAMES)


@dataclasses.dataclass(frozen=True)
class Report:
    """What to tabulate, in which order (ConfigDicts sort their keys).

    `ensemble` names the entry of config.logits that agreement is measured with.
    """

    rows: Mapping[str, Row] = dataclasses.field(default_factory=dict)
    order: tuple[str, ...] = ()
    ensemble: str = ''
    x_label: str = ''  # of 'curves.png'
    gaps: Mapping[str, Gap] = dataclasses.field(default_factory=dict)
    # The rows that have a `curve` as a table too: a line a curve, a column an `x`.
    grid: bool = False
    by_members: bool = False  # draws 'members.png': ensembles on validation, member by member
    by_time: bool = False  # draws 'time.png': students on validation by seconds of training
    latency: bool = False  # measures how long the rows' nets take to answer
