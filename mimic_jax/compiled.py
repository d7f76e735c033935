"""Compiled programs, kept for the next run: JAX's persistent compilation cache.

The second run of a command, a sweep's next run, and a run that goes on after it was killed then compile
nothing anew. benchmarks/startup.py measures what that saves.
"""

import hashlib
import os
import platform
import warnings
from pathlib import Path

import jax

_SECONDS = 0.1  # of compiling, below which a program is not worth a file


def keep() -> None:
    """Keeps programs in the user's own cache folder, unless JAX was told where to keep them.

    `JAX_COMPILATION_CACHE_DIR` names another folder, `JAX_ENABLE_COMPILATION_CACHE=false` none. The
    workdir is no place for them: it may come from somebody else, and they are machine code.
    """
    # A program that cannot be kept or read is compiled: on a full disk, what has to be written says so.
    warnings.filterwarnings(
        'ignore', message='Error (reading|writing) persistent compilation cache'
    )
    if jax.config.jax_compilation_cache_dir is None:
        home = Path(os.environ.get('XDG_CACHE_HOME') or Path.home() / '.cache')
        jax.config.update('jax_compilation_cache_dir', str(home / 'mimic_jax' / _processor()))
        jax.config.update('jax_persistent_cache_min_compile_time_secs', _SECONDS)


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
