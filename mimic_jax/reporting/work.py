"""What a row cost to compute: FLOPs of its training, and of everything that it learned from.

FLOPs are counted, not measured: 2 for a multiply-add of a product or convolution, 3 forward passes for a
training step.
"""

from collections.abc import Iterable

from mimic_jax.artifacts import store
from mimic_jax.mimic.cache_plan import CachePlan
from mimic_jax.reporting.answers import Answers
from mimic_jax.reporting.settings import Row
from mimic_jax.training.plan import NetPlan
from mimic_jax.training.session import Session


def of_row(answers: Answers, row: Row) -> dict[str, float | None]:
    """The FLOPs of a row's timing in report.json, of one seed.

    training_flops: of its net or baseline, or of all members of an ensemble.  whole_flops: with its
    teachers' training and their answers for the cache. What searches and a corpus's alignment took is in
    neither. None where a teacher was made elsewhere.
    """
    plan, session = answers.plan, answers.session
    if row.group == 'baselines':
        fitted = float(sum(plan.baselines[row.entry].work.values()))
        return {'training_flops': fitted, 'whole_flops': fitted}
    nets = answers.nets(row)
    if not nets:
        return {'training_flops': None, 'whole_flops': None}
    own = trained(session, nets)
    cache = nets[0].cache if row.group == 'students' else None
    return {'training_flops': own, 'whole_flops': _with_teachers(session, own, cache)}


def trained(session: Session, nets: Iterable[NetPlan]) -> float:
    """FLOPs of training, each artifact once, from the steps that were made: a plateau may end it early."""
    found = {}
    for net in nets:
        steps = store.manifest(session.workdir / net.recipe.name).get('steps', 0)
        found[net.recipe.name] = net.work_per_step * steps
    return sum(found.values())


def _with_teachers(session: Session, own: float, cache: CachePlan | None) -> float | None:
    if cache is None:
        return own
    if cache.external:
        return None
    return own + trained(session, cache.members) + cache.work
