"""Rows of a report: what the evaluated nets answer, beside the true labels and the ensemble."""

import math
from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np

from mimic_jax.artifacts import store
from mimic_jax.artifacts.recipes import Recipe
from mimic_jax.data import kinds, tta
from mimic_jax.mimic import ensemble
from mimic_jax.mimic.cache_plan import CachePlan
from mimic_jax.mimic.plan import Plan
from mimic_jax.models.nets import notation_only
from mimic_jax.ops import metrics, selection
from mimic_jax.reporting import answered, values
from mimic_jax.reporting.part import PLAIN, Part
from mimic_jax.reporting.rows import ensemble_model
from mimic_jax.reporting.settings import Report, Row
from mimic_jax.training.plan import NetPlan
from mimic_jax.training.session import Session

TTA_NOTE = (
    'its answers are the mean over {} transforms of an image, as the logits are that its students learn '
    'from; the times are of the image alone'
)


class _Found(NamedTuple):
    """A row's source: its size, and its outputs [n, K] on the test split, one array a seed.

    The size of a teacher made elsewhere is not known.
    """

    model: str
    parameters: int | None
    units: int | None
    target: str | None
    outputs: list[np.ndarray]
    note: str = ''
    shortfall: int | None = None  # parameters below the budget that its width was solved for


