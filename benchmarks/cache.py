"""What the logit cache saves, and what it costs to write and read.

    python benchmarks/cache.py --json=results/cache.json

- A student's step on cached logits against the same step with the ensemble asked live in the same
  compiled program, for 4 and 16 members: measured ratio over the ratio that the FLOP counts promise, and
  the GFLOP/s that the student's step and the members' forward passes reach, which explain it. The nets
  are those of cifar_student.py:small, cifar_student.py and timit_student.py.
- Reading: rows a second of whole views read from a warm disk, digests checked when the cache was
  opened, against stand-ins of other codebases' records: one memory-mapped dense array whose rows are
  gathered batch by batch in random order, and a record a sample (ten float16 values, ten int16 classes,
  a seed) that is decoded into a dense row.
- Writing: seconds of the ensemble's forward passes alone, over those of the logits phase, which also
  streams, averages, converts, checks, writes and reads back.
- Bytes a sample and view on the disk.

CIFAR-10's shapes, random images; float16 logits of ten classes; medians of alternating repeats.
"""

import argparse
import dataclasses
import functools
import statistics
import tempfile
import time
from pathlib import Path

import jax
import numpy as np
import record

from mimic_jax.data.view_settings import Views
from mimic_jax.mimic import cache_layout, cache_writer
from mimic_jax.mimic.packing import Packing
from mimic_jax.models import nets
from mimic_jax.models.counts import count
from mimic_jax.runtime import allocator, compiled
from mimic_jax.training.loss_settings import Loss
from mimic_jax.training.settings import Train
from mimic_jax.training.train_step import Task, create_train_state, forward, train_step

TEACHER = '32c3-bn-p2-64c3-bn-p2-128c3-bn-p2'
SHAPE, CLASSES, BATCH = (32, 32, 3), 10, 128
VIEWS = Views(mirror=True, shift=4)


@dataclasses.dataclass(frozen=True)
class Pair:
    """A student, and what each member of its ensemble is."""

    student: str
    teacher: str
    batch: int = BATCH
    shape: tuple[int, ...] = SHAPE
    classes: int = CLASSES
    preprocess: str = 'image'
    views: Views = VIEWS


PAIRS = (
    Pair('32c5-p2-200L-2000', TEACHER),
    Pair('128c5-p3/2-1200L-30k', '128c5-p3/2-128c5-p3/2-128c5-p3/2-1k-d.5'),
    Pair(
        '250L-8k',
        '150c15x8v-p1x6/1x2-2k-d.5-2k-d.5-2k-d.5',
        batch=256,
        shape=(15, 41, 3),
        classes=183,
        preprocess='scale',
        views=Views(),
    ),
)
ROWS = 40_000  # in a view


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--repeats', type=int, default=7)
    parser.add_argument('--json', type=Path)
    arguments = parser.parse_args()
    allocator.keep_freed_memory()
    start = time.monotonic()
    rows = [steps(pair, members, arguments.repeats) for pair in PAIRS for members in (4, 16)]
    with tempfile.TemporaryDirectory() as folder:
        rows += reading(Path(folder), arguments.repeats)
        rows.append(writing(Path(folder), 3))
    for row in rows:
        print(row)
    if arguments.json:
        record.save(arguments.json, rows, seconds=round(time.monotonic() - start, 1))


def steps(pair: Pair, members: int, repeats: int) -> dict:
    """The step's time with the ensemble asked live over its time with cached logits."""
    task = Task(
        net=nets.of_spec(pair.student, pair.classes),
        preprocess=pair.preprocess,
        views=pair.views,
        loss=Loss(kind='logits'),
        train=Train(),
        steps=1000,
    )
    teacher = nets.of_spec(pair.teacher, pair.classes)
    ensemble = jax.vmap(lambda key: teacher.init(key, pair.shape))(
        jax.random.split(jax.random.key(0), members)
    )
    random = np.random.default_rng(0)
    inputs = random.integers(0, 256, (pair.batch, *pair.shape), dtype=np.uint8)
    batch = jax.device_put(
        {
            'inputs': inputs if pair.preprocess == 'image' else inputs.astype(np.float32),
            'labels': random.integers(0, pair.classes, pair.batch),
            'teacher_logits': random.normal(size=(pair.batch, pair.classes)).astype(np.float16),
            'index': np.arange(pair.batch),
            'mask': np.ones(pair.batch, np.float32),
            'view': np.int32(0),
        }
    )

    @functools.partial(compiled.jit, donate_argnums=0)
    def live(state, batch, ensemble):
        total = 0.0
        for member in range(members):
            variables = jax.tree.map(lambda leaf, member=member: leaf[member], ensemble)
            how = pair.preprocess, pair.views
            total += forward(teacher, *how, variables, {'inputs': {}}, 0, batch)
        return train_step(state, {**batch, 'teacher_logits': total / members})

    cached = compiled.jit(train_step, donate_argnums=0)
    calls = {'cached': lambda state: cached(state, batch)[0]}
    calls['live'] = lambda state: live(state, batch, ensemble)[0]
    states = {name: create_train_state(task, pair.shape, 0, 0, {'inputs': {}}) for name in calls}
    seconds = {name: [] for name in calls}
    for turn in range(repeats + 2):
        for name, call in calls.items():
            begin = time.perf_counter()
            states[name] = jax.block_until_ready(call(states[name]))
            if turn >= 2:  # the first compiles
                seconds[name].append(time.perf_counter() - begin)
    ours, peer = (1e3 * statistics.median(seconds[name]) for name in ('cached', 'live'))
    counted = count(pair.student, pair.shape, pair.classes)
    # Backward is twice forward, but for the first layer's gradient of its inputs.
    first = next(row.flops for row in counted.rows if row.flops)
    student = pair.batch * (3 * counted.flops - first)
    teachers = pair.batch * members * count(pair.teacher, pair.shape, pair.classes).flops
    promised = 1 + teachers / student
    return record.cost(
        f'{pair.student}, cached against {members} members live, ms a step',
        ours,
        peer,
        promised=round(promised, 3),
        of_promised=round(peer / ours / promised, 3),
        student_gflops=round(student / ours / 1e6, 1),
        teachers_gflops=round(teachers / (peer - ours) / 1e6, 1),
    )


