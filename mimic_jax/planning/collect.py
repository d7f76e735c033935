"""What an experiment makes: the plans of all rooms, collected before anything is computed."""

import dataclasses
from collections.abc import Sequence

from mimic_jax.artifacts import store
from mimic_jax.baselines import plan as baseline_plan
from mimic_jax.config.experiment import Experiment
from mimic_jax.data.dataset import Dataset
from mimic_jax.errors import UserError
from mimic_jax.mimic import plan as nets_plan
from mimic_jax.mimic.plan import Plan, Planned
from mimic_jax.speech import plan as speech_plan
from mimic_jax.speech.plan import AlignmentPlan
from mimic_jax.training.session import Session


def make(experiment: Experiment, data: Dataset) -> Plan:
    """The plan of an experiment on its prepared data, before any realignment.

    Raises:
      UserError: what any room's plan refuses, such as a model that does not parse or fit.
    """
    rounds, data = alignments(experiment, data)
    nets = nets_plan.make(
        experiment.members, experiment.logits, experiment.students, experiment.views, data
    )
    baselines = {
        name: baseline_plan.make(name, settings, data)
        for name, settings in experiment.baselines.items()
    }
    _check_rows(experiment, nets)
    report = experiment.report
    rows = [report.rows[name] for name in report.order or report.rows]
    shown = [row.source for row in rows if not row.absorbed] if rows else None
    decodings = speech_plan.decodings(experiment.decoding, shown, nets, data)
    return dataclasses.replace(nets, alignments=rounds, baselines=baselines, decodings=decodings)


def realigned(experiment: Experiment, data: Dataset) -> Dataset:
    """Prepared data, with the fingerprint that they have after all realignment."""
    return alignments(experiment, data)[1]


def alignments(experiment: Experiment, data: Dataset) -> tuple[tuple[AlignmentPlan, ...], Dataset]:
    """The rounds of realigning, and the data with the fingerprint that they have after the last."""
    return speech_plan.alignments(experiment.alignment, experiment.views, data)


def announce(plan: Plan, wanted: Sequence[str], session: Session) -> None:
    """Adds the work that lies ahead to the progress display, for its estimate of the time left."""
    progress = session.progress

    def missing(planned: Planned) -> bool:
        return not store.is_complete(session.workdir / planned.recipe.name)

    for alignment in filter(missing, plan.alignments):
        progress.plan(f'train {alignment.net.model}', alignment.net.work)
    for net in filter(missing, plan.nets()):
        if net.recipe.phase in wanted:
            progress.plan(f'train {net.model}', net.work)
    if 'logits' in wanted:
        for cache in filter(missing, plan.caches.values()):
            progress.plan(cache.kind_of_work, cache.work)
    if 'baseline' in wanted:
        for baseline in filter(missing, plan.baselines.values()):
            for what, work in baseline.work.items():
                progress.plan(what, work)


def _check_rows(experiment: Experiment, plan: Plan) -> None:
    report = experiment.report
    for name in report.order or report.rows:
        row = report.rows[name]
        if row.group == 'logits' and 'test' not in plan.caches[row.entry].answered:
            raise UserError(
                f'config.report.rows.{name} shows {row.source}, which has no logits of test examples; '
                f'give config.logits.{row.entry}.source.test, or leave the row out of config.report.order'
            )
