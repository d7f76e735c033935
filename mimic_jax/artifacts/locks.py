"""Locks on artifacts: one process makes an artifact that several want, on one machine or many."""

import contextlib
import errno
import os
import socket
from collections.abc import Callable, Iterator
from pathlib import Path

import filelock

from mimic_jax.runtime.progress import Say

EMPTY_SECONDS = 3  # a lease that stays empty for so long belongs to nobody
LEASE_SECONDS = 30  # a process that does not renew its lease for so long loses it to another
_NO_LOCKS = (errno.ENOSYS, errno.EOPNOTSUPP, errno.ENOLCK, errno.EINVAL)


@contextlib.contextmanager
def hold(folder: Path, say: Say) -> Iterator[Callable[[], bool]]:
    """Holds the folder's lock; the death of the process releases it.

    The lock has two parts. The system's lock is released at once when its process dies. The lease
    serves file systems without such a lock, or with one that other machines do not see. A lease runs
    out after `LEASE_SECONDS` when its process is dead or suspended. Yields a function that returns
    whether this process still holds the lock.
    """
    home = _home(folder)
    home.mkdir(parents=True, exist_ok=True)
    by = home / f'{folder.name}.holder'

    def wait() -> None:
        try:
            who = by.read_text(errors='replace')
        except OSError:  # the holder has just released it
            who = 'another process'
        say(f'{folder.name} is being made by {who}; waiting for it')

    with contextlib.ExitStack() as held:
        try:
            system = filelock.FileLock(home / f'{folder.name}.lock', fallback_to_soft=False)
            _acquire(system, wait)
            held.callback(system.release)
        except OSError as error:
            if error.errno not in _NO_LOCKS:
                raise
        marker = home / f'{folder.name}.lease'
        lease = filelock.SoftFileLease(marker, lease_duration=LEASE_SECONDS)
        _acquire_lease(lease, marker, wait)
        held.callback(lease.release)
        token = lease.token

        def is_ours() -> bool:
            # filelock's lease notices a loss only many seconds after its process has resumed.
            try:
                return token in marker.read_text(errors='replace')
            except FileNotFoundError:  # another process took the lease and released it
                return False

        def forget() -> None:
            if is_ours():
                by.unlink(missing_ok=True)

        by.write_text(f'process {os.getpid()} on {socket.gethostname()}')
        held.callback(forget)
        yield is_ours


def is_held(folder: Path) -> bool:
    """Whether another process holds the folder's lock now. The check takes the lock for a moment."""

    def stop(_: str) -> None:
        raise _Held

    try:
        with hold(folder, stop):
            return False
    except _Held:
        return True
    except OSError:  # such as a full disk; making the artifact reports it
        return False


def holder(folder: Path) -> str:
    """The process that is making the artifact, in words; '' where none is."""
    if not (_home(folder) / f'{folder.name}.lock').exists() or not is_held(folder):
        return ''
    try:
        return (_home(folder) / f'{folder.name}.holder').read_text(errors='replace')
    except OSError:  # it has just begun, or released it
        return 'another process'


def _home(folder: Path) -> Path:
    return folder.parent / '.locks'


class _Held(Exception):
    pass


def _acquire(lock: filelock.BaseFileLock, wait: Callable[[], None]) -> None:
    try:
        lock.acquire(timeout=0.5)
    except filelock.Timeout:
        wait()
        lock.acquire(poll_interval=0.2)


def _acquire_lease(lease: filelock.SoftFileLease, marker: Path, wait: Callable[[], None]) -> None:
    """Acquires the lease, and removes an empty one that belongs to nobody.

    A process that is killed between making its lease and writing into it leaves an empty one, for
    which filelock would wait for ever.
    """
    try:
        lease.acquire(timeout=0.5)
        return
    except filelock.Timeout:
        wait()
    while True:
        before = _empty(marker)
        with contextlib.suppress(filelock.Timeout):
            lease.acquire(timeout=EMPTY_SECONDS, poll_interval=0.2)
            return
        if before and before == _empty(marker):
            marker.unlink(missing_ok=True)


def _empty(marker: Path) -> tuple[int, int] | None:
    """The identity (inode, time of change) of an empty lease; None where it is missing or not empty."""
    try:
        facts = marker.stat()
    except OSError:
        return None
    return None if facts.st_size else (facts.st_ino, facts.st_ctime_ns)
