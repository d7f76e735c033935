"""The plan of asking a teacher made elsewhere: its identity, and checks of its files."""

import dataclasses

import numpy as np

from mimic_jax.artifacts.recipes import Recipe
from mimic_jax.data import views
from mimic_jax.data.dataset import EVALUATED, Dataset
from mimic_jax.data.settings import Data
from mimic_jax.data.view_settings import Views as ViewSettings
from mimic_jax.errors import UserError
from mimic_jax.mimic import external_answers, external_classes, external_views
from mimic_jax.mimic.external_classes import Order
from mimic_jax.mimic.settings import ExternalTeacher, Logits


@dataclasses.dataclass(frozen=True, eq=False)
class ExternalPlan:
    """A teacher that is asked and not trained.

    examples: indices [M] of the transfer set.  views: how many of it.  evaluation: of the splits that
    it can answer for; None where there are none.  where: the setting that names the teacher.
    order: how its columns become the data's classes.
    """

    name: str
    settings: ExternalTeacher
    identity: dict
    examples: np.ndarray
    views: int
    evaluation: Recipe | None
    where: str
    order: Order

    @property
    def model(self) -> str:
        return external_answers.name(self.settings)


def make(
    name: str, cache: Logits, augmentation: ViewSettings, examples: np.ndarray, data: Dataset
) -> ExternalPlan:
    """The plan of asking a cache's `source`. Checks the shape of every file of logits.

    Raises:
      UserError: what is not there, or files of another number of views, rows or classes.
    """
    where, teacher = f'config.logits.{name}.source', cache.source
    plain = views.is_identity(augmentation)
    _check_settings(teacher, data, where)
    if teacher.kind == 'logits':
        teacher = external_views.from_folder(teacher, cache.views, f'{where}.path')
    what = f'teacher {name}'
    named = data.class_names if data.num_classes > 1 else ()  # one target has no order
    order = external_classes.order(teacher, named, what, where)
    identity = external_answers.identity(teacher, where)
    if order.columns:
        identity['columns'] = list(order.columns)
    plan = ExternalPlan(what, teacher, identity, examples, cache.views, None, where, order)
    if teacher.kind == 'logits':
        expected = external_views.identity(examples, cache.views, augmentation, data)
        external_views.check_answers(teacher.path, expected, not plain, f'{where}.path')
        evaluated = _evaluated(plan, plain, data)
    else:
        evaluated = dict.fromkeys(EVALUATED)
    if not evaluated:
        return plan
    answers = {
        split: external_answers.digest(path, where) for split, path in evaluated.items() if path
    }
    recipe = Recipe(
        phase='evaluate',
        config={
            'splits': list(evaluated),
            'source': {**identity, **answers},
            **({} if data.preprocess == Data.preprocess else {'preprocess': data.preprocess}),
        },
        data=data.fingerprint,
    )
    return dataclasses.replace(plan, evaluation=recipe)


def _check_settings(teacher: ExternalTeacher, data: Dataset, where: str) -> None:
    if teacher.kind != 'logits' and (teacher.validation or teacher.test):
        raise UserError(
            f"{where} has logits of splits, which kind 'logits' alone takes; a teacher of kind "
            f'{teacher.kind!r} is asked about them'
        )
    if teacher.probabilities and data.scale is not None:
        raise UserError(
            f'{where}.probabilities is True, but the targets are real values; set it to False'
        )
    if teacher.layout != ExternalTeacher.layout and len(data.input_shape) != 3:
        raise UserError(
            f'{where}.layout is {teacher.layout!r}, but an example has shape '
            f"{list(data.input_shape)} and no channels; set it to 'auto'"
        )


def split_file(plan: ExternalPlan, split: str) -> tuple[np.ndarray, str]:
    """(logits [n or R, K], path) of a split, of a teacher of kind 'logits'."""
    path = getattr(plan.settings, split)
    if path:
        return external_answers.open_logits(path, f'{plan.where}.{split}'), path
    return view_file(plan, 0)


def view_file(plan: ExternalPlan, view: int) -> tuple[np.ndarray, str]:
    """(logits [R, K], path) of a view, of a teacher of kind 'logits'."""
    paths = plan.settings.path
    # Where each view has a file, only that one is opened.
    wanted = [paths[view]] if len(paths) == plan.views > 1 else paths
    arrays = [external_answers.open_logits(path, f'{plan.where}.path') for path in wanted]
    if wanted is not paths:
        return arrays[0], wanted[0]
    return external_answers.view_of(arrays, view, plan.views, paths)


def _evaluated(plan: ExternalPlan, plain: bool, data: Dataset) -> dict[str, str]:
    """The splits that files of logits answer for: each one's own file, or '' where it has none."""
    total = len(data.labels)
    for view in range(plan.views):
        array, path = view_file(plan, view)
        _check(plan, array, path, plan.examples, data, all_too=plain)
    found = {}
    for split in EVALUATED:
        own = getattr(plan.settings, split)
        if own or (plain and len(array) == total):
            array_of_split, path = split_file(plan, split)
            _check(plan, array_of_split, path, data.splits[split], data)
            found[split] = own
    return found


def _check(
    plan: ExternalPlan,
    array: np.ndarray,
    path: str,
    examples: np.ndarray,
    data: Dataset,
    all_too: bool = True,
) -> None:
    """all_too: whether rows may be of all the data, and not of the examples asked about alone."""
    total = len(data.labels)
    if array.ndim == 1 and data.scale is not None:
        raise UserError(
            f'{path} has values of shape {list(array.shape)}; it needs a column a target, '
            f'[{len(array)}, {data.num_classes}]'
        )
    if array.ndim != 2 or len(array) not in (len(examples), *([total] if all_too else [])):
        way_out = f', or {total:,}, one an example of all the data' if all_too else ''
        raise UserError(
            f'{path} has logits of shape {list(array.shape)}; it needs {len(examples):,} rows, one an '
            f'example asked about{way_out}'
        )
    values = data.scale is not None
    if array.shape[1] != data.num_classes:
        each = ('values', 'targets', 'target') if values else ('logits', 'classes', 'class')
        raise UserError(
            f'{path} has {each[0]} of {array.shape[1]} {each[1]}, but the data have '
            f'{data.num_classes}; give one column a {each[2]}'
        )
    if not plan.settings.probabilities and not values:
        external_answers.check_logits(array, path)
