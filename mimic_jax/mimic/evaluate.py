"""Evaluates a finished net, or a teacher made elsewhere, on the validation and test examples, once."""

import functools
import itertools
import time
from pathlib import Path

import numpy as np

from mimic_jax.artifacts import store
from mimic_jax.data import batches
from mimic_jax.errors import UserError
from mimic_jax.mimic import ensemble, external_teacher
from mimic_jax.mimic.external_plan import ExternalPlan
from mimic_jax.runtime import compiled, hosts
from mimic_jax.training.plan import NetPlan
from mimic_jax.training.session import Session


def run(session: Session, net: NetPlan, phase: str) -> Path:
    """Writes the artifact `evaluate-<id>`: float32 logits `validation.npy` and `test.npy` [n, K].

    phase: the one that makes the net, for the error when it has not.

    Raises:
      UserError: the net is not there, or answers with logits that are not finite.
    """
    store.require(session.workdir, net.recipe, net.name, phase)

    def build(folder: Path) -> dict:
        start = time.monotonic()
        size, numbers = session.run.evaluation_batch_size, itertools.count(1)
        splits = {name: session.data.splits[name] for name in net.evaluation.config['splits']}
        total = sum(batches.steps(len(examples), size) for examples in splits.values())
        what = f'evaluating {net.name}'
        compiled.make_room(net.task)
        logits = ensemble.load(
            session, net, lambda: session.progress.count(what, next(numbers), total), net.tta
        )
        for split, examples in splits.items():
            ids = session.placement.in_order(examples)
            answers = logits(ids)
            if not np.isfinite(answers).all():
                raise UserError(
                    f'{net.name} gives logits that are not finite on the split {split}; lower its '
                    'train.learning_rate or set train.clip_norm'
                )
            hosts.first(functools.partial(np.save, folder / f'{split}.npy', answers))
        return {'seconds': round(time.monotonic() - start, 3)}

    return store.make(session.workdir, net.evaluation, build, session.progress.say, together=True)


def run_external(session: Session, teacher: ExternalPlan) -> Path:
    """`run` for a teacher made elsewhere, on the splits that it can answer for."""
    session = session.alone

    def build(folder: Path) -> dict:
        start = time.monotonic()
        for split in teacher.evaluation.config['splits']:
            watch = functools.partial(session.progress.count, f'asking {teacher.name}, {split}')
            answers = external_teacher.on_split(session, teacher, split, watch)
            np.save(folder / f'{split}.npy', answers)
        return {'seconds': round(time.monotonic() - start, 3)}

    return store.make(session.workdir, teacher.evaluation, build, session.progress.say)
