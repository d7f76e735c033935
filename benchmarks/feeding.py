"""What it costs to bring batches to the step: from arrays on the device, and streamed from the host.

    python benchmarks/feeding.py --json=results/feeding.json

Milliseconds a step, medians over alternating turns of three epochs, with no wait between steps.
`ours` is fed as by the training loop: order drawn, an epoch's ids placed, examples gathered; when
streamed, a thread gathers them ahead of the step. `peer` is the same compiled step on one batch
that lies on the device already. A ratio of .97 is an overhead of 3%. The nets are the quickstart's
student on digits, the smallest that an experiment here trains, and BC's SNN-8k on frames of made-up
speech.
"""

import argparse
import io
import statistics
import tempfile
import time
from pathlib import Path

import jax
import numpy as np
import record

from mimic_jax.data import batches
from mimic_jax.data.dataset import Dataset
from mimic_jax.data.view_settings import Views
from mimic_jax.models import nets
from mimic_jax.runtime import allocator, compiled, sharding
from mimic_jax.runtime.progress import Progress
from mimic_jax.runtime.settings import Run
from mimic_jax.speech import corpora
from mimic_jax.training import calls
from mimic_jax.training.loss_settings import Loss
from mimic_jax.training.session import Session
from mimic_jax.training.settings import Train
from mimic_jax.training.train_step import Task, create_train_state, train_step

TURNS, EPOCHS = 11, 3


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--json', type=Path)
    arguments = parser.parse_args()
    allocator.keep_freed_memory()
    start = time.monotonic()
    digits, frames = images(25600), corpus(128 * 15)
    rows = [
        compare('digits student 32L-2000, arrays on the device', digits, '32L-2000', 'device', 50),
        compare('SNN-8k, arrays on the device', frames, '8k', 'device', 128),
        compare('SNN-8k, streamed', frames, '8k', 'host', 128),
    ]
    for row in rows:
        print(row)
    if arguments.json:
        record.save(arguments.json, rows, seconds=round(time.monotonic() - start, 1))


def images(count: int) -> Dataset:
    random = np.random.default_rng(0)
    inputs = random.integers(0, 17, (count, 8, 8, 1)).astype(np.float32)
    return dataset(inputs, random.integers(0, 10, count), 10)


def corpus(count: int) -> Dataset:
    """Utterances of 300 frames of 123 dimensions."""
    random = np.random.default_rng(0)
    frames = random.normal(size=(count, 123)).astype(np.float32)
    labels = random.integers(0, 183, count)
    bounds = np.append(np.arange(0, count, 300), count)
    spoken = corpora.Speech(frames, labels.astype(np.int32), bounds, (), ())
    return dataset(frames, labels, 183, spoken)


def dataset(inputs, labels, classes: int, spoken=None) -> Dataset:
    everything = np.arange(len(inputs), dtype=np.int32)
    splits = {'train': everything, 'validation': everything[:0], 'test': everything[:0]}
    labels = labels.astype(np.int32)
    return Dataset(inputs, labels, splits, classes, '', 'scale', speech=spoken)


def compare(name: str, data: Dataset, spec: str, placement: str, size: int) -> dict:
    """The fed step against the same program on one batch that is there already."""
    with tempfile.TemporaryDirectory() as folder:
        mesh = sharding.make_mesh(devices=jax.devices()[:1])
        progress = Progress(stream=io.StringIO())
        session = Session(Path(folder), data, Run(placement=placement), progress, mesh)
        loss, training = Loss(kind='cross_entropy'), Train(learning_rate=1e-4, batch_size=size)
        task = Task(nets.of_spec(spec, data.num_classes), 'scale', Views(), loss, training, 10**6)

    def state():
        return create_train_state(task, data.input_shape, 0, 0, {'inputs': {}})

    gathered = jax.device_put(
        batches.gather(data.arrays, {**first(data, size), 'view': np.int32(0)})
    )
    fixed = compiled.jit(train_step, donate_argnums=0)
    step_call = calls.train(mesh, False)
    steps = EPOCHS * batches.steps(len(data.labels), size)

    def fed(state):
        for epoch in range(EPOCHS):
            ids = batches.epoch(data.splits['train'], size, 0, epoch)
            for count, given in session.placement.epoch(list(ids), 0, {}):
                state, _ = step_call(state, given, count)
        return state

    def bare(state):
        for _ in range(steps):
            state, _ = fixed(state, gathered)
        return state

    states, seconds = {fed: state(), bare: state()}, {fed: [], bare: []}
    for turn in range(TURNS + 1):
        for call in states:
            begin = time.perf_counter()
            states[call] = jax.block_until_ready(call(states[call]))
            if turn:  # the first compiles
                seconds[call].append(time.perf_counter() - begin)
    ours, peer = (1e3 * statistics.median(seconds[call]) / steps for call in (fed, bare))
    return record.cost(f'{name}, ms a step', ours, peer)


def first(data: Dataset, size: int) -> dict:
    return next(batches.in_order(data.splits['train'], size))


if __name__ == '__main__':
    main()
