"""Settings of teachers, of their logit caches and of students."""

import dataclasses
from collections.abc import Mapping

from mimic_jax.config import rules
from mimic_jax.config.fields import Rule, entries, named_elsewhere, setting
from mimic_jax.data.view_settings import OwnViews
from mimic_jax.training.loss_settings import Loss
from mimic_jax.training.settings import Train

_RANKED: Rule = (lambda source: source.rank, 'where rank is above 0')
_GIVEN: Rule = (lambda source: source.path, 'where path is given')
_MODEL = (
    "The net in the papers' notation, such as '64c5-p2-1k'; or a Flax module of your own, Linen or NNX, "
    "'flax:package.module:Name' (docs/own_net.md)."
)
_ARGS = "Arguments of a model of your own, such as {'width': 64}."


@dataclasses.dataclass(frozen=True)
class FromStudy:
    """Which of a search's nets this is; all its other settings are then read from the study."""

    rank: int = setting(
        0, "The place among the study's finished trials, from 1; 0: not from a study.", rules.FROM_0
    )
    study: str = setting('', "The study's name; empty: `config.search.study`.", read=_RANKED)
    storage: str = setting(
        '', "The URL of the study's database; empty: `config.search.storage`.", read=_RANKED
    )
    choice: str = setting(
        'best',
        "What ranks count. 'best': the order of the search's objective. 'greedy', for members: each "
        'is the one that raises the validation accuracy of the ensemble so far the most.',
        choices=('best', 'greedy'),
        read=_RANKED,
    )


@dataclasses.dataclass(frozen=True)
class Member:
    """A teacher: one net of an ensemble, trained on labels."""

    model: str = setting('', _MODEL)
    model_args: Mapping[str, object] = entries(_ARGS)
    seed: int = setting(
        0, 'Draws initial parameters, order of examples, dropout, views and subset.', rules.SEED
    )
    subset: float = setting(
        1.0,
        'The part of the training split that it sees, drawn by its seed; for speech, of its utterances.',
        (lambda value: 0 < value <= 1, 'above 0 and at most 1'),
    )
    train: Train = Train()
    views: OwnViews = named_elsewhere(OwnViews())
    from_study: FromStudy = named_elsewhere(FromStudy())


@dataclasses.dataclass(frozen=True)
class ExternalTeacher:
    """A teacher that was made elsewhere, in the members' place.

    Functions and models are given the views as they are, or as a net would be given them. Files of
    logits under augmentation answer the views that `--phase=views --output=FOLDER` writes.
    """

    kind: str = setting(
        'callable',
        "'callable': 'package.module:function', a function of a batch of inputs [B, ...] that returns "
        "logits [B, K]. 'fit': 'package.module:function', a function of the inputs [N, ...] and labels "
        "[N] of the training split that returns such a callable. 'onnx': a model's file, of one input; "
        "a fixed batch size is kept. 'logits': .npy files, or .npz files of one array, [R, K] or "
        '[V, R, K] for V views, or as many files as views, or a folder of answers_000.npy and so on, '
        "one a view; rows R are all examples of the data in the source's own order (labelled, "
        "unlabelled, test, validation), or the transfer set's alone. Under augmentation they are the "
        "transfer set's, and lie beside the views.json of the views that they answer.",
        choices=('callable', 'fit', 'onnx', 'logits'),
    )
    path: tuple[str, ...] = setting(
        (), 'The import path, or the file or files; empty: no such teacher.'
    )
    version: str = setting(
        '',
        "Change it whenever a function's answers change, because nothing else shows that.",
        read=_GIVEN,
    )
    inputs: str = setting(
        'raw',
        "What it is given, and what --phase=views writes. 'raw': uint8 pixels, or float32 where "
        "colours change, a crop is resampled or the data are features. 'preprocessed': float32, as a "
        'net is given them.',
        choices=('raw', 'preprocessed'),
    )
    layout: str = setting(
        'auto',
        "How it is given images. 'channels_last': [B, H, W, C]. 'channels_first': [B, C, H, W]. "
        "'auto': for an ONNX model, as the shape of its input has them; otherwise channels last.",
        choices=('auto', 'channels_last', 'channels_first'),
    )
    output: str = setting(
        '',
        'The name of the output with the logits, of an ONNX model that has several.',
        read=(lambda source: source.path and source.kind == 'onnx', "where kind is 'onnx'"),
    )
    probabilities: bool = setting(
        False,
        'Its answers are probabilities p, from 0 to 1 or in percent; the logits are log max(p, 10⁻⁶).',
        read=_GIVEN,
    )
    class_names: tuple[str, ...] = setting(
        (),
        'The names of its classes in the order of its columns, which are then put in the order of the '
        "data's classes. Empty: those in a class_names.json beside its files, or in an ONNX "
        "model's metadata, as this package writes them; without names they stay as they are.",
        read=_GIVEN,
    )
    validation: str = setting(
        '',
        "A file of logits on the validation split, [n, K], or [R, K] of all examples, for kind 'logits'.",
        read=_GIVEN,
    )
    test: str = setting('', 'The same on the test split.', read=_GIVEN)


