"""The digits experiment on its own split and on five others: how much of the gap mimicking closes.

    python benchmarks/digits_splits.py --workdir=runs/digits_splits

Prints a row a split (three student seeds each) and the share of the gap between the student on labels
and the ensemble that the mimic closes: split by split, and pooled over the five other splits.
"""

import argparse
import importlib.util
import json
from pathlib import Path

import numpy as np
from absl import logging

from mimic_jax import pipeline

EXPERIMENT = Path(__file__).parent.parent / 'experiments' / 'digits_student.py'


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--workdir', type=Path, default=Path('runs') / 'digits_splits')
    parser.add_argument('--splits', type=int, default=6)
    arguments = parser.parse_args()
    logging.set_verbosity(logging.WARNING)
    table = []
    for split in range(arguments.splits):
        config = load().get_config()
        config.data.seed = split
        name = f'digits_student_split_{split}'
        pipeline.run(config, workdir=arguments.workdir, experiment=name)
        report = json.loads((arguments.workdir / name / 'report.json').read_text())
        means = {row['name']: row['mean'] for row in report['rows']}
        table.append([means[key] for key in ('ensemble', 'student on labels', 'student mimicking')])
    print('split  ensemble  labels  mimic  gap closed')
    for split, (ensemble, labels, mimic) in enumerate(table):
        print(
            f'{split:5}  {100 * ensemble:8.2f}  {100 * labels:6.2f}  {100 * mimic:5.2f}  '
            f'{share(ensemble, labels, mimic):10.2f}'
        )
    if len(table) > 1:
        ensemble, labels, mimic = np.mean(table[1:], axis=0)
        print(
            f'mean of splits 1 to {len(table) - 1}: {100 * ensemble:.2f} {100 * labels:.2f} '
            f'{100 * mimic:.2f}, {share(ensemble, labels, mimic):.2f} of the gap closed'
        )


def share(ensemble: float, labels: float, mimic: float) -> float:
    return (mimic - labels) / (ensemble - labels) if ensemble != labels else float('nan')


def load():
    spec = importlib.util.spec_from_file_location('digits_student', EXPERIMENT)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


if __name__ == '__main__':
    main()
