"""The files of a logit cache: which rows of which view lie where, and in which form.

Row i of a view is for the i-th transfer example, which the array `examples.npy` [M] names. A view is an
Orbax checkpoint `views/<number>` of the arrays that `packing` makes of its logits; a large one is
several, `views/<number>.<part>`, of `part_rows` rows each.
"""

import dataclasses
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np

from mimic_jax.artifacts import digests
from mimic_jax.errors import UserError
from mimic_jax.mimic.packing import Packing
from mimic_jax.runtime import files
from mimic_jax.training import checkpoint

VIEWS, EXAMPLES = 'views', 'examples.npy'
PARTS = 'part_rows.json'  # the rows of a part; a run that resumes keeps them
ERRORS = 'errors.json'  # the largest error of a logit by packing, of each part that is written
PART_BYTES = 64 << 20  # of a part's logits in float32


class ViewPart(NamedTuple):
    """Some rows of a view: the unit of writing and reading.  entry: its path within the cache."""

    view: int
    rows: slice
    entry: str

    @property
    def count(self) -> int:
        return self.rows.stop - self.rows.start


@dataclasses.dataclass(frozen=True)
class CacheLayout:
    """How `views` views of M = `examples` rows are divided into parts of `part_rows`, and packed."""

    examples: int
    views: int
    packing: Packing
    part_rows: int

    def parts(self, view: int) -> list[ViewPart]:
        starts = range(0, self.examples, self.part_rows)
        names = [f'{view}.{number}' for number in range(len(starts))] if len(starts) > 1 else [view]
        return [
            ViewPart(
                view, slice(start, min(start + self.part_rows, self.examples)), f'{VIEWS}/{name}'
            )
            for start, name in zip(starts, names, strict=True)
        ]

    def all_parts(self) -> Iterator[ViewPart]:
        for view in range(self.views):
            yield from self.parts(view)

    def written(self, folder: Path) -> list[ViewPart]:
        """The parts that earlier runs have finished."""
        # Orbax renames a finished part into place, so what is there is whole.
        known = digests.read(folder)
        return [
            part for part in self.all_parts() if part.entry in known and path(folder, part).exists()
        ]


def layout(examples: int, views: int, packing: Packing, batch: int = 1) -> CacheLayout:
    """The layout of a new cache.  batch: parts end at multiples of it, so that they share no batch."""
    rows = PART_BYTES // (4 * packing.classes)
    return CacheLayout(examples, views, packing, max(1, rows // batch) * batch)


def part_rows(folder: Path, planned: CacheLayout) -> int:
    """The rows of a part, as the run that began the cache had them; later runs may have other batches."""
    try:
        return int(json.loads((folder / PARTS).read_text()))
    except (OSError, ValueError):  # no run has begun, or one of an older version
        files.write_atomically(folder / PARTS, json.dumps(planned.part_rows))
        return planned.part_rows


def path(folder: Path, part: ViewPart) -> Path:
    return (folder / part.entry).resolve()


def read(folder: Path, part: ViewPart, packing: Packing) -> dict[str, np.ndarray]:
    here = path(folder, part)
    mend = f'delete {here} and run again'
    with checkpoint.one_line(here, 'read', mend), checkpoint.by_itself() as checkpointer:
        found = checkpointer.restore(here, packing.empty(part.count))
    wanted = packing.empty(part.count)
    if any(found[name].shape != wanted[name].shape for name in wanted):
        raise UserError(f'{here} holds other rows than {part.count} of its view; {mend}')
    return found


def digested(packed: Mapping[str, np.ndarray]):
    """What a part's digest covers: the bare logits where they are the only array, as in older versions."""
    return packed['logits'] if len(packed) == 1 else dict(packed)


def errors(folder: Path) -> dict[str, float]:
    try:
        return json.loads((folder / ERRORS).read_text())
    except (OSError, ValueError):  # damaged, or an older version wrote none
        return {}
