"""What decoding a net's, or an ensemble's, logits of speech makes: its recipe, worked out ahead."""

import dataclasses

from mimic_jax.artifacts import Recipe
from mimic_jax.config import Decoding
from mimic_jax.data.splits import Dataset

VERSION = 1  # raise when the same logits would be decoded or counted otherwise


@dataclasses.dataclass(frozen=True, eq=False)
class DecodePlan:
    """Logits to decode.  evaluations: that hold them; of several, an ensemble's, the mean is taken."""

    name: str
    recipe: Recipe
    evaluations: tuple[Recipe, ...]
    settings: Decoding


def make(
    name: str, evaluations: tuple[Recipe, ...], settings: Decoding, data: Dataset
) -> DecodePlan:
    """The plan of one net's or one ensemble's decoding."""
    config = {
        'version': VERSION,
        'language_model': settings.language_model,
        'penalties': list(settings.penalties),
    }
    if settings.language_model != 'none':  # without one there is nothing to scale
        config['lm_scales'] = list(settings.lm_scales)
    reads = tuple(recipe.name for recipe in evaluations)
    return DecodePlan(
        name, Recipe('decode', config, data.fingerprint, reads), evaluations, settings
    )
