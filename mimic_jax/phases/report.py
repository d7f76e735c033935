"""Puts the numbers of an experiment together: rows, table, figures."""

import datetime
import json
import os
import platform
from collections.abc import Iterator
from pathlib import Path

import jax
import numpy as np

from mimic_jax import artifacts, figures, tables
from mimic_jax.config import Report, Row
from mimic_jax.ops import metrics
from mimic_jax.plan import CachePlan, NetPlan, Plan
from mimic_jax.session import Session


def run(session: Session, plan: Plan, report: Report, experiment: str, command: str) -> dict:
    """Writes report.json, report.md and figures to `<workdir>/<experiment>/`; returns the report."""
    for net in plan.nets():
        artifacts.require(
            session.workdir, net.evaluation, f'the evaluation of {net.name}', 'evaluate'
        )
    answers = _Answers(session, plan, report)
    rows = [answers.row(name, row) for name, row in _chosen_rows(plan, report)]
    folder = session.workdir / experiment
    folder.mkdir(parents=True, exist_ok=True)
    result = {
        'experiment': experiment,
        'rows': rows,
        'command': command,
        'machine': machine(),
        'seconds': round(sum(cost['seconds'] for cost in _costs(session, plan).values()), 1),
        'date': datetime.date.today().isoformat(),
        'costs': _costs(session, plan),
    }
    artifacts.write_atomically(folder / 'report.json', json.dumps(result, indent=1))
    names = figures.draw(session, plan, result, answers.ensemble_accuracy('validation'), folder)
    artifacts.write_atomically(folder / 'report.md', tables.page(result, names))
    return result


class _Answers:
    """The evaluated nets' logits, and what rows are made of them."""

    def __init__(self, session: Session, plan: Plan, report: Report):
        self._session, self._plan = session, plan
        name = report.ensemble or next(iter(plan.caches), '')
        self._ensemble = plan.caches.get(name)

    def row(self, name: str, row: Row) -> dict:
        group, _, entry = row.source.partition('.')
        if group == 'logits':
            cache = self._plan.caches[entry]
            model = ' + '.join(dict.fromkeys(member.model for member in cache.members))
            parameters = sum(member.parameters for member in cache.members)
            outputs, target = [self._mean_logits(cache, 'test')], None
            model = f'{len(cache.members)} × {model}'
        else:
            nets = (
                self._plan.students[entry] if group == 'students' else (self._plan.members[entry],)
            )
            model, parameters = nets[0].model, nets[0].parameters
            outputs = [self._logits(net, 'test') for net in nets]
            target = 'logits' if nets[0].cache else 'labels'
        labels = self._labels('test')
        values = [metrics.accuracy(logits, labels) for logits in outputs]
        mean, std = metrics.mean_std(values)
        return {
            'name': row.label or name,
            'model': model,
            'parameters': parameters,
            'target': target,
            'metric': 'accuracy',
            'values': values,
            'mean': mean,
            'std': std,
            'n': len(values),
            'agreement': None if group == 'logits' else self._agreement(outputs),
            'paper': row.paper if row.paper >= 0 else None,
        }

    def ensemble_accuracy(self, split: str) -> float | None:
        if self._ensemble is None:
            return None
        return metrics.accuracy(self._mean_logits(self._ensemble, split), self._labels(split))

    def _agreement(self, outputs: list[np.ndarray]) -> float | None:
        if self._ensemble is None:
            return None
        reference = self._mean_logits(self._ensemble, 'test')
        return float(np.mean([metrics.agreement(logits, reference) for logits in outputs]))

    def _labels(self, split: str) -> np.ndarray:
        return self._session.data.labels[self._session.data.splits[split]]

    def _logits(self, net: NetPlan, split: str) -> np.ndarray:
        folder = self._session.workdir / net.evaluation.name
        artifacts.manifest(folder)
        return np.load(folder / f'{split}.npy')

    def _mean_logits(self, cache: CachePlan, split: str) -> np.ndarray:
        return np.mean([self._logits(member, split) for member in cache.members], axis=0)


def _chosen_rows(plan: Plan, report: Report) -> Iterator[tuple[str, Row]]:
    """The rows that the config names, or one for every teacher, ensemble and student."""
    if report.rows:
        for name in report.order or report.rows:
            yield name, report.rows[name]
        return
    for group in ('members', 'logits', 'students'):
        entries = plan.caches if group == 'logits' else getattr(plan, group)
        for name in entries:
            yield name, Row(source=f'{group}.{name}')


def _costs(session: Session, plan: Plan) -> dict:
    """Seconds and bytes of every phase's artifacts, however many sittings they took."""
    recipes = {
        'teacher': [net.recipe for net in plan.members.values()],
        'logits': [cache.recipe for cache in plan.caches.values()],
        'student': [net.recipe for nets in plan.students.values() for net in nets],
        'evaluate': [net.evaluation for net in plan.nets()],
    }
    costs = {}
    for phase, group in recipes.items():
        folders = {session.workdir / recipe.name for recipe in group}
        costs[phase] = {
            'artifacts': sorted(folder.name for folder in folders),
            'seconds': round(sum(artifacts.manifest(folder)['seconds'] for folder in folders), 1),
            'bytes': sum(_size(folder) for folder in folders),
        }
    return costs


def _size(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob('*') if path.is_file())


def machine() -> str:
    """The hardware in words: devices, cores, Python and jax."""
    device = jax.devices()[0]
    return (
        f'{jax.device_count()} × {device.device_kind} ({device.platform}), '
        f'{os.cpu_count()} CPU cores ({platform.machine()}), Python {platform.python_version()}, '
        f'jax {jax.__version__}'
    )
