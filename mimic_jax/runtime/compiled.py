"""Compiled programs: with which options, and kept on the disk for the next run, in memory for a few nets.

On the disk they lie in JAX's persistent compilation cache: the second run of a command, a sweep's next
run, and a run that goes on after it was killed then compile nothing anew. benchmarks/startup.py measures
what that saves.
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

# What YNNPACK, a library of the CPU backend, computes: all that it does unasked but convolutions.
# It runs most of those on one core (jax 0.10.2), where Eigen's take all; benchmarks/layers.py has both.
OPTIONS = {
    'xla_cpu_experimental_ynn_fusion_type': (
        'LIBRARY_FUSION_TYPE_INDIVIDUAL_DOT,LIBRARY_FUSION_TYPE_REDUCE'
    )
}
NETS = 8  # whose programs stay in memory: those of a tiny net take some 20 MB
_SECONDS = 0.1  # of compiling, below which a program is not worth a file
_in_memory: set[Hashable] = set()


def keep() -> None:
    """Keeps programs in the user's own cache folder, unless JAX was told where to keep them.

    `JAX_COMPILATION_CACHE_DIR` names another folder, `JAX_ENABLE_COMPILATION_CACHE=false` none. The
    workdir is no place for them: it may come from somebody else, and they are machine code.

    Also lets arrays of different ranks be combined, which `JAX_NUMPY_RANK_PROMOTION` may forbid: the
    package does so throughout, as Flax does.
    """
    jax.config.update('jax_numpy_rank_promotion', 'allow')
    # A program that cannot be kept or read is compiled: on a full disk, what has to be written says so.
    warnings.filterwarnings(
        'ignore', message='Error (reading|writing) persistent compilation cache'
    )
    if jax.config.jax_compilation_cache_dir is None:
        home = Path(os.environ.get('XDG_CACHE_HOME') or Path.home() / '.cache')
        jax.config.update('jax_compilation_cache_dir', str(home / 'mimic_jax' / _processor()))
        jax.config.update('jax_persistent_cache_min_compile_time_secs', _SECONDS)


def jit(function: Callable, **how) -> Callable:
    """jax.jit for programs with convolutions: on the CPU backend, with `OPTIONS`.

    What it returns cannot be called inside another jit: JAX takes options from the outermost alone.
    """
    return jax.jit(function, compiler_options=_options(backend.name()), **how)


@functools.cache
def _options(target: str) -> dict[str, str] | None:
    """None where they are of no use, or unknown to the version of XLA."""
    if target != 'cpu':
        return None
    try:
        jax.jit(jnp.negative, compiler_options=OPTIONS).lower(0.0).compile()
    except jax.errors.JaxRuntimeError:
        return None
    return OPTIONS


def make_room(net: Hashable) -> None:
    """Called before a net's programs are compiled: drops those of all others once there are `NETS`.

    JAX itself drops none, so that a process that trains many different nets would grow without end.
    """
    if net in _in_memory:
        return
    if len(_in_memory) >= NETS:
        jax.clear_caches()
        _in_memory.clear()
    _in_memory.add(net)


def _processor() -> str:
    """A name for the kind of processor: programs for the CPU use its instructions, and JAX's own keys
    do not tell, on a disk that several machines share, which of them can run a program."""
    try:
        lines = Path('/proc/cpuinfo').read_text().splitlines()
    except OSError:
        lines = [platform.processor()]
    # 'flags' on x86, 'Features' on ARM.
    kind = sorted({line for line in lines if line.startswith(('model name', 'flags', 'Features'))})
    text = '\n'.join([platform.machine(), *(kind or lines)])
    return hashlib.sha256(text.encode()).hexdigest()[:12]
