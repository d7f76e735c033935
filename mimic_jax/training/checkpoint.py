"""Checkpoints of a training run, through Orbax.

A step's folder holds two items: `variables` (parameters and running statistics), which is all that
inference reads, and `training` (optimiser state), which the last step of a finished run leaves out.
"""

import contextlib
import errno
import hashlib
import os
from pathlib import Path

import jax
import numpy as np
import orbax.checkpoint as ocp

from mimic_jax.artifacts import digests
from mimic_jax.errors import UserError, first_line
from mimic_jax.runtime import hosts, sharding
from mimic_jax.runtime.interrupt import Interrupted

FOLDER = 'checkpoints'
MAKE_ROOM = 'make room or access for it and run again'
# Refusals of a disk or a system. The libraries' messages name them below their first line.
_REFUSALS = (errno.ENOSPC, errno.EDQUOT, errno.EMFILE, errno.ENFILE, errno.EACCES, errno.EROFS)


@contextlib.contextmanager
def one_line(path: Path, what: str, mend: str):
    """Turns every error of the libraries, a dozen kinds on a damaged or full disk, into a UserError.

    what: what cannot be done with `path`: 'opened', 'read' or 'written'.  mend: what to do.
    """
    try:
        yield
    except (UserError, Interrupted):
        raise
    except Exception as error:
        if hosts.is_lost(error):
            raise
        raise UserError(f'{path} cannot be {what} ({_reason(error)}); {mend}') from error


def _reason(error: Exception) -> str:
    refusals = [os.strerror(number) for number in _REFUSALS]
    said = str(error)
    return next((words for words in refusals if words in said), first_line(error)[:200])


class _Manager(ocp.CheckpointManager):
    def reached_preemption(self, step: int) -> bool:
        """Never asks jax, which the run itself asks in `hosts.check_stop`.

        jax agrees with all processes on a later call, by the calls' numbers. Steps among these numbers
        would put that call off, perhaps beyond the run's end.
        """
        return False


class Checkpoints:
    """The checkpoints of one run's folder; a context manager, since Orbax writes in the background.

    Restoring compares what the disk holds with digests of what was written. All processes of a run
    open, save and restore together.
    """

    def __init__(self, folder: Path):
        # Two steps, so that a fault in the newest never costs more than one checkpoint's work.
        options = ocp.CheckpointManagerOptions(max_to_keep=2, **_together(folder.name))
        self._home, self._folder = folder, folder / FOLDER
        with one_line(self._folder, 'opened', f'{MAKE_ROOM}, or delete it'):
            hosts.first(lambda: self._folder.mkdir(exist_ok=True))
            self._manager = _Manager(self._folder.resolve(), options=options)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        with one_line(self._folder, 'written', MAKE_ROOM):
            try:
                self._manager.wait_until_finished()
            finally:
                self._manager.close()

    @property
    def latest_step(self) -> int | None:
        return hosts.first(self._manager.latest_step)

    def is_last(self, step: int) -> bool:
        """Whether a run ended with this step's checkpoint: it was written without optimiser state."""

        def ended() -> bool:
            lost = _entry(step, 'training') in digests.read(self._home)
            return not lost and not (self._folder / str(step) / 'training').exists()

        return hosts.first(ended)

    def save(self, step: int, variables, training=None) -> None:
        """Starts writing the checkpoint of `step`; does nothing where that step is already there.

        Raises:
          UserError: a later step is there, or the disk refuses this checkpoint or the one before.
        """
        if hosts.first(lambda: step in self._manager.all_steps()):
            return
        trees = {'variables': variables}
        if training is not None:
            trees['training'] = training
        self._record(step, trees)
        items = {name: ocp.args.StandardSave(tree) for name, tree in trees.items()}
        with one_line(self._folder, 'written', MAKE_ROOM):
            saved = self._manager.save(step, args=ocp.args.Composite(**items))
        if not saved:
            raise UserError(
                f'{self._folder} already holds a step after {step}; delete that folder and run again'
            )

    def restore(self, step: int, **items) -> dict:
        """The named items of `step`, on the devices and in the shardings of the given examples.

        Raises:
          UserError: a file that is damaged or missing, or is another run's.
        """
        path = self._folder / str(step)
        mend = f'delete {path} and run again, which resumes from the checkpoint before it'
        examples = {
            name: ocp.args.StandardRestore(jax.tree.map(ocp.utils.to_shape_dtype_struct, example))
            for name, example in items.items()
        }
        with one_line(path, 'read', mend):
            restored = self._manager.restore(step, args=ocp.args.Composite(**examples))
        expected = digests.read(self._home)
        for name in items:
            wanted = expected.get(_entry(step, name))
            if wanted is not None and wanted != digest(sharding.whole(restored[name])):
                raise UserError(f'{path / name} is not what was written there; {mend}')
        return {name: restored[name] for name in items}

    def _record(self, step: int, trees: dict) -> None:
        new = {_entry(step, name): digest(sharding.whole(tree)) for name, tree in trees.items()}
        if not hosts.is_first():
            return
        steps = {str(step) for step in self._manager.all_steps()}
        kept = {
            entry: value
            for entry, value in digests.read(self._home).items()
            if entry.split('/')[1] in steps
        }
        digests.write(self._home, {**kept, **new})


def _entry(step: int, name: str) -> str:
    return f'{FOLDER}/{step}/{name}'


def load_variables(folder: Path, example):
    """The variables of a finished run, placed like `example` (arrays or ShapeDtypeStructs)."""
    steps = sorted(int(path.name) for path in (folder / FOLDER).iterdir() if path.name.isdigit())
    path = (folder / FOLDER / str(steps[-1]) / 'variables').resolve()
    mend = f'delete {folder} and run the same command to make it again'
    with one_line(path, 'read', mend), by_itself() as checkpointer:
        return checkpointer.restore(path, jax.tree.map(ocp.utils.to_shape_dtype_struct, example))


def by_itself() -> ocp.StandardCheckpointer:
    """A checkpointer of this process alone: for files that one process writes or each reads."""
    if jax.process_count() == 1:
        return ocp.StandardCheckpointer()
    me = hosts.process()
    options = ocp.options.MultiprocessingOptions(primary_host=me, active_processes={me})
    return ocp.StandardCheckpointer(multiprocessing_options=options, async_options=_folders_first())


def _together(name: str) -> dict:
    """Options of a manager that all processes share.

    Processes named one by one synchronise through jax's service. By default they would synchronise
    on the devices, among the training steps that run there.
    """
    if hosts.count() == 1:
        return {}
    processes = ocp.options.MultiprocessingOptions(
        active_processes=set(range(hosts.count())), barrier_sync_key_prefix=name
    )
    return {
        'multiprocessing_options': processes,
        'async_options': _folders_first(),
        'create': False,
    }


def _folders_first() -> ocp.options.AsyncOptions:
    """Options of saves among several processes: folders are made before any process writes.

    By default process 0 makes them in the background, and the others wait for a signal under the
    number of the save. Each process counts its own saves, so one that process 0 makes alone puts the
    numbers out of step: no signal is awaited, and process 0 deletes what the others have written.
    """
    return ocp.options.AsyncOptions(create_directories_asynchronously=False)


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
