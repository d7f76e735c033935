"""The plots that every report has: training, and agreement with the ensemble."""

import itertools
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from mimic_jax.reporting import measures
from mimic_jax.reporting.answers import Answers
from mimic_jax.reporting.plots import Plot, Series
from mimic_jax.reporting.rows import by_source
from mimic_jax.training import metrics_log

SHAPES = {None: 'square', 'labels': 'circle', 'logits': 'triangle'}  # by what a row is trained on


def training(answers: Answers) -> Plot:
    """Validation score of the students by training step, mean and range over seeds.

    The form of Ba & Caruana's Figure 2.
    """
    workdir, sources = answers.session.workdir, [row.source for _, row in answers.chosen]
    others = itertools.count(len(sources))  # colours of students without a row
    series = []
    for name, nets in answers.plan.students.items():
        source = f'students.{name}'
        number = sources.index(source) if source in sources else next(others)
        target = f'mimicking {nets[0].cache.name}' if nets[0].cache else 'on labels'
        folders = [workdir / net.recipe.name for net in nets]
        series.append(of_training(f'{name}: {nets[0].model} {target}', folders, number))
    found = answers.ensemble_score('validation')
    level = None if found is None else ('ensemble', 100 * found)
    return by_step(series, answers.what, level)


def of_training(name: str, folders: Sequence[Path], number: int) -> Series:
    """One student's curve.  folders: the artifacts of its seeds."""
    curve = metrics_log.validation_curve(folders)
    return Series(
        name,
        [(step, 100 * float(np.mean(values))) for step, values in curve.items()],
        [(100 * min(values), 100 * max(values)) for values in curve.values()],
        'line',
        number,
    )


def by_step(
    series: Sequence[Series], what: str = 'accuracy', level: tuple[str, float] | None = None
) -> Plot:
    return Plot(series, 'training step', f'validation {what}, %', level, counts=True)


def by_agreement(rows: Sequence[dict]) -> Plot:
    """The score against agreement with the ensemble, whose own is a line.  rows: of report.json."""
    measure = measures.of(rows)
    rows = [source[measure.score] for source in by_source(rows) if measure.score in source]
    series = [
        Series(
            row['name'],
            [(100 * row['agreement'], 100 * row['mean'])],
            [_deviation(row)] if row['std'] else (),
            SHAPES[row['target']],
            number,
        )
        for number, row in enumerate(rows)
        if row['agreement'] is not None
    ]
    levels = [(row['name'], 100 * row['mean']) for row in rows if row['target'] is None]
    label = 'agreement with the ensemble on test, %'
    return Plot(series, label, measure.score_axis, levels[0] if levels else None)


def by_work(answers: Answers, report: dict) -> Plot:
    """What the measure shows against the FLOPs of a net and of all that it learned from.

    Rows of one curve are one entry of the key.  report: what report.json holds.
    """
    measure = measures.of(report['rows'])
    sources = by_source(report['rows'])
    found: dict[str, Series] = {}
    for (name, row), source, timing in zip(answers.chosen, sources, report['timings'], strict=True):
        if not timing['whole_flops'] or measure.shown not in source:
            continue  # a teacher made elsewhere, or a module whose FLOPs nobody counted
        shown = source[measure.shown]
        title = row.curve or row.label or name
        series = found.setdefault(title, Series(title, [], [], SHAPES[shown['target']], len(found)))
        height, deviation = measure.height(shown['mean']), 100 * (shown['std'] or 0)
        series.points.append((timing['whole_flops'], height))
        series.spread.append((height - deviation, height + deviation))
    label = 'FLOPs of training, with teachers and their answers'
    return Plot(list(found.values()), label, measure.axis.format(split='test'), log_x=True)


def _deviation(row: dict) -> tuple[float, float]:
    return 100 * (row['mean'] - row['std']), 100 * (row['mean'] + row['std'])
