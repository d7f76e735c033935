"""The digits experiment on its own split and on five others: how much of the gap mimicking closes.

    python benchmarks/digits_splits.py

Prints a row a split (means of three student seeds) and the share of the gap between the student on
labels and the ensemble that the mimic closes, split by split and pooled over the five others.
`--json=FILE` keeps the pooled rows in the form of a report, a value a split.
"""

import argparse
import json
from pathlib import Path

import config_files
import numpy as np
import record
from absl import logging

from mimic_jax import pipeline
from mimic_jax.ops import metrics
from mimic_jax.reporting import tables
from mimic_jax.runtime import allocator

EXPERIMENT = config_files.EXPERIMENTS / 'digits_student.py'
ROWS = ('ensemble', 'student on labels', 'student mimicking')


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--workdir', type=Path, default=Path('runs') / 'digits_splits')
    parser.add_argument('--splits', type=int, default=6)
    parser.add_argument('--json', type=Path)
    arguments = parser.parse_args()
    logging.set_verbosity(logging.WARNING)
    allocator.keep_freed_memory()
    reports = [report(split, arguments.workdir) for split in range(arguments.splits)]
    print('split  ensemble  labels  mimic  gap closed')
    means = np.array([[row(r, name)['mean'] for name in ROWS] for r in reports])
    for split, values in enumerate(means):
        print(line(str(split), values))
    if len(reports) > 1:
        print(line('1 on', means[1:].mean(axis=0)))
        rows = [pooled(reports[1:], name) for name in ROWS]
        print(tables.table(rows))
        if arguments.json:
            seconds = round(sum(r['seconds'] for r in reports), 1)
            record.save(arguments.json, rows, seconds=seconds)


def report(split: int, workdir: Path) -> dict:
    """The report of the experiment on one split of the digits."""
    config = config_files.load(EXPERIMENT)
    config.data.seed = split
    name = f'digits_student_split_{split}'
    pipeline.run(config, workdir=workdir, experiment=name)
    return json.loads((workdir / name / 'report.json').read_text())


def row(report: dict, name: str) -> dict:
    return next(row for row in report['rows'] if row['name'] == name)


def pooled(reports: list[dict], name: str) -> dict:
    """One row over several splits: a value is a split's mean over its seeds."""
    rows = [row(report, name) for report in reports]
    values = [r['mean'] for r in rows]
    mean, std = metrics.mean_std(values)
    agreements = [r['agreement'] for r in rows]
    agreement = None if None in agreements else float(np.mean(agreements))
    changed = {'values': values, 'mean': mean, 'std': std, 'n': len(values), 'agreement': agreement}
    return {**rows[0], **changed}


def line(name: str, means) -> str:
    ensemble, labels, mimic = means
    share = (mimic - labels) / (ensemble - labels) if ensemble != labels else float('nan')
    return (
        f'{name:5}  {100 * ensemble:8.2f}  {100 * labels:6.2f}  {100 * mimic:5.2f}  {share:10.2f}'
    )


if __name__ == '__main__':
    main()