def reading(folder: Path, repeats: int) -> list[dict]:
    """Rows a second from a warm disk; bytes a row."""
    random = np.random.default_rng(0)
    view = random.normal(size=(ROWS, CLASSES)).astype(np.float16)
    cache = folder / 'cache'
    cache.mkdir()
    layout = cache_layout.layout(ROWS, 1, Packing('float16', CLASSES))
    members = [lambda: lambda _, rows: view[rows].astype(np.float32)]
    cache_writer.write(cache, np.arange(ROWS), layout, members)
    stored = sum(path.stat().st_size for path in (cache / 'views').rglob('*') if path.is_file())
    np.save(folder / 'dense.npy', view)
    kinds = [('values', np.float16, CLASSES), ('classes', np.int16, CLASSES), ('seed', np.uint32)]
    records = np.zeros(ROWS, np.dtype(kinds))
    records['values'], records['classes'] = view, np.arange(CLASSES)
    (folder / 'records').write_bytes(records.tobytes())
    order = random.permutation(ROWS)

    def ours():
        (part,) = layout.parts(0)
        opened = layout.packing.unpack(cache_layout.read(cache, part, layout.packing))
        return [opened[order[start : start + BATCH]] for start in range(0, ROWS, BATCH)]

    def mapped():
        dense = np.load(folder / 'dense.npy', mmap_mode='r')
        return [dense[order[start : start + BATCH]] for start in range(0, ROWS, BATCH)]

    def decoded():
        data, size = memoryview((folder / 'records').read_bytes()), records.itemsize
        rows = np.zeros((ROWS, CLASSES), np.float16)
        for place, row in enumerate(order):
            part = data[row * size : (row + 1) * size]
            values = np.frombuffer(part, np.float16, CLASSES)
            rows[place, np.frombuffer(part, np.int16, CLASSES, 2 * CLASSES)] = values
        return [rows[start : start + BATCH] for start in range(0, ROWS, BATCH)]

    rates = {}
    for name, call in (('ours', ours), ('mapped', mapped), ('decoded', decoded)):
        assert np.array_equal(np.concatenate(call()), view[order]), name
        rates[name] = ROWS / statistics.median(elapsed(call) for _ in range(repeats))
    return [
        record.rate('rows read a second, against a memory map', rates['ours'], rates['mapped']),
        record.rate('rows read a second, against records', rates['ours'], rates['decoded']),
        record.cost('bytes a sample and view, against records', stored / ROWS, records.itemsize),
    ]


def writing(folder: Path, repeats: int) -> dict:
    """Seconds of two members' forward passes over those of writing their cache."""
    teacher, size = nets.of_spec(TEACHER, CLASSES), 500
    random = np.random.default_rng(0)
    images = random.integers(0, 256, (4000, *SHAPE), dtype=np.uint8)
    index = np.arange(len(images), dtype=np.int32)
    variables = [teacher.init(jax.random.key(number), SHAPE) for number in range(2)]

    @compiled.jit
    def call(variables, inputs, index, view):
        batch = {'inputs': inputs, 'index': index, 'view': view}
        return forward(teacher, 'image', VIEWS, variables, {'inputs': {}}, 0, batch)

    def member(number):
        def logits(view, rows=None):
            parts = [
                call(variables[number], images[start : start + size], index[:size] + start, view)
                for start in range(0, len(images), size)
            ]
            return np.concatenate(jax.device_get(parts))

        return logits

    def bare():
        for number in range(2):
            for view in range(4):
                member(number)(np.int32(view))

    def write():
        with tempfile.TemporaryDirectory(dir=folder) as inside:
            members = [lambda number=number: member(number) for number in range(2)]
            layout = cache_layout.layout(len(index), 4, Packing('float16', CLASSES), len(index))
            cache_writer.write(Path(inside), index, layout, members)

    seconds = {'bare': [], 'write': []}
    for turn in range(repeats + 1):
        for name, call_it in (('bare', bare), ('write', write)):
            taken = elapsed(call_it)
            if turn:
                seconds[name].append(taken)
    ours, peer = (statistics.median(seconds[name]) for name in ('write', 'bare'))
    return record.cost('cache written, against the forward passes alone, s', ours, peer)


def elapsed(call) -> float:
    start = time.perf_counter()
    call()
    return time.perf_counter() - start


if __name__ == '__main__':
    main()
