"""Settings of what stands in a report."""

import dataclasses
from collections.abc import Mapping

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


@dataclasses.dataclass(frozen=True)
class Report:
    """What to tabulate, in which order (ConfigDicts sort their keys).

    `ensemble` names the entry of config.logits that agreement is measured with.
    """

    rows: Mapping[str, Row] = dataclasses.field(default_factory=dict)
    order: tuple[str, ...] = ()
    ensemble: str = ''
    x_label: str = ''  # of 'curves.png'
    latency: bool = False  # measures how long the rows' nets take to answer
