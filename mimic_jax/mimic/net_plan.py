"""The plan of a teacher or a student: its net and its recipe."""

import dataclasses
from collections.abc import Mapping

import jax
import numpy as np

from mimic_jax.artifacts.recipes import Recipe
from mimic_jax.config.fields import differing
from mimic_jax.data import batches
from mimic_jax.data.dataset import Dataset
from mimic_jax.data.view_settings import Views as ViewSettings
from mimic_jax.errors import UserError
from mimic_jax.mimic import inputs_plan
from mimic_jax.mimic.cache_plan import CachePlan
from mimic_jax.mimic.settings import Member, Student
from mimic_jax.models import nets, notation
from mimic_jax.models.contract import Net
from mimic_jax.training import objective, optimizers, train_step
from mimic_jax.training.loss_settings import Loss
from mimic_jax.training.plan import NetPlan
from mimic_jax.training.train_step import Task

MOST_PARAMETERS = 10**10  # of a net: with gradients and momentum 120 GB
MOST_STEPS = 2**31 - 1  # that a run can count


def member(name: str, settings: Member, common: ViewSettings, data: Dataset, where: str) -> NetPlan:
    """A teacher to train on labels.

    common: config.views.  where: the teacher's place in the config.
    """
    shown = inputs_plan.of_net(settings.views, common, data, f'{where}.views')
    net = _net(settings, settings.model, data, where)
    recipe = Recipe(
        phase='teacher',
        config={
            **differing(settings),
            **net.identity(),
            **inputs_plan.in_recipe(shown, data),
        },
        data=data.fingerprint,
        versions=_versions(net, shown),
    )
    examples = data.drawn(settings.subset, settings.seed)
    loss = objective.suited(Loss(), settings.train, data, where)
    task = _task(net, settings, loss, shown, data, len(examples), where)
    return _planned(name, recipe, task, examples, settings.seed, data)


def student(
    name: str,
    settings: Student,
    seed: int,
    common: ViewSettings,
    data: Dataset,
    caches: Mapping[str, CachePlan],
    where: str,
) -> NetPlan:
    """A student of one seed, on labels or on the logits of one of `caches`; otherwise as `member`."""
    net = _net(settings, _solved(settings, data, where), data, where)
    cache = caches[settings.logits] if settings.target == 'logits' else None
    loss = objective.suited(settings.loss, settings.train, data, where)
    taught, values = cache is not None, data.scale is not None
    loss = objective.named(loss, f'{where}.loss', data.num_classes, taught, values)
    settings = dataclasses.replace(settings, loss=loss)
    own = ViewSettings()  # the views of a cache are in its name
    if not cache:
        own = inputs_plan.of_net(settings.views, common, data, f'{where}.views')
    recipe = Recipe(
        phase='student',
        config={
            **differing(settings),
            **net.identity(),
            **({'seed': seed} if seed else {}),
            **inputs_plan.in_recipe(own, data),
        },
        data=data.fingerprint,
        reads=(cache.recipe.name,) if cache else (),
        versions=_versions(net, own),
    )
    shown, examples = (cache.views, cache.examples) if cache else (own, data.splits['train'])
    task = _task(net, settings, loss, shown, data, len(examples), where)
    plan = _planned(name, recipe, task, examples, seed, data)
    if settings.budget and plan.parameters > settings.budget:
        raise UserError(
            f'{where}.model has {plan.parameters:,} parameters, more than its budget of '
            f'{settings.budget:,.0f}; write "?" for a width to solve, or set budget to 0'
        )
    budget = settings.budget if '?' in settings.model else 0.0
    return dataclasses.replace(plan, cache=cache, budget=budget)


def _net(settings: Member | Student, model: str, data: Dataset, where: str) -> Net:
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
        inputs_plan.unseen(settings, data, where) if isinstance(settings, Student) else (),
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


def _task(
    net: Net,
    settings: Member | Student,
    loss: Loss,
    shown: ViewSettings,
    data: Dataset,
    examples: int,
    where: str,
) -> Task:
    """What the net's steps compute.  shown: the views that it sees.  examples: how many train it."""
    train, parameters = settings.train, net.describe(data.input_shape).parameters
    steps = train.epochs * batches.steps(examples, train.batch_size)
    if parameters > MOST_PARAMETERS:
        raise UserError(
            f'{where}.model has {parameters:,} parameters, more than {MOST_PARAMETERS:,}; narrow it'
        )
    if train.groups:
        variables = jax.eval_shape(lambda: net.init(jax.random.key(0), data.input_shape))
        optimizers.check_groups(train, variables['params'], f'{where}.train')
    if steps > MOST_STEPS:
        raise UserError(f'{where}.train.epochs makes for {steps:,} steps, too many to count')
    if train.batch_size > examples:
        raise UserError(
            f'{where}.train.batch_size is {train.batch_size}, but there are only {examples} '
            'examples to train on; lower it'
        )
    return Task(
        net=net,
        preprocess=data.preprocess,
        views=dataclasses.replace(shown, seed=0),  # the seed is an input of the step
        loss=loss,
        train=train,
        steps=steps,
    )


def _planned(
    name: str, recipe: Recipe, task: Task, examples: np.ndarray, seed: int, data: Dataset
) -> NetPlan:
    size = task.net.describe(data.input_shape)
    return NetPlan(
        name=name,
        recipe=recipe,
        task=task,
        examples=examples,
        seed=seed,
        flops=size.flops,
        parameters=size.parameters,
        units=size.units,
    )


def _versions(net: Net, augmentation: ViewSettings) -> dict[str, int]:
    """Versions of the arithmetic that a trained net depends on."""
    return {
        **net.versions,
        'training': train_step.VERSION,
        **inputs_plan.versions(augmentation),
    }
