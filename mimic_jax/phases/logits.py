"""Writes down what an ensemble says of the transfer examples, view by view."""

import time
from pathlib import Path

from mimic_jax import artifacts, ensemble, logit_cache
from mimic_jax.plan import CachePlan
from mimic_jax.session import Session


def run(session: Session, cache: CachePlan) -> Path:
    """Reads the members' checkpoints; writes the artifact `logits-<id>`."""
    for member in cache.members:
        artifacts.require(session.workdir, member.recipe, member.name, 'teacher')
    return artifacts.make(
        session.workdir,
        cache.recipe,
        lambda folder: _write(folder, session, cache),
        session.progress.say,
    )


def _write(folder: Path, session: Session, cache: CachePlan) -> dict:
    start = time.monotonic()
    ids = ensemble.cache_batches(session, cache)
    steps = cache.settings.views * len(cache.members) * len(ids)
    done = logit_cache.views_written(folder, cache.settings.views) * len(cache.members) * len(ids)
    with session.progress.task(
        f'logits {cache.name}', 'label', steps, cache.work / steps, done
    ) as bar:

        def loader(member):
            def load():
                logits = ensemble.load(session, member, bar.advance)
                return lambda view: logits(ids, view, cache.views, cache.views.seed)

            return load

        statistics = logit_cache.write(
            folder,
            cache.examples,
            session.data.num_classes,
            cache.settings.views,
            cache.settings.dtype,
            [loader(member) for member in cache.members],
        )
    return {
        **statistics,
        'cache': ensemble.cache_facts(session, cache),
        'written': ensemble.where_written(session),
        'seconds': round(time.monotonic() - start, 3),
    }
