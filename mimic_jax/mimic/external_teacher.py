"""The logits of a teacher made elsewhere, batch by batch like those of any net of an ensemble."""

import functools
import itertools
from collections.abc import Callable

import jax
import numpy as np

from mimic_jax.data import batches, preprocess, views
from mimic_jax.data.view_settings import Views
from mimic_jax.mimic import (
    external_answers,
    external_onnx,
    external_plan,
    external_torch,
    external_values,
)
from mimic_jax.mimic.external_plan import ExternalPlan
from mimic_jax.mimic.settings import ExternalTeacher
from mimic_jax.runtime.progress import Watch
from mimic_jax.training.session import Session


def load(session: Session, plan: ExternalPlan, done: Callable[[], None] = lambda: None):
    """The teacher as `logits(ids, view, settings, view_seed) -> [n, K]` float32 on the host.

    ids: padded batches of indices.  settings: of the view, None for the examples as they are.
    done: called after every batch.

    Raises:
      UserError: here, a teacher that cannot be loaded; when called, answers that are no logits.
    """
    answer = (_from_files if plan.settings.kind == 'logits' else _asked)(session, plan)

    def logits(ids, view: int = 0, settings=None, view_seed: int = 0) -> np.ndarray:
        parts = []
        for batch in ids:
            parts.append(answer(batch, view, settings, view_seed))
            done()
        answers = np.concatenate(parts)
        if not plan.settings.probabilities and session.data.scale is None:
            external_answers.check_logits(answers, f'{plan.settings.path[0]}, view {view},')
        return answers

    return logits


def on_split(session: Session, plan: ExternalPlan, split: str, watch: Watch) -> np.ndarray:
    """The teacher's logits [n, K] float32 on a split of its evaluation, unaugmented.

    watch: called as `watch(done, total)` after every batch.
    """
    examples = session.data.splits[split]
    if plan.settings.kind != 'logits':
        size = session.run.evaluation_batch_size
        numbers, total = itertools.count(1), batches.steps(len(examples), size)
        answer = load(session, plan, lambda: watch(next(numbers), total))
        return answer(session.placement.in_order(examples))
    array, path = external_plan.split_file(plan, split)
    total = len(session.data.labels)
    rows = array[examples] if len(array) == total else array
    return _checked(session, plan, rows, path, examples)


def _from_files(session: Session, plan: ExternalPlan):
    total = len(session.data.labels)
    positions = batches.rows_of(plan.examples, total)
    opened = functools.lru_cache(maxsize=1)(functools.partial(external_plan.view_file, plan))

    def answer(batch, view: int, settings, view_seed: int) -> np.ndarray:
        examples = batch['index'][batch['mask'] > 0]
        array, path = opened(view)
        rows = array[examples if len(array) == total else positions[examples]]
        return _checked(session, plan, rows, f'{path}, view {view},', examples)

    return answer


def _asked(session: Session, plan: ExternalPlan):
    apply = _apply(session, plan)
    name = plan.settings.path[0]

    def answer(batch, view: int, settings, view_seed: int) -> np.ndarray:
        real = batch['mask'] > 0
        asked = inputs(session, plan.settings, batch, view, settings, view_seed)[real]
        return _checked(session, plan, apply(asked), f'{name}, view {view},', batch['index'][real])

    return answer


@functools.cache
def _apply(session: Session, plan: ExternalPlan) -> external_onnx.Apply:
    path, kind = plan.settings.path[0], plan.settings.kind
    if kind == 'onnx':
        return external_onnx.load(
            path,
            session.data.input_shape,
            session.data.num_classes,
            plan.where,
            plan.settings.layout,
            plan.settings.output,
            session.progress.say,
        )
    found = external_answers.function(path, plan.where)
    if external_torch.is_module(found):
        return external_torch.as_function(found, plan.settings.layout == 'auto')
    if kind == 'callable':
        return found
    train = session.data.splits['train']
    parts = [
        inputs(session, plan.settings, batch)[batch['mask'] > 0]
        for batch in session.placement.in_order(train)
    ]
    session.progress.say(f'{path} is fitted to {len(train):,} training examples')
    return found(np.concatenate(parts), session.data.own_labels(train))


def inputs(
    session: Session,
    teacher: ExternalTeacher,
    batch,
    view: int = 0,
    settings: Views | None = None,
    view_seed: int = 0,
) -> np.ndarray:
    """A padded batch's inputs [B, ...] on the host: its views, raw or preprocessed, in their layout.

    settings: of the view, None for the examples as they are.  An ONNX model orders axes itself.
    """
    gathered = {**batches.gather(session.data.arrays, batch), 'view': np.int32(view)}
    made = raw = np.asarray(gathered['inputs'])
    if settings is not None and not views.is_identity(settings):
        made = _views(gathered, np.uint32(view_seed), settings)
    if teacher.inputs == 'preprocessed':
        kind = session.data.preprocess
        made = preprocess.apply(kind, session.constants['inputs'], made, raw.dtype)
        made = np.asarray(made)
    else:
        made = session.data.original(np.asarray(made))
    if layout(teacher, session.data.input_shape) == 'channels_first' and teacher.kind != 'onnx':
        return np.ascontiguousarray(np.moveaxis(made, -1, 1))
    return made


def layout(teacher: ExternalTeacher, shape: tuple[int, ...]) -> str | None:
    """The order of axes that a function, or files of views, have; None where examples have no channels."""
    if len(shape) != 3:
        return None
    return 'channels_last' if teacher.layout == 'auto' else teacher.layout


_views = jax.jit(views.of_batch, static_argnums=2)


def _checked(session: Session, plan: ExternalPlan, answers, what: str, examples) -> np.ndarray:
    classes, probabilities = session.data.num_classes, plan.settings.probabilities
    if session.data.scale is not None:
        values = external_values.checked(answers, len(examples), classes, what, examples)
        return session.data.scale.standardise(plan.order.of(values))
    found = external_answers.checked(answers, len(examples), classes, probabilities, what, examples)
    return plan.order.of(found)
