"""The backend that programs are compiled for: the only module that asks jax for it.

A function may compute the same thing in one form on a CPU and in another on an accelerator. It calls
`name` while it is traced, so that `compiling_for` can compile for a backend that this machine lacks.
"""

import contextlib
import contextvars
from collections.abc import Callable, Iterator

import jax

from mimic_jax.errors import UserError

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


def for_each(function: Callable) -> Callable:
    """`function(*arrays)`, traced for each kind of backend, which then runs its own form.

    For programs that several platforms share: `jax.export` traces a function once for all of them.
    """

    def form(target: str) -> Callable:
        def traced(*arrays):
            with compiling_for(target):
                return function(*arrays)

        return traced

    own = {'cpu': form('cpu'), 'cuda': form('gpu'), 'tpu': form('tpu')}
    return lambda *arrays: jax.lax.platform_dependent(*arrays, **own)


def devices() -> list[jax.Device]:
    """The devices of the default backend, of all processes. Starts a CPU backend too, for `host`.

    jax would start none where JAX_PLATFORMS names accelerators alone.
    """
    asked = jax.config.jax_platforms
    if asked and 'cpu' not in asked.split(','):
        jax.config.update('jax_platforms', f'{asked},cpu')
    try:
        return jax.devices()
    finally:
        jax.config.update('jax_platforms', asked)


def host() -> jax.Device:
    """This process's CPU, for arithmetic that accelerators lack.

    Raises:
      UserError: jax was started without a CPU backend before this package could ask for one.
    """
    try:
        return jax.local_devices(backend='cpu')[0]
    except RuntimeError:
        raise UserError(
            f'a search computes on the CPU too, but jax was started for {name()} alone; set '
            f'JAX_PLATFORMS={name()},cpu'
        ) from None
