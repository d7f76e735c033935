"""A sweep of twelve students over one logit cache, timed: experiments/digits_student.py by rate and units.

    python benchmarks/sweep.py --workdir=runs/sweep --json=results/digits_sweep.json

Does what this loop in a shell does, in one process, which starts jax once and compiles each net once:

    for rate in 0.01 0.03 0.1 0.3; do for units in 500 1000 2000; do
      python -m mimic_jax.main --config=experiments/digits_student.py --name=rate_${rate}_units_$units \\
        --config.students.mimic.train.learning_rate=$rate --config.students.mimic.model=32L-$units
    done; done

without the students on labels, and with one seed each. Teachers and cache are made by the first run and
found by the others. The time is the whole one, from nothing to the gathered report, so the workdir must
be new. Run it from the repository's root on a machine that does nothing else.
"""

import argparse
import itertools
import json
import time
from pathlib import Path

import config_files
import record
from absl import logging

from mimic_jax import pipeline
from mimic_jax.reporting import gather
from mimic_jax.runtime import allocator

RATES, UNITS = (0.01, 0.03, 0.1, 0.3), (500, 1000, 2000)
CONFIG = config_files.EXPERIMENTS / 'digits_student.py'


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--workdir', type=Path, required=True)
    parser.add_argument('--json', type=Path)
    arguments = parser.parse_args()
    if list(arguments.workdir.glob('teacher-*')):
        parser.error(f'{arguments.workdir} has teachers already; give a new folder')
    logging.set_verbosity(logging.WARNING)
    allocator.keep_freed_memory()
    start = time.monotonic()
    command = record.command()
    names = [
        point(settings(config_files.load(CONFIG)), arguments.workdir, rate, units, command)
        for rate, units in itertools.product(RATES, UNITS)
    ]
    print(gather.run(arguments.workdir, names, command))
    seconds = time.monotonic() - start
    caches = len(list(arguments.workdir.glob('logits-*')))
    print(f'{len(names)} students over {caches} cache: {seconds:.0f} s in all')
    if arguments.json:
        record.save(arguments.json, rows(arguments.workdir), seconds=round(seconds, 1))


def settings(config):
    """The experiment with its student on logits alone, of one seed."""
    del config.students['labels'], config.report.rows['labels']
    config.report.order = tuple(name for name in config.report.order if name != 'labels')
    config.students.mimic.seeds = (0,)
    return config


def point(config, workdir: Path, rate: float, units: int, command: str, devices=None) -> str:
    """Runs one point of the sweep, on all devices when None; returns the name of its report."""
    config.students.mimic.train.learning_rate = rate
    config.students.mimic.model = f'32L-{units}'
    name = f'rate_{rate}_units_{units}'
    pipeline.run(config, workdir=workdir, experiment=name, command=command, devices=devices)
    return name


def rows(workdir: Path) -> list[dict]:
    """The gathered rows: what all share once, then each student, named by its point."""
    found = json.loads((workdir / 'report.json').read_text())['rows']
    shared = {row['name']: row for row in found if row['target'] != 'logits'}
    students = [
        {**row, 'name': row['experiment'].replace('_', ' ')}
        for row in found
        if row['target'] == 'logits'
    ]
    return [
        {key: value for key, value in row.items() if key != 'experiment'}
        for row in (*shared.values(), *students)
    ]


if __name__ == '__main__':
    main()
