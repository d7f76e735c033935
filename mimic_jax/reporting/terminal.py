"""A report's rows as a terminal shows them: in as many columns of text as it has."""

import textwrap
from collections.abc import Sequence
from pathlib import Path

from mimic_jax.ops.text import fitted
from mimic_jax.reporting import tables

# Columns that a narrow terminal leaves out, in this order.
SPARED = ('frame accuracy, %', '95% over speakers', 'below budget', 'paper’s units', 'units')
SPARED += ('paper’s', 'trained on', 'ins / del / sub', 'agreement, %', 'parameters')


def results(rows: Sequence[dict], columns: int | None) -> str:
    """What a run prints: the headline, what the table's signs mean, and the table."""
    parts = filter(None, (tables.headline(rows), tables.explanation(rows)))
    above = [textwrap.fill(part, columns) if columns else part for part in parts]
    return '\n'.join([*above, '', table(rows, columns)] if above else [table(rows, columns)])


def table(rows: Sequence[dict], columns: int | None) -> str:
    """The table of a report's rows within so many columns of text; as Markdown where that fits."""
    if not rows or columns is None:
        return tables.table(rows)
    lines = tables.cells(rows)
    head = list(lines[0])
    return fitted(
        [head, *(list(line.values()) for line in lines)], columns, below='model', spared=SPARED
    )


def pages(folder: Path, names: Sequence[str], columns: int | None) -> str:
    """The paths of a report's pages, a line each; for a program the last of `names` alone."""
    return '\n'.join(str(folder / name) for name in (names if columns else names[-1:]))
