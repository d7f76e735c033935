"""Makes glibc keep the memory that a training step on the CPU backend frees.

By default glibc returns each freed temporary to the kernel, which makes and zeroes its pages anew for
the next step. For 32c5-p2-200L-2000 at batch 128 these are 15,000 page faults a step, a third of the
step's time on 2 CPU cores. For 128c5-p3/2-1200L-2000 they are 80,000, as large a part
(results/page_faults.json). With the settings here freed memory stays with the process: there are no
page faults after the first steps, and the resident size stays at its peak. benchmarks/page_faults.py
measures both.
"""

import ctypes
import sys

# From glibc's malloc.h.
_TRIM_THRESHOLD, _TOP_PAD, _MMAP_MAX, _ARENA_MAX = -1, -2, -4, -8


def keep_freed_memory() -> bool:
    """Sets glibc to keep freed memory. Returns False for other C libraries, which cannot."""
    if not sys.platform.startswith('linux'):
        return False
    mallopt = getattr(ctypes.CDLL(None), 'mallopt', None)  # musl, for example, has none
    if mallopt is None:
        return False
    settings = {
        _MMAP_MAX: 0,  # large blocks come from the heap too, so that they can be used again
        _TRIM_THRESHOLD: 2**31 - 1,
        _TOP_PAD: 2**29,  # the heap grows by steps that hold a step's temporaries
        _ARENA_MAX: 1,
    }
    return all(mallopt(key, value) for key, value in settings.items())
