"""Compiled programs: their options, and how long they are kept.

JAX's persistent compilation cache keeps them on disk. So the second run of a command, a sweep's next
run, and a run that resumes compile nothing anew; benchmarks/startup.py measures what that saves. In
memory the programs of a few nets are kept.
"""

import functools
import hashlib
import os
import platform
import warnings
from collections.abc import Callable, Hashable
from pathlib import Path

import jax
import jax.numpy as jnp

from mimic_jax.runtime import backend

# What the CPU backend leaves to the library YNNPACK: its defaults without convolutions. YNNPACK runs
# most convolutions on one core (jax 0.10.2), Eigen on all; benchmarks/layers.py measures both.
OPTIONS = {
    'xla_cpu_experimental_ynn_fusion_type': (
        'LIBRARY_FUSION_TYPE_INDIVIDUAL_DOT,LIBRARY_FUSION_TYPE_REDUCE'
    )
}
NETS = 8  # nets whose programs stay in memory; a tiny net's take about 20 MB
_SECONDS = 0.1  # a program that compiles faster is not worth a file
_in_memory: set[Hashable] = set()


def keep() -> None:
    """Keeps programs in the user's own cache folder, unless JAX was told where to keep them.

    `JAX_COMPILATION_CACHE_DIR` names another folder; `JAX_ENABLE_COMPILATION_CACHE=false` keeps none.
    The workdir does not hold them: it may come from somebody else, and they are machine code.

    Also allows arrays of different ranks to be combined, as the package and Flax do throughout;
    `JAX_NUMPY_RANK_PROMOTION` may forbid it.
    """
    jax.config.update('jax_numpy_rank_promotion', 'allow')
    # A program that cannot be written or read is compiled. On a full disk, writing an artifact fails
    # with an error of its own.
    warnings.filterwarnings(
        'ignore', message='Error (reading|writing) persistent compilation cache'
    )
    if jax.config.jax_compilation_cache_dir is None:
        home = Path(os.environ.get('XDG_CACHE_HOME') or Path.home() / '.cache')
        jax.config.update('jax_compilation_cache_dir', str(home / 'mimic_jax' / _processor()))
        jax.config.update('jax_persistent_cache_min_compile_time_secs', _SECONDS)


def jit(function: Callable, **how) -> Callable:
    """jax.jit for programs with convolutions: on the CPU backend, with `OPTIONS`.

    The result cannot be called inside another jit: JAX takes options from the outermost one alone.
    """
    return jax.jit(function, compiler_options=_options(backend.name()), **how)


@functools.cache
def _options(target: str) -> dict[str, str] | None:
    """`OPTIONS`; None for other backends than the CPU's, and where this version of XLA lacks them."""
    if target != 'cpu':
        return None
    try:
        jax.jit(jnp.negative, compiler_options=OPTIONS).lower(0.0).compile()
    except jax.errors.JaxRuntimeError:
        return None
    return OPTIONS


def make_room(net: Hashable) -> None:
    """Drops all programs in memory once `NETS` nets have some. Call it before compiling a net's.

    JAX itself drops none: a process that trains many different nets would grow without end.
    """
    if net in _in_memory:
        return
    if len(_in_memory) >= NETS:
        jax.clear_caches()
        _in_memory.clear()
    _in_memory.add(net)


def _processor() -> str:
    """A name for the kind of processor. A program for the CPU uses its instructions, and JAX's own
    keys do not hold them: machines that share a disk would load programs that they cannot run."""
    try:
        lines = Path('/proc/cpuinfo').read_text().splitlines()
    except OSError:
        lines = [platform.processor()]
    # 'flags' on x86, 'Features' on ARM.
    kind = sorted({line for line in lines if line.startswith(('model name', 'flags', 'Features'))})
    text = '\n'.join([platform.machine(), *(kind or lines)])
    return hashlib.sha256(text.encode()).hexdigest()[:12]
