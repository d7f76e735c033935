"""Trains one teacher on labels."""

from pathlib import Path

from mimic_jax import teachers
from mimic_jax.plans.nets import NetPlan
from mimic_jax.session import Session


def run(session: Session, member: NetPlan) -> Path:
    """Writes the artifact `teacher-<id>`: a member's checkpoints and metrics."""
    return teachers.make(session, member)
