"""Why a mimic may beat its labels: Ba & Caruana's section 5.1 on digits, one mechanism a row.

    python benchmarks/mechanisms.py --json=results/mechanisms.json

The student of experiments/digits_student.py is trained on four targets: the labels, and its teachers'
chosen classes, probabilities and logits, on the same 200 labelled digits and the views of the cache. So
nothing but the targets differs, rates aside. It is done on the digits as they are; with a fifth of the
training labels wrong; with inputs that no net sees, the right half of each digit, on which its label
depends; and with that half hidden from the students alone, whose teachers see it. A row has the mean
test accuracy over the seeds, and `neighbours`: on the training digits, how often an example and its nearest
neighbour, by what the student sees, have the same target, before (labels) and after (the teachers'
classes). Complexity that the teachers wash out raises it.
"""

import argparse
import json
import time
from pathlib import Path

import config_files
import numpy as np
import record
from absl import logging
from sklearn.datasets import load_digits

from mimic_jax import pipeline
from mimic_jax.mimic import ensemble
from mimic_jax.models import masks
from mimic_jax.ops import text
from mimic_jax.runtime import allocator

TARGETS = {  # of a student: the loss, and its rate and clipping
    'labels': None,
    'classes': ('teacher_labels', {'learning_rate': 0.1}),
    'probabilities': ('kl', {'learning_rate': 0.1}),
    'logits': ('logits', {'learning_rate': 0.1, 'clip_norm': 4.0}),
}
SETTINGS = {
    'as they are': {},
    'a fifth of labels wrong': {'label_noise': 0.2},
    'half hidden': {},
    'half hidden from the student': {},
}
RIGHT_HALF = ':,4:'  # of 8×8 pixels


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--workdir', type=Path, default=Path('runs') / 'mechanisms')
    parser.add_argument('--json', type=Path)
    arguments = parser.parse_args()
    logging.set_verbosity(logging.WARNING)
    allocator.keep_freed_memory()
    start, rows = time.monotonic(), []
    for name in SETTINGS:
        rows += compared(name, arguments.workdir)
        print(table(rows), flush=True)
    if arguments.json:
        record.save(arguments.json, rows, seconds=round(time.monotonic() - start, 1))


def compared(name: str, workdir: Path) -> list[dict]:
    """A row a target, and the ensemble's, on the digits of one setting."""
    workdir.mkdir(parents=True, exist_ok=True)
    config = configured(name, workdir)
    session, plan = pipeline.run(config, workdir=workdir, experiment=name.replace(' ', '_'))
    report = json.loads((workdir / name.replace(' ', '_') / 'report.json').read_text())
    examples = session.data.splits['train']
    seen = masks.seen(config.students.labels.get('unseen', ()), session.data.input_shape)
    inputs = (session.data.inputs[examples] * seen).reshape(len(examples), -1)
    labels = session.data.labels[examples]
    cache = ensemble.open_checked(session, plan.caches['ensemble'])
    classes = np.asarray(cache.view(0)).argmax(axis=1)
    before, after = (neighbours_agree(inputs, targets) for targets in (labels, classes))
    rows = []
    for row in report['rows']:
        kept = {key: row[key] for key in ('values', 'mean', 'std', 'n')}
        neighbours = before if row['name'] == 'labels' else after
        rows.append({'name': f'{name}: {row["name"]}', **kept, 'neighbours': neighbours})
    return rows


def configured(name: str, workdir: Path):
    """The digits experiment with a student a target, all on the labelled digits alone."""
    config = config_files.load(config_files.EXPERIMENTS / 'digits_student.py')
    config.data.update(SETTINGS[name])
    if name == 'half hidden':
        digits = load_digits()
        images = (15 * digits.images).astype(np.uint8)[:, :, :4, None]  # from 0 to 240
        path = workdir / 'left_halves.npz'
        np.savez(path, images=images, labels=digits.target)
        config.data.update({'name': 'npz', 'root': str(path), 'layout': 'hwc'})
    config.logits.ensemble.transfer = ('train',)
    model, epochs = config.students.mimic.model, config.students.labels.train.epochs
    students = {'labels': {**config.students.labels.to_dict(), 'model': model}}
    for target, chosen in TARGETS.items():
        if chosen:
            kind, how = chosen
            train = {**config.students.labels.train.to_dict(), **how, 'epochs': epochs}
            learns = {'target': 'logits', 'logits': 'ensemble', 'loss': {'kind': kind}}
            students[target] = {'model': model, 'train': train, 'seeds': (0, 1, 2), **learns}
    if name == 'half hidden from the student':
        students = {target: {**each, 'unseen': (RIGHT_HALF,)} for target, each in students.items()}
    config.students = students
    rows = {'ensemble': {'source': 'logits.ensemble', 'label': 'ensemble'}}
    rows |= {target: {'source': f'students.{target}', 'label': target} for target in TARGETS}
    config.report = {'ensemble': 'ensemble', 'rows': rows, 'order': tuple(rows)}
    return config


def neighbours_agree(inputs: np.ndarray, targets: np.ndarray) -> float:
    """The part of examples [n, F] whose nearest other example has the same target [n]."""
    inputs = inputs.astype(np.float64)
    squares = np.sum((inputs[:, None] - inputs[None]) ** 2, axis=2)
    np.fill_diagonal(squares, np.inf)
    return float(np.mean(targets[squares.argmin(axis=1)] == targets))


def table(rows: list[dict]) -> str:
    body = [
        [row['name'], *(f'{100 * (row[key] or 0):.1f}' for key in ('mean', 'std', 'neighbours'))]
        for row in rows
    ]
    return text.aligned([['', 'accuracy, %', '±', 'neighbours, %'], *body])


if __name__ == '__main__':
    main()
