"""Time and memory as work grows: by members, views, transfer images and parameters.

    python benchmarks/growth.py --json=results/growth.json

Labelling by 1 to 16 members; labelling and training with 1 to 16 views, an epoch a view; both on 20,000
transfer images of 32×32 pixels. Preparing, labelling and training with 20,000 to 1,050,000 of them
(`--rows`), streamed from the disk. A training step of a shallow net of 1 to 180 million parameters on
speech. All nets but the last are tiny. Each point is a process of its own. Seconds of labelling and
training include compilation. Seconds of a step leave out compilation and the first steps, in which
the heap grows: at 180 million parameters it grows to 6 GB, and two of these steps take three times
as long. Memory is the peak of what the machine must have (transfer_memory.py).

A slope is that of a least-squares line through the logarithms: 1 is linear. It is fitted to the
larger half of the points, where fixed costs weigh least. Writes the picture beside the JSON file,
or growth.png.
"""

import argparse
import io
import multiprocessing
import statistics
import tempfile
import time
from pathlib import Path

import numpy as np
import record
import transfer_memory

FEW = 20_000  # transfer images, where it is not their number that grows
COUNTS = (1, 2, 4, 8, 16)
ROWS = (20_000, 60_000, 200_000, 1_050_000)
PARAMETERS = (1e6, 3e6, 10e6, 30e6, 100e6, 180e6)
WARMUP, STEPS = 6, 7
SPAWN = multiprocessing.get_context('spawn')


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--rows', default=','.join(map(str, ROWS)))
    parser.add_argument('--json', type=Path)
    arguments = parser.parse_args()
    start, rows = time.monotonic(), []
    with tempfile.TemporaryDirectory() as folder:
        folder = Path(folder)
        transfer_memory.write_labelled(folder / 'labelled.npz')
        grow(rows, 'members', COUNTS, lambda count: (pipeline, folder, FEW, count, 1))
        grow(rows, 'views', COUNTS, lambda count: (pipeline, folder, FEW, 1, count))
        sizes = tuple(map(int, arguments.rows.split(',')))
        grow(rows, 'transfer images', sizes, lambda count: (pipeline, folder, count, 1, 1))
        grow(rows, 'parameters', PARAMETERS, lambda budget: (step, budget))
    if arguments.json:
        record.save(arguments.json, rows, seconds=round(time.monotonic() - start, 1))
    draw(rows, (arguments.json or Path('growth.json')).with_suffix('.png'))


def grow(rows: list[dict], by: str, amounts, point) -> None:
    """Measures every amount and appends a row for each thing measured."""
    found = []
    for amount in amounts:
        program, *given = point(amount)
        with SPAWN.Pool(1) as pool:
            found.append(pool.apply(program, given))
        print(by, f'{amount:g}', found[-1], flush=True)
    # The net that fits a budget has a few parameters less.
    amounts = [each.pop('amount', amount) for each, amount in zip(found, amounts, strict=True)]
    for name in found[0]:
        values = [each[name] for each in found]
        facts = {'by': by, 'amounts': [*map(int, amounts)], 'measured': values}
        rows.append({'name': f'{name}, by {by}', **facts, 'slope': slope(amounts, values)})
        print(rows[-1]['name'], 'slope', rows[-1]['slope'], flush=True)


def slope(amounts, values) -> float:
    first = len(amounts) // 2 - 1
    x, y = np.log(np.asarray(amounts[first:], float)), np.log(np.asarray(values[first:], float))
    return round(float(np.polyfit(x, y, 1)[0]), 3)


