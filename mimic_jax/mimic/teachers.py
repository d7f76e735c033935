"""Trains a teacher on labels: a member of an experiment, or a trial of a search."""

from pathlib import Path

from mimic_jax.artifacts import store
from mimic_jax.training import loop
from mimic_jax.training.plan import NetPlan, Targets
from mimic_jax.training.session import Session


def make(session: Session, member: NetPlan) -> Path:
    """The artifact `teacher-<id>`: a member's checkpoints and metrics, trained where it is not there.

    Raises:
      NotFinite: training diverged.
    """
    targets = Targets(view_seed=member.seed)  # no two members see the same augmented images
    return store.make(
        session.workdir,
        member.recipe,
        lambda folder: loop.run(folder, member, targets, session),
        session.progress.say,
        together=True,
    )
