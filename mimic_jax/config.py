"""The parts of a config as frozen dataclasses: checked, typed, hashable.

An experiment's ConfigDict is what people write and what flags change. Everything inside the package
works on these instead: a misspelt key or an impossible value is one line that names the key, and the
classes serve as static arguments of jitted functions and, through `as_json`, as the part of a config
that an artifact is named by.
"""

import dataclasses
import difflib
import types
import typing
from collections.abc import Iterable, Mapping

from mimic_jax.errors import UserError

SCHEDULES = ('constant', 'cosine')
LOSSES = {  # and the settings that each reads
    'cross_entropy': (),
    'logits': ('scale',),
    'standardised_logits': ('scale',),
    'probabilities': ('scale',),
    'kl': ('temperature',),
    'hinton': ('temperature', 'soft_weight'),
}
SEED_RULE = 'from 0 to 4294967295'
DTYPES = ('float32', 'bfloat16')


@dataclasses.dataclass(frozen=True)
class Data:
    """Which examples, and how they are divided.

    `test` examples are set aside first (all of a data set's own test split when it has one and
    `test` is 0), then `validation` and `train` are drawn from the rest by `seed`; `train` 0 means
    all that remain. What is left over loses its labels and becomes the split 'unlabelled'.
    """

    name: str = 'digits'
    root: str = ''
    train: int = 0
    validation: int = 0
    test: int = 0
    unlabelled: int = -1  # at most so many unlabelled examples; -1 keeps all
    seed: int = 0
    preprocess: str = 'image'


@dataclasses.dataclass(frozen=True)
class Views:
    """Augmentation: a mirror image with probability ½, and a shift by up to `shift` pixels.

    `seed` is that of a logit cache's views. A net trained on labels draws its views from its own seed.
    """

    seed: int = 0
    mirror: bool = False
    shift: int = 0
    padding: str = 'zero'


@dataclasses.dataclass(frozen=True)
class Train:
    """One run of stochastic gradient descent with Nesterov momentum."""

    epochs: int = 10
    batch_size: int = 128
    learning_rate: float = 0.1
    schedule: str = 'cosine'
    warmup: float = 0.0  # part of all steps over which the rate rises linearly from 0
    momentum: float = 0.9
    weight_decay: float = 0.0  # L2 on kernels, added to the gradient
    clip_norm: float = 0.0  # bound on the gradient's global norm; 0 leaves it alone
    dtype: str = 'float32'  # of activations and products; parameters stay float32
    init_scale: float = 1.0  # factor on Glorot & Bengio's initialisation


@dataclasses.dataclass(frozen=True)
class Loss:
    """Which loss; `scale` is ½ in Ba & Caruana's equation 1 and 1 in Urban et al."""

    kind: str = 'cross_entropy'
    scale: float = 0.5
    temperature: float = 1.0
    soft_weight: float = 0.5


@dataclasses.dataclass(frozen=True)
class Member:
    """A teacher: one net of an ensemble, trained on labels."""

    model: str = ''
    seed: int = 0
    subset: float = 1.0  # part of the training split this member sees, drawn by its seed
    train: Train = Train()
    views: Views | None = None  # the config's own `views` when left out


@dataclasses.dataclass(frozen=True)
class Logits:
    """A logit cache: the mean logits of `members` on `views` views of the `transfer` splits."""

    members: tuple[str, ...] = ()
    transfer: tuple[str, ...] = ('train', 'unlabelled')
    views: int = 1
    dtype: str = 'float16'


@dataclasses.dataclass(frozen=True)
class Student:
    """A shallow net, trained on labels (the baseline) or on a cache's logits."""

    model: str = ''
    budget: float = 0.0  # parameters that a '?' in the model is solved for
    target: str = 'labels'
    logits: str = ''
    loss: Loss = Loss()
    train: Train = Train()
    seeds: tuple[int, ...] = (0,)


@dataclasses.dataclass(frozen=True)
class Row:
    """A row of the report: `source` is 'members.NAME', 'logits.NAME' or 'students.NAME'."""

    source: str = ''
    label: str = ''  # what the table calls it; the row's own name when left out
    paper: float = -1.0  # the paper's accuracy, a fraction; negative where it has none


@dataclasses.dataclass(frozen=True)
class Run:
    """What changes how a run goes but not what comes out; no artifact's name depends on it."""

    log_steps: int = 50
    evaluation_steps: int = (
        1  # looks at the validation split: at an epoch's end, so far apart or more
    )
    checkpoint_steps: int = 1  # likewise
    steps_per_call: int = 0  # 0: 1 on CPU, 16 on accelerators
    model_axis: int = 1  # devices that wide layers are split over
    placement: str = 'auto'  # 'device', 'host', or by size
    evaluation_batch_size: int = 500


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


def section(cls, mapping: Mapping, where: str):
    """`mapping` as an instance of the dataclass `cls`; `where` is its path in the config, for errors."""
    if not isinstance(mapping, Mapping) and not hasattr(mapping, 'items'):
        raise UserError(f'{where} is {mapping!r}; it must be a group of settings')
    hints = typing.get_type_hints(cls)
    values = {}
    for key, value in mapping.items():
        if key not in hints:
            raise UserError(f'{where} has no setting {key!r}; {nearest(key, hints)}')
        values[key] = _value(hints[key], value, f'{where}.{key}')
    result = cls(**values)
    _check_ranges(result, where)
    return result


