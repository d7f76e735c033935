"""Text for people to read."""

from collections.abc import Sequence


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
