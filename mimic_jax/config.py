"""The parts of a config as frozen dataclasses: checked, typed, hashable.

An experiment's ConfigDict is what people write and what flags change. Everything inside the package
works on these instead: they serve as static arguments of jitted functions and, as JSON, as the part of
a config that an artifact is named by.
"""

import dataclasses
from collections.abc import Iterable, Mapping

from mimic_jax.errors import UserError
from mimic_jax.settings import nearest, one_of, section, setting

LOSSES = {  # and the settings that each reads
    'cross_entropy': (),
    'logits': ('scale',),
    'standardised_logits': ('scale',),
    'probabilities': ('scale',),
    'kl': ('temperature',),
    'hinton': ('temperature', 'soft_weight'),
}

_FROM_0 = (lambda value: value >= 0, '0 or more')
_FROM_1 = (lambda value: value >= 1, '1 or more')
_POSITIVE = (lambda value: 0 < value < float('inf'), 'a finite number above 0')
_NOT_NEGATIVE = (lambda value: 0 <= value < float('inf'), 'a finite number, 0 or more')
_BELOW_1 = (lambda value: 0 <= value < 1, 'from 0 up to, but not including, 1')
# jax keeps 32 bits of a seed and drops the others without a word.
_SEED = (lambda value: 0 <= value < 2**32, f'from 0 to {2**32 - 1}')
_SEEDS = (
    lambda value: value and len(set(value)) == len(value) and all(map(_SEED[0], value)),
    f'a tuple of different seeds, at least one, each {_SEED[1]}',
)
_NAMES = (bool, 'a tuple of at least one name')


@dataclasses.dataclass(frozen=True)
class Data:
    """Which examples, and how they are divided.

    `test` examples are set aside first (all of a data set's own test split when it has one and
    `test` is 0), then `validation` and `train` are drawn from the rest by `seed`; `train` 0 means
    all that remain. What is left over loses its labels and becomes the split 'unlabelled'.
    """

    name: str = 'digits'
    root: str = ''
    train: int = setting(0, _FROM_0)
    validation: int = setting(0, _FROM_0)
    test: int = setting(0, _FROM_0)
    unlabelled: int = setting(-1, (lambda value: value >= -1, '-1 (all), 0 or more'))  # at most
    seed: int = setting(0, _SEED)
    preprocess: str = one_of('image', ('image', 'feature', 'scale'))


@dataclasses.dataclass(frozen=True)
class Views:
    """Augmentation: a mirror image with probability ½, and a shift by up to `shift` pixels.

    `seed` is that of a logit cache's views. A net trained on labels draws its views from its own seed.
    """

    seed: int = setting(0, _SEED)
    mirror: bool = False
    shift: int = setting(0, _FROM_0)
    padding: str = one_of('zero', ('zero', 'reflect'))


@dataclasses.dataclass(frozen=True)
class Train:
    """One run of stochastic gradient descent with Nesterov momentum."""

    epochs: int = setting(10, _FROM_1)
    batch_size: int = setting(128, _FROM_1)
    learning_rate: float = setting(0.1, _POSITIVE)
    schedule: str = one_of('cosine', ('constant', 'cosine'))
    warmup: float = setting(0.0, _BELOW_1)  # part of all steps over which the rate rises from 0
    momentum: float = setting(0.9, _BELOW_1)
    weight_decay: float = setting(0.0, _NOT_NEGATIVE)  # L2 on kernels, added to the gradient
    clip_norm: float = setting(0.0, _NOT_NEGATIVE)  # bound on the gradient's global norm; 0: none
    dtype: str = one_of('float32', ('float32', 'bfloat16'))  # parameters stay float32
    init_scale: float = setting(1.0, _POSITIVE)  # factor on Glorot & Bengio's initialisation


@dataclasses.dataclass(frozen=True)
class Loss:
    """Which loss; `scale` is ½ in Ba & Caruana's equation 1 and 1 in Urban et al."""

    kind: str = one_of('cross_entropy', tuple(LOSSES))
    scale: float = setting(0.5, _POSITIVE)
    temperature: float = setting(1.0, _POSITIVE)
    soft_weight: float = setting(0.5, (lambda value: 0 <= value <= 1, 'from 0 to 1'))


@dataclasses.dataclass(frozen=True)
class Member:
    """A teacher: one net of an ensemble, trained on labels."""

    model: str = ''
    seed: int = setting(0, _SEED)
    # The part of the training split that this member sees, drawn by its seed.
    subset: float = setting(1.0, (lambda value: 0 < value <= 1, 'above 0 and at most 1'))
    train: Train = Train()
    views: Views | None = None  # the config's own `views` when left out


