"""Asks a finished net about the validation and test examples, once."""

import time
from pathlib import Path

import numpy as np

from mimic_jax import artifacts, ensemble
from mimic_jax.data import batches
from mimic_jax.plan import NetPlan
from mimic_jax.session import Session


def run(session: Session, net: NetPlan, phase: str) -> Path:
    """Writes the artifact `evaluate-<id>`: float32 logits `validation.npy` and `test.npy` [n, K].

    phase: the one that makes the net, for the error when it has not.
    """
    artifacts.require(session.workdir, net.recipe, net.name, phase)

    def build(folder: Path) -> dict:
        start = time.monotonic()
        logits = ensemble.load(session, net)
        size = session.run.evaluation_batch_size
        for split in net.evaluation.config['splits']:
            examples = session.data.splits[split]
            ids = batches.in_order(examples, size, session.padded(size))
            np.save(folder / f'{split}.npy', logits(ids))
        return {'seconds': round(time.monotonic() - start, 3)}

    return artifacts.make(session.workdir, net.evaluation, build, session.progress.say)
