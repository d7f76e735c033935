"""The backend that programs are compiled for: the only module that asks jax for it.

A function may compute the same thing in one form on a CPU and in another on an accelerator. It calls
`name` while it is traced, so that `compiling_for` can compile for a backend that this machine lacks.
"""

import contextlib
import contextvars
from collections.abc import Iterator

import jax

_target: contextvars.ContextVar[str | None] = contextvars.ContextVar('target', default=None)


def name() -> str:
    """'cpu', 'gpu' or 'tpu': the backend that programs are compiled for now."""
    return _target.get() or jax.default_backend()


def is_cpu() -> bool:
    return name() == 'cpu'


@contextlib.contextmanager
def compiling_for(target: str) -> Iterator[None]:
    """A block in which functions are traced for `target` instead of this process's backend.

    Functions that were traced before keep their form: jit them anew.
    """
    token = _target.set(target)
    try:
        yield
    finally:
        _target.reset(token)
