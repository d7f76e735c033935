"""Host memory while a large transfer set is read, labelled and trained on.

    python benchmarks/transfer_memory.py --json=results/transfer_memory.json

Writes `--rows` images of 32×32×3 pixels to disk (3.2 GB at 1.05 million, and as much again in the
workdir), labels them by a tiny teacher and trains a tiny student on them for an epoch, by the
package's own phases. Prints the peak of each phase's memory in MiB: `anonymous`, which is what the
machine must have, `mapped`, pages of files that the system may drop at any time, and `resident`,
both together. Linux alone counts them (/proc/self/status).
"""

import argparse
import contextlib
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import ml_collections
import numpy as np
import record
from absl import logging

from mimic_jax.config import experiment as experiments
from mimic_jax.data import prepare
from mimic_jax.mimic import logits, students, teachers
from mimic_jax.planning import collect as plans
from mimic_jax.runtime import sharding
from mimic_jax.runtime.progress import Progress
from mimic_jax.training.session import Session

SHAPE = (32, 32, 3)
CLASSES = 10
CHUNK = 10_000  # images made at a time
FIELDS = {'anonymous': 'RssAnon', 'mapped': 'RssFile', 'resident': 'VmRSS'}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--rows', type=int, default=1_050_000)
    parser.add_argument('--folder', type=Path, help='kept; a temporary one when left out')
    parser.add_argument('--placement', default='auto', choices=('auto', 'host', 'device'))
    parser.add_argument('--json', type=Path)
    arguments = parser.parse_args()
    logging.set_verbosity(logging.WARNING)
    with contextlib.ExitStack() as stack:
        folder = arguments.folder or stack.enter_context(tempfile.TemporaryDirectory())
        phases = run(Path(folder), arguments.rows, arguments.placement)
    for name, measured in phases.items():
        print(name, ', '.join(f'{key} {value:g}' for key, value in measured.items()), flush=True)
    if arguments.json:
        rows = [{'name': name, 'unit': 'MiB', **row} for name, row in phases.items()]
        record.save(arguments.json, rows, examples=arguments.rows)


def run(folder: Path, rows: int, placement: str) -> dict[str, dict]:
    """The peaks of every phase, in MiB, and its seconds."""
    folder.mkdir(parents=True, exist_ok=True)
    phases = {}
    with measured(phases, 'synthesise'):
        write_labelled(folder / 'labelled.npz')
        write_unlabelled(folder / 'unlabelled.npy', rows)
    checked = experiments.read(settings(folder, placement))
    workdir = folder / 'work'
    workdir.mkdir(exist_ok=True)
    progress = Progress()
    with measured(phases, 'prepare'):
        data = prepare.run(checked.data, workdir, progress)
    plan = plans.make(checked, data)
    session = Session(workdir, data, checked.run, progress, sharding.make_mesh())
    with measured(phases, 'teacher'):
        teachers.make(session, plan.members['tiny'])
    with measured(phases, 'label'):
        logits.run(session, plan.caches['tiny'])
    with measured(phases, 'train'):
        students.make(session, plan.students['mimic'][0])
    return phases


def settings(folder: Path, placement: str) -> ml_collections.ConfigDict:
    train = {'epochs': 1, 'batch_size': 500, 'learning_rate': 0.01, 'clip_norm': 1.0}
    return ml_collections.ConfigDict(
        {
            'data': {
                'name': 'npz',
                'root': str(folder / 'labelled.npz'),
                'validation': 1000,
                'test': 1000,
                'preprocess': 'scale',
                'transfer': {'kind': 'npz', 'root': str(folder / 'unlabelled.npy')},
            },
            'members': {'tiny': {'model': '16', 'train': train}},
            'logits': {'tiny': {'members': ('tiny',)}},
            'students': {
                'mimic': {
                    'model': '16L-64',
                    'target': 'logits',
                    'logits': 'tiny',
                    'loss': {'kind': 'logits'},
                    'train': train,
                }
            },
            'run': {'placement': placement},
        }
    )


def write_labelled(path: Path) -> None:
    random = np.random.default_rng(0)
    images = random.integers(0, 256, (4000, *SHAPE), np.uint8)
    np.savez(path, images=images, labels=np.arange(len(images)) % CLASSES)


def write_unlabelled(path: Path, rows: int) -> None:
    random = np.random.default_rng(1)
    header = {'descr': '|u1', 'fortran_order': False, 'shape': (rows, *SHAPE)}
    with path.open('wb') as file:
        np.lib.format.write_array_header_1_0(file, header)
        for start in range(0, rows, CHUNK):
            file.write(random.bytes(min(CHUNK, rows - start) * int(np.prod(SHAPE))))


@contextlib.contextmanager
def measured(phases: dict[str, dict], name: str) -> Iterator[None]:
    """Looks at this process's memory every 20 ms; the peaks become `phases[name]`."""
    peaks = dict.fromkeys(FIELDS, 0.0)
    stop = threading.Event()

    def look() -> None:
        while not stop.wait(0.02):
            lines = Path('/proc/self/status').read_text().splitlines()
            status = dict(line.split(':', 1) for line in lines)
            for key, field in FIELDS.items():
                peaks[key] = max(peaks[key], int(status[field].split()[0]) / 1024)

    thread = threading.Thread(target=look)
    start = time.monotonic()
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()
    seconds = round(time.monotonic() - start, 2)
    phases[name] = {**{key: round(value) for key, value in peaks.items()}, 'seconds': seconds}


if __name__ == '__main__':
    main()