@dataclasses.dataclass(frozen=True)
class Logits:
    """A logit cache: mean logits of an ensemble, or of a teacher made elsewhere, on many views."""

    members: tuple[str, ...] = setting(
        (), 'The names in config.members whose logits are averaged.', names=False
    )
    source: ExternalTeacher = named_elsewhere(ExternalTeacher())
    transfer: tuple[str, ...] = setting(
        ('train', 'unlabelled'),
        'The splits that make up the transfer set.',
        (lambda value: value and 'test' not in value, 'at least one split, and not the test split'),
    )
    limit: int = setting(
        0, 'Transfer examples at most, the first of them; 0 for all.', rules.FROM_0
    )
    views: int = setting(
        1,
        "How many views of each example. A student's epoch e reads view e modulo this.",
        rules.up_to(100_000),
    )
    augmentation: OwnViews = named_elsewhere(OwnViews())
    tta: str = setting(
        'none',
        "The transforms of every view that each teacher's logits are averaged over. 'mirror': the image "
        "and its mirror image. 'mirror_shift': half of that, and half of both moved by a pixel along each "
        'diagonal (Jordan 2024).',
        choices=('none', 'mirror', 'mirror_shift'),
    )
    dtype: str = setting(
        'float16',
        "What logits are kept in. 'int8': a byte each, and a scale for each row. 'topk': the `top` largest "
        'of each row in float16, and one number for all others.',
        choices=('float16', 'float32', 'int8', 'topk'),
    )
    top: int = setting(
        10,
        "How many logits of a row 'topk' keeps; fewer than there are classes.",
        rules.FROM_1,
        read=(lambda logits: logits.dtype == 'topk', "where dtype is 'topk'"),
    )


@dataclasses.dataclass(frozen=True)
class Student:
    """A shallow net, trained on labels (the baseline) or on a cache's logits."""

    model: str = setting('', _MODEL)
    model_args: Mapping[str, object] = entries(_ARGS)
    budget: float = setting(
        0.0,
        "The parameters that a '?' in the model is solved for; 0: none.",
        rules.FROM_0,
        names=False,  # the solved model does
    )
    target: str = setting('labels', 'What it learns.', choices=('labels', 'logits'))
    logits: str = setting(
        '',
        'The name in config.logits that it learns from.',
        names=False,
        read=(lambda student: student.target == 'logits', "where target is 'logits'"),
    )
    loss: Loss = Loss()
    train: Train = Train()
    views: OwnViews = named_elsewhere(OwnViews())
    unseen: tuple[str, ...] = setting(
        (),
        "Parts of an example that this net alone is not given, by NumPy's indices: '3' is a table's fourth "
        "column, ':,16:' the right half of a 32×32 image, ':,:,0' its first colour. They are 0 after "
        'preprocessing, in training and in every answer.',
    )
    seeds: tuple[int, ...] = setting(
        (0,),
        'Each makes a net of its own: initial parameters, order of examples, dropout.',
        rules.different(rules.SEED, 'seeds'),
        names=False,  # one of them does
    )
    from_study: FromStudy = named_elsewhere(FromStudy())
