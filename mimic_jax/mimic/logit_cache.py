"""The logit cache: what an ensemble says of every transfer example on every view.

A cache stores no pixels: a view is replayed from (seed, view number, example index). Each view is an
Orbax checkpoint `views/<number>` of {logits: [M, K]}, row i for the i-th transfer example, which the
array `examples.npy` [M] names. The manifest's `cache` says what the logits are of.
"""

import dataclasses
import functools
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np

from mimic_jax.artifacts import digests, store
from mimic_jax.errors import UserError
from mimic_jax.runtime import hosts, interrupt
from mimic_jax.training import checkpoint

VIEWS, EXAMPLES = 'views', 'examples.npy'
BLOCK_BYTES = 256 << 20  # of float32 sums held while an ensemble streams by
BLOCK_VIEWS = 16  # a kill costs at most so many views
FLOAT16_MAX = 65504.0
KEPT_BYTES = 2 << 30  # of views kept in memory once read

Member = Callable[[], Callable[[int], np.ndarray]]


def write(
    folder: Path,
    examples: np.ndarray,
    num_classes: int,
    views: int,
    dtype: str,
    members: Sequence[Member],
) -> dict:
    """Writes the views that `folder` does not hold yet; returns the statistics of all.

    members: each loads one member and returns `logits(view) -> [M, K]`. They are loaded one at a
    time and added into a float32 sum, so memory does not grow with their number. Where a run has
    several processes, all ask the members and process 0 writes.

    Returns {mean, deviation: a list of K each, over all examples and views}.

    Raises:
      UserError: logits that are not finite, or beyond float16's range when that is the dtype; a disk
        that does not take a view, or gives back another than was written.
      Interrupted: asked to stop; the views written so far stay.
    """
    hosts.first(lambda: np.save(folder / EXAMPLES, examples))
    shape = (len(examples), num_classes)
    missing = hosts.first(lambda: _missing(folder, views))
    size = max(1, min(BLOCK_VIEWS, BLOCK_BYTES // (4 * shape[0] * shape[1])))
    for start in range(0, len(missing), size):
        block = missing[start : start + size]
        sums = np.zeros((len(block), *shape), np.float32)
        for load in members:
            logits = load()
            for total, view in zip(sums, block, strict=True):
                total += logits(view)
        sums /= len(members)
        with interrupt.deferred():
            means = dict(zip(block, sums, strict=True))
            hosts.first(functools.partial(_save, folder, means, dtype))
        hosts.check_stop()
        interrupt.check()
    return hosts.first(lambda: _statistics(folder, views, shape, dtype))


def views_written(folder: Path, views: int) -> int:
    """How many of the views an earlier sitting has finished."""
    return views - len(_missing(folder, views))


@dataclasses.dataclass(frozen=True, eq=False)
class LogitCache:
    """An open cache. examples: [M] indices.  mean, deviation: [K] over examples and views."""

    folder: Path
    examples: np.ndarray
    views: int
    num_classes: int
    dtype: str
    mean: np.ndarray
    deviation: np.ndarray
    facts: Mapping
    _kept: dict = dataclasses.field(default_factory=dict)

    def view(self, number: int) -> np.ndarray:
        """The logits [M, K] of a view, in the cache's dtype."""
        if number not in self._kept:
            shape = (len(self.examples), self.num_classes)
            logits = _read(self.folder, number, shape, self.dtype)
            if len(self._kept) * logits.nbytes > KEPT_BYTES:
                self._kept.pop(next(iter(self._kept)))
            self._kept[number] = logits
        return self._kept[number]

    def check_rows(
        self,
        recomputed: Callable[[int], tuple[np.ndarray, np.ndarray]],
        exact: bool,
        here: Mapping | None = None,
    ):
        """Compares rows with the teacher's answers of today: in the first view, and in the last.

        recomputed(view) returns (rows [R], float32 mean logits [R, K]).  exact: whether this is
        the backend that wrote the cache; elsewhere up to 1% of the logits' deviation may differ.
        here: the circumstances of today, which the error compares with those of the writing.

        Raises:
          UserError: a row differs.
        """
        for view in sorted({0, self.views - 1}):
            rows, logits = recomputed(view)
            kept = self.view(view)[rows]
            if exact:
                good = np.array_equal(kept, logits.astype(kept.dtype))
            else:
                close = 0.01 * float(self.deviation.mean())
                good = np.allclose(kept.astype(np.float32), logits, rtol=0.01, atol=close)
            if not good:
                raise UserError(
                    f'{self.folder}: view {view} is not what the teacher says of these examples'
                    f'{self._circumstances(here or {})}; '
                    f'delete {self.folder} and run --phase=logits again'
                )

    def _circumstances(self, here: Mapping) -> str:
        """What differs from when the cache was written, in words; '' where nothing does."""
        different = _difference(here, self.facts['written'], 'written') if here else None
        if not different:
            return ''
        field, now, then = different
        return f' ({field} is {then!r}, here {now!r}, which gives other numbers)'


def open_cache(folder: Path, expected: Mapping) -> LogitCache:
    """Opens a complete cache after checking every file's digest and what the logits are of.

    Raises:
      UserError: a damaged file, by name, or the first field of `expected` that differs.
    """
    facts = store.manifest(folder)
    cache = facts['cache']
    different = _difference(expected, cache, '')
    if different:
        field, wanted, found = different
        raise UserError(
            f'{folder} does not fit: its {field} is {found!r}, this run has {wanted!r}; '
            'use the workdir and config that made it, or delete it'
        )
    examples = np.load(folder / EXAMPLES, allow_pickle=False)
    return LogitCache(
        folder=folder,
        examples=examples,
        views=cache['views'],
        num_classes=cache['num_classes'],
        dtype=cache['dtype'],
        mean=np.asarray(facts['mean'], np.float32),
        deviation=np.asarray(facts['deviation'], np.float32),
        facts=facts,
    )


def _difference(expected, found, field: str):
    """(field, expected, found) of the first value in a tree that is not as expected, or None."""
    if isinstance(expected, Mapping) and isinstance(found, Mapping):
        # Below the top, where a run whose teachers are gone has nothing to say of them, a field that
        # is not expected differs too: what is off is left out.
        keys = [*expected, *(key for key in found if field and key not in expected)]
        pairs = [(f'{field}.{key}'.strip('.'), expected.get(key), found.get(key)) for key in keys]
    elif isinstance(expected, list) and isinstance(found, list) and len(expected) == len(found):
        pairs = [
            (f'{field}[{i}]', *pair) for i, pair in enumerate(zip(expected, found, strict=True))
        ]
    else:
        return None if expected == found else (field, expected, found)
    differences = (_difference(wanted, value, name) for name, wanted, value in pairs)
    return next(filter(None, differences), None)


def _path(folder: Path, view: int) -> Path:
    return (folder / VIEWS / str(view)).resolve()


def _missing(folder: Path, views: int) -> list[int]:
    # Orbax renames a finished view into place, so what is there is whole.
    known = digests.read(folder)
    return [
        view
        for view in range(views)
        if _entry(view) not in known or not _path(folder, view).exists()
    ]


def _save(folder: Path, means: Mapping[int, np.ndarray], dtype: str) -> None:
    """Writes views, each converted on its own: a block of them may be large."""
    new = {
        _entry(view): checkpoint.digest(_checked(mean, dtype, folder, view))
        for view, mean in means.items()
    }
    digests.write(folder, {**digests.read(folder), **new})
    told = checkpoint.one_line(folder / VIEWS, 'written', checkpoint.MAKE_ROOM)
    with told, checkpoint.by_itself() as checkpointer:
        for view, mean in means.items():
            logits = _checked(mean, dtype, folder, view)
            # By force: a view without a digest is an older version's, or was damaged with it.
            checkpointer.save(_path(folder, view), {'logits': logits}, force=True)


def _entry(view: int) -> str:
    return f'{VIEWS}/{view}'


def _read(folder: Path, view: int, shape: tuple[int, int], dtype: str) -> np.ndarray:
    path = _path(folder, view)
    mend = f'delete {path} and run again'
    with checkpoint.one_line(path, 'read', mend), checkpoint.by_itself() as checkpointer:
        return checkpointer.restore(path, {'logits': np.zeros(shape, dtype)})['logits']


def _checked(logits: np.ndarray, dtype: str, folder: Path, view: int) -> np.ndarray:
    if not np.isfinite(logits).all():
        raise UserError(
            f'{folder}: the ensemble gives logits that are not finite on view {view}; lower its '
            "members' train.learning_rate or set their train.clip_norm"
        )
    largest = float(np.abs(logits).max())
    if dtype == 'float16' and largest > FLOAT16_MAX:
        raise UserError(
            f'{folder}: a logit of {largest:.6g} on view {view} does not fit float16 (at most '
            f"{FLOAT16_MAX:.0f}); set the cache's dtype to float32"
        )
    return logits.astype(dtype)


def _statistics(folder: Path, views: int, shape: tuple[int, int], dtype: str) -> dict:
    total, squares = np.zeros(shape[1]), np.zeros(shape[1])
    known = digests.read(folder)
    for view in range(views):
        logits = _read(folder, view, shape, dtype)
        if checkpoint.digest(logits) != known.get(_entry(view)):
            path = _path(folder, view)
            raise UserError(f'{path} is not what was written there; delete it and run again')
        logits = logits.astype(np.float64)
        total += logits.sum(0)
        squares += np.square(logits).sum(0)
    mean = total / (views * shape[0])
    variance = np.maximum(squares / (views * shape[0]) - np.square(mean), 0)
    return {'mean': mean.tolist(), 'deviation': np.sqrt(variance).tolist()}
