"""What the phases of one process share: the data, the devices, the settings of the run."""

import dataclasses
import functools
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

import jax
import numpy as np

from mimic_jax.data import batches, mapped, statistics
from mimic_jax.data.dataset import Dataset
from mimic_jax.runtime import backend, sharding
from mimic_jax.runtime.progress import Progress
from mimic_jax.runtime.settings import Run

DEVICE_BYTES = 4 << 30  # raw arrays up to this size are kept whole on every device
HOST_BYTES = 1 << 30  # and where the device is the host, up to this size


@dataclasses.dataclass(frozen=True, eq=False)
class Session:
    workdir: Path
    data: Dataset
    run: Run
    progress: Progress
    mesh: jax.sharding.Mesh

    @property
    def steps_per_call(self) -> int:
        # A convolution inside `lax.scan` is many times slower on the CPU backend than outside.
        return self.run.steps_per_call or (1 if backend.is_cpu() else 16)

    @property
    def on_device(self) -> bool:
        if self.run.placement == 'auto':
            if self.mesh.is_multi_process:  # each process reads only its share
                return False
            limit = HOST_BYTES if backend.is_cpu() else DEVICE_BYTES
            return self.data.inputs.nbytes <= limit
        return self.run.placement == 'device'

    @functools.cached_property
    def _device_arrays(self) -> dict:
        return batches.to_device(self.data.arrays, sharding.replicated(self.mesh))

    @functools.cached_property
    def constants(self) -> dict:
        """The statistics that preprocessing applies, whole on every device."""
        stats = statistics.open_fitted(self.workdir, self.data, self.progress.say)
        return {'inputs': batches.to_device(stats, sharding.replicated(self.mesh))}

    @functools.cached_property
    def alone(self) -> 'Session':
        """A session on this process's devices alone: itself, unless several processes share it."""
        if not self.mesh.is_multi_process:
            return self
        return dataclasses.replace(self, mesh=sharding.make_mesh(1, jax.local_devices()))

    def padded(self, batch_size: int) -> int:
        """A batch's rows after padding to equal shares of the 'data' axis."""
        share = self.mesh.shape['data']
        return -(-batch_size // share) * share

    def arrays(self, extra: Mapping | None = None) -> dict:
        """The arrays that batches are gathered from inside a jitted call; empty when streaming."""
        if not self.on_device:
            return {}
        return {
            **self._device_arrays,
            **batches.to_device(extra or {}, sharding.replicated(self.mesh)),
        }

    def feed(self, ids: Iterable[dict], view: int, extra: Mapping | None = None, group: int = 1):
        """Yields (steps, ids or whole batches) placed on the mesh, `group` steps at a time.

        Only ids travel where the arrays lie on the device; otherwise a thread gathers batches on the
        host, ahead of the step. The batches are the same either way. Each process gathers the rows
        that its devices get.
        """
        host = {**self.data.arrays, **(extra or {})}

        def place(part: list[dict]):
            rows = len(part[0]['index'])
            part = [{**item, 'view': np.int32(view)} for item in self._shares(part)]
            if not self.on_device:
                part = [batches.gather(host, item) for item in part]
                mapped.release(self.data.inputs)
            leading = len(part) > 1
            tree = batches.stack(part) if leading else part[0]
            return len(part), self._placed(tree, rows, int(leading))

        groups = _grouped(ids, group)
        return map(place, groups) if self.on_device else batches.prefetch(groups, place)

    def calls(self, ids: list[dict], view: int, extra: Mapping | None = None, skip: int = 0):
        """(steps, their ids or batches) for each call of an epoch's steps after its first `skip`.

        Every call takes the whole epoch's ids where the arrays lie on the device; otherwise each
        call takes its batches.
        """
        group, left = self.steps_per_call, len(ids) - skip
        if not self.on_device:
            return self.feed(ids[skip:], view, extra, group)
        whole = self.epoch(ids, view)
        return ((count, whole) for count in [group] * (left // group) + [1] * (left % group))

    def epoch(self, ids: list[dict], view: int) -> dict:
        """All ids of an epoch, placed on the mesh together; each step picks its own (`batches.at`)."""
        tree = {**batches.stack(self._shares(ids)), 'view': np.int32(view)}
        return self._placed(tree, len(ids[0]['index']), leading=1)

    def _shares(self, part: list[dict]) -> list[dict]:
        """The rows of each batch that this process's devices get."""
        rows = len(part[0]['index'])
        mine = sharding.local_rows(self.mesh, rows)
        if len(mine) == rows:
            return part
        return [{key: value[mine] for key, value in item.items()} for item in part]

    def _placed(self, tree: dict, rows: int, leading: int) -> dict:
        """`tree` on the mesh, its batches of `rows` rows split; `leading` axes come before the rows'."""
        whole = sharding.replicated(self.mesh)
        split = sharding.batch_sharding(self.mesh, leading)
        return {
            key: sharding.put(value, whole)
            if key == 'view'
            else sharding.put_share(value, split, leading, rows)
            for key, value in tree.items()
        }


def _grouped(items: Iterable, size: int) -> Iterator[list]:
    """Lists of `size` items; what is left at the end comes one by one, to reuse a compiled call."""
    part = []
    for item in items:
        part.append(item)
        if len(part) == size:
            yield part
            part = []
    for item in part:
        yield [item]
