"""Writes an ensemble's logits of the transfer examples, view by view."""

import dataclasses
import json
import time
from collections.abc import Iterable
from pathlib import Path

import numpy as np

from mimic_jax.artifacts import store
from mimic_jax.data import batches
from mimic_jax.mimic import cache_layout, cache_writer, ensemble, external_labels, logit_cache
from mimic_jax.mimic.cache_layout import CacheLayout, ViewPart
from mimic_jax.mimic.cache_plan import CachePlan
from mimic_jax.runtime import files, hosts
from mimic_jax.training.session import Session

SITTINGS = 'sittings.json'  # the circumstances of every sitting that has written views


def run(session: Session, cache: CachePlan) -> Path:
    """Reads the members' checkpoints, or asks a teacher made elsewhere; writes `logits-<id>`."""
    for member in cache.members:
        store.require(session.workdir, member.recipe, member.name, 'teacher')
    together = cache.external is None  # one process alone asks a teacher made elsewhere
    session = session if together else session.alone
    folder = store.make(
        session.workdir,
        cache.recipe,
        lambda folder: _write(folder, session, cache),
        session.progress.say,
        together=together,
    )
    if cache.external:  # printed again where the cache was complete already
        warnings = hosts.first(lambda: store.manifest(folder).get('warnings', []))
        for line in filter(None, (cache.external.order.line, *warnings)):
            session.progress.say(line)
    return folder


def _write(folder: Path, session: Session, cache: CachePlan) -> dict:
    start, size = time.monotonic(), session.run.evaluation_batch_size
    planned = cache.layout(session.data.num_classes, size)
    rows = hosts.first(lambda: cache_layout.part_rows(folder, planned))
    layout = dataclasses.replace(planned, part_rows=rows)
    written = hosts.first(lambda: _circumstances(folder, session, layout))

    def calls(parts: Iterable[ViewPart]) -> int:
        return len(cache.teachers) * sum(batches.steps(part.count, size) for part in parts)

    steps, done = calls(layout.all_parts()), calls(layout.written(folder))
    with session.progress.task(
        f'logits {cache.name}', cache.kind_of_work, steps, cache.work / steps, done
    ) as bar:

        def loader(teacher):
            def load():
                logits = ensemble.load(session, teacher, bar.advance, cache.settings.tta)

                def of_part(view: int, rows: slice) -> np.ndarray:
                    ids = ensemble.cache_batches(session, cache, view, rows)
                    return logits(ids, view, cache.views, cache.views.seed)

                return of_part

            return load

        members = [loader(teacher) for teacher in cache.teachers]
        statistics = cache_writer.write(folder, cache.examples, layout, members)
    held = {}
    if cache.external:
        kept = logit_cache.opened(folder, cache.examples, layout, statistics)
        held = external_labels.hold(session, cache, kept)
    return {
        **statistics,
        **held,
        'cache': ensemble.cache_facts(session, cache),
        'written': written[0] if len(written) == 1 else written,
        'seconds': round(time.monotonic() - start, 3),
    }


def _circumstances(folder: Path, session: Session, layout: CacheLayout) -> list[dict]:
    """Those under which the views were written, this sitting's among them, each once."""
    path, here = folder / SITTINGS, ensemble.where_written(session)
    begun = bool(layout.written(folder))
    try:
        before = json.loads(path.read_text()) if begun else []
    except (OSError, ValueError):  # damaged, or an older version wrote none
        before = [{}]
    every = before if here in before else [*before, here]
    files.write_atomically(path, json.dumps(every))
    return every
