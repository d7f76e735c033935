"""What teachers, caches and students make: every recipe, worked out before anything is computed."""

import dataclasses
from collections.abc import Iterator, Mapping
from typing import Protocol

import jax
import numpy as np

from mimic_jax.artifacts.store import Recipe
from mimic_jax.config.fields import differing, filled
from mimic_jax.data import batches, tta, views
from mimic_jax.data.dataset import Dataset
from mimic_jax.data.settings import Data, OwnViews, own_views
from mimic_jax.data.settings import Views as ViewSettings
from mimic_jax.errors import UserError
from mimic_jax.mimic import external_plan as own_plan
from mimic_jax.mimic.cache_plan import CachePlan
from mimic_jax.mimic.external_plan import OwnPlan
from mimic_jax.mimic.settings import Logits, Member, Student
from mimic_jax.models import nets, notation
from mimic_jax.models.contract import Net
from mimic_jax.training import objective, optimizers, train_step
from mimic_jax.training.plan import NetPlan
from mimic_jax.training.settings import Loss, Train
from mimic_jax.training.train_step import Task

MOST_PARAMETERS = 10**10  # of a net: with gradients and momentum 120 GB
MOST_STEPS = 2**31 - 1  # that a run can count


class Planned(Protocol):
    """What another room plans to make: an artifact, and its name in words."""

    name: str
    recipe: Recipe


@dataclasses.dataclass(frozen=True, eq=False)
class Plan:
    """Everything that an experiment makes.

    alignments, baselines, decodings: what other rooms plan; of speech, `decodings` are by a row's source,
    one a seed.
    """

    members: Mapping[str, NetPlan]
    caches: Mapping[str, CachePlan]
    students: Mapping[str, tuple[NetPlan, ...]]
    alignments: tuple[Planned, ...] = ()
    baselines: Mapping[str, Planned] = dataclasses.field(default_factory=dict)
    decodings: Mapping[str, tuple[Planned, ...]] = dataclasses.field(default_factory=dict)

    def own_teachers(self) -> Iterator[OwnPlan]:
        """Every teacher made elsewhere that answers for validation or test examples."""
        for cache in self.caches.values():
            if cache.own and cache.own.evaluation:
                yield cache.own

    def nets(self) -> Iterator[NetPlan]:
        """Every net that is trained: members, then students by name and seed."""
        yield from self.members.values()
        for seeds in self.students.values():
            yield from seeds


def make(
    members: Mapping[str, Member],
    logits: Mapping[str, Logits],
    students: Mapping[str, Student],
    common: ViewSettings,
    data: Dataset,
) -> Plan:
    """The plan of teachers, caches and students.

    common: the views of the caches, and of nets that set none of their own.

    Raises:
      UserError: a model that does not parse or fit, '?' without a budget, a net beyond its budget, a
        split that is not there.
    """
    common = _checked(common, data, 'config.views')
    teachers = {
        name: member(f'teacher {name}', settings, common, data, f'config.members.{name}')
        for name, settings in members.items()
    }
    caches = {
        name: _cache(name, settings, common, data, teachers) for name, settings in logits.items()
    }
    planned = {
        name: tuple(
            _student(
                f'student {name}, seed {seed}',
                settings,
                seed,
                common,
                data,
                caches,
                f'config.students.{name}',
            )
            for seed in settings.seeds
        )
        for name, settings in students.items()
    }
    return Plan(teachers, caches, planned)


def trial(
    name: str,
    settings: Member | Student,
    common: ViewSettings,
    data: Dataset,
    caches: Mapping[str, CachePlan],
) -> NetPlan:
    """The net of a search's trial: an artifact like any member's, or like a student's first seed.

    common: as in `make`.  caches: of the experiment's plan.
    """
    if isinstance(settings, Student):
        seed, where = settings.seeds[0], 'config.search.student'
        return _student(name, settings, seed, common, data, caches, where)
    return member(name, settings, common, data, 'config.search.member')


def _checked(settings: ViewSettings, data: Dataset, where: str) -> ViewSettings:
    """Views that these data can have, named by the sources of a person's own."""
    if not data.images and not views.is_identity(settings):
        raise UserError(f'{where} augments images, but these examples are none; turn it off')
    views.check(settings, data.input_shape, where)
    return views.named(settings, where)


