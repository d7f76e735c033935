"""Tunes students on the validation split, each with the same trials.

    python benchmarks/tune.py --config=experiments/cifar_student.py:small --workdir=runs \
        --students=labels,mimic --set=train.learning_rate=.003,.01,.03 --set=model=A,B --epochs=.5

Each student is trained once a split (`--splits`, of config.data.seed) for every combination of the
settings, with seed 1000, which no experiment reports, and `--epochs` of its own epochs. Missing
teachers and caches are made. Prints mean validation accuracies; the test split is not looked at.
"""

import argparse
import itertools
import json
from pathlib import Path

import config_files
from absl import logging

from mimic_jax import pipeline
from mimic_jax.config import experiment as experiments
from mimic_jax.data import prepare
from mimic_jax.planning import collect
from mimic_jax.reporting.run import machine
from mimic_jax.runtime import allocator
from mimic_jax.runtime.progress import Progress
from mimic_jax.training import metrics_log

SEED = 1000


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--config', required=True)
    parser.add_argument('--workdir', type=Path, default=Path('runs'))
    parser.add_argument(
        '--root', default='', help='config.data.root, for data that are read from one'
    )
    parser.add_argument('--students', default='labels,mimic')
    parser.add_argument('--set', action='append', required=True, metavar='KEY=A,B,C')
    parser.add_argument('--epochs', type=float, default=1.0, help="part of a student's own epochs")
    parser.add_argument('--splits', default='', help="data seeds; the config's own when left out")
    parser.add_argument('--json', type=Path, help='a file to keep the trials in')
    arguments = parser.parse_args()
    logging.set_verbosity(logging.WARNING)
    allocator.keep_freed_memory()
    names = [item.partition('=')[0] for item in arguments.set]
    choices = [[value(v) for v in item.partition('=')[2].split(',')] for item in arguments.set]
    rows = []
    for student in arguments.students.split(','):
        for chosen in itertools.product(*choices):
            settings = dict(zip(names, chosen, strict=True))
            seeds = [int(seed) for seed in arguments.splits.split(',') if seed] or [None]
            found = [trial(arguments, student, settings, seed) for seed in seeds]
            mean = sum(found) / len(found)
            rows.append({'student': student, **settings, 'validation_accuracy': mean})
            print(rows[-1], flush=True)
    if arguments.json:
        result = {'config': arguments.config, 'epochs': arguments.epochs, 'machine': machine()}
        arguments.json.write_text(json.dumps({**result, 'trials': rows}, indent=1) + '\n')


def trial(arguments, student: str, settings: dict, split: int | None) -> float:
    """One student trained with these settings; its last validation accuracy."""
    config = config_files.load(arguments.config)
    if arguments.root:
        config.data.root = arguments.root
    if split is not None:
        config.data.seed = split
    entry = config.students[student]
    for other in [name for name in config.students if name != student]:
        del config.students[other]
    config.report = {'rows': {}, 'order': (), 'ensemble': ''}
    entry.seeds = (SEED,)
    entry.train.epochs = max(1, round(arguments.epochs * entry.train.epochs))
    for key, item in settings.items():
        config.update_from_flattened_dict({f'students.{student}.{key}': item})
    phases = ('teacher', 'logits', 'student') if entry.target == 'logits' else ('student',)
    for phase in phases:
        pipeline.run(config, workdir=arguments.workdir, experiment='tuning', phase=phase)
    checked = experiments.read(config)
    data = prepare.run(checked.data, arguments.workdir, Progress())
    (net,) = collect.make(checked, data).students[student]
    records = metrics_log.read(arguments.workdir / net.recipe.name)
    accuracies = [r['validation_accuracy'] for r in records if 'validation_accuracy' in r]
    return accuracies[-1]


def value(text: str):
    """A number where the text is one."""
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            pass
    return text


if __name__ == '__main__':
    main()
