"""A run's metrics: one JSON object a line in `metrics.jsonl`, and the same for TensorBoard."""

import json
import time
from pathlib import Path

import tensorboardX

from mimic_jax import artifacts

FILE = 'metrics.jsonl'


class MetricsLog:
    """Appends records {step, seconds, ...}; `seconds` counts work over all sittings of the run.

    On opening at `step`, records past it are dropped: the run repeats those steps.
    """

    def __init__(self, folder: Path, step: int = 0):
        self._path = folder / FILE
        kept = [record for record in read(folder) if record['step'] <= step]
        self._before = kept[-1]['seconds'] if kept else 0.0
        self._start = time.monotonic()
        artifacts.write_atomically(self._path, ''.join(json.dumps(r) + '\n' for r in kept))
        self._file = self._path.open('a')
        # TensorBoard hides what an earlier sitting wrote from `purge_step` on.
        self._events = tensorboardX.SummaryWriter(str(folder / 'events'), purge_step=step + 1)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._file.close()
        self._events.close()

    @property
    def seconds(self) -> float:
        return self._before + time.monotonic() - self._start

    def write(self, step: int, **values: float) -> None:
        record = {'step': step, 'seconds': round(self.seconds, 3), **values}
        self._file.write(json.dumps(record) + '\n')
        self._file.flush()
        for key, value in values.items():
            self._events.add_scalar(key, value, step)


def read(folder: Path) -> list[dict]:
    """The records of a run so far; a last line that a kill cut short is left out."""
    path = folder / FILE
    if not path.exists():
        return []
    records = []
    for line in path.read_text().splitlines():
        try:
            records.append(json.loads(line))
        except ValueError:
            break
    return records
