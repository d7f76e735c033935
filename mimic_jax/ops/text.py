"""Text for people to read."""

import re
import textwrap
from collections.abc import Sequence

_PREFIXES = ('', 'k', 'M', 'G', 'T', 'P', 'E')
_FIGURE = re.compile(r'[-−]?\.?\d|–?$')  # how a figure begins, or none at all


def aligned(lines: Sequence[Sequence[str]]) -> str:
    """A Markdown table of lines of cells, the head first, that reads as plain text too."""
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    text = [
        '| '
        + ' | '.join(cell.ljust(width) for cell, width in zip(line, widths, strict=True))
        + ' |'
        for line in lines
    ]
    text.insert(1, '|' + '|'.join('-' * (width + 2) for width in widths) + '|')
    return '\n'.join(text)


def narrowed(text: str, columns: int) -> str:
    """Prose within so many columns. Indented lines, such as commands, stay as they are."""
    lines: list[str] = []
    for line in text.splitlines():
        goes_on = lines and lines[-1] and line and not line.startswith((' ', '- '))
        listed = line.startswith('  ') and lines and lines[-1].startswith('- ')
        if (goes_on and not lines[-1].startswith(' ')) or listed:
            lines[-1] += f' {line.strip()}'
        else:
            lines.append(line)
    return '\n'.join(
        line
        if line.startswith(' ')
        else textwrap.fill(
            line, columns, subsequent_indent='  ' * line.startswith('- '), break_on_hyphens=False
        )
        for line in lines
    )


def fitted(
    cells: Sequence[Sequence[str]],
    columns: int | None,
    below: str = '',
    names: int = 1,
    spared: Sequence[str] = (),
) -> str:
    """A table within so many columns of text, None for any number; as Markdown where that fits.

    cells: line by line, the head first; so many of a line's first cells are its name.  below: the column
    that stands in lines of its own where the table is too wide. Where that does not suffice, the name
    does so too, and the columns of `spared` are left out, one after another.
    """
    whole = aligned(cells)
    if columns is None or _broad(whole.splitlines()) <= columns:
        return whole
    head, *body = cells
    place = head.index(below) if below in head else None
    beneath = [[line[place]] if place is not None else [] for line in body]
    short = [[cell for at, cell in enumerate(line) if at != place] for line in cells]
    text = _plain(short, [[] for _ in body], beneath, columns)
    if _broad(text) <= columns:
        return '\n'.join(text)
    above = [
        [': '.join([', '.join(line[:names]), *net])]
        for line, net in zip(short[1:], beneath, strict=True)
    ]
    figures = [['', *line[names:]] for line in short]
    left_out = []
    for name in spared:
        if _broad(_figures(figures)) > columns and name in figures[0]:
            gone = figures[0].index(name)
            figures = [line[:gone] + line[gone + 1 :] for line in figures]
            left_out.append(name)
    text = _plain(figures, above, [[] for _ in body], columns)
    note = f'The report also has {", ".join(left_out)}.' if left_out else ''
    return '\n'.join([*text, *textwrap.wrap(note, columns)])


def with_prefix(value: float | None) -> str:
    """A number in three digits and its SI prefix: '12.3 G'; '?' where it is not known."""
    if value is None or value != value:
        return '?'
    power = 0
    while value >= 1000 and power < len(_PREFIXES) - 1:
        value, power = value / 1000, power + 1
    return f'{value:.3g} {_PREFIXES[power]}'


def _broad(lines: Sequence[str]) -> int:
    return max(map(len, lines))


def _figures(cells: Sequence[Sequence[str]]) -> list[str]:
    """Cells in columns: words, and the first column, to the left, figures to the right."""
    columns = []
    for place, column in enumerate(zip(*cells, strict=True)):
        room = max(map(len, column))
        words = not place or not all(_FIGURE.match(cell) for cell in column[1:])
        columns.append([cell.ljust(room) if words else cell.rjust(room) for cell in column])
    return ['  '.join(line).rstrip() for line in zip(*columns, strict=True)]


def _plain(cells, above, beneath, columns: int) -> list[str]:
    """Cells in columns under a head, with the texts that stand above and beneath each line."""
    head, *lines = figures = _figures(cells)
    text = [head, '-' * _broad(figures)]
    for line, before, after in zip(lines, above, beneath, strict=True):
        for each in before:
            text += textwrap.wrap(each, columns, subsequent_indent='  ')
        text.append(line)
        for each in after:
            text += textwrap.wrap(each, columns, initial_indent='  ', subsequent_indent='    ')
    return text
