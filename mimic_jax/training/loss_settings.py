"""Settings of the loss that a net is trained on."""

import dataclasses
from collections.abc import Mapping

from mimic_jax.config import rules
from mimic_jax.config.fields import entries, setting

ON_LABELS = ('cross_entropy', 'squared_error')
_ON_LOGITS = ('logits', 'standardised_logits', 'probabilities')
_SQUARED = ('squared_error', *_ON_LOGITS)
_SOFT = ('kl', 'hinton', 'z_scores', 'dkd', 'dist')
LOSSES = ('cross_entropy', 'teacher_labels', *_ON_LOGITS, *_SOFT)  # of classes
OF_VALUES = ('squared_error', 'logits', 'standardised_logits', 'own')  # that real values may have


@dataclasses.dataclass(frozen=True)
class LossKind:
    """A loss of `mimic_jax.training.losses`, or a person's own."""

    kind: str = setting(
        'cross_entropy',
        "'cross_entropy' reads the labels, and so does 'squared_error', which stands for it where targets "
        "are real values; the others read a teacher's logits. 'teacher_labels': "
        "cross-entropy with the classes that the teacher chooses. 'logits' (Ba & "
        "Caruana's equation 1), 'standardised_logits' and 'probabilities' are squared errors on "
        "these, 'kl' is a divergence, 'hinton' adds soft and hard targets. 'z_scores': the divergence "
        "of each example's standardised logits (Sun et al. 2024). 'dkd': of target and rest, and among "
        "the rest (Zhao et al. 2022). 'dist': by correlations (Huang et al. 2022). 'own': a function "
        "of one's own.",
        choices=(*LOSSES, 'squared_error', 'own'),
    )
    scale: float = setting(
        0.5,
        'The factor on a squared error: ½ in Ba & Caruana, 1 in Urban et al.',
        rules.POSITIVE,
        read=rules.kinds(*_SQUARED),
    )
    temperature: float = setting(
        1.0,
        "The divisor of the teacher's and the student's logits.",
        rules.POSITIVE,
        read=rules.kinds(*_SOFT),
    )
    temperature_end: float | None = setting(
        None,
        'The temperature at the last step, reached on a line; none: it stays.',
        rules.POSITIVE,
        read=rules.kinds(*_SOFT),
    )
    soft_weight: float = setting(
        0.5,
        "Hinton's λ, the weight of the soft targets; the labels' weight is 1 − λ.",
        rules.TO_1,
        read=rules.kinds('hinton'),
    )
    target_weight: float = setting(
        1.0,
        "DKD's α, of the target class against the rest.",
        rules.NOT_NEGATIVE,
        read=rules.kinds('dkd'),
    )
    others_weight: float = setting(
        8.0,
        "DKD's β, of the classes among the rest.",
        rules.NOT_NEGATIVE,
        read=rules.kinds('dkd'),
    )
    class_weight: float = setting(
        1.0,
        "DIST's β, of the correlation over an example's classes.",
        rules.NOT_NEGATIVE,
        read=rules.kinds('dist'),
    )
    example_weight: float = setting(
        1.0,
        "DIST's γ, of the correlation over a class's examples in the batch.",
        rules.NOT_NEGATIVE,
        read=rules.kinds('dist'),
    )
    own: str = setting(
        '',
        "A loss of one's own, 'package.module:function': a JAX function of logits [B, K], the teacher's "
        '[B, K] or None, labels [B] (−1: none) or real values [B, K] (NaN: none), and mask [B] that gives '
        'one number an example.',
        read=rules.kinds('own'),
    )


@dataclasses.dataclass(frozen=True)
class Term(LossKind):
    """A term of a mix of losses."""

    weight: float = setting(1.0, 'The factor on the term.', rules.NOT_NEGATIVE)
    weight_end: float | None = setting(
        None,
        'The factor at the last step, reached on a line; none: it stays.',
        rules.NOT_NEGATIVE,
    )


_KIND = LossKind.__dataclass_fields__['kind']


@dataclasses.dataclass(frozen=True)
class Loss(LossKind):
    """The training objective: the mean over examples of a loss of `mimic_jax.training.losses`."""

    kind: str = setting(
        _KIND.default,
        f"{_KIND.metadata['meaning']} 'mix': the weighted sum of `terms`.",
        choices=(*_KIND.metadata['choices'], 'mix'),
    )
    terms: Mapping[str, Term] = entries('The terms of a mix, by name.', read=rules.kinds('mix'))


@dataclasses.dataclass(frozen=True)
class NamedLoss(Loss):
    """A loss with functions of a person's own, and the digests of their sources."""

    own_sha256: str = setting('', 'The digests of their sources.')
