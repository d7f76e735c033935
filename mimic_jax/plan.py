"""What an experiment makes: every artifact's recipe, worked out before anything is computed."""

import dataclasses
from collections.abc import Iterator, Mapping

import numpy as np

from mimic_jax import baseline_plan, decode_plan
from mimic_jax.artifacts import Recipe
from mimic_jax.baseline_plan import BaselinePlan
from mimic_jax.config import (
    Experiment,
    Logits,
    Loss,
    Member,
    Student,
    Train,
    loss_as_json,
    views_as_json,
)
from mimic_jax.config import Views as ViewSettings
from mimic_jax.data import batches, timit_source, views
from mimic_jax.data.splits import Dataset
from mimic_jax.decode_plan import DecodePlan
from mimic_jax.errors import UserError
from mimic_jax.models import counts, net, notation
from mimic_jax.settings import as_json
from mimic_jax.train_step import Task

FORWARD_AND_BACKWARD = 3  # a training step's FLOPs over a forward pass's
ALIGNMENT_VERSION = 1  # raise when the same net would align otherwise
ALIGNED = ('train', 'validation')  # test labels serve frame accuracy alone, and stay as they were


@dataclasses.dataclass(frozen=True, eq=False)
class NetPlan:
    """A net to train: a teacher member, or a student with one of its seeds."""

    name: str
    recipe: Recipe
    evaluation: Recipe
    task: Task
    examples: np.ndarray
    seed: int
    flops: float  # forward, one example
    parameters: int
    units: int  # as Ba & Caruana count them
    cache: 'CachePlan | None' = None  # of a student on logits

    @property
    def model(self) -> str:
        return self.task.net.spec

    @property
    def work_per_step(self) -> float:
        return FORWARD_AND_BACKWARD * self.flops * self.task.train.batch_size


@dataclasses.dataclass(frozen=True, eq=False)
class CachePlan:
    """A logit cache: the members' mean logits on views of the transfer examples."""

    name: str
    recipe: Recipe
    settings: Logits
    views: ViewSettings
    members: tuple[NetPlan, ...]
    examples: np.ndarray

    @property
    def work(self) -> float:
        """Forward FLOPs of all members on all views."""
        passes = len(self.examples) * self.settings.views
        return passes * sum(member.flops for member in self.members)


@dataclasses.dataclass(frozen=True, eq=False)
class AlignmentPlan:
    """One round of realigning the targets of speech by a net trained on those it has."""

    recipe: Recipe
    net: NetPlan


@dataclasses.dataclass(frozen=True, eq=False)
class Plan:
    alignments: tuple[AlignmentPlan, ...]  # of speech, one a round
    members: Mapping[str, NetPlan]
    caches: Mapping[str, CachePlan]
    students: Mapping[str, tuple[NetPlan, ...]]
    baselines: Mapping[str, BaselinePlan]
    decodings: Mapping[str, tuple[DecodePlan, ...]]  # of speech, by a row's source; one a seed

    def nets(self) -> Iterator[NetPlan]:
        """Every net that is trained: members, then students by name and seed."""
        yield from self.members.values()
        for seeds in self.students.values():
            yield from seeds


def make(experiment: Experiment, data: Dataset) -> Plan:
    """The plan of an experiment on its data, as prepared: before any realignment.

    Raises:
      UserError: a model that does not parse or fit, a budget without '?', a split that is not there.
    """
    _check_views(experiment.views, data, 'config.views')
    alignments, data = _alignments(experiment, data)
    members = {
        name: _member(f'teacher {name}', member, experiment, data, f'config.members.{name}')
        for name, member in experiment.members.items()
    }
    caches = {
        name: _cache(name, settings, experiment, data, members)
        for name, settings in experiment.logits.items()
    }
    students = {
        name: tuple(
            _student(name, student, seed, experiment, data, caches) for seed in student.seeds
        )
        for name, student in experiment.students.items()
    }
    baselines = {
        name: baseline_plan.make(name, settings, data)
        for name, settings in experiment.baselines.items()
    }
    decodings = _decodings(experiment, data, members, caches, students)
    return Plan(alignments, members, caches, students, baselines, decodings)


def trial(name: str, member: Member, experiment: Experiment, data: Dataset) -> NetPlan:
    """The net of a search's trial: an artifact like any member's."""
    return _member(name, member, experiment, data, 'config.search.member')


def realigned(experiment: Experiment, data: Dataset) -> Dataset:
    """Prepared data under the name that they have after all realignment."""
    return _alignments(experiment, data)[1]


def _alignments(experiment: Experiment, data: Dataset) -> tuple[tuple[AlignmentPlan, ...], Dataset]:
    """The rounds of realigning, and the data under the name that they have after the last.

    A name depends on how targets are made and not on what they are, so all are known ahead.
    """
    settings, plans = experiment.alignment, []
    if settings.rounds and data.speech is None:
        raise UserError(
            f'config.alignment.rounds is {settings.rounds}, but only speech has targets to align; '
            'set it to 0'
        )
    for number in range(1, settings.rounds + 1):
        net = _member(f'aligner {number}', settings.net, experiment, data, 'config.alignment.net')
        recipe = Recipe(
            phase='align',
            config={'version': ALIGNMENT_VERSION, 'splits': list(ALIGNED)},
            data=data.fingerprint,
            reads=(net.recipe.name,),
        )
        plans.append(AlignmentPlan(recipe, net))
        data = timit_source.realigned(data, data.labels, recipe.name)
    return tuple(plans), data