def nearest(word: str, known: Iterable[str]) -> str:
    """The end of an error's sentence: the nearest known word, or all of them."""
    known = sorted(known)
    if not known:
        return 'it has none'
    close = difflib.get_close_matches(word, known, n=1)
    return f'did you mean {close[0]!r}?' if close else f'known are {", ".join(known)}'


def loss_as_json(loss: Loss) -> dict:
    """A loss without the settings that its kind does not read."""
    return {key: getattr(loss, key) for key in ('kind', *LOSSES[loss.kind])}


def as_json(value):
    """A dataclass, ConfigDict or tuple as what `json` writes: dicts, lists and scalars."""
    if dataclasses.is_dataclass(value):
        return {f.name: as_json(getattr(value, f.name)) for f in dataclasses.fields(value)}
    if hasattr(value, 'items'):
        return {key: as_json(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [as_json(item) for item in value]
    return value


def _value(hint, value, where: str):
    if isinstance(hint, types.UnionType):  # `Views | None`
        if value is None:
            return None
        hint = next(option for option in typing.get_args(hint) if option is not types.NoneType)
    if dataclasses.is_dataclass(hint):
        return section(hint, value, where)
    if typing.get_origin(hint) is Mapping:
        if not hasattr(value, 'items'):
            raise UserError(f'{where} is {value!r}; it must be a group of named entries')
        (_, item_hint) = typing.get_args(hint)
        return {key: _value(item_hint, item, f'{where}.{key}') for key, item in value.items()}
    if typing.get_origin(hint) is tuple:
        (item_hint, _) = typing.get_args(hint)
        if isinstance(value, str) or not isinstance(value, Iterable):
            value = (value,)
        return tuple(_value(item_hint, item, where) for item in value)
    if hint is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if not isinstance(value, hint) or (hint is int and isinstance(value, bool)):
        raise UserError(f'{where} is {value!r}; it must be of type {hint.__name__}')
    return value


def _known(name: str, known: Iterable[str], where: str, group: str) -> None:
    if name not in known:
        raise UserError(
            f'{where} names {name!r}, which {group} does not have; {nearest(name, known)}'
        )


def _is_seed(number: int) -> bool:
    # jax keeps 32 bits of a seed and drops the others without a word.
    return 0 <= number < 2**32


def _check_ranges(part, where: str) -> None:
    def check(key: str, good: bool, rule: str) -> None:
        if not good:
            raise UserError(f'{where}.{key} is {getattr(part, key)!r}; it must be {rule}')

    def one_of(key: str, choices: tuple[str, ...]) -> None:
        value = getattr(part, key)
        if value not in choices:
            raise UserError(f'{where}.{key} is {value!r}; {nearest(str(value), choices)}')

    match part:
        case Data():
            for key in ('train', 'validation', 'test'):
                check(key, getattr(part, key) >= 0, '0 or more')
            check('seed', _is_seed(part.seed), SEED_RULE)
            check('unlabelled', part.unlabelled >= -1, '-1 (all), 0 or more')
            one_of('preprocess', ('image', 'feature', 'scale'))
        case Views():
            check('seed', _is_seed(part.seed), SEED_RULE)
            check('shift', part.shift >= 0, '0 or more pixels')
            one_of('padding', ('zero', 'reflect'))
        case Train():
            for key in ('epochs', 'batch_size'):
                check(key, getattr(part, key) >= 1, '1 or more')
            for key in ('learning_rate', 'init_scale'):
                check(key, 0 < getattr(part, key) < float('inf'), 'a finite number above 0')
            for key in ('weight_decay', 'clip_norm'):
                check(key, 0 <= getattr(part, key) < float('inf'), '0 or more')
            for key in ('warmup', 'momentum'):
                check(key, 0 <= getattr(part, key) < 1, 'from 0 up to, but not including, 1')
            one_of('schedule', SCHEDULES)
            one_of('dtype', DTYPES)
        case Loss():
            one_of('kind', LOSSES)
            for key in ('scale', 'temperature'):
                check(key, 0 < getattr(part, key) < float('inf'), 'a finite number above 0')
            check('soft_weight', 0 <= part.soft_weight <= 1, 'from 0 to 1')
        case Member():
            check('seed', _is_seed(part.seed), SEED_RULE)
            check('subset', 0 < part.subset <= 1, 'above 0 and at most 1')
        case Logits():
            check('members', bool(part.members), 'a tuple of at least one name of config.members')
            check('transfer', bool(part.transfer), 'a tuple of at least one split')
            check('transfer', 'test' not in part.transfer, 'splits other than the test split')
            check('views', part.views >= 1, '1 or more')
            one_of('dtype', ('float16', 'float32'))
        case Student():
            one_of('target', ('labels', 'logits'))
            check('budget', part.budget >= 0, '0 or more')
            check('seeds', bool(part.seeds), 'a tuple of at least one seed')
            check('seeds', len(set(part.seeds)) == len(part.seeds), 'a tuple without repeats')
            check('seeds', all(map(_is_seed, part.seeds)), f'a tuple of seeds, each {SEED_RULE}')
        case Row():
            check('paper', part.paper <= 1, 'a fraction of 1, or negative for none')
        case Run():
            for key in (
                'log_steps',
                'evaluation_steps',
                'checkpoint_steps',
                'model_axis',
                'evaluation_batch_size',
            ):
                check(key, getattr(part, key) >= 1, '1 or more')
            check('steps_per_call', part.steps_per_call >= 0, '0 (by backend) or more')
            one_of('placement', ('auto', 'device', 'host'))
