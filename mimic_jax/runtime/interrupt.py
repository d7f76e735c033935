"""SIGTERM and Ctrl-C stop a run at the next safe place, where everything before it is on disk."""

import contextlib
import os
import signal


class Interrupted(Exception):
    """A person or a scheduler asked the run to stop."""


class _Request:
    pending = False
    deferred = False


def install() -> None:
    """Makes SIGTERM and SIGINT raise `Interrupted`: at once, or at `check` inside `deferred`."""
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, _handle)


def install_for_many() -> None:
    """Handles signals where several processes stop together: jax takes SIGTERM, Ctrl-C sends it.

    A second Ctrl-C stops this process without waiting for the others.
    """
    signal.signal(signal.SIGINT, _pass_on)


@contextlib.contextmanager
def deferred():
    """A block in which a signal is only noted; its code calls `check` where it is safe to stop.

    A signal that is still pending at the end raises there. A second signal raises at once.
    """
    _Request.deferred = True
    try:
        yield
    finally:
        _Request.deferred = False
    check()


def request() -> None:
    """Makes the next `check` raise Interrupted."""
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
