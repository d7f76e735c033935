"""What a report's rows measure: their columns, words and axes, one entry a kind of score.

The metrics of a source's rows tell its kind. So reports that were written earlier, or elsewhere, are
shown as those of this run are.
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple


class Column(NamedTuple):
    """A column of the table.  metric: of the row that it shows.  cell: its text, from that row."""

    title: str
    metric: str
    cell: Callable[[dict], str]


class Measure(NamedTuple):
    """How one kind of rows is shown.

    score: the metric of the row on single examples, which has the agreement with the ensemble.
    words: the score in words.  score_axis: the label of an axis of it on test.
    shown: the metric of the row that headlines and figures show, which has the paper's figure.
    title: `shown` in words.  of: what a headline says after a percentage of it.
    lower: whether less of `shown` is better; a figure then shows 1 minus it.
    axis: the label of a figure's axis, for a {split}.
    columns: of the table, beside those that all kinds have.
    agreement: the meaning of the column 'agreement'.  more: the meaning of further columns.
    times: entries of a row's timing that this kind alone has, and the titles of their columns.
    """

    score: str
    words: str
    score_axis: str
    shown: str
    title: str
    of: str
    lower: bool
    axis: str
    columns: tuple[Column, ...]
    agreement: str = 'test examples answered as the ensemble does'
    more: tuple[str, ...] = ()
    times: tuple[tuple[str, str], ...] = ()

    def height(self, mean: float) -> float:
        """Where a figure shows a mean of `shown`, in %: higher is better."""
        return 100 * (1 - mean if self.lower else mean)


def percent(fraction: float | None) -> str:
    return '–' if fraction is None else f'{100 * fraction:.2f}'


def measured(row: dict) -> str:
    """A mean over seeds in %, with its deviation where there is one."""
    return percent(row['mean']) + (f' ± {percent(row["std"])}' if row['std'] is not None else '')


def _in_units(row: dict) -> str:
    spread = f' ± {row["std"]:.2g}' if row['std'] is not None else ''
    return f'{row["mean"]:.4g}{spread}'


def _interval(row: dict) -> str:
    ends = row['interval']
    return '–' if ends is None else '–'.join(f'{100 * end:.1f}' for end in ends)


def _errors(row: dict) -> str:
    return ' / '.join(f'{row[kind]:.0f}' for kind in ('insertions', 'deletions', 'substitutions'))


CLASSES = Measure(
    score='accuracy',
    words='accuracy',
    score_axis='test accuracy, %',
    shown='accuracy',
    title='accuracy',
    of='',
    lower=False,
    axis='{split} accuracy, %',
    columns=(Column('accuracy, %', 'accuracy', measured),),
)
VALUES = Measure(
    score='r2',
    words='R²',
    score_axis='test R², %',
    shown='r2',
    title='R²',
    of=' of the variance (R²)',
    lower=False,
    axis='{split} R², %',
    columns=(Column('R², %', 'r2', measured), Column('RMSE', 'rmse', _in_units)),
    agreement="R² of the answers, with the ensemble's in the place of the truth",
    more=('RMSE: in units of the target, the mean where there are several',),
)
PHONES = Measure(
    score='accuracy',
    words='frame accuracy',
    score_axis='frame accuracy on test, %',
    shown='per',
    title='phone error rate',
    of=' phone error rate',
    lower=True,
    axis='phone accuracy on {split} (100 − PER), %',
    columns=(
        Column('PER, %', 'per', measured),
        Column('95% over speakers', 'per', _interval),
        Column('ins / del / sub', 'per', _errors),
        Column('frame accuracy, %', 'accuracy', measured),
    ),
    times=(('real_time_factor', 'real-time factor of Viterbi'),),
)
ALL = (CLASSES, VALUES, PHONES)


def of(rows: Sequence[dict]) -> Measure:
    """What the rows of one report measure."""
    metrics = {row.get('metric') for row in rows}
    return next((each for each in (VALUES, PHONES) if each.shown in metrics), CLASSES)
