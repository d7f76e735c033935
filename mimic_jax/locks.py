"""Locks on artifacts: of several processes that want one, on one machine or many, one makes it."""

import contextlib
import errno
import os
import socket
from collections.abc import Callable
from pathlib import Path

import filelock

LEASE_SECONDS = 30  # after which a process without a sign of life has lost an artifact to another
_NO_LOCKS = (errno.ENOSYS, errno.EOPNOTSUPP, errno.ENOLCK, errno.EINVAL)


@contextlib.contextmanager
def hold(folder: Path, say: Callable[[str], None]):
    """Holds the folder's lock, and lets it go when the process that holds it dies.

    The system's lock, which it lets go at once, and a lease, for file systems that have no such lock or
    one that other machines do not see: there a dead holder's lease runs out.
    """
    home = folder.parent / '.locks'
    home.mkdir(parents=True, exist_ok=True)
    holder = home / f'{folder.name}.holder'

    def wait() -> None:
        try:
            who = holder.read_text(errors='replace')
        except OSError:  # its holder has just let go
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
        lease = filelock.SoftFileLease(home / f'{folder.name}.lease', lease_duration=LEASE_SECONDS)
        _acquire(lease, wait)
        held.callback(lease.release)
        holder.write_text(f'process {os.getpid()} on {socket.gethostname()}')
        held.callback(holder.unlink, missing_ok=True)
        yield


def is_held(folder: Path) -> bool:
    """Whether another process holds the folder's lock now. It is taken for a moment to find out."""

    def stop(_: str) -> None:
        raise _Held

    try:
        with hold(folder, stop):
            return False
    except _Held:
        return True
    except OSError:  # a full disk, say: whoever makes the artifact says so
        return False


class _Held(Exception):
    pass


def _acquire(lock: filelock.BaseFileLock, wait: Callable[[], None]) -> None:
    try:
        lock.acquire(timeout=0.5)
    except filelock.Timeout:
        wait()
        lock.acquire(poll_interval=0.2)
