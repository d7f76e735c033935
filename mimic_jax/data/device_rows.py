"""A data set's arrays on the device, in a layout that rows are gathered from without a copy.

A TPU v3, v4 or v5e cannot gather from uint8 [N, 32, 32, 3] as it lies in memory: each call first copied
the whole array, four times as large. Flat rows [N, 3072] are gathered where they lie, and so are rows of
any other width once it is a multiple of the 128 lanes that a TPU's memory is divided into.
"""

import dataclasses
import functools
import math
from collections.abc import Mapping

import jax
import jax.numpy as jnp
import numpy as np

from mimic_jax.data import mapped
from mimic_jax.runtime import backend, sharding

PIECE_BYTES = 256 << 20  # of an array, sent to the device at a time
LANES = 128


@functools.partial(jax.tree_util.register_dataclass, data_fields=['flat'], meta_fields=['shape'])
@dataclasses.dataclass(frozen=True)
class Rows:
    """An array [N, *shape] of which only rows are read, `rows[index]`, inside jit or outside.

    flat: [N, columns], at least the rows' numbers; what comes after them is padding.
    """

    flat: jax.Array
    shape: tuple[int, ...]

    def __getitem__(self, index: jax.Array) -> jax.Array:
        """[*index.shape, *shape]"""
        picked = self.flat[index][..., : math.prod(self.shape)]
        return picked.reshape(*index.shape, *self.shape)


def columns(width: int) -> int:
    """The columns of flat rows of `width` numbers: what they take in a TPU's memory anyway."""
    if backend.name() == 'tpu' and width > LANES:
        return -(-width // LANES) * LANES
    return width


def place(arrays: Mapping[str, np.ndarray], where: jax.sharding.NamedSharding) -> dict:
    """Host arrays as arrays, or `Rows`, whole on every device of the sharding."""
    return {key: _placed(np.asanyarray(array), where) for key, array in arrays.items()}


def shapes(arrays: Mapping[str, jax.ShapeDtypeStruct], where) -> dict:
    """What `place` would make of arrays, as shapes alone."""

    def shaped(array):
        dtype = jax.dtypes.canonicalize_dtype(array.dtype)
        if len(array.shape) < 2:
            return jax.ShapeDtypeStruct(array.shape, dtype, sharding=where)
        width = math.prod(array.shape[1:])
        flat = jax.ShapeDtypeStruct((array.shape[0], columns(width)), dtype, sharding=where)
        return flat if flat.shape == array.shape else Rows(flat, array.shape[1:])

    return {key: shaped(array) for key, array in arrays.items()}


def _placed(array: np.ndarray, where) -> jax.Array | Rows:
    if array.ndim < 2:
        return whole(array, where)
    shape = array.shape[1:]
    width = math.prod(shape)
    flat = array.reshape(len(array), width)
    placed = whole(flat, where, columns(width))
    return placed if placed.shape == array.shape else Rows(placed, shape)


def whole(array: np.ndarray, where, width: int | None = None) -> jax.Array:
    """A host array on every device of the sharding, its rows padded with zeros to `width` columns."""
    wider = width is not None and width > array.shape[1]
    if where.mesh.is_multi_process:
        if wider:
            array = np.pad(array, ((0, 0), (0, width - array.shape[1])))
        return sharding.put(np.asanyarray(array), where)
    if array.nbytes <= PIECE_BYTES and not wider:
        return jax.device_put(jnp.asarray(np.asarray(array)), where)
    # Piece by piece: what is sent to an accelerator is copied in the host's memory first.
    rows = max(1, PIECE_BYTES // array[0].nbytes)
    dtype = jax.dtypes.canonicalize_dtype(array.dtype)
    shape = (len(array), width) if wider else array.shape
    result = jax.jit(jnp.zeros, static_argnums=(0, 1), out_shardings=where)(shape, dtype)
    for start in range(0, len(array), rows):
        piece = jax.device_put(np.array(array[start : start + rows], dtype), where)
        result = _set_rows(result, piece, start).block_until_ready()
        mapped.release(array)
    return result


@functools.partial(jax.jit, donate_argnums=0)
def _set_rows(array: jax.Array, piece: jax.Array, start: jax.Array) -> jax.Array:
    return jax.lax.dynamic_update_slice_in_dim(array, piece, start, axis=0)
