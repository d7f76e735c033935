"""Writes a logit cache: an ensemble's mean logits, a few parts of views at a time."""

import functools
import json
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from mimic_jax.artifacts import digests
from mimic_jax.errors import UserError
from mimic_jax.mimic import cache_layout
from mimic_jax.mimic.cache_layout import CacheLayout, ViewPart
from mimic_jax.mimic.packing import Packing
from mimic_jax.runtime import files, hosts, interrupt
from mimic_jax.training import checkpoint

BLOCK_BYTES = 256 << 20  # of float32 sums held while an ensemble streams by
BLOCK_PARTS = 16  # a kill costs at most so many
ROWS = 4096  # whose statistics are taken at a time, in float64

# Loads a teacher, as `logits(view, rows) -> [rows, K]` float32 of a slice of the examples.
Member = Callable[[], Callable[[int, slice], np.ndarray]]


def write(
    folder: Path, examples: np.ndarray, planned: CacheLayout, members: Sequence[Member]
) -> dict:
    """Writes the parts that `folder` does not hold yet; returns the statistics of all.

    members: they are loaded one at a time and added into a float32 sum, so memory does not grow with
    their number. Where a run has several processes, all ask the members and process 0 writes.

    Returns {mean, deviation: a list of K each, over all examples and views; part_rows; bytes: of all
    packed arrays; largest_error: of a logit by its packing, None where an older version wrote a part}.

    Raises:
      UserError: logits that are not finite, or beyond float16's range where that is kept; a disk that
        does not take a part, or gives back another than was written.
      Interrupted: asked to stop; the parts written so far stay.
    """
    hosts.first(lambda: np.save(folder / cache_layout.EXAMPLES, examples))
    done = set(hosts.first(lambda: [part.entry for part in planned.written(folder)]))
    missing = [part for part in planned.all_parts() if part.entry not in done]
    size = BLOCK_BYTES // (4 * planned.packing.classes * min(planned.part_rows, planned.examples))
    size = max(1, min(BLOCK_PARTS, size))
    if len(members) == 1:  # it stays loaded, so that a kill costs one part
        members, size = [functools.cache(members[0])], 1
    for start in range(0, len(missing), size):
        block = missing[start : start + size]
        sums = [np.zeros((part.count, planned.packing.classes), np.float32) for part in block]
        for load in members:
            logits = load()
            for total, part in zip(sums, block, strict=True):
                total += logits(part.view, part.rows)
        for total in sums:
            total /= len(members)
        with interrupt.deferred():
            means = list(zip(block, sums, strict=True))
            hosts.first(functools.partial(_save, folder, means, planned.packing))
        hosts.check_stop()
        interrupt.check()
    return hosts.first(lambda: _statistics(folder, planned))


def _save(folder: Path, means: Sequence[tuple[ViewPart, np.ndarray]], packing: Packing) -> None:
    """Writes parts, each packed on its own: a block of them may be large."""
    new, errors = {}, cache_layout.errors(folder)
    for part, mean in means:
        _check(mean, packing, folder, part)
        packed = packing.pack(mean)
        new[part.entry] = checkpoint.digest(cache_layout.digested(packed))
        errors[part.entry] = float(np.abs(packing.unpack(packed) - mean).max())
    digests.write(folder, {**digests.read(folder), **new})
    files.write_atomically(
        folder / cache_layout.ERRORS, json.dumps(errors, indent=1, sort_keys=True)
    )
    told = checkpoint.one_line(folder / cache_layout.VIEWS, 'written', checkpoint.MAKE_ROOM)
    with told, checkpoint.by_itself() as checkpointer:
        for part, mean in means:
            # By force: a part without a digest is an older version's, or was damaged with it.
            checkpointer.save(cache_layout.path(folder, part), packing.pack(mean), force=True)


def _check(logits: np.ndarray, packing: Packing, folder: Path, part: ViewPart) -> None:
    if not np.isfinite(logits).all():
        raise UserError(
            f'{folder}: the ensemble gives logits that are not finite on view {part.view}; lower its '
            "members' train.learning_rate or set their train.clip_norm"
        )
    largest = float(np.abs(logits).max())
    if largest > packing.largest:
        raise UserError(
            f'{folder}: a logit of {largest:.6g} on view {part.view} does not fit float16 (at most '
            f"{packing.largest:.0f}); set the cache's dtype to float32"
        )


def _statistics(folder: Path, planned: CacheLayout) -> dict:
    packing, size = planned.packing, 0
    total, squares = np.zeros(packing.classes), np.zeros(packing.classes)
    known, errors = digests.read(folder), cache_layout.errors(folder)
    for part in planned.all_parts():
        packed = cache_layout.read(folder, part, packing)
        if checkpoint.digest(cache_layout.digested(packed)) != known.get(part.entry):
            path = cache_layout.path(folder, part)
            raise UserError(f'{path} is not what was written there; delete it and run again')
        size += sum(array.nbytes for array in packed.values())
        logits = packing.unpack(packed)
        for start in range(0, len(logits), ROWS):
            few = logits[start : start + ROWS].astype(np.float64)
            total += few.sum(0)
            squares += np.square(few).sum(0)
    rows = planned.views * planned.examples
    mean = total / rows
    variance = np.maximum(squares / rows - np.square(mean), 0)
    found = [errors.get(part.entry) for part in planned.all_parts()]
    return {
        'mean': mean.tolist(),
        'deviation': np.sqrt(variance).tolist(),
        'part_rows': planned.part_rows,
        'bytes': size,
        'largest_error': None if None in found else max(found),
    }
