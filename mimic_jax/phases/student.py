"""Trains one student, on labels or on the cached logits of an ensemble."""

from pathlib import Path

from mimic_jax import students
from mimic_jax.plans.nets import NetPlan
from mimic_jax.session import Session


def run(session: Session, student: NetPlan) -> Path:
    """Reads a logit cache where the target is logits; writes the artifact `student-<id>`."""
    return students.make(session, student)