def _decodings(
    experiment: Experiment, data: Dataset, members, caches, students
) -> dict[str, tuple[DecodePlan, ...]]:
    """What is decoded: of speech, the sources that the report shows."""
    if data.speech is None:
        return {}
    answers = {
        **{f'members.{name}': ((net,),) for name, net in members.items()},
        **{f'logits.{name}': (cache.members,) for name, cache in caches.items()},
        **{f'students.{name}': tuple((net,) for net in nets) for name, nets in students.items()},
    }
    report = experiment.report
    rows = [report.rows[name] for name in report.order or report.rows]
    shown = [row.source for row in rows if not row.absorbed] if rows else list(answers)
    return {
        source: tuple(
            decode_plan.make(
                source, tuple(net.evaluation for net in nets), experiment.decoding, data
            )
            for nets in answers[source]
        )
        for source in shown
        if source in answers
    }


def _check_views(settings: ViewSettings, data: Dataset, where: str) -> None:
    if data.speech is not None and not views.is_identity(settings):
        raise UserError(
            f'{where} augments images, but the examples are frames of speech; turn it off'
        )
    views.check(settings, data.input_shape, where)


def _subset(member: Member, data: Dataset) -> np.ndarray:
    """The training examples that a member sees: some of them, or all frames of some utterances."""
    whole = data.splits['train']
    if member.subset == 1:
        return whole
    things = whole if data.speech is None else data.utterances['train']
    drawn = np.random.default_rng([member.seed, len(things)]).permutation(len(things))
    kept = things[np.sort(drawn[: round(member.subset * len(things))])]
    return kept if data.speech is None else data.speech.rows(kept)


def _member(
    name: str, member: Member, experiment: Experiment, data: Dataset, where: str
) -> NetPlan:
    own_views = member.views or experiment.views
    _check_views(own_views, data, f'{where}.views' if member.views else 'config.views')
    examples = _subset(member, data)
    recipe = Recipe(
        phase='teacher',
        config={
            'model': member.model,
            'seed': member.seed,
            'subset': member.subset,
            'train': as_json(member.train),
            'views': _augmentation(own_views),
            'preprocess': data.preprocess,
        },
        data=data.fingerprint,
        view_version=views.VERSION,
    )
    return _net(
        name,
        where,
        recipe,
        data,
        member.model,
        member.train,
        Loss(),
        own_views,
        examples,
        member.seed,
    )


def _cache(
    name: str, settings: Logits, experiment: Experiment, data: Dataset, members
) -> CachePlan:
    chosen = tuple(members[member] for member in settings.members)
    limited = {'limit': settings.limit} if settings.limit else {}
    recipe = Recipe(
        phase='logits',
        config={
            **limited,
            'transfer': list(settings.transfer),
            'views': settings.views,
            'dtype': settings.dtype,
            'augmentation': views_as_json(experiment.views),
            'preprocess': data.preprocess,
        },
        data=data.fingerprint,
        reads=tuple(member.recipe.name for member in chosen),
        view_version=views.VERSION,
    )
    examples = data.examples(settings.transfer, f'config.logits.{name}.transfer')
    if settings.limit > len(examples):
        raise UserError(
            f'config.logits.{name}.limit is {settings.limit}, but the splits '
            f'{", ".join(settings.transfer)} hold {len(examples)} examples; lower it'
        )
    examples = examples[: settings.limit or None]
    return CachePlan(name, recipe, settings, experiment.views, chosen, examples)


def _student(
    name: str, student: Student, seed: int, experiment: Experiment, data: Dataset, caches
) -> NetPlan:
    where = f'config.students.{name}'
    model = _solved(student, data, where)
    cache = caches[student.logits] if student.target == 'logits' else None
    config = {
        'model': model,
        'target': student.target,
        'loss': loss_as_json(student.loss),
        'train': as_json(student.train),
        'seed': seed,
        'preprocess': data.preprocess,
    }
    if cache is None:
        config['views'] = _augmentation(experiment.views)
    recipe = Recipe(
        phase='student',
        config=config,
        data=data.fingerprint,
        reads=(cache.recipe.name,) if cache else (),
        view_version=views.VERSION,
    )
    examples = cache.examples if cache else data.splits['train']
    return _net(
        f'student {name}, seed {seed}',
        where,
        recipe,
        data,
        model,
        student.train,
        student.loss,
        experiment.views,
        examples,
        seed,
        cache,
    )


def _net(
    name: str,
    where: str,
    recipe: Recipe,
    data: Dataset,
    model: str,
    train: Train,
    loss: Loss,
    augmentation: ViewSettings,
    examples: np.ndarray,
    seed: int,
    cache: CachePlan | None = None,
) -> NetPlan:
    if not model:
        raise UserError(f'{where}.model is empty; give a net such as 64c5-p2-1k')
    counted = counts.count(model, data.input_shape, data.num_classes)
    task = Task(
        net=net.build(model, data.num_classes, train.dtype, train.init_scale),
        preprocess=data.preprocess,
        views=dataclasses.replace(augmentation, seed=0),  # the seed is an input of the step
        loss=loss,
        train=train,
        steps=train.epochs * batches.steps(len(examples), train.batch_size),
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
        flops=counted.flops,
        parameters=counted.params,
        units=counted.units,
        cache=cache,
    )


def _solved(student: Student, data: Dataset, where: str) -> str:
    if '?' not in student.model:
        return student.model
    if not student.budget:
        raise UserError(f'{where}.model has a "?" to solve; set {where}.budget to the parameters')
    return notation.solve(student.model, student.budget, data.input_shape, data.num_classes)


def _augmentation(settings: ViewSettings) -> dict:
    """What of the views decides a net trained on labels: all but the caches' seed."""
    return {key: value for key, value in views_as_json(settings).items() if key != 'seed'}
