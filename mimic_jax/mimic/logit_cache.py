"""The logit cache, opened and checked: an ensemble's logits of every transfer example on every view.

A cache stores no pixels: a view is replayed from (seed, view number, example index). `cache_layout` has
its files, `packing` the form of a row. The manifest's `cache` holds what the logits were made from.
"""

import dataclasses
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np

from mimic_jax.artifacts import store
from mimic_jax.data import mapped
from mimic_jax.errors import UserError
from mimic_jax.mimic import cache_layout
from mimic_jax.mimic.cache_layout import EXAMPLES, CacheLayout
from mimic_jax.mimic.packing import Packing

KEPT_BYTES = 2 << 30  # of views kept once read
MEMORY_BYTES = 1 << 30  # of a view that is held in memory; a larger one is a memory-mapped file


@dataclasses.dataclass(frozen=True, eq=False)
class LogitCache:
    """An open cache. examples: [M] indices.  mean, deviation: [K] over examples and views."""

    folder: Path
    examples: np.ndarray
    layout: CacheLayout
    mean: np.ndarray
    deviation: np.ndarray
    facts: Mapping
    _kept: dict = dataclasses.field(default_factory=dict)

    @property
    def views(self) -> int:
        return self.layout.views

    @property
    def num_classes(self) -> int:
        return self.layout.packing.classes

    @property
    def dtype(self) -> str:
        return self.layout.packing.dtype

    def view(self, number: int) -> np.ndarray:
        """The logits [M, K] of a view: float16 where the cache's dtype is that, otherwise float32.

        A view of more than 1 GiB comes as a memory-mapped file that is gone when the array is.
        """
        if number not in self._kept:
            logits = self._read(number)
            if (len(self._kept) + 1) * logits.nbytes > KEPT_BYTES and self._kept:
                self._kept.pop(next(iter(self._kept)))
            self._kept[number] = logits
        return self._kept[number]

    def rows(self, number: int, rows: np.ndarray) -> np.ndarray:
        """The logits [R, K] of some rows of a view. Reads only the parts that hold them."""
        if number in self._kept:
            return self._kept[number][rows]
        packing = self.layout.packing
        found = np.zeros((len(rows), packing.classes), packing.unpacked)
        for part in self.layout.parts(number):
            inside = (rows >= part.rows.start) & (rows < part.rows.stop)
            if inside.any():
                logits = packing.unpack(cache_layout.read(self.folder, part, packing))
                found[inside] = logits[rows[inside] - part.rows.start]
        return found

    def _read(self, number: int) -> np.ndarray:
        packing, parts = self.layout.packing, self.layout.parts(number)
        if len(parts) == 1:
            return packing.unpack(cache_layout.read(self.folder, parts[0], packing))
        shape = (self.layout.examples, packing.classes)
        if np.prod(shape) * packing.unpacked.itemsize <= MEMORY_BYTES:
            logits = np.empty(shape, packing.unpacked)
        else:
            with _scratch(self.folder) as file:
                logits = np.memmap(file, packing.unpacked, 'w+', shape=shape)
        for part in parts:
            logits[part.rows] = packing.unpack(cache_layout.read(self.folder, part, packing))
            mapped.release(logits)
        return logits

    def check_rows(
        self,
        recomputed: Callable[[int], tuple[np.ndarray, np.ndarray]],
        exact: bool,
        here: Mapping | None = None,
    ):
        """Compares rows of the first and the last view with the teacher's logits of today.

        recomputed(view) returns (rows [R], float32 mean logits [R, K]).  exact: whether this is
        the backend that wrote the cache; elsewhere up to 1% of the logits' deviation may differ.
        here: the circumstances of today, which the error compares with those of the writing.

        Raises:
          UserError: a row differs.
        """
        packing = self.layout.packing
        for view in sorted({0, self.views - 1}):
            rows, logits = recomputed(view)
            kept, today = self.rows(view, rows), packing.unpack(packing.pack(logits))
            if exact:
                good = np.array_equal(kept, today)
            else:
                close = 0.01 * float(self.deviation.mean())
                if packing.dtype == 'int8':  # a byte more or less
                    close += float(np.abs(logits).max()) / 127
                if packing.dtype == 'topk':  # where two are nearly equal either may be kept
                    kept, today = np.sort(kept, axis=1), np.sort(today, axis=1)
                kept, today = kept.astype(np.float32), today.astype(np.float32)
                good = np.allclose(kept, today, rtol=0.01, atol=close)
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
    packing = Packing(cache['dtype'], cache['num_classes'], cache.get('top', 0))
    # Without `part_rows`: an older version's, whose views are whole.
    planned = CacheLayout(
        len(examples), cache['views'], packing, facts.get('part_rows', len(examples))
    )
    return opened(folder, examples, planned, facts)


def opened(folder: Path, examples: np.ndarray, planned: CacheLayout, facts: Mapping) -> LogitCache:
    """A cache from its parts.  facts: its manifest, or the statistics of a cache that is being made."""
    mean, deviation = (np.asarray(facts[key], np.float32) for key in ('mean', 'deviation'))
    return LogitCache(folder, examples, planned, mean, deviation, facts)


def _difference(expected, found, field: str):
    """(field, expected, found) of the first value in a tree that is not as expected, or None."""
    if isinstance(expected, Mapping) and isinstance(found, Mapping):
        # At the top, `expected` lacks the teachers where their folders are gone. Below it, a field that
        # is not expected differs too, because settings that are off are left out.
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


def _scratch(folder: Path):
    """A file without a name, beside the cache, or elsewhere where nothing may be written there."""
    try:
        return tempfile.TemporaryFile(dir=folder.parent)
    except OSError:
        return tempfile.TemporaryFile()
