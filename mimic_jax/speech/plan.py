"""What speech alone makes: realigned targets, a round at a time, and decodings; worked out ahead."""

import dataclasses
from collections.abc import Callable, Mapping

from mimic_jax.artifacts.store import Recipe
from mimic_jax.config.experiment import Experiment
from mimic_jax.data.splits import Dataset
from mimic_jax.errors import UserError
from mimic_jax.mimic.nets import CachePlan, NetPlan
from mimic_jax.speech import decode_plan, timit_source
from mimic_jax.speech.decode_plan import DecodePlan

ALIGNMENT_VERSION = 1  # raise when the same net would align otherwise
ALIGNED = ('train', 'validation')  # test labels serve frame accuracy alone, and stay as they were


@dataclasses.dataclass(frozen=True, eq=False)
class AlignmentPlan:
    """One round of realigning the targets of speech by a net trained on those it has."""

    recipe: Recipe
    net: NetPlan


def alignments(
    rounds: int, data: Dataset, net_on: Callable[[str, Dataset], NetPlan]
) -> tuple[tuple[AlignmentPlan, ...], Dataset]:
    """The rounds of realigning, and the data under the name that they have after the last.

    A name depends on how targets are made and not on what they are, so all are known ahead.

    rounds: config.alignment's.  net_on: the aligning net of that name on those data.

    Raises:
      UserError: rounds of what is no speech.
    """
    plans = []
    if rounds and data.speech is None:
        raise UserError(
            f'config.alignment.rounds is {rounds}, but only speech has targets to align; '
            'set it to 0'
        )
    for number in range(1, rounds + 1):
        net = net_on(f'aligner {number}', data)
        recipe = Recipe(
            phase='align',
            config={'splits': list(ALIGNED)},
            data=data.fingerprint,
            reads=(net.recipe.name,),
            versions={'alignment': ALIGNMENT_VERSION},
        )
        plans.append(AlignmentPlan(recipe, net))
        data = timit_source.realigned(data, data.labels, recipe.name)
    return tuple(plans), data


def decodings(
    experiment: Experiment,
    data: Dataset,
    members: Mapping[str, NetPlan],
    caches: Mapping[str, CachePlan],
    students: Mapping[str, tuple[NetPlan, ...]],
) -> dict[str, tuple[DecodePlan, ...]]:
    """What is decoded: of speech, the sources that the report shows, one plan a seed."""
    if data.speech is None:
        return {}
    answers = {
        **{f'members.{name}': ((net,),) for name, net in members.items()},
        **{f'logits.{name}': (cache.members,) for name, cache in caches.items() if cache.members},
        **{f'students.{name}': tuple((net,) for net in nets) for name, nets in students.items()},
    }
    report = experiment.report
    rows = [report.rows[name] for name in report.order or report.rows]
    shown = [row.source for row in rows if not row.absorbed] if rows else list(answers)
    return {
        source: tuple(
            decode_plan.make(
                source, tuple(net.evaluation for net in nets), experiment.decoding, data
            )
            for nets in answers[source]
        )
        for source in shown
        if source in answers
    }