def cache_views(name: str, settings: Logits, common: ViewSettings, data: Dataset) -> ViewSettings:
    """The augmentation of a cache's examples.  common: as in `make`."""
    own = settings.augmentation
    where = 'config.views' if own == OwnViews() else f'config.logits.{name}.augmentation'
    return _checked(filled(own, common), data, where)


def member(name: str, settings: Member, common: ViewSettings, data: Dataset, where: str) -> NetPlan:
    """A teacher to train on labels.  common: as in `make`.  where: its place in the config."""
    own = 'config.views' if settings.views == OwnViews() else f'{where}.views'
    augmentation = _checked(own_views(settings.views, common), data, own)
    examples = data.drawn(settings.subset, settings.seed)
    net = _made(settings, settings.model, data, where)
    recipe = Recipe(
        phase='teacher',
        config={**differing(settings), **net.identity(), **_inputs(data, augmentation)},
        data=data.fingerprint,
        versions=_versions(net, augmentation),
    )
    return _net(
        name,
        where,
        recipe,
        data,
        net,
        settings.train,
        Loss(),
        augmentation,
        examples,
        settings.seed,
    )


def _cache(name: str, settings: Logits, common: ViewSettings, data: Dataset, members) -> CachePlan:
    chosen = tuple(members[member] for member in settings.members)
    examples = transfer_set(name, settings, data)
    own, augmentation = None, cache_views(name, settings, common, data)
    _check_answers(settings, data, f'config.logits.{name}')
    if settings.source.path:
        own = own_plan.make(name, settings, augmentation, examples, data)
    inputs = _inputs(data, augmentation)
    recipe = Recipe(
        phase='logits',
        config={
            **differing(settings),
            **({'source': own.identity} if own else {}),
            **({'augmentation': inputs.pop('views')} if 'views' in inputs else {}),
            **inputs,
        },
        data=data.fingerprint,
        reads=tuple(member.recipe.name for member in chosen),
        versions=_view_version(augmentation, settings.tta),
    )
    return CachePlan(name, recipe, settings, augmentation, chosen, examples, own)


def _check_answers(settings: Logits, data: Dataset, where: str) -> None:
    """UserError unless a cache's answers can be averaged and kept as its settings have it."""
    tta.check(settings.tta, data.input_shape, f'{where}.tta')
    if settings.tta != 'none' and settings.source.path:
        raise UserError(
            f"{where}.tta averages a net's answers, and this cache has a teacher made elsewhere; set it "
            "to 'none' and let the teacher average"
        )
    if settings.dtype == 'topk' and settings.top >= data.num_classes:
        raise UserError(
            f'{where}.top is {settings.top}, but there are {data.num_classes} classes; keep fewer, or '
            "set dtype to 'float16'"
        )


def transfer_set(name: str, settings: Logits, data: Dataset) -> np.ndarray:
    """The indices [M] of a cache's examples; UserError where `limit` is beyond them."""
    examples = data.examples(settings.transfer, f'config.logits.{name}.transfer')
    if settings.limit > len(examples):
        raise UserError(
            f'config.logits.{name}.limit is {settings.limit}, but the splits '
            f'{", ".join(settings.transfer)} hold {len(examples)} examples; lower it'
        )
    return examples[: settings.limit or None]


def _student(
    name: str,
    student: Student,
    seed: int,
    common: ViewSettings,
    data: Dataset,
    caches,
    where: str,
) -> NetPlan:
    net = _made(student, _solved(student, data, where), data, where)
    cache = caches[student.logits] if student.target == 'logits' else None
    loss = objective.named(student.loss, f'{where}.loss', data.num_classes, cache is not None)
    student = dataclasses.replace(student, loss=loss)
    # A cache's name holds its views.
    drawn = ViewSettings() if cache else own_views(student.views, common)
    drawn = _checked(drawn, data, f'{where}.views')
    recipe = Recipe(
        phase='student',
        config={
            **differing(student),
            **net.identity(),
            **({'seed': seed} if seed else {}),
            **_inputs(data, drawn),
        },
        data=data.fingerprint,
        reads=(cache.recipe.name,) if cache else (),
        versions=_versions(net, drawn),
    )
    examples = cache.examples if cache else data.splits['train']
    plan = _net(
        name,
        where,
        recipe,
        data,
        net,
        student.train,
        student.loss,
        cache.views if cache else drawn,
        examples,
        seed,
        cache,
    )
    if student.budget and plan.parameters > student.budget:
        raise UserError(
            f'{where}.model has {plan.parameters:,} parameters, more than its budget of '
            f'{student.budget:,.0f}; write "?" for a width to solve, or set budget to 0'
        )
    budget = student.budget if '?' in student.model else 0.0
    return dataclasses.replace(plan, budget=budget)


