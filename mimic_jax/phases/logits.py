"""Writes down what an ensemble says of the transfer examples, view by view."""

import time
from pathlib import Path

from mimic_jax import artifacts, ensemble, logit_cache
from mimic_jax.plans.nets import CachePlan
from mimic_jax.session import Session


def run(session: Session, cache: CachePlan) -> Path:
    """Reads the members' checkpoints, or asks a teacher made elsewhere; writes `logits-<id>`."""
    for member in cache.members:
        artifacts.require(session.workdir, member.recipe, member.name, 'teacher')
    together = cache.own is None  # nobody knows whether another's teacher may be asked twice
    session = session if together else session.alone
    return artifacts.make(
        session.workdir,
        cache.recipe,
        lambda folder: _write(folder, session, cache),
        session.progress.say,
        together=together,
    )


def _write(folder: Path, session: Session, cache: CachePlan) -> dict:
    start = time.monotonic()
    ids = ensemble.cache_batches(session, cache)
    calls = len(cache.teachers) * len(ids)  # a view
    steps = cache.settings.views * calls
    done = logit_cache.views_written(folder, cache.settings.views) * calls
    with session.progress.task(
        f'logits {cache.name}', cache.kind_of_work, steps, cache.work / steps, done
    ) as bar:

        def loader(teacher):
            def load():
                logits = ensemble.load(session, teacher, bar.advance)
                return lambda view: logits(ids, view, cache.views, cache.views.seed)

            return load

        statistics = logit_cache.write(
            folder,
            cache.examples,
            session.data.num_classes,
            cache.settings.views,
            cache.settings.dtype,
            [loader(teacher) for teacher in cache.teachers],
        )
    return {
        **statistics,
        'cache': ensemble.cache_facts(session, cache),
        'written': ensemble.where_written(session),
        'seconds': round(time.monotonic() - start, 3),
    }
