"""Settings of a teacher that was made elsewhere."""

import dataclasses

from mimic_jax.config import rules
from mimic_jax.settings import one_of, setting


@dataclasses.dataclass(frozen=True)
class OwnTeacher:
    """Where a cache's logits come from, by `kind`, and what `path` then names.

    'callable': 'package.module:function', a function of a batch of inputs [B, ...] that returns
    logits [B, K], NumPy's or jax's; `version` is to change whenever its answers do, as nothing else
    tells. 'fit': 'package.module:function', a function of the inputs [N, ...] and labels [N] of the
    training split that returns such a callable; it is fitted anew in every process that asks it.
    'onnx': a model's file, of one input and with the logits as its first output.
    'logits': an .npy file, or an .npz file of one array, [R, K] or [V, R, K] for V views; or as many
    files as views. Rows R are all examples of the data in the source's own order (those with labels,
    the unlabelled, its test split), or the transfer set's alone in the order of its splits.

    Functions and models are given the views as they are (`inputs` 'raw': uint8 pixels, or float32
    where colours change, a crop is resampled or the data are features), or as a net would be given them
    ('preprocessed': float32). A model that wants channels first gets them so.

    `validation` and `test` are files of logits on these splits, for kind 'logits': [n, K], or [R, K] of
    all examples. Without views the file of `path` itself answers for them where it has all examples.

    With `probabilities` what comes is taken to be probabilities p, and log max(p, 10⁻⁶) for logits.
    """

    kind: str = one_of('callable', ('callable', 'fit', 'onnx', 'logits'))
    path: tuple[str, ...] = setting((), rules.NAMES)
    version: str = ''
    inputs: str = one_of('raw', ('raw', 'preprocessed'))
    probabilities: bool = False
    validation: str = ''
    test: str = ''