def _net(
    name: str,
    where: str,
    recipe: Recipe,
    data: Dataset,
    net: Net,
    train: Train,
    loss: Loss,
    augmentation: ViewSettings,
    examples: np.ndarray,
    seed: int,
    cache: CachePlan | None = None,
) -> NetPlan:
    size = net.describe(data.input_shape)
    steps = train.epochs * batches.steps(len(examples), train.batch_size)
    if size.parameters > MOST_PARAMETERS:
        raise UserError(
            f'{where}.model has {size.parameters:,} parameters, more than {MOST_PARAMETERS:,}; '
            'narrow it'
        )
    if train.groups:
        variables = jax.eval_shape(lambda: net.init(jax.random.key(0), data.input_shape))
        optimizers.check_groups(train, variables['params'], f'{where}.train')
    if steps > MOST_STEPS:
        raise UserError(f'{where}.train.epochs makes for {steps:,} steps, too many to count')
    task = Task(
        net=net,
        preprocess=data.preprocess,
        views=dataclasses.replace(augmentation, seed=0),  # the seed is an input of the step
        loss=loss,
        train=train,
        steps=steps,
    )
    if train.batch_size > len(examples):
        raise UserError(
            f'{where}.train.batch_size is {train.batch_size}, but there are only '
            f'{len(examples)} examples to train on; lower it'
        )
    evaluation = Recipe(
        'evaluate', {'splits': ['validation', 'test']}, data.fingerprint, (recipe.name,)
    )
    return NetPlan(
        name=name,
        recipe=recipe,
        evaluation=evaluation,
        task=task,
        examples=examples,
        seed=seed,
        flops=size.flops,
        parameters=size.parameters,
        units=size.units,
        cache=cache,
    )


def _made(settings: Member | Student, model: str, data: Dataset, where: str) -> Net:
    train = settings.train
    if not model:
        raise UserError(f'{where}.model is empty; give a net such as 64c5-p2-1k')
    return nets.make(
        model,
        settings.model_args,
        data.num_classes,
        data.input_shape,
        train.dtype,
        train.init_scale,
        train.input_scale,
        where,
        train.matmul_precision,
    )


def _solved(student: Student, data: Dataset, where: str) -> str:
    if '?' not in student.model or student.model.startswith(nets.OWN):
        return student.model
    if not student.budget:
        raise UserError(f'{where}.model has a "?" to solve; set {where}.budget to the parameters')
    try:
        return notation.solve(student.model, student.budget, data.input_shape, data.num_classes)
    except UserError as error:
        raise UserError(f'{where}: {error}') from None


def _inputs(data: Dataset, augmentation: ViewSettings) -> dict:
    """What a recipe says of a net's inputs: preprocessing and views, where they are not the defaults."""
    drawn = {} if views.is_identity(augmentation) else differing(augmentation)
    return {
        **({'views': drawn} if drawn else {}),
        **({'preprocess': data.preprocess} if data.preprocess != Data.preprocess else {}),
    }


def _versions(net: Net, augmentation: ViewSettings) -> dict[str, int]:
    """Of the arithmetic that a trained net depends on."""
    return {
        **net.versions,
        'training': train_step.VERSION,
        **_view_version(augmentation),
    }


def _view_version(augmentation: ViewSettings, average: str = 'none') -> dict[str, int]:
    plain = views.is_identity(augmentation) and average == 'none'
    return {} if plain else {'view': views.VERSION}
