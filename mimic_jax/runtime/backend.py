"""Which backend programs are for: the only module that asks jax.

What a function computes may take another form on a CPU than on an accelerator. It asks `name` as it is
traced, so that a program for another backend can be made where there is none (`compiling_for`).
"""

import contextlib
import contextvars
from collections.abc import Iterator

import jax

_target: contextvars.ContextVar[str | None] = contextvars.ContextVar('target', default=None)


def name() -> str:
    """'cpu', 'gpu' or 'tpu': the one that programs are compiled for now."""
    return _target.get() or jax.default_backend()


def is_cpu() -> bool:
    return name() == 'cpu'


@contextlib.contextmanager
def compiling_for(target: str) -> Iterator[None]:
    """Within it, functions are traced for another backend than that of this process.

    Functions that were traced before keep the form that they had: jit them anew.
    """
    token = _target.set(target)
    try:
        yield
    finally:
        _target.reset(token)
