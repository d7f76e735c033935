"""SIGTERM and Ctrl-C: stop at the next safe place, where everything up to it is on disk."""

import contextlib
import os
import signal


class Interrupted(Exception):
    """A person or a scheduler asked the run to stop."""


class _Request:
    pending = False
    deferred = False


def install() -> None:
    """From here on SIGTERM and SIGINT raise `Interrupted`: at once, or at `check` inside `deferred`."""
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, _handle)


def install_for_many() -> None:
    """For a process of several, which stop together: jax takes SIGTERM, and Ctrl-C becomes one.

    A second Ctrl-C does not wait for the others.
    """
    signal.signal(signal.SIGINT, _pass_on)


@contextlib.contextmanager
def deferred():
    """Inside, a signal is only noted; the code inside calls `check` where it is safe to stop.

    What is still noted at the end is raised there. A second signal does not wait.
    """
    _Request.deferred = True
    try:
        yield
    finally:
        _Request.deferred = False
    check()


def request() -> None:
    """Has the code that calls `check` stop there."""
    _Request.pending = True


def requested() -> bool:
    """Whether a signal has come since the program started."""
    return _Request.pending


def check() -> None:
    """Raises Interrupted when a signal has come."""
    if _Request.pending:
        raise Interrupted


def _pass_on(number, frame) -> None:
    signal.signal(signal.SIGINT, _handle)
    _Request.deferred = False
    os.kill(os.getpid(), signal.SIGTERM)


def _handle(number, frame) -> None:
    again, _Request.pending = _Request.pending, True
    if again or not _Request.deferred:
        raise Interrupted
