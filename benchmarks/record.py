"""The JSON file that a benchmark keeps its rows in, and rows of ours against a peer's."""

import datetime
import json
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path

from mimic_jax.ops.text import aligned
from mimic_jax.reporting.run import machine
from mimic_jax.runtime import files

COLUMNS = ('ours', 'peer', 'ratio')


def save(path: Path, rows: Sequence[dict], **facts) -> None:
    """Writes {experiment, rows, command, machine, date} and the facts, such as `seconds`, all at once."""
    result = {
        'experiment': path.stem,
        'rows': list(rows),
        **facts,
        'command': command(),
        'machine': machine(),
        'date': datetime.date.today().isoformat(),
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    files.write_atomically(path, json.dumps(result, indent=1) + '\n')


def command() -> str:
    """The one that this program was started with."""
    return shlex.join(['python', *sys.argv])


def cost(name: str, ours: float, peer: float, **facts) -> dict:
    """A row of two costs (times, bytes): the ratio is above 1 where ours is the smaller."""
    return _row(name, ours, peer, peer / ours, facts)


def rate(name: str, ours: float, peer: float, **facts) -> dict:
    """A row of two rates: the ratio is above 1 where ours is the larger."""
    return _row(name, ours, peer, ours / peer, facts)


def table(rows: Sequence[dict]) -> str:
    """The rows as Markdown: name, ours, the peer's and the ratio."""
    body = [[row['name'], *(_figure(row[key]) for key in COLUMNS)] for row in rows]
    return aligned([['', *COLUMNS], *body])


def _figure(value: float | None) -> str:
    if value is None:
        return '–'
    return f'{value:,.0f}' if value >= 1000 else f'{value:g}'


def _row(name: str, ours: float, peer: float, ratio: float, facts: dict) -> dict:
    numbers = {'ours': ours, 'peer': peer, 'ratio': ratio}
    return {'name': name, **{key: float(f'{value:.4g}') for key, value in numbers.items()}, **facts}
