"""Settings of a training run and of its loss."""

import dataclasses

from mimic_jax.config import rules
from mimic_jax.config.fields import setting

_SQUARED = ('logits', 'standardised_logits', 'probabilities')
_SOFT = ('kl', 'hinton')
LOSSES = ('cross_entropy', *_SQUARED, *_SOFT)


@dataclasses.dataclass(frozen=True)
class Train:
    """One run of stochastic gradient descent with Nesterov momentum."""

    epochs: int = setting(
        40, "Passes over the examples; the schedule 'plateau' may stop earlier.", rules.FROM_1
    )
    batch_size: int = setting(128, 'Examples a step.', rules.FROM_1)
    learning_rate: float = setting(0.05, 'The peak learning rate.', rules.POSITIVE)
    schedule: str = setting(
        'cosine',
        "The rate after warm-up. 'cosine': half a cosine down to 0. 'plateau': halved when the "
        'validation error stops falling, until training stops (Urban et al. 2017).',
        choices=('constant', 'cosine', 'plateau'),
    )
    warmup: float = setting(
        0.05, 'The part of all steps over which the rate rises linearly from 0.', rules.BELOW_1
    )
    momentum: float = setting(0.9, "Nesterov's momentum.", rules.BELOW_1)
    weight_decay: float = setting(
        0.0, 'L2 on kernels: this times the kernel is added to its gradient.', rules.NOT_NEGATIVE
    )
    clip_norm: float = setting(
        0.0, "The bound on the gradient's global norm; 0 for none.", rules.NOT_NEGATIVE
    )
    dtype: str = setting(
        'float32',
        'The precision of the computation; parameters stay float32.',
        choices=('float32', 'bfloat16'),
    )
    init_scale: float = setting(
        1.0, "The factor on Glorot & Bengio's initial kernels.", rules.POSITIVE
    )
    input_scale: float = setting(
        1.0, "The factor on the net's preprocessed inputs.", rules.POSITIVE
    )


@dataclasses.dataclass(frozen=True)
class Loss:
    """The training objective: the mean over examples of a loss of `mimic_jax.training.losses`."""

    kind: str = setting(
        'cross_entropy',
        "'cross_entropy' reads the labels; the others read a teacher's logits. 'logits' (Ba & "
        "Caruana's equation 1), 'standardised_logits' and 'probabilities' are squared errors on "
        "these, 'kl' is a divergence, 'hinton' adds soft and hard targets.",
        choices=LOSSES,
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
    soft_weight: float = setting(
        0.5,
        "Hinton's λ, the weight of the soft targets; the labels' weight is 1 − λ.",
        rules.TO_1,
        read=rules.kinds('hinton'),
    )
