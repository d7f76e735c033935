"""A report's rows by curve and x: places in a figure, and a table with curves down and x across."""

import statistics
from collections.abc import Iterator, Sequence

from mimic_jax.reporting.rows import by_source
from mimic_jax.reporting.settings import Report, Row


def placed(settings: Report, rows: Sequence[dict]) -> Iterator[tuple[str, Row, dict[str, dict]]]:
    """The config's name and row for each source of a report; nothing where the config names no rows.

    A source is {metric: row of report.json}.
    """
    names = settings.order or tuple(settings.rows)
    if names:
        for name, source in zip(names, by_source(rows), strict=True):
            yield name, settings.rows[name], source


def make(settings: Report, rows: Sequence[dict]) -> dict:
    """The rows with a curve: {'columns': [x], 'rows': [{'name': curve, 'cells': [cell]}]}.

    A cell is {'mean', 'std', 'n', 'paper'} of a source's first metric, or None where there is no row.
    Rows of one curve and one x share a cell, see `pooled`. Curves keep the order of the rows; x rises.
    """
    measured: dict[str, dict[float, list[dict]]] = {}
    for _, row, source in placed(settings, rows):
        if row.curve:
            at = measured.setdefault(row.curve, {}).setdefault(row.x, [])
            at.append(next(iter(source.values())))
    found = {
        curve: {x: pooled(cells) for x, cells in places.items()}
        for curve, places in measured.items()
    }
    columns = sorted({x for cells in found.values() for x in cells})
    return {
        'columns': columns,
        'rows': [
            {'name': curve, 'cells': [cells.get(x) for x in columns]}
            for curve, cells in found.items()
        ],
    }


def pooled(measured: Sequence[dict]) -> dict:
    """One cell for rows of one place: a single row's own, or the mean and deviation of their means.

    Nets of several recipes then count once each, whatever their number of seeds. The paper's figure is
    the first row's.
    """
    first = {key: measured[0][key] for key in ('mean', 'std', 'n', 'paper')}
    if len(measured) == 1:
        return first
    means = [row['mean'] for row in measured]
    spread = {'mean': statistics.mean(means), 'std': statistics.stdev(means), 'n': len(means)}
    return {**first, **spread}


def table(grid: dict) -> str:
    """A grid as Markdown: means in %, with deviations, and the paper's figures in brackets."""
    (_, *head), *body = cells(grid)
    lines = ['| | ' + ' | '.join(head) + ' |', '|---|' + '---|' * len(head)]
    return '\n'.join(lines + ['| ' + ' | '.join(line) + ' |' for line in body])


def cells(grid: dict) -> list[list[str]]:
    """The cells of `table`, line by line, the head first."""
    head = ['', *map(short, grid['columns'])]
    return [head, *([row['name'], *map(_cell, row['cells'])] for row in grid['rows'])]


def short(x: float) -> str:
    """'3.16M' for 3,160,000 and '100k' for 100,000; numbers below a thousand in full."""
    for size, letter in ((1e15, 'P'), (1e12, 'T'), (1e9, 'G'), (1e6, 'M'), (1e3, 'k')):
        if x >= size:
            return f'{x / size:g}{letter}'
    return f'{x:g}'


def _cell(cell: dict | None) -> str:
    if cell is None:
        return '–'
    text = f'{100 * cell["mean"]:.2f}'
    if cell['std'] is not None:
        text += f' ± {100 * cell["std"]:.2f}'
    return text if cell['paper'] is None else f'{text} ({100 * cell["paper"]:.2f})'
