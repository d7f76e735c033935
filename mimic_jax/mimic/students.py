"""Trains a student on labels or on cached logits: one of an experiment, or a trial of a search."""

from pathlib import Path

import numpy as np

from mimic_jax.artifacts import store
from mimic_jax.data import batches
from mimic_jax.mimic import ensemble
from mimic_jax.training import loop
from mimic_jax.training.plan import NetPlan, Targets
from mimic_jax.training.session import Session


def make(session: Session, student: NetPlan) -> Path:
    """The artifact `student-<id>`: checkpoints and metrics, trained where it is not there.

    Raises:
      UserError: it learns from a logit cache that is not complete.
      NotFinite: training diverged.
    """
    if student.cache:
        store.require(
            session.workdir, student.cache.recipe, f'logit cache {student.cache.name}', 'logits'
        )
    return store.make(
        session.workdir,
        student.recipe,
        lambda folder: loop.run(folder, student, targets(session, student), session),
        session.progress.say,
        together=True,
    )


def targets(session: Session, student: NetPlan) -> Targets:
    """The views that a net sees and what it learns on them: labels, or the logits of its open cache."""
    if student.cache is None:
        return Targets(view_seed=student.seed)
    cache = ensemble.open_checked(session, student.cache)
    rows = batches.rows_of(cache.examples, len(session.data.labels))
    return Targets(
        view_seed=student.cache.views.seed,  # the very views that the teacher was asked about
        views=cache.views,
        teacher=lambda view: {'teacher_logits': cache.view(view), 'rows': rows},
        constants={
            'logit_mean': np.asarray(cache.mean),
            'logit_deviation': np.asarray(cache.deviation),
        },
    )
