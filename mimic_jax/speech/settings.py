"""Settings that only speech reads: realigned targets, and decoding."""

import dataclasses

from mimic_jax.config import rules
from mimic_jax.config.fields import Rule, setting
from mimic_jax.mimic.settings import Member

_SCALED: Rule = (
    lambda decoding: decoding.language_model != 'none',
    "where language_model is not 'none'",
)


@dataclasses.dataclass(frozen=True)
class Alignment:
    """Realignment of the targets: each round trains a net and takes its best paths as new targets.

    A path runs through the known phones of each training and validation utterance. All later phases
    use the new targets.
    """

    rounds: int = setting(
        0,
        'The number of rounds; 0 leaves each labelled segment split in three.',
        (lambda value: 0 <= value <= 100, 'from 0 to 100'),
    )
    net: Member = Member()


@dataclasses.dataclass(frozen=True)
class Decoding:
    """How logits of speech become phones.

    Every pair of a scale of the language model and an insertion penalty is tried on the validation
    utterances, then pairs half-way to the best one's neighbours.
    """

    language_model: str = setting(
        'bigram',
        "'bigram' over the 61 phones of the training utterances, or 'none'.",
        choices=('bigram', 'none'),
    )
    lm_scales: tuple[float, ...] = setting(
        (1.0, 2.0, 4.0, 6.0),
        "Factors on the language model's log-probabilities to try.",
        rules.different(rules.NOT_NEGATIVE, 'numbers'),
        read=_SCALED,
    )
    penalties: tuple[float, ...] = setting(
        (-4.0, 0.0, 4.0),
        "Penalties to try, taken off a path's log-likelihood for each of its phones.",
        rules.different(rules.FINITE, 'numbers'),
    )
    batch_size: int = setting(
        32, 'Utterances that are decoded together.', rules.up_to(1024), names=False
    )