@dataclasses.dataclass(frozen=True)
class Logits:
    """A logit cache: the mean logits of `members` on `views` views of the `transfer` splits."""

    members: tuple[str, ...] = setting((), _NAMES)
    transfer: tuple[str, ...] = setting(
        ('train', 'unlabelled'),
        (lambda value: value and 'test' not in value, 'at least one split, and not the test split'),
    )
    views: int = setting(1, _FROM_1)
    dtype: str = one_of('float16', ('float16', 'float32'))


@dataclasses.dataclass(frozen=True)
class Student:
    """A shallow net, trained on labels (the baseline) or on a cache's logits."""

    model: str = ''
    budget: float = setting(0.0, _FROM_0)  # parameters that a '?' in the model is solved for
    target: str = one_of('labels', ('labels', 'logits'))
    logits: str = ''
    loss: Loss = Loss()
    train: Train = Train()
    seeds: tuple[int, ...] = setting((0,), _SEEDS)


@dataclasses.dataclass(frozen=True)
class Row:
    """A row of the report: `source` is 'members.NAME', 'logits.NAME' or 'students.NAME'."""

    source: str = ''
    label: str = ''  # what the table calls it; the row's own name when left out
    # The paper's accuracy.
    paper: float = setting(
        -1.0, (lambda value: value <= 1, 'a fraction of 1, or negative for none')
    )


@dataclasses.dataclass(frozen=True)
class Run:
    """What changes how a run goes but not what comes out; no artifact's name depends on it."""

    log_steps: int = setting(50, _FROM_1)
    evaluation_steps: int = setting(1, _FROM_1)  # at an epoch's end, so far apart or more
    checkpoint_steps: int = setting(1, _FROM_1)  # likewise
    steps_per_call: int = setting(0, _FROM_0)  # 0: 1 on CPU, 16 on accelerators
    model_axis: int = setting(1, _FROM_1)  # devices that wide layers are split over
    placement: str = one_of('auto', ('auto', 'device', 'host'))  # of the data; 'auto': by size
    evaluation_batch_size: int = setting(500, _FROM_1)


@dataclasses.dataclass(frozen=True)
class Report:
    """What to tabulate, in which order (ConfigDicts sort their keys).

    `ensemble` names the entry of config.logits that agreement is measured with.
    """

    rows: Mapping[str, Row] = dataclasses.field(default_factory=dict)
    order: tuple[str, ...] = ()
    ensemble: str = ''


@dataclasses.dataclass(frozen=True)
class Experiment:
    """A whole config. `presets` says in words what each preset of the file is for."""

    data: Data = Data()
    views: Views = Views()
    members: Mapping[str, Member] = dataclasses.field(default_factory=dict)
    logits: Mapping[str, Logits] = dataclasses.field(default_factory=dict)
    students: Mapping[str, Student] = dataclasses.field(default_factory=dict)
    report: Report = Report()
    run: Run = Run()
    presets: Mapping[str, str] = dataclasses.field(default_factory=dict)


def experiment(config: Mapping) -> Experiment:
    """A ConfigDict as an Experiment, with every reference inside it checked."""
    result = section(Experiment, config, 'config')
    for name, cache in result.logits.items():
        for member in cache.members:
            _known(member, result.members, f'config.logits.{name}.members', 'config.members')
    for name, student in result.students.items():
        where = f'config.students.{name}'
        if student.target == 'logits':
            _known(student.logits, result.logits, f'{where}.logits', 'config.logits')
        if (student.loss.kind == 'cross_entropy') != (student.target == 'labels'):
            raise UserError(
                f'{where} has target {student.target!r} and loss.kind {student.loss.kind!r}; '
                'labels go with cross_entropy, logits with the other losses'
            )
    if result.report.ensemble:
        _known(result.report.ensemble, result.logits, 'config.report.ensemble', 'config.logits')
    for name in result.report.order:
        _known(name, result.report.rows, 'config.report.order', 'config.report.rows')
    for name, row in result.report.rows.items():
        group, _, entry = row.source.partition('.')
        where = f'config.report.rows.{name}.source'
        if group not in ('members', 'logits', 'students'):
            raise UserError(
                f'{where} is {row.source!r}; write members.NAME, logits.NAME or students.NAME'
            )
        _known(entry, getattr(result, group), where, f'config.{group}')
    return result


def loss_as_json(loss: Loss) -> dict:
    """A loss without the settings that its kind does not read."""
    return {key: getattr(loss, key) for key in ('kind', *LOSSES[loss.kind])}


def _known(name: str, known: Iterable[str], where: str, group: str) -> None:
    if name not in known:
        raise UserError(
            f'{where} names {name!r}, which {group} does not have; {nearest(name, known)}'
        )
