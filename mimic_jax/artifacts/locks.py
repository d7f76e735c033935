"""Locks on artifacts: of several processes that want one, on one machine or many, one makes it."""

import contextlib
import errno
import os
import socket
from collections.abc import Callable, Iterator
from pathlib import Path

import filelock

EMPTY_SECONDS = 3  # after which a lease without a word in it is nobody's
LEASE_SECONDS = 30  # after which a process without a sign of life has lost an artifact to another
_NO_LOCKS = (errno.ENOSYS, errno.EOPNOTSUPP, errno.ENOLCK, errno.EINVAL)


@contextlib.contextmanager
def hold(folder: Path, say: Callable[[str], None]) -> Iterator[Callable[[], bool]]:
    """Holds the folder's lock, and lets it go when the process that holds it dies.

    The system's lock, which it lets go at once, and a lease, for file systems that have no such lock or
    one that other machines do not see: there a dead holder's lease runs out. So does that of a process
    that was suspended for longer. What is given says whether the lock is this process's still.
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
        marker = home / f'{folder.name}.lease'
        lease = filelock.SoftFileLease(marker, lease_duration=LEASE_SECONDS)
        _acquire_lease(lease, marker, wait)
        held.callback(lease.release)
        token = lease.token

        def is_ours() -> bool:
            # The lease itself notices a loss only many seconds after its process has woken up.
            try:
                return token in marker.read_text(errors='replace')
            except FileNotFoundError:  # who took it has let it go
                return False

        def forget() -> None:
            if is_ours():
                holder.unlink(missing_ok=True)

        holder.write_text(f'process {os.getpid()} on {socket.gethostname()}')
        held.callback(forget)
        yield is_ours


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


def _acquire_lease(lease: filelock.SoftFileLease, marker: Path, wait: Callable[[], None]) -> None:
    """A process killed between making its lease and writing into it leaves one that is nobody's.

    filelock waits for such a one without end.
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
    """Which file an empty lease is; None of another, or of none."""
    try:
        facts = marker.stat()
    except OSError:
        return None
    return None if facts.st_size else (facts.st_ino, facts.st_ctime_ns)
