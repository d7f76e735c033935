"""A report's rows as a terminal shows them: in as many columns of text as it has."""

import shutil
import sys
import textwrap
from collections.abc import Sequence

from mimic_jax.ops.text import aligned
from mimic_jax.reporting import tables

LEAST = 40  # columns, below which lines are left to the terminal
# Columns that a narrow terminal leaves out, in this order.
SPARED = ('frame accuracy, %', '95% over speakers', 'below budget', 'paper’s units', 'units')
SPARED += ('paper’s', 'trained on', 'ins / del / sub', 'agreement, %', 'parameters')


def width() -> int | None:
    """The columns of the terminal that stdout is; None where stdout is a file or another program."""
    return max(LEAST, shutil.get_terminal_size().columns) if sys.stdout.isatty() else None


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
    return fitted([head, *(list(line.values()) for line in lines)], columns, below='model')


def fitted(
    cells: Sequence[Sequence[str]], columns: int | None, below: str = '', names: int = 1
) -> str:
    """A table within so many columns of text, None for any number; as Markdown where that fits.

    cells: line by line, the head first; so many of a line's first cells are its name.  below: the column
    that stands in lines of its own where the table is too wide. Where that does not suffice, the name
    does so too, and the columns of `SPARED` are left out, one after another.
    """
    whole = aligned(cells)
    if columns is None or _broad(whole) <= columns:
        return whole
    head, *body = cells
    place = head.index(below) if below in head else None
    beneath = [[line[place]] if place is not None else [] for line in body]
    short = [[cell for at, cell in enumerate(line) if at != place] for line in cells]
    text = _plain(short, [[] for _ in body], beneath, columns)
    if _broad(text) <= columns:
        return text
    above = [
        [': '.join([', '.join(line[:names]), *net])]
        for line, net in zip(short[1:], beneath, strict=True)
    ]
    figures = [['', *line[names:]] for line in short]
    left_out = []
    for name in SPARED:
        if _broad(_figures(figures)) > columns and name in figures[0]:
            gone = figures[0].index(name)
            figures = [line[:gone] + line[gone + 1 :] for line in figures]
            left_out.append(name)
    text = _plain(figures, above, [[] for _ in body], columns)
    note = f'The report also has {", ".join(left_out)}.' if left_out else ''
    return '\n'.join(filter(None, (text, textwrap.fill(note, columns))))


def _broad(text: str) -> int:
    return max(map(len, text.splitlines()))


def _figures(cells: Sequence[Sequence[str]]) -> str:
    """Cells in columns: the first to the left, the others to the right."""
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    return '\n'.join(
        '  '.join(
            [line[0].ljust(widths[0])]
            + [cell.rjust(room) for cell, room in zip(line[1:], widths[1:], strict=True)]
        )
        for line in cells
    )


def _plain(cells, above, beneath, columns: int) -> str:
    """Cells in columns under a head, with the texts that stand above and beneath each line."""
    head, *lines = _figures(cells).splitlines()
    text = [head, '-' * len(head)]
    for line, before, after in zip(lines, above, beneath, strict=True):
        for each in before:
            text += textwrap.wrap(each, columns, subsequent_indent='  ')
        text.append(line.rstrip())
        for each in after:
            text += textwrap.wrap(each, columns, initial_indent='  ', subsequent_indent='    ')
    return '\n'.join(text)
