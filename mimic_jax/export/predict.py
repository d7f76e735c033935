"""Predictions of an exported student for a person's own images, arrays or recordings."""

import functools
import json
import sys
from collections.abc import Callable
from itertools import islice
from pathlib import Path

import numpy as np

from mimic_jax.artifacts import store
from mimic_jax.data.centring import Centre
from mimic_jax.errors import UserError
from mimic_jax.export import plan as exporting
from mimic_jax.export import predictions, raw_files
from mimic_jax.export.predictions import Classified, Predictions, Valued
from mimic_jax.training.session import Session

SHOWN = 20  # lines on a terminal
Ask = Callable[[np.ndarray], np.ndarray]  # probabilities, or values, [n, K] of inputs [n, ...]
AskAll = Callable[[Ask, Path], Predictions]  # of a file or folder of a kind that it reads itself


def check(source: str, output: str) -> None:
    """UserError, before any work, where --input or --output cannot be used."""
    if not source:
        raise UserError('--phase=predict needs --input=PATH: images, an array or recordings')
    if not Path(source).exists():
        raise UserError(f'--input={source}: there is no such file or folder')
    if output:
        predictions.check_path(Path(output))


def run(
    session: Session,
    exported: Path,
    source: Path,
    output: Path | None,
    ask_all: AskAll | None = None,
) -> None:
    """Prints a line an example of `source`, and writes all to `output`.

    exported: the folder of an export.  source: images or arrays, see `raw_files`; where `ask_all` is
    given, what that reads, such as recordings.  A terminal shows the first lines alone.

    Raises:
      UserError: what cannot be read or is of another size, by name; whatever `ask_all` raises.
    """
    store.manifest(exported)
    facts = json.loads((exported / exporting.DESCRIPTION).read_text())
    ask = functools.partial(exporting.ask, exporting.load(exported / exporting.FILE))
    found = ask_all(ask, source) if ask_all else _answered(session, ask, facts, source)
    shown = SHOWN if sys.stdout.isatty() else len(found.names)
    for line in islice(found.lines(), shown):
        print(line)
    if len(found.names) > shown:
        where = 'all are in --output' if output else '--output=FILE.csv writes them all'
        print(f'… and {len(found.names) - shown:,} more; {where}')
    if output:
        predictions.write(found, output)
        print(output)


def _answered(session: Session, ask: Ask, facts: dict, source: Path) -> Classified | Valued:
    shape, dtype = tuple(facts['input']['shape'][1:]), np.dtype(facts['input']['dtype'])
    names, parts = [], []
    centre = Centre.from_json(facts['input'].get('centre', {}))
    fit = facts['input'].get('fit', 'none')
    count, chunks = raw_files.examples(source, shape, dtype, exporting.BATCH, centre, fit)
    for some, inputs in chunks:
        names += some
        parts.append(ask(inputs))
        session.progress.count('predicting', len(names), count)
    if 'targets' in facts:
        return Valued(names, np.concatenate(parts), facts['targets']['names'])
    classes = facts['classes'] or [str(number) for number in range(facts['num_classes'])]
    return Classified(names, np.concatenate(parts), classes)
