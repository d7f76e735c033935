"""A shallow net trained on labels as well as trials allow, against its mimic with as many: on digits.

    python benchmarks/direct.py --json=results/direct.json

Ba & Caruana 2014, section 6: to train shallow nets of high accuracy without a teacher would be a
significant contribution. The student of experiments/digits_student.py is trained on the 200 labels,
in trials with random rate, weight decay, dropout, label smoothing, mixup and epochs. Its mimic has
equally many trials, with random rate, weight decay, clipping and epochs. A trial takes up to three
times the experiment's steps. The experiment's own settings are one of the trials of each side. The
trial with the best validation accuracy, the mean over two splits, is then trained anew on three
other splits, with teachers of their own. A row has its test accuracy: a value a split, each the
mean over the seeds.
"""

import argparse
import json
import time
from pathlib import Path

import config_files
import numpy as np
import record
from absl import logging

from mimic_jax import pipeline
from mimic_jax.ops import metrics
from mimic_jax.ops.text import aligned
from mimic_jax.runtime import allocator
from mimic_jax.training import metrics_log

EXPERIMENT = config_files.EXPERIMENTS / 'digits_student.py'
SIDES = {'labels': 'on labels', 'mimic': 'mimicking'}
CHOOSING, TESTING = (0, 1), (3, 4, 5)  # splits
SEEDS = (0, 1)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--workdir', type=Path, default=Path('runs') / 'direct')
    parser.add_argument('--trials', type=int, default=6)
    parser.add_argument('--json', type=Path)
    arguments = parser.parse_args()
    logging.set_verbosity(logging.WARNING)
    allocator.keep_freed_memory()
    start, rows, trials = time.monotonic(), [], {}
    for side, words in SIDES.items():
        chosen = settings(side, arguments.trials)
        found = [validated(side, each, arguments.workdir) for each in chosen]
        trials[side] = [
            {**each, 'validation': value} for each, value in zip(chosen, found, strict=True)
        ]
        best = chosen[int(np.argmax(found))]
        print(json.dumps({'side': side, 'trials': trials[side], 'best': best}), flush=True)
        for name, each in (('as in the experiment', chosen[0]), ('best of its trials', best)):
            values = [tested(side, each, split, arguments.workdir) for split in TESTING]
            mean, std = metrics.mean_std(values)
            row = {'values': values, 'mean': mean, 'std': std, 'n': len(values)}
            rows.append({'name': f'{words}, {name}', **row, 'settings': each})
    print(table(rows))
    if arguments.json:
        seconds = round(time.monotonic() - start, 1)
        record.save(arguments.json, rows, seconds=seconds, trials=trials)


def settings(side: str, trials: int) -> list[dict]:
    """Settings of a side's trials by their place in the student, the experiment's own first."""
    random = np.random.default_rng(sum(map(ord, side)))
    student = config_files.load(EXPERIMENT).students[side]
    epochs, model = student.train.epochs, student.model.removeprefix('d.1-').removesuffix('-d.5')
    found = [{}]
    for _ in range(trials - 1):
        drawn = {
            'train.learning_rate': float(f'{0.03 * 10 ** random.uniform(0, 1):.2g}'),
            'train.weight_decay': float(f'{1e-6 * 10 ** random.uniform(0, 3.5):.2g}'),
            'train.epochs': int(epochs * random.integers(1, 4)),
        }
        if side == 'labels':
            drawn['model'] = f'd.1-{model}-d{random.choice((0.2, 0.5, 0.7))}'
            drawn['train.label_smoothing'] = float(random.choice((0.0, 0.1, 0.2)))
            drawn['views.mixup'] = float(random.choice((0.0, 0.2, 0.5)))
        else:
            drawn['train.clip_norm'] = float(random.choice((1.0, 4.0, 16.0)))
        found.append(drawn)
    return found


def configured(side: str, chosen: dict, split: int, seeds: tuple[int, ...]):
    """The experiment on a split, with one student of these settings."""
    config = config_files.load(EXPERIMENT)
    config.data.seed = split
    config.students = {side: config.students[side]}
    config.students[side].seeds = seeds
    for place, value in chosen.items():
        config.update_from_flattened_dict({f'students.{side}.{place}': value})
    row = {'source': f'students.{side}', 'label': side}
    config.report = {'ensemble': 'ensemble', 'rows': {side: row}, 'order': (side,)}
    if side == 'labels':
        config.members = config.logits = {}
        config.report.ensemble = ''
    return config


def validated(side: str, chosen: dict, workdir: Path) -> float:
    """The mean validation accuracy over the splits for choosing, with a seed that is not reported."""
    values = []
    for split in CHOOSING:
        config = configured(side, chosen, split, (1000,))
        phases = ('teacher', 'logits', 'student') if side == 'mimic' else ('student',)
        for phase in phases:
            _, plan = pipeline.run(config, workdir=workdir, experiment='trials', phase=phase)
        (net,) = plan.students[side]
        records = metrics_log.read(workdir / net.recipe.name)
        values.append(metrics_log.of_kept(records, net.task.train)['validation_accuracy'])
    return float(np.mean(values))


def tested(side: str, chosen: dict, split: int, workdir: Path) -> float:
    """The mean test accuracy over the seeds on a split."""
    config = configured(side, chosen, split, SEEDS)
    pipeline.run(config, workdir=workdir, experiment=f'{side}_{split}')
    report = json.loads((workdir / f'{side}_{split}' / 'report.json').read_text())
    return report['rows'][0]['mean']


def table(rows: list[dict]) -> str:
    body = [(row['name'], f'{100 * row["mean"]:.2f}', f'{100 * row["std"]:.2f}') for row in rows]
    return aligned([('', 'accuracy, %', '±'), *body])


if __name__ == '__main__':
    main()
