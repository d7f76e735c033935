"""The plan of decoding a net's or an ensemble's logits of speech."""

import dataclasses

from mimic_jax.artifacts.recipes import Recipe
from mimic_jax.config.fields import differing
from mimic_jax.data.dataset import Dataset
from mimic_jax.speech.settings import Decoding

VERSION = 1  # raise when the same logits would be decoded or counted otherwise


@dataclasses.dataclass(frozen=True, eq=False)
class DecodePlan:
    """Logits to decode.  evaluations: the artifacts that hold them; an ensemble's several are averaged."""

    name: str
    recipe: Recipe
    evaluations: tuple[Recipe, ...]
    settings: Decoding


def make(
    name: str, evaluations: tuple[Recipe, ...], settings: Decoding, data: Dataset
) -> DecodePlan:
    """The plan of one net's or one ensemble's decoding."""
    recipe = Recipe(
        phase='decode',
        config=differing(settings),
        data=data.fingerprint,
        reads=tuple(evaluation.name for evaluation in evaluations),
        versions={'decoding': VERSION},
    )
    return DecodePlan(name, recipe, evaluations, settings)
