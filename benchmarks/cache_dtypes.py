"""What a student loses where its cache keeps logits in fewer bytes: digits, an ensemble of three nets.

    python benchmarks/cache_dtypes.py --json=results/cache_dtypes.json

Runs the experiment digits_student with its ensemble's logits kept in each way. On each cache the
student mimics by Ba & Caruana's squared error and by the divergence of probabilities, with three
seeds each. Prints the report's rows, and the caches' bytes and largest errors; `--json=FILE` keeps
both.
"""

import argparse
import json
from pathlib import Path

import config_files
import record
from absl import logging

from mimic_jax import pipeline
from mimic_jax.config import presets
from mimic_jax.reporting import caches, tables
from mimic_jax.runtime import allocator

EXPERIMENT = config_files.EXPERIMENTS / 'digits_student.py'
KINDS = {
    'float32': {'dtype': 'float32'},
    'float16': {'dtype': 'float16'},
    'int8': {'dtype': 'int8'},
    'top3': {'dtype': 'topk', 'top': 3},
    'top1': {'dtype': 'topk', 'top': 1},
}
LOSSES = {'logits': 'squared error', 'kl': 'divergence'}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--workdir', type=Path, default=Path('runs') / 'cache_dtypes')
    parser.add_argument('--json', type=Path)
    arguments = parser.parse_args()
    logging.set_verbosity(logging.WARNING)
    allocator.keep_freed_memory()
    pipeline.run(config(), workdir=arguments.workdir, experiment='cache_dtypes')
    report = json.loads((arguments.workdir / 'cache_dtypes' / 'report.json').read_text())
    print(tables.table(report['rows']))
    print(tables.aligned([caches.HEADER, *caches.cells(report)]))
    if arguments.json:
        kept = {'seconds': report['seconds'], 'caches': report['caches']}
        record.save(arguments.json, report['rows'], **kept)


def config():
    """The experiment with a cache of each kind and two students on each."""
    found = config_files.load(EXPERIMENT).to_dict()
    cache, student = found['logits'].pop('ensemble'), found['students'].pop('mimic')
    rows = {name: found['report']['rows'][name] for name in ('teacher', 'labels')}
    rows['ensemble'] = presets.row('logits.float32', 'ensemble')
    for kind, settings in KINDS.items():
        found['logits'][kind] = {**cache, **settings}
        for loss, words in LOSSES.items():
            name = f'{kind}_{loss}'
            found['students'][name] = {**student, 'logits': kind, 'loss': {'kind': loss}}
            rows[name] = presets.row(f'students.{name}', f'{kind}, {words}')
    found['report'] = presets.report('float32', rows)
    return presets.build(found)


if __name__ == '__main__':
    main()
