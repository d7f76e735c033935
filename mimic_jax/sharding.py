"""The device mesh, and which array lies where on it."""

import jax
import numpy as np
from jax.sharding import AxisType, Mesh, NamedSharding
from jax.sharding import PartitionSpec as P

from mimic_jax.errors import UserError

WIDE = 256  # a layer narrower than this is cheaper to copy than to split


def make_mesh(model_axis: int = 1, devices=None) -> Mesh:
    """A mesh with axes ('data', 'model') over all devices, `model_axis` of them along 'model'.

    Raises:
      UserError: when the devices cannot be divided so.
    """
    devices = np.asarray(jax.devices() if devices is None else devices)
    if devices.size % model_axis:
        raise UserError(
            f'config.run.model_axis is {model_axis}, which does not divide the {devices.size} '
            'devices here; choose a divisor'
        )
    shape = (devices.size // model_axis, model_axis)
    return jax.make_mesh(
        shape, ('data', 'model'), axis_types=(AxisType.Auto,) * 2, devices=devices.flatten()
    )


def replicated(mesh: Mesh) -> NamedSharding:
    return NamedSharding(mesh, P())


def batch_sharding(mesh: Mesh, leading: int = 0) -> NamedSharding:
    """Splits the batch axis over 'data'; `leading` axes (steps of one call) come before it."""
    return NamedSharding(mesh, P(*(None,) * leading, 'data'))


def parameter_sharding(mesh: Mesh, shape: tuple[int, ...]) -> NamedSharding:
    """Splits the largest axis over 'model' where the layer is wide and divides evenly.

    The same rule gives a kernel, its bias and their momentum matching pieces: of the kernels
    around a wide hidden layer, the units are the largest axis on both sides.
    """
    count = mesh.shape['model']
    if count > 1 and shape:
        axis = int(np.argmax(shape))
        if shape[axis] >= WIDE and shape[axis] % count == 0:
            return NamedSharding(mesh, P(*(None,) * axis, 'model'))
    return replicated(mesh)


def shard_state(mesh: Mesh, state):
    """A tree of arrays laid on the mesh by `parameter_sharding`."""
    return jax.tree.map(
        lambda leaf: jax.device_put(leaf, parameter_sharding(mesh, np.shape(leaf))), state
    )
