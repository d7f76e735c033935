"""TensorBoard's copy of the metrics: a run for each net, under the name that its experiment gives it.

A net's artifact is named by a hash and may serve many experiments. Its run lies outside of it, in
`<workdir>/tensorboard/<experiment>/<student>/seed <number>`, and holds the net's settings for the tab
HParams too.
"""

import time
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from tensorboardX import summary
from tensorboardX.event_file_writer import EventsWriter
from tensorboardX.proto.event_pb2 import Event

from mimic_jax.artifacts import store
from mimic_jax.config.fields import as_json, differing, is_read
from mimic_jax.training.plan import NetPlan

FOLDER = 'tensorboard'  # of a workdir
FLUSH_SECONDS = 30  # the longest that TensorBoard lags behind


class Board:
    """A run of TensorBoard, written anew: a net's settings, its records so far, and those to come."""

    def __init__(self, folder: Path, settings: Mapping, records: Iterable[Mapping] = ()):
        folder.mkdir(parents=True, exist_ok=True)
        for old in folder.glob('events.*'):
            old.unlink()
        # Not SummaryWriter: a full disk ends its thread, and closing then waits for it for ever.
        self._events = EventsWriter(str(folder / 'events'))
        _, start, _ = summary.hparams(dict(settings), {})
        self._events.write_event(Event(wall_time=time.time(), summary=start))
        records = list(records)
        now = time.time() - (records[-1]['seconds'] if records else 0.0)
        for record in records:
            self._write(record, now + record['seconds'])
        self._events.flush()
        self._flushed = time.monotonic()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._events.close()

    def write(self, record: Mapping) -> None:
        """Adds a record, {step, seconds, ...}."""
        self._write(record, time.time())
        if time.monotonic() - self._flushed > FLUSH_SECONDS:
            self._events.flush()
            self._flushed = time.monotonic()

    def _write(self, record: Mapping, when: float) -> None:
        for key, value in record.items():
            if key not in ('step', 'seconds'):
                scalar = summary.scalar(key, value)
                self._events.write_event(Event(step=record['step'], wall_time=when, summary=scalar))


class NoBoard:
    """The board of a session that has no experiment's name."""

    def __enter__(self):
        return self

    def __exit__(self, *_):
        pass

    def write(self, record: Mapping) -> None:
        pass


def board(boards: Path | None, net: NetPlan, records: Iterable[Mapping]) -> Board | NoBoard:
    """The board of a net in its experiment's folder `boards`; without one, a board that writes nothing."""
    return Board(place(boards, net), settings(net), records) if boards else NoBoard()


def copy(boards: Path, net: NetPlan, artifact: Path, records: Iterable[Mapping]) -> None:
    """Writes the run of a finished net where it is missing: another experiment may have trained the net.

    artifact: the net's folder.  records: its records.
    """
    folder = place(boards, net)
    finished = (artifact / store.MARKER).stat().st_mtime
    if not any(path.stat().st_mtime >= finished for path in folder.glob('events.*')):
        with Board(folder, settings(net), records):
            pass


def place(boards: Path, net: NetPlan) -> Path:
    """The folder of a net's run: mimic/seed 0 for 'student mimic, seed 0', cnn_1 for 'teacher cnn_1'."""
    kind, _, rest = net.name.partition(' ')
    named = rest if kind in ('student', 'teacher') else net.name
    return boards.joinpath(*named.split(', '))


def settings(net: NetPlan) -> dict[str, bool | float | str]:
    """What a net was trained with, by the settings' names, for TensorBoard's tab HParams."""
    task = net.task
    found = {
        'model': net.model,
        'parameters': net.parameters,
        'seed': net.seed,
        'examples': len(net.examples),
        'steps': task.steps,
        'logits': net.cache.name if net.cache else 'none, labels',
    }
    for name, group in (('train', as_json(task.train)), ('loss', _read(task.loss))):
        found |= _flat(name, group)
    return found | _flat('views', differing(task.views))


def _read(group) -> dict:
    """The settings of a group that are read, given its other settings."""
    fields = type(group).__dataclass_fields__.values()
    return {each.name: getattr(group, each.name) for each in fields if is_read(group, each)}


def _flat(name: str, value) -> dict:
    """Nested settings by their names with dots; a list as text, None left out."""
    return dict(_items(name, value))


def _items(name: str, value) -> Iterator[tuple[str, bool | float | str]]:
    if isinstance(value, Mapping):
        for key, item in value.items():
            yield from _items(f'{name}.{key}', item)
    elif value is not None:
        yield name, value if isinstance(value, bool | int | float | str) else str(value)
