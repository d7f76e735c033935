"""What an experiment makes: every artifact's recipe, worked out before anything is computed."""

import dataclasses
from collections.abc import Iterator, Mapping

import numpy as np

from mimic_jax.artifacts.store import Recipe
from mimic_jax.baselines import plan as baseline_plan
from mimic_jax.baselines.plan import BaselinePlan
from mimic_jax.config.experiment import Experiment
from mimic_jax.config.fields import differing
from mimic_jax.data import batches, views
from mimic_jax.data.settings import Data, OwnViews, own_views
from mimic_jax.data.settings import Views as ViewSettings
from mimic_jax.data.splits import Dataset
from mimic_jax.errors import UserError
from mimic_jax.mimic import external_plan as own_plan
from mimic_jax.mimic.external_plan import OwnPlan
from mimic_jax.mimic.nets import CachePlan, NetPlan
from mimic_jax.mimic.settings import Logits, Member, Student
from mimic_jax.models import counts, net, notation
from mimic_jax.speech import plan as speech_plan
from mimic_jax.speech.decode_plan import DecodePlan
from mimic_jax.speech.plan import AlignmentPlan
from mimic_jax.training import train_step
from mimic_jax.training.settings import Loss, Train
from mimic_jax.training.train_step import Task

MOST_PARAMETERS = 10**10  # of a net: with gradients and momentum 120 GB
MOST_STEPS = 2**31 - 1  # that a run can count


@dataclasses.dataclass(frozen=True, eq=False)
class Plan:
    alignments: tuple[AlignmentPlan, ...]  # of speech, one a round
    members: Mapping[str, NetPlan]
    caches: Mapping[str, CachePlan]
    students: Mapping[str, tuple[NetPlan, ...]]
    baselines: Mapping[str, BaselinePlan]
    decodings: Mapping[str, tuple[DecodePlan, ...]]  # of speech, by a row's source; one a seed

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


def make(experiment: Experiment, data: Dataset) -> Plan:
    """The plan of an experiment on its data, as prepared: before any realignment.

    Raises:
      UserError: a model that does not parse or fit, '?' without a budget, a net beyond its budget, a
        split that is not there.
    """
    _check_views(experiment.views, data, 'config.views')
    rounds, data = alignments(experiment, data)
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
            _student(
                f'student {name}, seed {seed}',
                student,
                seed,
                experiment,
                data,
                caches,
                f'config.students.{name}',
            )
            for seed in student.seeds
        )
        for name, student in experiment.students.items()
    }
    baselines = {
        name: baseline_plan.make(name, settings, data)
        for name, settings in experiment.baselines.items()
    }
    _check_rows(experiment, caches)
    decodings = speech_plan.decodings(experiment, data, members, caches, students)
    return Plan(rounds, members, caches, students, baselines, decodings)


def trial(
    name: str,
    settings: Member | Student,
    experiment: Experiment,
    data: Dataset,
    caches: Mapping[str, CachePlan],
) -> NetPlan:
    """The net of a search's trial: an artifact like any member's, or like a student's first seed.

    caches: of the experiment's plan.
    """
    if isinstance(settings, Student):
        seed, where = settings.seeds[0], 'config.search.student'
        return _student(name, settings, seed, experiment, data, caches, where)
    return _member(name, settings, experiment, data, 'config.search.member')


def realigned(experiment: Experiment, data: Dataset) -> Dataset:
    """Prepared data under the name that they have after all realignment."""
    return alignments(experiment, data)[1]


def alignments(experiment: Experiment, data: Dataset) -> tuple[tuple[AlignmentPlan, ...], Dataset]:
    """The rounds of realigning, and the data under the name that they have after the last."""
    net, where = experiment.alignment.net, 'config.alignment.net'
    return speech_plan.alignments(
        experiment.alignment.rounds,
        data,
        lambda name, so_far: _member(name, net, experiment, so_far, where),
    )


def _check_rows(experiment: Experiment, caches: Mapping[str, CachePlan]) -> None:
    for name, row in experiment.report.rows.items():
        group, _, entry = row.source.partition('.')
        if group == 'logits' and 'test' not in caches[entry].answered:
            raise UserError(
                f'config.report.rows.{name} is of {row.source}, whose files of logits have none of '
                f'test examples; give config.logits.{entry}.source.test, or remove the row'
            )


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
    augmentation = own_views(member.views, experiment.views)
    _check_views(
        augmentation, data, 'config.views' if member.views == OwnViews() else f'{where}.views'
    )
    examples = _subset(member, data)
    recipe = Recipe(
        phase='teacher',
        config={**differing(member), **_inputs(data, augmentation)},
        data=data.fingerprint,
        versions=_versions(augmentation),
    )
    return _net(
        name,
        where,
        recipe,
        data,
        member.model,
        member.train,
        Loss(),
        augmentation,
        examples,
        member.seed,
    )


def _cache(
    name: str, settings: Logits, experiment: Experiment, data: Dataset, members
) -> CachePlan:
    chosen = tuple(members[member] for member in settings.members)
    examples = _transfer(name, settings, data)
    own = None
    if settings.source.path:
        own = own_plan.make(name, settings, experiment.views, examples, data)
    inputs = _inputs(data, experiment.views)
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
        versions=_view_version(experiment.views),
    )
    return CachePlan(name, recipe, settings, experiment.views, chosen, examples, own)


def _transfer(name: str, settings: Logits, data: Dataset) -> np.ndarray:
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
    experiment: Experiment,
    data: Dataset,
    caches,
    where: str,
) -> NetPlan:
    model = _solved(student, data, where)
    cache = caches[student.logits] if student.target == 'logits' else None
    # A cache's name holds its views.
    drawn = ViewSettings() if cache else own_views(OwnViews(), experiment.views)
    recipe = Recipe(
        phase='student',
        config={
            **differing(dataclasses.replace(student, model=model)),
            **({'seed': seed} if seed else {}),
            **_inputs(data, drawn),
        },
        data=data.fingerprint,
        reads=(cache.recipe.name,) if cache else (),
        versions=_versions(drawn),
    )
    examples = cache.examples if cache else data.splits['train']
    net = _net(
        name,
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
    if student.budget and net.parameters > student.budget:
        raise UserError(
            f'{where}.model has {net.parameters:,} parameters, more than its budget of '
            f'{student.budget:,.0f}; write "?" for a width to solve, or set budget to 0'
        )
    budget = student.budget if '?' in student.model else 0.0
    return dataclasses.replace(net, budget=budget)


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
    steps = train.epochs * batches.steps(len(examples), train.batch_size)
    if counted.params > MOST_PARAMETERS:
        raise UserError(
            f'{where}.model has {counted.params:,} parameters, more than {MOST_PARAMETERS:,}; '
            'narrow it'
        )
    if steps > MOST_STEPS:
        raise UserError(f'{where}.train.epochs makes for {steps:,} steps, too many to count')
    task = Task(
        net=net.build(model, data.num_classes, train.dtype, train.init_scale, train.input_scale),
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


def _versions(augmentation: ViewSettings) -> dict[str, int]:
    """Of the arithmetic that a trained net depends on."""
    return {
        'models': net.VERSION,
        'training': train_step.VERSION,
        **_view_version(augmentation),
    }


def _view_version(augmentation: ViewSettings) -> dict[str, int]:
    return {} if views.is_identity(augmentation) else {'view': views.VERSION}
