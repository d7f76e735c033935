"""The report's figures, as PNG files."""

from collections import defaultdict
from pathlib import Path

import numpy as np

from mimic_jax import metrics_log
from mimic_jax.plan import Plan
from mimic_jax.session import Session


def draw(
    session: Session, plan: Plan, report: dict, ensemble_accuracy: float | None, folder: Path
) -> list[str]:
    """Draws all figures into `folder`; returns their file names.

    ensemble_accuracy: on the validation split, for the line in the training curves.
    """
    import matplotlib  # a second to import, needed for the report alone

    matplotlib.use('Agg')
    import matplotlib.pyplot as plt

    plt.rcParams.update({'font.size': 9, 'axes.spines.top': False, 'axes.spines.right': False})
    names = []
    for name, picture in (
        ('accuracy.png', lambda axes: _training_curves(axes, session, plan, ensemble_accuracy)),
        ('agreement.png', lambda axes: _agreement(axes, report['rows'])),
    ):
        figure, axes = plt.subplots(figsize=(6.4, 4), dpi=120, layout='constrained')
        if picture(axes):
            figure.savefig(folder / name, metadata={'Software': None})
            names.append(name)
        plt.close(figure)
    return names


def _training_curves(axes, session: Session, plan: Plan, ensemble_accuracy: float | None) -> bool:
    """Validation accuracy against training step, mean and range over seeds (BC, Figure 2's form)."""
    for nets in plan.students.values():
        curves = defaultdict(list)
        for net in nets:
            for record in metrics_log.read(session.workdir / net.recipe.name):
                if 'validation_accuracy' in record:
                    curves[record['step']].append(100 * record['validation_accuracy'])
        steps = sorted(curves)
        if not steps:
            continue
        cache = nets[0].cache
        target = f'mimicking {cache.name}' if cache else 'on labels'
        (line,) = axes.plot(
            steps, [np.mean(curves[step]) for step in steps], label=f'{nets[0].model} {target}'
        )
        low, high = ([pick(curves[step]) for step in steps] for pick in (min, max))
        axes.fill_between(steps, low, high, color=line.get_color(), alpha=0.2, linewidth=0)
    if ensemble_accuracy is not None:
        axes.axhline(
            100 * ensemble_accuracy, color='black', linestyle='--', linewidth=1, label='ensemble'
        )
    axes.set(xlabel='training step', ylabel='validation accuracy, %')
    if axes.lines:
        axes.legend(frameon=False, loc='lower right')
    return bool(axes.lines)


def _agreement(axes, rows: list[dict]) -> bool:
    """Test accuracy against agreement with the ensemble: who is right, and who is faithful."""
    shown = [row for row in rows if row['agreement'] is not None]
    for row in shown:
        axes.errorbar(
            100 * row['agreement'],
            100 * row['mean'],
            yerr=100 * row['std'] if row['std'] else None,
            fmt='o',
            capsize=3,
            label=row['name'],
        )
    for row in rows:
        if row['target'] is None:
            axes.axhline(
                100 * row['mean'], color='black', linestyle='--', linewidth=1, label=row['name']
            )
    axes.set(xlabel='agreement with the ensemble on test, %', ylabel='test accuracy, %')
    if shown:
        axes.legend(frameon=False, loc='best')
    return bool(shown)
