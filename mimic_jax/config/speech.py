"""Settings of what speech alone needs: realigned targets, and decoding."""

import dataclasses

from mimic_jax.config import rules
from mimic_jax.config.nets import Member
from mimic_jax.settings import one_of, setting


@dataclasses.dataclass(frozen=True)
class Alignment:
    """How often the targets of speech are realigned: 0 leaves each segment split in three.

    In a round `net` is trained on the targets so far, and the best path through the known phones
    of each training and validation utterance by it gives new ones. All that follows uses those.
    """

    rounds: int = setting(0, (lambda value: 0 <= value <= 100, 'from 0 to 100'))
    net: Member = dataclasses.field(default_factory=Member)


@dataclasses.dataclass(frozen=True)
class Decoding:
    """How the logits of speech become phones; of other data nothing is decoded.

    Every pair of a scale of the language model and an insertion penalty is tried on the validation
    utterances, then pairs half-way to the best one's neighbours (see `mimic_jax.decoding.tune`). The
    language model is a bigram over the 61 phones of the training utterances, or 'none': then
    `lm_scales` is not read.
    """

    language_model: str = one_of('bigram', ('bigram', 'none'))
    lm_scales: tuple[float, ...] = setting(
        (1.0, 2.0, 4.0, 6.0), rules.different(rules.NOT_NEGATIVE, 'numbers')
    )
    # Taken off the log-likelihood of a path for each of its phones: more makes for fewer phones.
    penalties: tuple[float, ...] = setting(
        (-4.0, 0.0, 4.0), rules.different(rules.FINITE, 'numbers')
    )
    batch_size: int = setting(32, rules.up_to(1024))  # utterances that are decoded together
