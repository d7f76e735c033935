"""Rows of a report: what the evaluated nets answer, beside the true labels and the ensemble."""

import math
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from mimic_jax.artifacts import store
from mimic_jax.artifacts.store import Recipe
from mimic_jax.data import batches
from mimic_jax.mimic import ensemble
from mimic_jax.mimic.nets import CachePlan, NetPlan
from mimic_jax.mimic.plan import Plan
from mimic_jax.models import absorb, counts
from mimic_jax.ops import metrics
from mimic_jax.reporting import rows
from mimic_jax.reporting.settings import Report, Row
from mimic_jax.search import selection
from mimic_jax.speech import answers
from mimic_jax.training.session import Session


class _Found(NamedTuple):
    """What a row's source is: its size, and its outputs [n, K] on the test split, one a seed.

    Of a teacher made elsewhere the size is not known.
    """

    model: str
    parameters: int | None
    units: int | None
    target: str | None
    outputs: list[np.ndarray]
    note: str = ''
    shortfall: int | None = None  # parameters below the budget that its width was solved for


class Answers:
    """The evaluated nets' logits, and what rows are made of them."""

    def __init__(self, session: Session, plan: Plan, report: Report):
        self._session, self._plan = session, plan
        name = report.ensemble or next(iter(plan.caches), '')
        self._ensemble = plan.caches.get(name)

    def rows(self, name: str, row: Row) -> list[dict]:
        """The rows of report.json on a source: its accuracy; of speech, PER and frame accuracy."""
        found = self._found(row)
        made, data = self._row(name, row, found), self._session.data
        if data.speech is None:
            return [made]
        of_frames = answers.frame_row(made, found.outputs, data)
        decodings = () if row.absorbed else self._plan.decodings.get(row.source, ())
        folders = [self._session.workdir / plan.recipe.name for plan in decodings]
        return [answers.per_row(made, folders), of_frames] if folders else [of_frames]

    def _found(self, row: Row) -> _Found:
        group, _, entry = row.source.partition('.')
        return {
            'logits': self._of_ensemble,
            'baselines': self._of_baseline,
            'members': self._of_member,
            'students': self._of_absorbed if row.absorbed else self._of_student,
        }[group](entry)

    def _row(self, name: str, row: Row, found: _Found) -> dict:
        group = row.source.partition('.')[0]
        labels = self._labels('test')
        values = [metrics.accuracy(logits, labels) for logits in found.outputs]
        mean, std = metrics.mean_std(values)
        return {
            'name': row.label or name,
            'model': found.model,
            'parameters': found.parameters,
            'target': found.target,
            'cache': self._cache(row),
            'metric': 'accuracy',
            'values': values,
            'mean': mean,
            'std': std,
            'n': len(values),
            'agreement': None if group == 'logits' else self._agreement(found.outputs),
            'paper': row.paper if row.paper >= 0 else None,
            'units': found.units,
            'paper_parameters': row.paper_parameters or None,
            'paper_units': row.paper_units or None,
            'note': '; '.join(filter(None, (row.note, found.note))) or None,
            'shortfall': found.shortfall,
        }

    def _cache(self, row: Row) -> str | None:
        """The logit cache that a row's students learned from, or whose members' mean it is."""
        group, _, entry = row.source.partition('.')
        if group == 'students':
            cache = self._plan.students[entry][0].cache
            return cache.name if cache else None
        return entry if group == 'logits' else None

    def on_test(self, row: Row) -> list[np.ndarray]:
        """What a row's source says of the test examples: logits [n, K], one a seed."""
        return self._found(row).outputs

    def nets(self, row: Row) -> list[NetPlan]:
        """The nets that answer together for a row: an ensemble's members, else one net or none.

        Of an absorbed row the net as trained, with its bottleneck.
        """
        group, _, entry = row.source.partition('.')
        match group:
            case 'logits':
                return list(self._plan.caches[entry].members)
            case 'members':
                return [self._plan.members[entry]]
            case 'students':
                return [self._plan.students[entry][0]]
        return []

    def training_seconds(self, row: Row) -> float | None:
        """What a row's nets or its baseline took to train; None of a teacher made elsewhere."""
        group, _, entry = row.source.partition('.')
        trained = [self._plan.baselines[entry]] if group == 'baselines' else self.nets(row)
        if not trained:
            return None
        folders = [self._session.workdir / each.recipe.name for each in trained]
        return sum(store.manifest(folder)['seconds'] for folder in folders)

    def by_members(self) -> dict[str, list[float]]:
        """Of each ensemble: its first member's accuracy on validation, that of its first two, …"""
        labels = self._labels('validation')
        return {
            name: selection.accuracies(
                [self._outputs(member.evaluation, 'validation') for member in cache.members], labels
            )
            for name, cache in self._plan.caches.items()
            if len(cache.members) > 1
        }

    def ensemble_accuracy(self, split: str) -> float | None:
        if self._ensemble is None or split not in self._ensemble.answered:
            return None
        return metrics.accuracy(self._mean_logits(self._ensemble, split), self._labels(split))

    def _of_ensemble(self, entry: str) -> _Found:
        cache = self._plan.caches[entry]
        if cache.own:
            return _Found(cache.own.model, None, None, None, [self._mean_logits(cache, 'test')])
        return _Found(
            model=rows.ensemble_model([member.model for member in cache.members]),
            parameters=sum(member.parameters for member in cache.members),
            units=sum(member.units for member in cache.members),
            target=None,
            outputs=[self._mean_logits(cache, 'test')],
        )

    def _of_baseline(self, entry: str) -> _Found:
        fitted = self._plan.baselines[entry]
        outputs = [self._outputs(fitted.recipe, 'test')]
        return _Found(fitted.model, fitted.parameters, fitted.units, 'labels', outputs)

    def _of_member(self, entry: str) -> _Found:
        return self._of_nets([self._plan.members[entry]])

    def _of_student(self, entry: str) -> _Found:
        return self._of_nets(self._plan.students[entry])

    def _of_nets(self, nets) -> _Found:
        first = nets[0]
        outputs = [self._outputs(net.evaluation, 'test') for net in nets]
        target = 'logits' if first.cache else 'labels'
        shortfall = math.floor(first.budget) - first.parameters if first.budget else None
        return _Found(
            first.model, first.parameters, first.units, target, outputs, shortfall=shortfall
        )

    def _of_absorbed(self, entry: str) -> _Found:
        """Students without their bottleneck (Ba & Caruana 2014, section 2.3)."""
        whole = self._of_student(entry)
        session = self._session
        model = absorb.absorbed(whole.model)
        counted = counts.count(model, session.data.input_shape, session.data.num_classes)
        size = session.run.evaluation_batch_size
        ids = list(batches.in_order(session.data.splits['test'], size, session.padded(size)))
        outputs = [ensemble.load_absorbed(session, net)(ids) for net in self._plan.students[entry]]
        apart = max(
            float(np.abs(one - other).max())
            for one, other in zip(outputs, whole.outputs, strict=True)
        )
        note = f'its logits lie within {apart:.1e} of the net with the bottleneck'
        return _Found(model, counted.params, counted.units, whole.target, outputs, note)

    def _agreement(self, outputs: list[np.ndarray]) -> float | None:
        if self._ensemble is None or 'test' not in self._ensemble.answered:
            return None
        reference = self._mean_logits(self._ensemble, 'test')
        return float(np.mean([metrics.agreement(logits, reference) for logits in outputs]))

    def _labels(self, split: str) -> np.ndarray:
        return self._session.data.labels[self._session.data.splits[split]]

    def _outputs(self, recipe: Recipe, split: str) -> np.ndarray:
        """The logits, or a baseline's decision values, that an artifact holds of a split."""
        return outputs(self._session.workdir / recipe.name, split)

    def _mean_logits(self, cache: CachePlan, split: str) -> np.ndarray:
        teachers = [self._outputs(recipe, split) for recipe in cache.evaluations]
        return np.mean(teachers, axis=0)


def outputs(folder: Path, split: str) -> np.ndarray:
    """The logits [n, K] of a split that an evaluation holds, its files checked."""
    store.manifest(folder)
    return np.load(folder / f'{split}.npy', allow_pickle=False)


def on_validation(session: Session, folders: Sequence[Path]) -> tuple[list[np.ndarray], np.ndarray]:
    """What evaluations hold of the validation split, logits [n, K] of each, and its labels [n]."""
    labels = session.data.labels[session.data.splits['validation']]
    return [outputs(folder, 'validation') for folder in folders], labels


def chosen_rows(plan: Plan, report: Report) -> Iterator[tuple[str, Row]]:
    """The rows that the config names, or one for every teacher, ensemble, student and baseline."""
    if report.rows:
        for name in report.order or report.rows:
            yield name, report.rows[name]
        return
    for group in ('members', 'logits', 'students', 'baselines'):
        entries = plan.caches if group == 'logits' else getattr(plan, group)
        for name in entries:
            if group != 'logits' or 'test' in entries[name].answered:
                yield name, Row(source=f'{group}.{name}')
