"""Asks an exported student about a person's own images, arrays or recordings."""

import json
import sys
from collections.abc import Callable
from itertools import islice
from pathlib import Path

import numpy as np

from mimic_jax.artifacts import store
from mimic_jax.errors import UserError
from mimic_jax.export import plan as exporting
from mimic_jax.export import predictions, raw_files
from mimic_jax.export.predictions import Classified, Transcribed
from mimic_jax.speech import context, fbank, phones, speech_decoding
from mimic_jax.speech.decode_plan import DecodePlan
from mimic_jax.speech.decoding import FRAME_SECONDS
from mimic_jax.training.session import Session

SHOWN = 20  # lines on a terminal
_SMALLEST = 1e-37  # probability, whose logarithm is taken: float32 has none much smaller


def check(source: str, output: str) -> None:
    """UserError, before any work, where --input or --output cannot be meant."""
    if not source:
        raise UserError('--phase=predict needs --input=PATH: images, an array or recordings')
    if not Path(source).exists():
        raise UserError(f'--input={source}: there is no such file or folder')
    if output:
        predictions.check_path(Path(output))


def run(
    session: Session, exported: Path, source: Path, output: Path | None, decoding: DecodePlan | None
) -> None:
    """Prints a line an example or recording of `source`, and writes all to `output`.

    exported: the folder of an export.  source: see `raw_files`; of a student on speech, recordings,
    whose phones are decoded as `decoding` was tuned.  On a terminal the first lines alone are shown.

    Raises:
      UserError: what cannot be read or is of another size, by name; speech that is not decoded yet.
    """
    store.manifest(exported)
    facts = json.loads((exported / exporting.DESCRIPTION).read_text())
    call = exporting.load(exported / exporting.FILE)
    if session.data.speech is None:
        found = _classified(session, call, facts, source)
    else:
        found = _transcribed(session, call, source, decoding)
    shown = SHOWN if sys.stdout.isatty() else len(found.names)
    for line in islice(found.lines(), shown):
        print(line)
    if len(found.names) > shown:
        where = 'all are in --output' if output else '--output=FILE.csv writes them all'
        print(f'… and {len(found.names) - shown:,} more; {where}')
    if output:
        predictions.write(found, output)
        print(output)


def _classified(session: Session, call: Callable, facts: dict, source: Path) -> Classified:
    shape, dtype = tuple(facts['input']['shape'][1:]), np.dtype(facts['input']['dtype'])
    names, parts = [], []
    count, chunks = raw_files.examples(source, shape, dtype, exporting.BATCH)
    for some, inputs in chunks:
        names += some
        parts.append(exporting.ask(call, inputs))
        session.progress.count('predicting', len(names), count)
    classes = facts['classes'] or [str(number) for number in range(facts['num_classes'])]
    return Classified(names, np.concatenate(parts), classes)


def _transcribed(
    session: Session, call: Callable, source: Path, decoding: DecodePlan | None
) -> Transcribed:
    if decoding is None:
        raise UserError(
            'this student is not among the rows of config.report, so that nothing says how to '
            'decode it; add a row of it and run --phase=decode'
        )
    decode = speech_decoding.tuned(session, decoding)
    names, spoken, starts = [], [], []
    count, recordings = raw_files.recordings(source)
    for name, samples in recordings:
        probabilities = _frame_probabilities(call, fbank.features(samples))
        (found,) = decode([np.log(np.maximum(probabilities, _SMALLEST))])
        names.append(name)
        spoken.append([phones.PHONES[number] for number in found.phones])
        starts.append((found.starts * FRAME_SECONDS).tolist())
        session.progress.count('transcribing', len(names), count)
    return Transcribed(names, spoken, starts)


def _frame_probabilities(call: Callable, frames: np.ndarray) -> np.ndarray:
    """[T, S] of a recording's frames [T, 123]; windows of a batch alone, 15 times as large."""
    first, last = context.edges(np.array([0, len(frames)]))
    parts = []
    for start in range(0, len(frames), exporting.BATCH):
        rows = np.arange(start, min(start + exporting.BATCH, len(frames)))
        windows = context.windows(frames, first[rows], last[rows], rows)
        parts.append(exporting.ask(call, windows))
    return np.concatenate(parts)
