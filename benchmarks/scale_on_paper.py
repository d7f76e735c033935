"""Ba & Caruana's 80 million unlabelled images on a pod of TPUs: planned, not measured.

    pip install -e '.[aot]'
    python benchmarks/scale_on_paper.py --json=results/scale_on_paper.json

Section 6 of the paper expects more of mimics with 80 million Tiny Images than with the million that they
had. Nobody has to hold those images here: arrays that repeat one number stand in for them. The nets
are cifar_table2.py:cnn's, a CNN that labels one view and the 128c net that mimics it for one pass.
The calls are compiled for `--target` by its own compiler, as by `--phase=plan --compile_for`. The
host's own work is run here at the full number: an epoch's order, the batches' indices of one host,
the parts of the cache.
"""

import argparse
import sys
import time
from pathlib import Path

import numpy as np
import record

ROOT = Path(__file__).parent.parent
sys.path[:0] = [str(ROOT / 'tests'), str(ROOT)]

import artifact_names  # noqa: E402

from mimic_jax.config import experiment as experiments  # noqa: E402
from mimic_jax.data import batches  # noqa: E402
from mimic_jax.data.placement import Placement  # noqa: E402
from mimic_jax.planning import collect, compiled_for  # noqa: E402
from mimic_jax.runtime import backend, targets  # noqa: E402

IMAGES = 80_000_000
HOST_CHIPS = 8  # of v5e
BATCH = 8192


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--target', default='tpu:v5e:8x8')
    parser.add_argument('--images', type=int, default=IMAGES)
    parser.add_argument('--lower', action='store_true', help='lower alone, without libtpu')
    parser.add_argument('--json', type=Path)
    arguments = parser.parse_args()
    target = targets.parse(arguments.target)
    rows = []

    def add(name: str, ours: float, unit: str):
        rows.append({'name': name, 'ours': float(f'{ours:.4g}'), 'unit': unit})
        print(f'{name}: {ours:.4g} {unit}', flush=True)

    plan, placement = planned(arguments.images, target, arguments.lower)
    (cache,), (student,) = plan.caches.values(), plan.students['cnn_mimic_128c']
    with backend.compiling_for(target.backend):
        for net in (cache.members[0], student):
            for cost in compiled_for.costs_of([net], plan, placement, target):
                what = f'{cost.program} {cost.net}'
                add(f'{what}, memory a chip', cost.memory / targets.GIB, 'GiB')
                add(f'{what}, a call at least', 1e3 * cost.seconds, 'ms')
                add(f'{what}, all calls at least', cost.seconds * cost.calls / 3600, 'h')
    for name, value, unit in on_hosts(plan, placement, target):
        add(name, value, unit)
    if arguments.json:
        record.save(arguments.json, rows, planned='not measured', target=arguments.target)


def planned(images: int, target: targets.Target, lower: bool):
    """(plan, placement) of cifar_table2.py:cnn with so many further images, one view and one pass."""
    config = artifact_names.module('cifar_table2').get_config('cnn')
    config.data.transfer.update({'kind': 'npz', 'root': 'images.npz', 'limit': images})
    config.logits.cnn.views = 1
    config.students = {'cnn_mimic_128c': config.students.cnn_mimic_128c}
    config.report = {}
    config.students.cnn_mimic_128c.train.update({'epochs': 1, 'batch_size': BATCH})
    config.run.update({'evaluation_batch_size': BATCH, 'placement': 'host'})
    checked = experiments.read(config)
    data = artifact_names.divided(checked.data)
    mesh = (target.abstract_mesh if lower else target.mesh)(1)
    return collect.make(checked, data), Placement(data, checked.run, mesh)


def on_hosts(plan, placement: Placement, target: targets.Target):
    """(name, value, unit) of what hosts read, hold and compute."""
    (cache,), (student,) = plan.caches.values(), plan.students['cnn_mimic_128c']
    hosts = max(1, target.chips // HOST_CHIPS)
    bytes_of_all = len(cache.examples) * int(np.prod(placement.data.input_shape))
    yield 'images labelled', len(cache.examples), ''
    yield 'images read by a host in one pass', bytes_of_all / hosts / 1e9, 'GB'
    layout = cache.layout(placement.data.num_classes, BATCH)
    parts = layout.parts(0)
    yield 'cache of one view', 2 * layout.examples * layout.packing.classes / 1e9, 'GB'
    yield 'parts of a view', len(parts), ''
    assert parts[-1].rows.stop == len(cache.examples)
    start = time.perf_counter()
    ids = list(batches.epoch(student.examples, BATCH, 0, 0, placement.padded(BATCH)))
    yield "an epoch's order, drawn here", time.perf_counter() - start, 's'
    yield 'its indices and masks', sum(a.nbytes for item in ids for a in item.values()) / 1e9, 'GB'
    every = np.bincount(np.concatenate([item['index'][item['mask'] > 0] for item in ids]))
    assert np.array_equal(np.flatnonzero(every), np.sort(student.examples)) and every.max() == 1
    yield 'steps of the pass', len(ids), ''


if __name__ == '__main__':
    main()
