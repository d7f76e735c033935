import subprocess
import sys

import pytest

# Blocks of 64 MiB, each freed before the next: glibc alone returns every one to the kernel.
PROGRAM = """
import resource, sys
import numpy as np
from mimic_jax.runtime import allocator
if sys.argv[1] == 'kept' and not allocator.keep_freed_memory():
    sys.exit('no mallopt')
def touch():
    block = np.empty(64 << 20, np.uint8)
    block[::4096] = 1
touch()
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(10):
    touch()
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


def faults(setting):
    command = [sys.executable, '-c', PROGRAM, setting]
    found = subprocess.run(command, capture_output=True, text=True)
    assert found.returncode == 0, found.stderr
    return int(found.stdout)


@pytest.mark.skipif(not sys.platform.startswith('linux'), reason='mallopt is of glibc')
def test_freed_memory_is_used_again_without_page_faults():
    kept, default = faults('kept'), faults('default')
    assert kept < 100
    assert default > kept + 100  # otherwise the settings have nothing to improve
