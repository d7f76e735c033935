"""SIGTERM and Ctrl-C stop a run at the next safe place, where everything before it is on disk."""

import contextlib
import os
import shlex
import signal
import sys
import threading
from collections.abc import Iterable


class Interrupted(Exception):
    """A person or a scheduler asked the run to stop."""

    def _render_traceback_(self) -> list[str]:  # by this name IPython asks what to show
        return ['stopped; nothing is lost: run the same cell to go on']


class _Request:
    pending = False
    deferred = False


def command(arguments: Iterable[str]) -> str:
    """The command with these arguments, as it is typed."""
    return shlex.join(['python', '-m', 'mimic_jax.main', *arguments])


def how_to_go_on() -> str:
    """The line that a stopped command ends with."""
    return f'stopped; nothing is lost. To go on: {command(sys.argv[1:])}'


def leave_at_once() -> None:
    """Makes SIGTERM and SIGINT end the process with `how_to_go_on`. Only while nothing is written."""
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, _leave)


def install() -> None:
    """Makes SIGTERM and SIGINT raise `Interrupted`: at once, or at `check` inside `deferred`."""
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, _handle)
    sys.unraisablehook = _unraisable


@contextlib.contextmanager
def handled():
    """A block in which signals are handled as by `install`. Afterwards the old handlers are back.

    Does nothing outside the main thread, which alone may handle signals.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
    hook, _Request.pending = sys.unraisablehook, False
    install()
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        sys.unraisablehook, _Request.pending = hook, False


def install_for_many() -> None:
    """Makes Ctrl-C send SIGTERM, which jax handles, so that several processes stop together.

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


def _leave(number, frame) -> None:
    os.write(2, f'{how_to_go_on()}\n'.encode(errors='backslashreplace'))
    os._exit(130)


def _unraisable(error) -> None:
    """Prints an error that Python cannot pass on, as from a `__del__`; `Interrupted` raises later."""
    if not isinstance(error.exc_value, Interrupted):
        sys.__unraisablehook__(error)
