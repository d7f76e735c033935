"""The device mesh, which may span several processes, and which array lies where on it."""

import os

import jax
import numpy as np
from jax.experimental import multihost_utils
from jax.sharding import AbstractMesh, AxisType, Mesh, NamedSharding
from jax.sharding import PartitionSpec as P

from mimic_jax.errors import UserError
from mimic_jax.runtime import backend

AXES = ('data', 'model')
WIDE = 256  # a layer narrower than this is cheaper to copy than to split


def make_mesh(model_axis: int = 1, devices=None) -> Mesh:
    """A mesh with axes ('data', 'model') over all devices, `model_axis` of them along 'model'.

    Raises:
      UserError: when the devices cannot be divided so, or jax has none of the kind asked for.
    """
    devices = np.asarray(_all_devices() if devices is None else devices)
    return jax.make_mesh(
        mesh_shape(devices.size, model_axis),
        AXES,
        axis_types=(AxisType.Auto,) * 2,
        devices=devices.flatten(),
    )


def mesh_shape(devices: int, model_axis: int) -> tuple[int, int]:
    """The lengths of `AXES`; UserError where the devices cannot be divided so."""
    if devices % model_axis:
        raise UserError(
            f'config.run.model_axis is {model_axis}, which does not divide the {devices} '
            'devices here; choose a divisor'
        )
    return devices // model_axis, model_axis


def _all_devices() -> list:
    try:
        return backend.devices()
    except (
        RuntimeError,
        AssertionError,
    ) as error:  # the latter where no plugin is installed at all
        said = str(error).partition(' (set JAX_PLATFORMS')[0].partition('\n')[0]
        variable, wanted = _asked_for(said)
        extra = {'cuda': 'cuda12', 'gpu': 'cuda12', 'rocm': 'rocm', 'tpu': 'tpu'}.get(wanted)
        cure = f"pip install 'jax[{extra}]', or " if extra else ''
        reason = f' ({said.rstrip(".")})' if said else ''
        raise UserError(
            f'{variable} asks for {wanted}, which jax cannot reach here{reason}; '
            f'{cure}unset {variable} to take what is there'
        ) from None


def _asked_for(said: str) -> tuple[str, str]:
    """The environment variable that an error of jax is due to, and the platform that it names."""
    name = os.environ.get('JAX_PLATFORM_NAME', '')  # jax.config has no attribute for it
    # JAX_PLATFORM_NAME chooses among the platforms that JAX_PLATFORMS has jax look for.
    if name and (said.startswith('Unknown backend') or not jax.config.jax_platforms):
        return 'JAX_PLATFORM_NAME', name
    return 'JAX_PLATFORMS', jax.config.jax_platforms or 'a device'


def spans_processes(mesh: Mesh | AbstractMesh) -> bool:
    """Whether the mesh has devices of several processes. An abstract mesh has no devices."""
    return not isinstance(mesh, AbstractMesh) and mesh.is_multi_process


def replicated(mesh: Mesh) -> NamedSharding:
    return NamedSharding(mesh, P())


def batch_sharding(mesh: Mesh, leading: int = 0) -> NamedSharding:
    """Splits the batch axis over 'data'; `leading` axes (steps of one call) come before it."""
    return NamedSharding(mesh, P(*(None,) * leading, 'data'))


def parameter_sharding(mesh: Mesh, shape: tuple[int, ...]) -> NamedSharding:
    """Splits the largest axis over 'model' where the layer is wide and divides evenly.

    The same rule gives a kernel, its bias and their momentum matching pieces: the units of a wide
    hidden layer are the largest axis of the kernels on both sides.
    """
    count = mesh.shape['model']
    if count > 1 and shape:
        axis = int(np.argmax(shape))
        if shape[axis] >= WIDE and shape[axis] % count == 0:
            return NamedSharding(mesh, P(*(None,) * axis, 'model'))
    return replicated(mesh)


def shard_state(mesh: Mesh, state):
    """A tree of arrays laid on the mesh by `parameter_sharding`."""
    return jax.tree.map(lambda leaf: put(leaf, parameter_sharding(mesh, np.shape(leaf))), state)


def put(array, sharding: NamedSharding) -> jax.Array:
    """Lays out an array that every process of the mesh has: each gives its devices their pieces."""
    if not sharding.mesh.is_multi_process:
        return jax.device_put(array, sharding)
    array = np.asanyarray(array)
    return jax.make_array_from_process_local_data(sharding, array, array.shape)


def put_share(share: np.ndarray, sharding: NamedSharding, axis: int, rows: int) -> jax.Array:
    """An array of `rows` rows along `axis`. Each process gives its own `local_rows` of them."""
    if not sharding.mesh.is_multi_process:
        return jax.device_put(share, sharding)
    shape = (*share.shape[:axis], rows, *share.shape[axis + 1 :])
    return jax.make_array_from_process_local_data(sharding, share, shape)


def local_rows(mesh: Mesh, rows: int) -> np.ndarray:
    """Which rows of a batch this process's devices hold: indices, rising."""
    pieces = batch_sharding(mesh).addressable_devices_indices_map((rows,)).values()
    return np.unique(np.concatenate([np.arange(rows)[piece] for piece in pieces]))


def whole(tree):
    """A tree on the host. Arrays that are split over processes are gathered; all must call this."""

    def gathered(leaf):
        if isinstance(leaf, jax.Array) and not (
            leaf.is_fully_addressable or leaf.is_fully_replicated
        ):
            return multihost_utils.process_allgather(leaf, tiled=True)
        return jax.device_get(leaf)

    return jax.tree.map(gathered, tree)
