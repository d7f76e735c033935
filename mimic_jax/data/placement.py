"""Where a data set's arrays lie, and batches of them on the mesh: the one place that knows.

Arrays lie whole on every device, and ids travel to them; or they lie on the host, and a thread gathers
batches ahead of the step. The batches are the same either way. Whoever computes with them gets a `Fed`
and asks it for its batch, inside the jitted call.
"""

import dataclasses
import functools
from collections.abc import Iterable, Iterator, Mapping

import flax
import jax
import numpy as np

from mimic_jax.data import batches, device_rows, mapped
from mimic_jax.data.dataset import Dataset
from mimic_jax.runtime import backend, sharding
from mimic_jax.runtime.settings import Run

DEVICE_BYTES = 4 << 30  # raw arrays up to this size are kept whole on every device
HOST_BYTES = 1 << 30  # and where the device is the host, up to this size


class Gathered(flax.struct.PyTreeNode):
    """Batches that were gathered on the host.

    items: a batch, or [S, ...] in front of each of its arrays, a call's S steps.
    """

    items: Mapping

    def batch(self, item: Mapping, step: jax.Array | int) -> Mapping:
        """The batch of a step.  item: `items`, or what a scan over them gives."""
        return item


class Named(flax.struct.PyTreeNode):
    """A batch by its ids, and the arrays on the device that it is gathered from."""

    arrays: Mapping
    items: Mapping

    def batch(self, item: Mapping, step: jax.Array | int) -> Mapping:
        return batches.gather(self.arrays, item)


class Epoch(flax.struct.PyTreeNode):
    """All batches of an epoch by their ids [S, B], of which each step picks its own."""

    arrays: Mapping
    ids: Mapping
    items: None = None

    def batch(self, item: None, step: jax.Array | int) -> Mapping:
        return batches.gather(self.arrays, batches.at(self.ids, step))


Fed = Gathered | Named | Epoch


