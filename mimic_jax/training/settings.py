"""Settings of a training run."""

import dataclasses
import re
from collections.abc import Mapping

from mimic_jax.config import rules
from mimic_jax.config.fields import Rule, entries, setting

_MUON = rules.where('optimizer', 'muon')
_ADAM: Rule = (
    lambda train: 'adamw' in (train.optimizer, train.optimizer == 'muon' and train.companion),
    "where optimizer is 'adamw', or 'muon' with the companion 'adamw'",
)
_LOOKAHEAD = rules.where('average', 'lookahead')
_PARTS: Rule = (
    lambda parts: parts and list(parts) == sorted(set(parts)) and parts[0] > 0 and parts[-1] < 1,
    'rising numbers, each above 0 and below 1',
)


def _compiles(pattern: str) -> bool:
    try:
        return bool(re.compile(pattern).pattern)
    except re.error:
        return False


@dataclasses.dataclass(frozen=True)
class Group:
    """Parameters with a rate or a weight decay of their own."""

    parameters: str = setting(
        '.',
        "A regular expression that matches a part of their names, such as 'bias$' or '^output' for "
        "'output_04/bias'. No parameter may be in two groups.",
        (_compiles, 'a regular expression'),
    )
    rate: float = setting(1.0, 'The factor on their learning rate.', rules.NOT_NEGATIVE)
    weight_decay: float | None = setting(
        None,
        "Their weight decay, on all of them; none: the run's, on their kernels.",
        rules.NOT_NEGATIVE,
    )
    companion: bool = setting(
        False, "Whether Muon's companion updates them, even if they are kernels."
    )


@dataclasses.dataclass(frozen=True)
class Train:
    """One run of gradient descent."""

    epochs: int = setting(
        40, "Passes over the examples; the schedule 'plateau' may stop earlier.", rules.FROM_1
    )
    batch_size: int = setting(128, 'Examples a step.', rules.FROM_1)
    optimizer: str = setting(
        'sgd',
        "'sgd': with momentum. 'adamw': Loshchilov & Hutter 2019. 'muon': kernels of dense and "
        'convolutional layers by orthogonalised momentum (Jordan et al. 2024), all else by its '
        'companion.',
        choices=('sgd', 'adamw', 'muon'),
    )
    learning_rate: float = setting(0.05, 'The peak learning rate.', rules.POSITIVE)
    schedule: str = setting(
        'cosine',
        "The rate after warm-up. 'cosine': half a cosine down to 0. 'linear': a line down to "
        "final_rate. 'trapezoid': constant, then a line down to final_rate. 'step': cut at parts of "
        "the run. 'plateau': halved when the validation error stops falling, until training stops "
        '(Urban et al. 2017).',
        choices=('constant', 'cosine', 'linear', 'plateau', 'step', 'trapezoid'),
    )
    warmup: float = setting(
        0.05, 'The part of all steps over which the rate rises linearly.', rules.BELOW_1
    )
    warmup_from: float = setting(
        0.0, 'The part of the peak rate that warm-up starts at.', rules.TO_1
    )
    final_rate: float = setting(
        0.0,
        'The part of the peak rate that a line ends at.',
        rules.TO_1,
        read=rules.where('schedule', 'linear', 'trapezoid'),
    )
    cooldown: float = setting(
        0.2,
        'The part of all steps, at their end, over which the rate falls.',
        rules.BELOW_1,
        read=rules.where('schedule', 'trapezoid'),
    )
    cuts: tuple[float, ...] = setting(
        (0.5, 0.75),
        'The parts of all steps after which the rate is cut.',
        _PARTS,
        read=rules.where('schedule', 'step'),
    )
    cut_factor: float = setting(
        0.1,
        'The factor on the rate at each cut.',
        rules.TO_1,
        read=rules.where('schedule', 'step'),
    )
    keep: str = setting(
        'last',
        "Which weights are the result: the 'last', or the 'best' by validation error.",
        choices=('last', 'best'),
        read=rules.where('schedule', 'plateau'),
    )
    momentum: float = setting(
        0.9, "The momentum of SGD and Muon; AdamW's β₁, the first moments' decay.", rules.BELOW_1
    )
    nesterov: bool = setting(
        True,
        "Whether momentum is Nesterov's; otherwise it is plain.",
        read=rules.where('optimizer', 'sgd', 'muon'),
    )
    beta2: float = setting(
        0.999, "AdamW's β₂, the second moments' decay.", rules.BELOW_1, read=_ADAM
    )
    muon_steps: int = setting(5, 'Newton–Schulz iterations.', rules.up_to(100), read=_MUON)
    muon_rescale: bool = setting(
        False,
        'Whether each step first scales every kernel of Muon to the Frobenius norm √O, O being its '
        'outputs.',
        read=_MUON,
    )
    companion: str = setting('adamw', "Muon's companion.", choices=('adamw', 'sgd'), read=_MUON)
    companion_rate: float = setting(
        1.0, "The factor on the companion's learning rate.", rules.POSITIVE, read=_MUON
    )
    companion_momentum: float = setting(
        0.9, "The companion's momentum or β₁.", rules.BELOW_1, read=_MUON
    )
    weight_decay: float = setting(
        0.0,
        "On kernels. SGD's is L2: this times the kernel is added to its gradient. AdamW's and Muon's "
        'is subtracted from the kernel, times the rate.',
        rules.NOT_NEGATIVE,
    )
    groups: Mapping[str, Group] = entries('Parameters with settings of their own, by name.')
    clip_norm: float = setting(
        0.0, "The bound on the gradient's global norm; 0 for none.", rules.NOT_NEGATIVE
    )
    label_smoothing: float = setting(
        0.0,
        'The part of a label that is spread evenly over all classes, in the cross-entropy that is '
        'trained on.',
        rules.BELOW_1,
    )
    average: str = setting(
        'none',
        "Which weights are evaluated and kept. 'none': those that are trained. 'ema': their moving "
        "average. 'lookahead': slow weights, from which training goes on (Zhang et al. 2019).",
        choices=('none', 'ema', 'lookahead'),
    )
    ema_decay: float = setting(
        0.999,
        "The average's part that a step keeps; early on (1 + step) / (10 + step), if that is less.",
        rules.BELOW_1,
        read=rules.where('average', 'ema'),
    )
    lookahead_period: int = setting(
        5, 'Steps between updates of the slow weights.', rules.FROM_1, read=_LOOKAHEAD
    )
    lookahead_decay: float = setting(
        0.5, 'The part of the slow weights that an update keeps.', rules.BELOW_1, read=_LOOKAHEAD
    )
    lookahead_power: float = setting(
        0.0,
        'That part is multiplied by (step / steps) to this power; 0: it is constant.',
        rules.NOT_NEGATIVE,
        read=_LOOKAHEAD,
    )
    dtype: str = setting(
        'float32',
        'The precision of the computation; parameters stay float32.',
        choices=('float32', 'bfloat16'),
    )
    matmul_precision: str = setting(
        'default',
        "How accelerators multiply float32 numbers. 'default': one product of bfloat16 on TPUs, TF32 on "
        "GPUs. 'high': three products of bfloat16 on TPUs. 'highest': float32, on TPUs by six products.",
        choices=('default', 'high', 'highest'),
    )
    init_scale: float = setting(
        1.0, "The factor on Glorot & Bengio's initial kernels.", rules.POSITIVE
    )
    input_scale: float = setting(
        1.0, "The factor on the net's preprocessed inputs.", rules.POSITIVE
    )
