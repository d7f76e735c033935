"""One of two processes that run the tiny experiment together; tests/hosts_test.py starts both.

    python tests/one_of_two.py HOST:PORT,2,ID WORKDIR

Prints, as its last line, JSON of what the checks of `mimic_jax.runtime.hosts` found and which rows of each
batch this process read.
"""

import asyncio
import json
import sys
from pathlib import Path

import jax
import numpy as np
from conftest import tiny_digits
from orbax.checkpoint._src.path import atomicity

from mimic_jax import pipeline
from mimic_jax.artifacts import store
from mimic_jax.artifacts.recipes import Recipe
from mimic_jax.data import batches
from mimic_jax.errors import UserError
from mimic_jax.runtime import hosts, sharding
from mimic_jax.training import checkpoint


def refused(call) -> str:
    try:
        call()
    except UserError as error:
        return str(error)
    return ''


def fail():
    raise UserError('the disk is full')


def checks(workdir: Path) -> dict:
    me = hosts.process()
    built = []
    store.make(workdir, Recipe('data', {}), lambda folder: built.append(me) or {})
    return {
        'counts': [hosts.count(), hosts.first(hosts.count)],
        'told': hosts.first(lambda: {'by': hosts.process()}),
        'error': refused(lambda: hosts.first(fail)),
        'built': built,
        'other recipe': refused(
            lambda: store.make(workdir, Recipe('data', {'seed': me}), lambda folder: {})
        ),
        'halves': save_together(workdir),
    }


def save_together(folder: Path) -> list:
    """An array of which each process saved a half, as restored, after process 0 saved one alone.

    Process 0 makes folders late, as on a slow disk.
    """
    make = atomicity._create_tmp_directory

    async def late(*arguments, **settings):
        await asyncio.sleep(1)
        return await make(*arguments, **settings)

    over_both = sharding.batch_sharding(sharding.make_mesh())
    values = np.arange(4, dtype=np.float32)
    halves = {'array': jax.make_array_from_callback((4,), over_both, lambda at: values[at])}
    with checkpoint.by_itself() as checkpointer:
        hosts.first(lambda: checkpointer.save(folder / 'of_one', {'array': values}))
    if hosts.is_first():
        atomicity._create_tmp_directory = late
    try:
        with checkpoint.Checkpoints(folder) as checkpoints:
            checkpoints.save(1, halves)
        with checkpoint.Checkpoints(folder) as checkpoints:
            restored = checkpoints.restore(1, variables=halves)['variables']
    finally:
        atomicity._create_tmp_directory = make
    return sharding.whole(restored)['array'].tolist()


def watch_reading() -> list:
    """The rows of every batch that this process gathers while all work together."""
    read, gather = [], batches.gather

    def watched(arrays, ids):
        if hosts.count() > 1:
            read.append(np.asarray(ids['index']).tolist())
        return gather(arrays, ids)

    batches.gather = watched
    return read


def main(where: str, workdir: Path):
    jax.config.update('jax_num_cpu_devices', 1)
    hosts.initialize(where)
    (workdir / 'checks').mkdir(parents=True, exist_ok=True)
    found = checks(workdir / 'checks')
    read = watch_reading()
    pipeline.run(config(), workdir=workdir, experiment='tiny')
    hosts.finish()
    print(json.dumps({**found, 'read': read}))


def config():
    tiny = tiny_digits()
    # In float16 a difference of 1e-7 may round to a thousandth.
    tiny.logits.ensemble.dtype = 'float32'
    for student in tiny.students.values():
        student.seeds = (0,)
    tiny.students.labels.train.schedule = 'plateau'
    return tiny


if __name__ == '__main__':
    main(sys.argv[1], Path(sys.argv[2]))