def pipeline(folder: Path, rows: int, members: int, views: int) -> dict:
    """Seconds and peak memory of preparing, labelling and training."""
    from mimic_jax.config import experiment as experiments
    from mimic_jax.data import prepare
    from mimic_jax.mimic import logits, students, teachers
    from mimic_jax.planning import collect as plans
    from mimic_jax.runtime import sharding
    from mimic_jax.runtime.progress import Progress
    from mimic_jax.training.session import Session

    transfer_memory.write_unlabelled(folder / 'unlabelled.npy', rows)
    config = transfer_memory.settings(folder, 'host')
    names = tuple(f'tiny_{number}' for number in range(members))
    config.members = {
        name: {**config.members.tiny.to_dict(), 'seed': number} for number, name in enumerate(names)
    }
    config.logits.tiny.members, config.logits.tiny.views = names, views
    config.students.mimic.train.epochs = views
    checked, quiet = experiments.read(config), Progress(stream=io.StringIO())
    peaks = {}
    with tempfile.TemporaryDirectory(dir=folder) as workdir:
        workdir = Path(workdir)
        with transfer_memory.measured(peaks, 'prepare'):
            data = prepare.run(checked.data, workdir, quiet)
        plan = plans.make(checked, data)
        session = Session(workdir, data, checked.run, quiet, sharding.make_mesh())
        for member in plan.members.values():
            teachers.make(session, member)
        with transfer_memory.measured(peaks, 'label'):
            logits.run(session, plan.caches['tiny'])
        with transfer_memory.measured(peaks, 'train'):
            students.make(session, plan.students['mimic'][0])
    return {
        **{f'{phase}, s': found['seconds'] for phase, found in peaks.items()},
        'peak, MiB': max(found['anonymous'] for found in peaks.values()),
    }


def step(budget: float) -> dict:
    """A training step of the largest shallow net on speech within a budget, and the process's memory."""
    import jax

    from mimic_jax.data.view_settings import Views
    from mimic_jax.models import nets, notation
    from mimic_jax.runtime import allocator, compiled
    from mimic_jax.training.loss_settings import Loss
    from mimic_jax.training.settings import Train
    from mimic_jax.training.train_step import Task, create_train_state, train_step

    allocator.keep_freed_memory()
    shape, classes, size = (15, 41, 3), 183, 128
    spec = notation.solve('250L-?', budget, shape, classes)
    train = Train(learning_rate=1e-3, batch_size=size)
    task = Task(
        nets.of_spec(spec, classes), 'scale', Views(), Loss(kind='cross_entropy'), train, 10**6
    )
    random = np.random.default_rng(0)
    batch = {
        'inputs': random.normal(size=(size, *shape)).astype(np.float32),
        'labels': random.integers(0, classes, size).astype(np.int32),
        'index': np.arange(size, dtype=np.int32),
        'mask': np.ones(size, np.float32),
        'view': np.int32(0),
    }
    batch, call, seconds = jax.device_put(batch), compiled.jit(train_step, donate_argnums=0), []
    peaks = {}
    with transfer_memory.measured(peaks, 'step'):
        state = create_train_state(task, shape, 0, 0, {'inputs': {}})
        for _ in range(WARMUP + STEPS):
            began = time.perf_counter()
            state, _ = jax.block_until_ready(call(state, batch))
            seconds.append(time.perf_counter() - began)
    parameters = sum(leaf.size for leaf in jax.tree.leaves(state.variables))
    return {
        'amount': parameters,
        'step, s': round(statistics.median(seconds[WARMUP:]), 4),
        'peak, MiB': peaks['step']['anonymous'],
    }


def draw(rows: list[dict], path: Path) -> None:
    """A panel for what grows: everything measured against it, both axes logarithmic."""
    import matplotlib.pyplot as plt

    grown = list(dict.fromkeys(row['by'] for row in rows))
    figure, panels = plt.subplots(
        1, len(grown), figsize=(4 * len(grown), 3.6), layout='constrained'
    )
    for panel, by in zip(panels, grown, strict=True):
        for row in rows:
            if row['by'] == by:
                label = f'{row["name"].partition(", by")[0]} (slope {row["slope"]:.2f})'
                panel.loglog(row['amounts'], row['measured'], marker='o', label=label)
        panel.set_xlabel(by)
        panel.legend(fontsize=7)
        panel.grid(alpha=0.3)
    figure.savefig(path, dpi=110)


if __name__ == '__main__':
    main()
