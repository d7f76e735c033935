"""A run's metrics: one JSON object a line in `metrics.jsonl`, and a copy for TensorBoard."""

import json
import time
from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path

from mimic_jax.data import kinds
from mimic_jax.runtime import files
from mimic_jax.training import boards
from mimic_jax.training.plan import NetPlan
from mimic_jax.training.settings import Train

FILE = 'metrics.jsonl'
SCORES = tuple(f'validation_{kind.metric}' for kind in (kinds.CLASSES, kinds.VALUES))


class MetricsLog:
    """Appends records {step, seconds, ...}; `seconds` counts work before and after interruptions.

    Opening the log at `step` drops the records past it: the run repeats those steps.
    net, place: the net, and the folder of its experiment's runs for TensorBoard, if there is to be one.
    """

    def __init__(
        self, folder: Path, step: int = 0, net: NetPlan | None = None, place: Path | None = None
    ):
        self._path = folder / FILE
        kept = [record for record in read(folder) if record['step'] <= step]
        self._before = kept[-1]['seconds'] if kept else 0.0
        self._start = time.monotonic()
        files.write_atomically(self._path, ''.join(json.dumps(r) + '\n' for r in kept))
        self._file = self._path.open('a')
        self._board = boards.board(place, net, kept)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        try:
            self._file.close()
        finally:
            self._board.__exit__()

    @property
    def seconds(self) -> float:
        return self._before + time.monotonic() - self._start

    def write(self, step: int, **values: float) -> None:
        record = {'step': step, 'seconds': round(self.seconds, 3), **values}
        self._file.write(json.dumps(record) + '\n')
        self._file.flush()
        self._board.write(record)


class NoLog:
    """The log of a process that leaves writing to another."""

    seconds = 0.0

    def __enter__(self):
        return self

    def __exit__(self, *_):
        pass

    def write(self, step: int, **values: float) -> None:
        pass


def of_kept(records: Iterable[dict], train: Train) -> dict:
    """The validation record of the net that training keeps: the last, or the first of the best.

    records: a log's.  Returns {} where the log has none.
    """
    found = [record for record in records if score(record) is not None]
    if train.keep == 'best' and train.schedule == 'plateau':
        return max(found, key=score, default={})
    return found[-1] if found else {}


def score(record: dict) -> float | None:
    """The validation accuracy, or R², that a record holds, if any."""
    return next((record[key] for key in SCORES if key in record), None)


def validation_curve(folders: Iterable[Path]) -> dict[int, list[float]]:
    """Validation scores of several runs by step, rising: {step: [accuracy or R², one a run]}."""
    curve = defaultdict(list)
    for folder in folders:
        for record in read(folder):
            if score(record) is not None:
                curve[record['step']].append(score(record))
    return dict(sorted(curve.items()))


def validation_times(folders: Iterable[Path]) -> dict[int, float]:
    """Seconds of work up to each step of `validation_curve`, the mean over the runs."""
    times = defaultdict(list)
    for folder in folders:
        for record in read(folder):
            if score(record) is not None:
                times[record['step']].append(record['seconds'])
    return {step: sum(seconds) / len(seconds) for step, seconds in sorted(times.items())}


def read(folder: Path) -> list[dict]:
    """The records of a run so far, up to a line that a kill cut short."""
    path = folder / FILE
    if not path.exists():
        return []
    records = []
    for line in path.read_text(errors='replace').splitlines():
        record = _record(line)
        if record is None:
            break
        records.append(record)
    return records


def _record(line: str) -> dict | None:
    """The record of a line, or None where the line is not whole."""
    try:
        record = json.loads(line)
        whole = all(isinstance(record[key], int | float) for key in ('step', 'seconds'))
    except (ValueError, KeyError, TypeError):
        return None
    return record if whole else None