class Answers:
    """The evaluated nets' answers, and the rows made from them.

    chosen: (name, row) of each row that the config names, or else of one row for every teacher,
    ensemble, student and baseline.
    """

    def __init__(self, session: Session, plan: Plan, settings: Report, part: Part = PLAIN):
        self.session, self.plan, self.settings, self.part = session, plan, settings, part
        self.chosen = list(answered.chosen(plan, settings))
        name = settings.ensemble or next(iter(plan.caches), '')
        self._ensemble = plan.caches.get(name)

    def rows(self, name: str, row: Row) -> list[dict]:
        """The rows of report.json for a source: its accuracy, its R² and RMSE, or those of the data set's
        part."""
        found = self._found(row)
        made = self._row(name, row, found)
        if self.session.data.scale is not None:
            return values.rows(made, found.outputs, self._labels('test'), self.session.data)
        return self.part.rows(made, row, found.outputs)

    def _found(self, row: Row) -> _Found:
        match row.group:
            case 'logits':
                return self._of_ensemble(self.plan.caches[row.entry])
            case 'baselines':
                return self._of_baseline(self.plan.baselines[row.entry])
            case 'members':
                return self._of_nets([self.plan.members[row.entry]])
        nets = self.plan.students[row.entry]
        return self._of_absorbed(nets) if row.absorbed else self._of_nets(nets)

    def _row(self, name: str, row: Row, found: _Found) -> dict:
        labels = self._labels('test')
        kind = kinds.of(labels)
        scores = [kind.score(logits, labels) for logits in found.outputs]
        mean, std = metrics.mean_std(scores)
        return {
            'name': row.label or name,
            'model': found.model,
            'parameters': found.parameters,
            'target': found.target,
            'cache': self._cache(row),
            'metric': kind.metric,
            'values': scores,
            'mean': mean,
            'std': std,
            'n': len(scores),
            'agreement': None if row.group == 'logits' else self._agreement(found.outputs),
            'paper': row.paper if row.paper >= 0 else None,
            'units': found.units,
            'paper_parameters': row.paper_parameters or None,
            'paper_units': row.paper_units or None,
            'note': '; '.join(filter(None, (row.note, found.note))) or None,
            'shortfall': found.shortfall,
        }

    def _cache(self, row: Row) -> str | None:
        """The logit cache that a row's students learned from, or that an ensemble's row shows."""
        if row.group == 'students':
            cache = self.plan.students[row.entry][0].cache
            return cache.name if cache else None
        return row.entry if row.group == 'logits' else None

    def on_test(self, row: Row) -> list[np.ndarray]:
        """The logits of a row's source on the test examples, [n, K], one array a seed."""
        return self._found(row).outputs

    def nets(self, row: Row) -> list[NetPlan]:
        """The nets that answer together for a row: an ensemble's members, else one net or none.

        An absorbed row gives the net as trained, with its bottleneck.
        """
        match row.group:
            case 'logits':
                return list(self.plan.caches[row.entry].members)
            case 'members':
                return [self.plan.members[row.entry]]
            case 'students':
                return [self.plan.students[row.entry][0]]
        return []

    def training_seconds(self, row: Row) -> float | None:
        """Seconds that a row's nets or its baseline took to train; None for a teacher made elsewhere."""
        of_baseline = row.group == 'baselines'
        trained = [self.plan.baselines[row.entry]] if of_baseline else self.nets(row)
        if not trained:
            return None
        folders = [self.session.workdir / each.recipe.name for each in trained]
        return sum(store.manifest(folder)['seconds'] for folder in folders)

    def sequential_layers(self, row: Row) -> int | None:
        """Layers with weights that must answer one after another; an ensemble has its deepest member's.

        None where that is not known, or the row has no nets.
        """
        found = [net.task.net for net in self.nets(row)]
        if row.absorbed:
            found = [net.absorbed() for net in found]
        shape = self.session.data.input_shape
        counts = [net.describe(shape).sequential_layers for net in found]
        return max(counts) if counts and None not in counts else None

    @property
    def what(self) -> str:
        """What a score on validation examples is, in words."""
        return 'accuracy' if self.session.data.scale is None else 'R²'

    def by_members(self) -> dict[str, list[float]]:
        """Validation scores of each ensemble's first member, of its first two, and so on."""
        labels = self._labels('validation')
        ensembles = {name: c.members for name, c in self.plan.caches.items() if len(c.members) > 1}
        return {
            name: selection.scores(
                [self._outputs(member.evaluation, 'validation') for member in members],
                labels,
                kinds.of(labels).score,
            )
            for name, members in ensembles.items()
        }

    def ensemble_score(self, split: str) -> float | None:
        """The accuracy or R² of the report's ensemble; None where it has no answers."""
        if self._ensemble is None or split not in self._ensemble.answered:
            return None
        labels = self._labels(split)
        return kinds.of(labels).score(self._mean_logits(self._ensemble, split), labels)

    def _of_ensemble(self, cache: CachePlan) -> _Found:
        if cache.external:
            return _Found(
                cache.external.model, None, None, None, [self._mean_logits(cache, 'test')]
            )
        kind, model = cache.settings.tta, ensemble_model([member.model for member in cache.members])
        note = ''
        if kind != 'none':
            model, note = f'{model}, tta {kind}', TTA_NOTE.format(len(tta.TRANSFORMS[kind]))
        return _Found(
            model=model,
            parameters=sum(member.parameters for member in cache.members),
            units=_sum(member.units for member in cache.members),
            target=None,
            outputs=[self._mean_logits(cache, 'test')],
            note=note,
        )

    def _of_baseline(self, fitted) -> _Found:
        outputs = [self._outputs(fitted.recipe, 'test')]
        return _Found(fitted.model, fitted.parameters, fitted.units, 'labels', outputs)

    def _of_nets(self, nets: Sequence[NetPlan]) -> _Found:
        first = nets[0]
        outputs = [self._outputs(net.evaluation, 'test') for net in nets]
        target = 'logits' if first.cache else 'labels'
        shortfall = math.floor(first.budget) - first.parameters if first.budget else None
        return _Found(
            first.model, first.parameters, first.units, target, outputs, shortfall=shortfall
        )

    def _of_absorbed(self, nets: Sequence[NetPlan]) -> _Found:
        """Students without their bottleneck (Ba & Caruana 2014, section 2.3)."""
        whole, session = self._of_nets(nets), self.session
        without = notation_only(nets[0].task.net, 'a bottleneck to absorb').absorbed()
        size = without.describe(session.data.input_shape)
        ids = list(session.placement.in_order(session.data.splits['test']))
        outputs = [ensemble.load_absorbed(session, net)(ids) for net in nets]
        apart = max(
            float(np.abs(one - other).max())
            for one, other in zip(outputs, whole.outputs, strict=True)
        )
        note = f'its logits lie within {apart:.1e} of the net with the bottleneck'
        return _Found(without.name, size.parameters, size.units, whole.target, outputs, note)

    def _agreement(self, outputs: list[np.ndarray]) -> float | None:
        if self._ensemble is None or 'test' not in self._ensemble.answered:
            return None
        reference = self._mean_logits(self._ensemble, 'test')
        agreement = kinds.of(self._labels('test')).agreement
        return float(np.mean([agreement(logits, reference) for logits in outputs]))

    def _labels(self, split: str) -> np.ndarray:
        return self.session.data.labels[self.session.data.splits[split]]

    def _outputs(self, recipe: Recipe, split: str) -> np.ndarray:
        """The logits, or a baseline's decision values, that an artifact holds for a split."""
        return answered.outputs(self.session.workdir / recipe.name, split)

    def _mean_logits(self, cache: CachePlan, split: str) -> np.ndarray:
        teachers = [self._outputs(recipe, split) for recipe in cache.evaluations]
        return np.mean(teachers, axis=0)


def _sum(units: Iterable[int | None]) -> int | None:
    """None where the units of one of them are not known."""
    every = list(units)
    return None if None in every else sum(every)
