"""Training steps with glibc's own settings and with mimic_jax.runtime.allocator's, side by side.

    python benchmarks/page_faults.py --json=results/page_faults.json

Each setting has a process of its own; the two alternate, three times a net. Prints, and writes as JSON,
the median milliseconds a step (batch 128, float32) and the page faults a step.
"""

import argparse
import json
import resource
import statistics
import subprocess
import sys
import time
from pathlib import Path

NETS = ('32c3-bn-p2-64c3-bn-p2-128c3-bn-p2', '32c5-p2-200L-2000', '128c5-p3/2-1200L-2000')
BATCH = 128
STEPS = 10
ROUNDS = 3


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--json', type=Path, help='a file to keep the rows in')
    parser.add_argument('--measure', nargs=2, metavar=('NET', 'SETTING'), help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.measure:
        print(json.dumps(measure(*arguments.measure)))
        return
    rows = [row for net in NETS for row in compare(net)]
    if arguments.json:
        import record

        record.save(arguments.json, rows)


def compare(net: str) -> list[dict]:
    """Rows {name, ours, peer, ratio}: the allocator's settings against glibc's own."""
    found = {'kept': [], 'default': []}
    for _ in range(ROUNDS):
        for setting, results in found.items():
            command = [sys.executable, __file__, '--measure', net, setting]
            results.append(json.loads(subprocess.check_output(command, text=True).splitlines()[-1]))
    rows = []
    for key, unit in (('milliseconds', 'ms a step'), ('faults', 'page faults a step')):
        ours, peer = (
            statistics.median(result[key] for result in found[setting])
            for setting in ('kept', 'default')
        )
        ratio = round(peer / ours, 3) if ours else None
        rows.append({'name': f'{net}, {unit}', 'ours': ours, 'peer': peer, 'ratio': ratio})
        print(rows[-1], flush=True)
    return rows


def measure(net: str, setting: str) -> dict:
    """Median time and page faults of a training step in this process."""
    from mimic_jax.runtime import allocator, compiled

    if setting == 'kept' and not allocator.keep_freed_memory():
        sys.exit('this C library has no mallopt; there is nothing to compare')
    import jax
    import numpy as np

    from mimic_jax.data.view_settings import Views
    from mimic_jax.models import nets
    from mimic_jax.training.loss_settings import Loss
    from mimic_jax.training.settings import Train
    from mimic_jax.training.train_step import Task, create_train_state, train_step

    task = Task(nets.of_spec(net, 10), 'image', Views(mirror=True, shift=4), Loss(), Train(), 1000)
    state = create_train_state(task, (32, 32, 3), 0, 0, {'inputs': {}})
    random = np.random.default_rng(0)
    batch = {
        'inputs': random.integers(0, 256, (BATCH, 32, 32, 3), dtype=np.uint8),
        'labels': random.integers(0, 10, BATCH),
        'index': np.arange(BATCH),
        'mask': np.ones(BATCH, np.float32),
        'view': np.int32(0),
    }
    batch = jax.device_put(batch)
    step = compiled.jit(train_step, donate_argnums=0)
    times, faults = [], []
    for _ in range(STEPS + 3):
        before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
        start = time.perf_counter()
        state, _ = step(state, batch)
        jax.block_until_ready(state)
        times.append(1000 * (time.perf_counter() - start))
        faults.append(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
    return {
        'milliseconds': round(statistics.median(times[3:]), 2),
        'faults': statistics.median(faults[3:]),
    }


if __name__ == '__main__':
    main()
