"""The plans of what only speech has: rounds of realigned targets, and decodings."""

import dataclasses
from collections.abc import Sequence

from mimic_jax.artifacts.recipes import Recipe
from mimic_jax.data.dataset import Dataset
from mimic_jax.data.view_settings import Views
from mimic_jax.errors import UserError
from mimic_jax.mimic import net_plan
from mimic_jax.mimic.plan import Plan
from mimic_jax.speech import decode_plan, timit_source
from mimic_jax.speech.dataset import SpeechDataset
from mimic_jax.speech.decode_plan import DecodePlan
from mimic_jax.speech.settings import Alignment, Decoding
from mimic_jax.training.plan import NetPlan

ALIGNMENT_VERSION = 1  # raise when the same net would align otherwise
ALIGNED = ('train', 'validation')  # test labels serve only frame accuracy, and stay unchanged


@dataclasses.dataclass(frozen=True, eq=False)
class AlignmentPlan:
    """One round of realigning the targets of speech, by a net trained on the current targets."""

    name: str
    recipe: Recipe
    net: NetPlan


def alignments(
    settings: Alignment, common: Views, data: Dataset
) -> tuple[tuple[AlignmentPlan, ...], Dataset]:
    """The rounds of realigning, and the data with the fingerprint that they have after the last round.

    It depends on how targets are made, not on their values, so it is known in advance.
    common: the config's views.

    Raises:
      UserError: rounds for data that are not speech.
    """
    plans = []
    if settings.rounds and not isinstance(data, SpeechDataset):
        raise UserError(
            f'config.alignment.rounds is {settings.rounds}, but only speech has targets to align; '
            'set it to 0'
        )
    for number in range(1, settings.rounds + 1):
        net = net_plan.member(
            f'aligner {number}', settings.net, common, data, 'config.alignment.net'
        )
        recipe = Recipe(
            phase='align',
            config={'splits': list(ALIGNED)},
            data=data.fingerprint,
            reads=(net.recipe.name,),
            versions={'alignment': ALIGNMENT_VERSION},
        )
        plans.append(AlignmentPlan(f'alignment {number}', recipe, net))
        data = timit_source.realigned(data, data.labels, recipe.name)
    return tuple(plans), data


def decodings(
    settings: Decoding, shown: Sequence[str] | None, plan: Plan, data: Dataset
) -> dict[str, tuple[DecodePlan, ...]]:
    """The decodings of the sources that the report shows, one plan a seed; none without speech.

    shown: sources such as 'students.mimic'; None for all.
    """
    if not isinstance(data, SpeechDataset):
        return {}
    answers = {
        **{f'members.{name}': ((net,),) for name, net in plan.members.items()},
        **{
            f'logits.{name}': (cache.members,)
            for name, cache in plan.caches.items()
            if cache.members
        },
        **{
            f'students.{name}': tuple((net,) for net in seeds)
            for name, seeds in plan.students.items()
        },
    }
    return {
        source: tuple(
            decode_plan.make(source, tuple(net.evaluation for net in together), settings, data)
            for together in answers[source]
        )
        for source in (answers if shown is None else shown)
        if source in answers
    }
