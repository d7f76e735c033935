"""Several processes, on one machine or many, that run one experiment together in one workdir.

Each process runs the same program. All processes train and evaluate nets together, each reading its
share of every batch. Process 0 alone does the work that takes one machine, such as reading a source or
writing a report, while the others wait. The processes exchange facts through jax's coordination service.
"""

import contextlib
import json
import os
import secrets
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from mimic_jax.errors import UserError, first_line
from mimic_jax.runtime import interrupt

HEARTBEAT_SECONDS = 25  # a process that sends no heartbeat for so long counts as dead
CONNECT_SECONDS = 120  # the longest that processes wait for each other at the start
_FOREVER = 30 * 24 * 3600 * 1000  # ms; the death of a process ends the wait
_SEEN_SECONDS = 30  # the longest that a file may take to appear on another machine
LOST = (
    'another process of this run has ended, or is out of reach; nothing that is complete is lost. '
    'Run the same command on every host again, on as many as there are'
)
# Words in the errors that jax and Orbax raise when a peer is gone.
_SIGNS = ('gloo', 'nccl', 'coordination', 'barrier', 'heartbeat')
# jax ends a process from C++ when a peer has died. This child outlives the process and prints why.
_SPEAKER = (
    'import signal, sys; [signal.signal(n, signal.SIG_IGN) for n in (signal.SIGINT, signal.SIGTERM)]; '
    'sys.stdin.read() or sys.exit(print(sys.argv[1], file=sys.stderr))'
)


class _State:
    client = None  # of jax's coordination service
    processes = 1
    number = 0
    alone = False
    messages = 0
    calls = 0
    speaker = None


def initialize(where: str) -> None:
    """Joins the other processes; call it before anything asks jax for a device.

    where: 'auto' on a TPU pod, under SLURM or Open MPI, otherwise 'HOST:PORT,COUNT,ID': the address
    of process 0, the number of processes, and the number of this one.

    Raises:
      UserError: `where` cannot be read, or the other processes do not come.
    """
    arguments = _arguments(where)
    # Imported only here: most runs have one process, and locks and artifacts are read without jax too.
    import jax
    from jax._src import distributed  # as Orbax does: the service's client has no public name

    interrupt.install_for_many()
    jax.config.update('jax_cpu_collectives_implementation', 'gloo')
    try:
        jax.distributed.initialize(
            **arguments,
            initialization_timeout=CONNECT_SECONDS,
            heartbeat_timeout_seconds=HEARTBEAT_SECONDS,
        )
    except (RuntimeError, ValueError) as error:
        reason = first_line(error)
        raise UserError(
            f'--distributed={where}: {reason}; start every process with the same address and count'
        ) from error
    service = distributed.global_state
    _State.client, _State.processes = service.client, service.num_processes
    _State.number = service.process_id
    _State.speaker = subprocess.Popen(
        [sys.executable, '-I', '-S', '-c', _SPEAKER, f'error: process {process()}: {LOST}'],
        stdin=subprocess.PIPE,
    )


def finish() -> None:
    """The next shutdown is expected; it is not reported."""
    if _State.speaker is not None:
        _State.speaker.communicate(b'ended')
        _State.speaker = None


def count() -> int:
    """The number of processes that work together now: 1 inside `alone`, and without `initialize`."""
    return 1 if _State.alone else _State.processes


def process() -> int:
    """This process's number."""
    return _State.number


def is_first() -> bool:
    """Whether this is the process that reads sources, writes files and prints messages."""
    return process() == 0


@contextlib.contextmanager
def alone():
    """A block in which this process works as if there were no others."""
    before, _State.alone = _State.alone, True
    try:
        yield
    finally:
        _State.alone = before


def first(work: Callable):
    """Has process 0 alone call `work()`; returns the result, a JSON value, in every process.

    Raises:
      UserError: process 0 raised it; every process raises it then.
    """
    if count() == 1:
        return work()
    key = f'mimic_jax/{_State.messages}'
    _State.messages += 1
    client = _State.client
    if not is_first():
        told = json.loads(client.blocking_key_value_get(key, _FOREVER))
        if 'error' in told:
            raise UserError(told['error'])
        return told['result']
    try:
        with alone():
            result = work()
    except (UserError, OSError) as error:
        client.key_value_set(key, json.dumps({'error': f'process 0: {error}'}))
        raise
    client.key_value_set(key, json.dumps({'result': result}))
    return result


def check_stop() -> None:
    """Requests a stop, in all processes at the same call, once one of them was sent SIGTERM.

    All processes call it equally often. jax receives the signal and agrees on the call with all.
    """
    if count() > 1:
        from jax.experimental import multihost_utils

        _State.calls += 1
        if multihost_utils.reached_preemption_sync_point(_State.calls):
            interrupt.request()


def make_workdir(folder: Path) -> None:
    """Makes a folder for all processes; UserError where it cannot be written to or is not shared."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):  # of this process alone, whoever else starts
            pass
    except OSError as error:
        raise UserError(
            f'--workdir={folder} cannot be written to ({error.strerror}); choose another folder'
        ) from None
    share_folder(folder)


def share_folder(folder: Path) -> None:
    """Raises UserError where `folder` is not the same folder for every process."""
    if count() == 1:
        return
    name = first(lambda: _left_behind(folder))
    deadline = time.monotonic() + _SEEN_SECONDS
    while not (folder / name).exists():
        if time.monotonic() > deadline:
            raise UserError(
                f'--workdir={folder} of process {process()} is not that of process 0; give all a '
                'folder on a file system that they share'
            )
        os.listdir(folder)  # a network file system looks again then
        time.sleep(0.1)
    _State.client.wait_at_barrier('mimic_jax/folder', _FOREVER)
    if is_first():
        (folder / name).unlink()


def is_lost(error: BaseException) -> bool:
    """Whether an error is due to the end of another process."""
    if _State.processes == 1 or isinstance(error, UserError):
        return False
    text = f'{type(error).__name__} {error}'.lower()
    return any(sign in text for sign in _SIGNS)


def _left_behind(folder: Path) -> str:
    name = f'.hosts.{secrets.token_hex(8)}.tmp'
    (folder / name).touch()
    return name


def _arguments(where: str) -> dict:
    if where == 'auto':
        return {}
    address, *numbers = where.split(',')
    host, _, port = address.rpartition(':')
    good = host and port.isdecimal() and len(numbers) == 2 and all(map(str.isdecimal, numbers))
    if not good or not int(numbers[1]) < int(numbers[0]):
        raise UserError(
            f"--distributed={where} must be 'auto' or HOST:PORT,COUNT,ID with an ID below COUNT, "
            'such as 10.0.0.1:1234,2,0'
        )
    return {
        'coordinator_address': address,
        'num_processes': int(numbers[0]),
        'process_id': int(numbers[1]),
    }
