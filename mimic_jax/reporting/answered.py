"""What has answered the test examples, and where its answers lie."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from mimic_jax.artifacts import store
from mimic_jax.mimic.plan import Plan
from mimic_jax.reporting.settings import Report, Row
from mimic_jax.training.session import Session


def outputs(folder: Path, split: str) -> np.ndarray:
    """The logits [n, K] that an evaluation holds for a split; checks its files first."""
    store.manifest(folder)
    return np.load(folder / f'{split}.npy', allow_pickle=False)


def on_validation(session: Session, folders: Sequence[Path]) -> tuple[list[np.ndarray], np.ndarray]:
    """The logits [n, K] that evaluations hold for the validation split, and its labels [n]."""
    labels = session.data.labels[session.data.splits['validation']]
    return [outputs(folder, 'validation') for folder in folders], labels


def chosen(plan: Plan, settings: Report) -> Iterator[tuple[str, Row]]:
    """(name, row) of each row that the config names, or else of everything that has answers on test."""
    if settings.rows:
        for name in settings.order or settings.rows:
            yield name, settings.rows[name]
        return
    for _, group, name in sources(plan):
        yield name, Row(source=f'{group}.{name}')


def sources(plan: Plan) -> Iterator[tuple[str, str, str]]:
    """(kind in a word, group in the config, name) of everything that has answers on test."""
    for kind, group, entries in (
        ('teacher', 'members', plan.members),
        ('ensemble', 'logits', plan.caches),
        ('student', 'students', plan.students),
        ('baseline', 'baselines', plan.baselines),
    ):
        for name, entry in entries.items():
            if group != 'logits' or 'test' in entry.answered:
                yield kind, group, name
