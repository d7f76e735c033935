"""What the phases of one process share: the data, the devices, the settings of the run."""

import dataclasses
import functools
from pathlib import Path

import jax

from mimic_jax.data import device_rows, statistics
from mimic_jax.data.dataset import Dataset
from mimic_jax.data.placement import Placement
from mimic_jax.runtime import sharding
from mimic_jax.runtime.progress import Progress
from mimic_jax.runtime.settings import Run


@dataclasses.dataclass(frozen=True, eq=False)
class Session:
    """boards: the folder of the experiment's runs for TensorBoard, where it has a name."""

    workdir: Path
    data: Dataset
    run: Run
    progress: Progress
    mesh: jax.sharding.Mesh
    boards: Path | None = None

    @functools.cached_property
    def placement(self) -> Placement:
        """Where the data lie, and batches of them."""
        return Placement(self.data, self.run, self.mesh)

    @functools.cached_property
    def constants(self) -> dict:
        """The statistics that preprocessing applies, whole on every device."""
        stats = statistics.open_fitted(self.workdir, self.data, self.progress.say)
        where = sharding.replicated(self.mesh)
        return {'inputs': {key: device_rows.whole(array, where) for key, array in stats.items()}}

    @functools.cached_property
    def alone(self) -> 'Session':
        """A session on this process's devices alone: itself, unless several processes share it."""
        if not self.mesh.is_multi_process:
            return self
        return dataclasses.replace(self, mesh=sharding.make_mesh(1, jax.local_devices()))

    def with_data(self, data: Dataset) -> 'Session':
        """The session with other data, such as after realignment."""
        return dataclasses.replace(self, data=data)
