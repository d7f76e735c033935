"""The random forest of experiments/tabular_student.py beside the net that mimics it: accuracy, bytes, time.

    python benchmarks/tabular_student.py --json=results/tabular_forest.json

Runs the experiment where the workdir does not have it yet. Bytes are those of the forest's pickle,
and four a parameter of the net. Latency is the median of 20 answers to a batch in memory. The
forest answers by `predict_proba` on one thread; the net by preprocessing and forward pass, compiled
before. Run it from the repository's root on a machine that does nothing else.
"""

import argparse
import json
import pickle
import statistics
import sys
import time
from pathlib import Path

import config_files
import numpy as np
import record
from absl import logging

from mimic_jax import pipeline
from mimic_jax.config import experiment as experiments
from mimic_jax.data import prepare
from mimic_jax.mimic import latency
from mimic_jax.ops.text import aligned
from mimic_jax.planning import collect as plans
from mimic_jax.runtime import allocator, sharding
from mimic_jax.runtime.progress import Progress
from mimic_jax.training.session import Session

ROOT = Path(__file__).parent.parent
EXPERIMENT = 'tabular_student'


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--workdir', type=Path, default=Path('runs'))
    parser.add_argument('--json', type=Path)
    arguments = parser.parse_args()
    logging.set_verbosity(logging.WARNING)
    allocator.keep_freed_memory()
    sys.path.insert(0, str(ROOT))
    settings = config_files.load(config_files.EXPERIMENTS / f'{EXPERIMENT}.py')
    pipeline.run(settings, workdir=arguments.workdir, experiment=EXPERIMENT)
    report = json.loads((arguments.workdir / EXPERIMENT / 'report.json').read_text())
    rows = measured(settings, arguments.workdir, report['rows'])
    print(table(rows))
    if arguments.json:
        record.save(arguments.json, rows, seconds=report['seconds'])


def measured(settings, workdir: Path, rows: list[dict]) -> list[dict]:
    """Rows {name, ours, peer, ratio}: ours is the net that mimics, the peer is the forest."""
    checked = experiments.read(settings)
    data = prepare.run(checked.data, workdir, Progress())
    mesh = sharding.make_mesh(1, None)
    session = Session(workdir, data, checked.run, Progress(), mesh)
    net = plans.make(checked, data).students['mimic'][0]
    train = data.splits['train']
    inputs = np.asarray(data.inputs[train])
    forest = config_files.module(ROOT / 'examples' / 'forest_teacher.py').forest(
        inputs, data.labels[train]
    )
    ours = latency.measure(session, [net])
    means = {row['name']: 100 * row['mean'] for row in rows}
    result = [
        row('accuracy, %', means['net mimicking'], means['random forest'], higher=True),
        row('bytes', 4 * net.parameters, len(pickle.dumps(forest))),
    ]
    for size in latency.BATCH_SIZES:
        batch = np.asarray(data.inputs[:size])
        result.append(row(f'batch {size}, ms', ours[str(size)], milliseconds(forest, batch)))
    return result


def table(rows: list[dict]) -> str:
    """The rows as the README shows them."""
    body = [
        [row['name'], *(_figure(row[key]) for key in ('ours', 'peer', 'ratio'))] for row in rows
    ]
    return aligned([['', 'net', 'forest', 'ratio'], *body])


def _figure(value: float) -> str:
    return f'{value:,.0f}' if value >= 1000 else f'{value:.4g}'


def milliseconds(forest, batch: np.ndarray) -> float:
    def answer() -> float:
        start = time.perf_counter()
        forest.predict_proba(batch)
        return time.perf_counter() - start

    answer()
    return 1000 * statistics.median(answer() for _ in range(latency.REPETITIONS))


def row(name: str, ours: float, peer: float, higher: bool = False) -> dict:
    ratio = ours / peer if higher else peer / ours
    return {'name': name, 'ours': round(ours, 4), 'peer': round(peer, 4), 'ratio': round(ratio, 3)}


if __name__ == '__main__':
    main()