@dataclasses.dataclass(frozen=True, eq=False)
class Placement:
    data: Dataset
    run: Run
    mesh: jax.sharding.Mesh

    @property
    def steps_per_call(self) -> int:
        # A convolution inside `lax.scan` is many times slower on the CPU backend than outside.
        return self.run.steps_per_call or (1 if backend.is_cpu() else 16)

    @functools.cached_property
    def on_device(self) -> bool:
        if self.run.placement == 'auto':
            if sharding.spans_processes(self.mesh):  # each process reads only its share
                return False
            limit = HOST_BYTES if backend.is_cpu() else DEVICE_BYTES
            return self.data.inputs.nbytes <= limit
        return self.run.placement == 'device'

    def padded(self, batch_size: int) -> int:
        """A batch's rows after padding to equal shares of the 'data' axis."""
        share = self.mesh.shape['data']
        return -(-batch_size // share) * share

    def in_order(self, examples: np.ndarray) -> Iterator[dict]:
        """The ids of `examples` as they stand, in evaluation's padded batches."""
        size = self.run.evaluation_batch_size
        return batches.in_order(examples, size, self.padded(size))

    def epoch(self, ids: list[dict], view: int, extra: Mapping, skip: int = 0):
        """(steps, `Fed`) of each call of an epoch's steps after its first `skip`.

        ids: of all the epoch's batches.  extra: arrays beside the data's, such as teacher logits.
        Several steps a call come first; what is left at the end comes one by one.
        """
        group, left = self.steps_per_call, len(ids) - skip
        if not self.on_device:
            return self._streamed(ids[skip:], view, extra, group)
        tree = {**batches.stack(self._shares(ids)), 'view': np.int32(view)}
        placed = self._placed(tree, len(ids[0]['index']), leading=1)
        whole = Epoch({**self._arrays, **self._replicated(extra)}, placed)
        return ((count, whole) for count in [group] * (left // group) + [1] * (left % group))

    def each(self, ids: Iterable[dict], view: int = 0) -> Iterator[Fed]:
        """The batches that `ids` name, one by one."""
        if not self.on_device:
            return (fed for _, fed in self._streamed(ids, view, {}, 1))
        return (Named(self._arrays, self._placed_ids(item, view)) for item in ids)

    def epoch_shapes(self, batch_size: int, steps: int, extra: Mapping, mixed: bool) -> Fed:
        """What `epoch` feeds a call, as shapes alone.

        steps: of an epoch.  extra: shapes.  mixed: whether views mix each example with another.
        """
        leading = (steps,) if self.on_device else (self.steps_per_call,)[self.steps_per_call == 1 :]
        ids = self._id_shapes(self.padded(batch_size), leading, mixed)
        if not self.on_device:
            return Gathered(self._batch_shapes(ids, extra, leading))
        return Epoch(self._array_shapes(extra), {**ids, 'view': self._view_shape(())})

    def batch_shapes(self, mixed: bool = False) -> Fed:
        """What `each` gives of evaluation's batches, as shapes alone."""
        ids = self._id_shapes(self.padded(self.run.evaluation_batch_size), (), mixed)
        ids['view'] = self._view_shape(())
        if not self.on_device:
            return Gathered(self._batch_shapes(ids, {}, ()))
        return Named(self._array_shapes({}), ids)

    def _id_shapes(self, rows: int, leading: tuple[int, ...], mixed: bool) -> dict:
        split = sharding.batch_sharding(self.mesh, len(leading))
        types = {'index': np.int32, 'mask': np.float32}
        if mixed:
            types['partner'] = np.int32
        return {
            key: jax.ShapeDtypeStruct((*leading, rows), dtype, sharding=split)
            for key, dtype in types.items()
        }

    def _view_shape(self, leading: tuple[int, ...]) -> jax.ShapeDtypeStruct:
        whole = sharding.replicated(self.mesh)
        return jax.ShapeDtypeStruct(leading, np.int32, sharding=whole)

    def _array_shapes(self, extra: Mapping) -> dict:
        arrays = {**self.data.arrays, **extra}
        return device_rows.shapes(arrays, sharding.replicated(self.mesh))

    def _batch_shapes(self, ids: Mapping, extra: Mapping, leading: tuple[int, ...]) -> dict:
        """The shapes of gathered batches, with `leading` axes in front."""
        arrays = {**self.data.arrays, **extra}
        bare = {key: jax.ShapeDtypeStruct(x.shape, x.dtype) for key, x in arrays.items()}
        one = {key: jax.ShapeDtypeStruct(x.shape[-1:], x.dtype) for key, x in ids.items()}
        one['view'] = jax.ShapeDtypeStruct((), np.int32)
        split = sharding.batch_sharding(self.mesh, len(leading))
        return {
            key: self._view_shape(leading)
            if key == 'view'
            else jax.ShapeDtypeStruct((*leading, *x.shape), x.dtype, sharding=split)
            for key, x in jax.eval_shape(batches.gather, bare, one).items()
        }

    @functools.cached_property
    def _arrays(self) -> dict:
        return self._replicated(self.data.arrays)

    def _replicated(self, arrays: Mapping) -> dict:
        return device_rows.place(arrays, sharding.replicated(self.mesh))

    def _placed_ids(self, item: dict, view: int) -> dict:
        (share,) = self._shares([item])
        return self._placed({**share, 'view': np.int32(view)}, len(item['index']), leading=0)

    def _streamed(self, ids: Iterable[dict], view: int, extra: Mapping, group: int):
        """(steps, `Gathered`) of `group` steps at a time. Each process gathers its devices' rows."""
        host = {**self.data.arrays, **extra}

        def place(part: list[dict]) -> tuple[int, Gathered]:
            rows, leading = len(part[0]['index']), len(part) > 1
            shares = [{**item, 'view': np.int32(view)} for item in self._shares(part)]
            gathered = [batches.gather(host, item) for item in shares]
            for array in host.values():
                mapped.release(array)
            tree = batches.stack(gathered) if leading else gathered[0]
            return len(part), Gathered(self._placed(tree, rows, int(leading)))

        return batches.prefetch(_grouped(ids, group), place)

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
