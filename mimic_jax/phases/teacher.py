"""Trains one teacher on labels."""

from pathlib import Path

from mimic_jax import artifacts, train
from mimic_jax.plan import NetPlan
from mimic_jax.session import Session


def run(session: Session, member: NetPlan) -> Path:
    """Writes the artifact `teacher-<id>`: a member's checkpoints and metrics."""
    job = train.Job(
        name=member.name,
        task=member.task,
        examples=member.examples,
        seed=member.seed,
        view_seed=member.seed,  # no two members see the same augmented images
        work_per_step=member.work_per_step,
    )
    return artifacts.make(
        session.workdir,
        member.recipe,
        lambda folder: train.run(folder, job, session),
        session.progress.say,
    )
