"""Runs that a system refuses, in a process of their own: what Orbax's threads leave behind dies with it.

    python tests/hard_disk.py full DISK WHOLE     DISK: an empty tmpfs, which is made larger by and by
    python tests/hard_disk.py files WORKDIR

Prints JSON, which tests/disk_test.py judges.
"""

import gc
import json
import os
import resource
import subprocess
import sys
from pathlib import Path

import jax
from conftest import tiny_digits

from mimic_jax import pipeline
from mimic_jax.artifacts import store, verify
from mimic_jax.errors import UserError
from mimic_jax.mimic import ensemble

SIZES = (100, 300, 500, 100_000)  # KiB
SPARE = (1, 6)  # files that may still be opened


def one_net():
    config = tiny_digits()
    for name in ('students', 'logits', 'report'):
        del config[name]
    del config.members.cnn_2
    config.members.cnn_1.model = '16-bn'
    return config


def run(workdir: Path) -> str:
    """Trains one net; returns '', or the line that `mimic_jax.main` prints for an error.

    What a file could not write is dropped, as when a process ends: a larger disk later does not get it.
    """
    store._verified_manifest.cache_clear()
    ensemble.open_checked.cache_clear()
    try:
        pipeline.run(one_net(), workdir=workdir, experiment='tiny', devices=jax.devices()[:1])
    except (UserError, OSError) as error:
        line = told(error, workdir)
    else:
        line = ''
    gc.collect()
    return line


def told(error: Exception, workdir) -> str:
    """The line that `mimic_jax.main` prints for an error that a user can correct."""
    if isinstance(error, UserError):
        return str(error)
    where = error.filename or workdir
    return f'{where}: {error.strerror}; make room or access for it and run again'


def full(disk: Path, whole: Path) -> list[dict]:
    run(whole)
    found = []
    for size in SIZES:
        options = f'remount,size={size}k'
        subprocess.run(['mount', '-t', 'tmpfs', 'tmpfs', str(disk), '-o', options], check=True)
        line = run(disk / 'work')
        found.append({'line': line, 'verified': verify.run(disk / 'work', lambda _: None)})
    return found


def files(workdir: Path) -> list[dict]:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    found = []
    run(workdir / 'first')  # what is imported and compiled is open by now
    for spare in SPARE:
        opened = len(os.listdir('/proc/self/fd'))
        resource.setrlimit(resource.RLIMIT_NOFILE, (opened + spare, hard))
        try:
            found.append({'line': run(workdir / 'second')})
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    found.append({'line': run(workdir / 'second')})
    return found


if __name__ == '__main__':
    kind, *places = sys.argv[1:]
    results = {'full': full, 'files': files}[kind](*map(Path, places))
    print('\n' + json.dumps(results))
    sys.stdout.flush()
    os._exit(0)  # threads that still wait for a disk would hold the exit up
