"""Checkpoints of a training run, through Orbax.

A step's folder holds two items: `variables` (parameters and running statistics), which is all that
inference reads, and `training` (optimiser state), which the last step of a finished run leaves out.
"""

import hashlib
from pathlib import Path

import jax
import numpy as np
import orbax.checkpoint as ocp

from mimic_jax.errors import UserError

FOLDER = 'checkpoints'


class Checkpoints:
    """The checkpoints of one run's folder; a context manager, since Orbax writes in the background."""

    def __init__(self, folder: Path):
        # Two steps, so that a fault in the newest never costs more than one checkpoint's work.
        options = ocp.CheckpointManagerOptions(max_to_keep=2)
        self._folder = folder / FOLDER
        self._manager = ocp.CheckpointManager(self._folder.resolve(), options=options)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._manager.wait_until_finished()
        self._manager.close()

    @property
    def latest_step(self) -> int | None:
        return self._manager.latest_step()

    def is_last(self, step: int) -> bool:
        """Whether a run ended with this step's checkpoint: it holds no optimiser state."""
        return not (self._folder / str(step) / 'training').exists()

    def save(self, step: int, variables, training=None) -> None:
        """Starts writing the checkpoint of `step`; does nothing where that step is already there."""
        if step in self._manager.all_steps():
            return
        items = {'variables': ocp.args.StandardSave(variables)}
        if training is not None:
            items['training'] = ocp.args.StandardSave(training)
        if not self._manager.save(step, args=ocp.args.Composite(**items)):
            raise UserError(
                f'{self._folder} already holds a step after {step}; delete that folder and run again'
            )

    def restore(self, step: int, **items) -> dict:
        """The named items of `step`, on the devices and in the shardings of the given examples."""
        examples = {
            name: ocp.args.StandardRestore(jax.tree.map(ocp.utils.to_shape_dtype_struct, example))
            for name, example in items.items()
        }
        restored = self._manager.restore(step, args=ocp.args.Composite(**examples))
        return {name: restored[name] for name in items}


def load_variables(folder: Path, example):
    """The variables of a finished run, placed like `example` (arrays or ShapeDtypeStructs)."""
    steps = sorted(int(path.name) for path in (folder / FOLDER).iterdir() if path.name.isdigit())
    path = (folder / FOLDER / str(steps[-1]) / 'variables').resolve()
    with ocp.StandardCheckpointer() as checkpointer:
        return checkpointer.restore(path, jax.tree.map(ocp.utils.to_shape_dtype_struct, example))


def digest(tree) -> str:
    """SHA-256 over names, shapes, dtypes and values: equal for equal content, however it was saved."""
    total = hashlib.sha256()
    for path, leaf in sorted(
        (jax.tree_util.keystr(path), leaf)
        for path, leaf in jax.tree_util.tree_leaves_with_path(tree)
    ):
        array = np.ascontiguousarray(leaf)
        total.update(f'{path} {array.dtype.str} {array.shape}\n'.encode())
        total.update(array.data)
    return total.hexdigest()
