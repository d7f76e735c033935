"""Compares the answers of a teacher made elsewhere with known labels, once its cache is written."""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from mimic_jax.data import kinds
from mimic_jax.mimic import external_checks, external_plan, external_teacher, external_values
from mimic_jax.mimic.cache_plan import CachePlan
from mimic_jax.mimic.external_checks import FEWEST, Verdict
from mimic_jax.mimic.external_plan import ExternalPlan
from mimic_jax.mimic.logit_cache import LogitCache
from mimic_jax.training.session import Session

ASKED = 1000  # validation examples that a function or model is asked about at most

_CHECK_FILE = (
    'check that its columns stand in the order of the classes{classes} and its rows in the order of '
    "the examples (the transfer set's, or all of the data in the source's own order)"
)
_CHECK_ASKED = (
    'check that its answers stand in the order of the classes{classes}, and that it is given what it '
    'was made for: source.inputs raw or preprocessed, source.layout, the order of the channels'
)


_CHECK_VALUES = (
    'check that its answers are in the units of the targets{classes}, a column each in this order, and '
    'its rows in the order of the examples'
)


class _Held(NamedTuple):
    """Answers [R, K] and labels, unknown ones among them: of which split, view and rows."""

    split: str
    view: int
    answers: np.ndarray
    labels: np.ndarray
    rows: np.ndarray | None = None  # the examples that rows should be of; None for all of the data


def hold(session: Session, cache: CachePlan, kept: LogitCache) -> dict:
    """The manifest's `checked`, an entry a view and split, and its `warnings`, a line each.

    kept: the cache, just written.
    For files, every view is compared, and the validation rows that they have. For a function or a model
    the first view is compared, and where it has too few labels, answers to validation examples.
    """
    external = cache.external
    files = external.settings.kind == 'logits'
    each = _from_files(session, external) if files else _asked(session, cache, kept)
    checked, problems = [], {}
    for held in each:
        verdict = _judged(session, external, held)
        if not verdict.examples:
            continue
        checked.append(
            {
                'split': held.split,
                'view': held.view,
                'examples': verdict.examples,
                kinds.of(session.data.labels).metric: round(verdict.score, 6),
            }
        )
        if verdict.problem:
            checked[-1]['problem'] = verdict.problem
            problems.setdefault(held.split, []).append((held.view, verdict))
    lines = [_line(session, external, split, found) for split, found in problems.items()]
    return {'checked': checked, 'warnings': lines}


def _judged(session: Session, external: ExternalPlan, held: _Held) -> Verdict:
    data, asked = session.data, external.settings.kind != 'logits'
    if data.scale is not None:
        answers = held.answers if asked else data.scale.standardise(held.answers)
        return external_values.judge(answers, held.labels)
    if asked:
        orders = []
    else:
        # Test labels, which `held.labels` lacks, sort rows here; no answer is compared with them.
        every = data.labels if held.rows is None else data.labels[held.rows]
        orders = external_checks.orders(held.rows, every, data.splits)
    # The cache holds the logarithms of a function's probabilities.
    probabilities = external.settings.probabilities and not asked
    return external_checks.judge(
        held.answers, held.labels, data.class_names, orders, asked, probabilities
    )


def _from_files(session: Session, external: ExternalPlan) -> Iterator[_Held]:
    for view in range(external.views):
        array, _ = external_plan.view_file(external, view)
        yield _of_split(session, 'train', view, external.order.of(array), external.examples)
    if external.evaluation and 'validation' in external.evaluation.config['splits']:
        array, _ = external_plan.split_file(external, 'validation')
        validation = session.data.splits['validation']
        yield _of_split(session, 'validation', 0, external.order.of(array), validation)


def _of_split(session: Session, split: str, view: int, array, examples: np.ndarray) -> _Held:
    """Rows of all the data, or of `examples` alone; the labels of no other split are known."""
    labels, total = session.data.labels, len(session.data.labels)
    if len(array) == len(examples) and len(array) != total:
        return _Held(split, view, array, labels[examples], examples)
    known = kinds.of(labels).unknown(total, session.data.num_classes)
    known[examples] = labels[examples]
    return _Held(split, view, array, known)


def _asked(session: Session, cache: CachePlan, kept: LogitCache) -> Iterator[_Held]:
    labels = session.data.labels[cache.examples]
    yield _Held('train', 0, kept.view(0).astype(np.float32), labels)
    if kinds.of(labels).known(labels).sum() < FEWEST:
        examples = session.data.splits['validation'][:ASKED]
        logits = external_teacher.load(session, cache.external)
        answers = logits(session.placement.in_order(examples))
        yield _Held('validation', 0, answers, session.data.labels[examples])


def _line(
    session: Session, external: ExternalPlan, split: str, found: list[tuple[int, Verdict]]
) -> str:
    (view, verdict), others = found[0], len(found) - 1
    names = session.data.class_names
    some = ', '.join(names[:4]) + (', …' if len(names) > 4 else '')
    advice = _CHECK_FILE if external.settings.kind == 'logits' else _CHECK_ASKED
    likewise = f', and {others} further views likewise' if others else ''
    words = 'training' if split == 'train' else split
    right = f'is right on {verdict.score:.1%} of'
    if session.data.scale is not None:
        right, advice = f'has R² {verdict.score:.3f} on', _CHECK_VALUES
    return (
        f'warning: {external.name} ({external.model}) {right} '
        f'{verdict.examples:,} labelled {words} examples (view {view}{likewise}): {verdict.problem}; '
        f'{advice.format(classes=f" ({some})" if some else "")}'
    )
