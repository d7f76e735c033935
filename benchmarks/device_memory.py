"""Memory and exchange of a student's step on 1, 2, 4 and 8 devices.

    python benchmarks/device_memory.py --json=results/device_memory.json

The students are Ba & Caruana's on speech, mimicking: 1,845 inputs, 183 logits, batches of 256.
SNN-MIMIC-400k (250L-400k) has its hidden units split over the devices, SNN-8k its batch. The step
is compiled for each number of devices and not run. `parameters` and `optimiser` are the bytes of
the state's own arrays on the fullest device, as the training loop lays them out; `temporaries` is
what the compiled program says it needs beside its inputs and outputs; `collectives` are the bytes
of results that the devices exchange in a step, by kind, read from the compiled program. Without
accelerators the devices are virtual ones of the CPU, which show what lies where but not how fast it
is. `--json=FILE` keeps the rows.
"""

import argparse
from collections import defaultdict
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import record

from mimic_jax.data.view_settings import Views
from mimic_jax.models import nets
from mimic_jax.planning.compiled_for import collectives
from mimic_jax.runtime import compiled, sharding
from mimic_jax.training.loss_settings import Loss
from mimic_jax.training.settings import Train
from mimic_jax.training.train_step import Task, create_train_state, train_step

INPUT_SHAPE, CLASSES = (15, 41, 3), 183
DEVICES = (1, 2, 4, 8)
MODELS = {'model': '250L-400k', 'data': '8k'}  # by what the devices split: layers, or a batch


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--batch', type=int, default=256)
    parser.add_argument('--json', type=Path)
    arguments = parser.parse_args()
    jax.config.update('jax_num_cpu_devices', max(DEVICES))
    rows = [
        measure(model, arguments.batch, count, axis)
        for axis, model in MODELS.items()
        for count in DEVICES
    ]
    print(table(rows))
    if arguments.json:
        record.save(arguments.json, rows, batch_size=arguments.batch)


def measure(model: str, batch_size: int, count: int, axis: str) -> dict:
    """Bytes a device, and bytes exchanged a step.

    axis: what `count` devices split, 'model' for the model's wide layers, 'data' for the batch.
    """
    mesh = sharding.make_mesh(count if axis == 'model' else 1, jax.devices()[:count])
    state = laid_out(mesh, model)
    step = (
        compiled.jit(train_step, donate_argnums=0).lower(state, batch(mesh, batch_size)).compile()
    )
    return {
        'name': f'{model}, {count} along {axis}',
        'devices': count,
        'unit': 'bytes a device',
        'parameters': fullest(state.variables['params']),
        'optimiser': fullest(state.opt_state),
        'temporaries': step.memory_analysis().temp_size_in_bytes,
        'collectives': collectives(step.as_text()),
    }


def laid_out(mesh, model: str):
    """A student's state at step 0 on the mesh, as `mimic_jax.training.loop` lays it out."""
    train = Train(clip_norm=1.0)
    task = Task(
        net=nets.of_spec(model, CLASSES, train.dtype, train.init_scale),
        preprocess='feature',
        views=Views(),
        loss=Loss(kind='logits'),
        train=train,
        steps=1000,
    )
    features = INPUT_SHAPE[1:]
    constants = {'inputs': {'mean': jnp.zeros(features), 'deviation': jnp.ones(features)}}
    return sharding.shard_state(mesh, create_train_state(task, INPUT_SHAPE, 0, 0, constants))


def batch(mesh, size: int) -> dict:
    """Shapes of a batch of a student on logits, where its arrays lie."""
    whole, split = sharding.replicated(mesh), sharding.batch_sharding(mesh)

    def array(shape, dtype, place=split):
        return jax.ShapeDtypeStruct(shape, dtype, sharding=place)

    return {
        'inputs': array((size, *INPUT_SHAPE), np.float32),
        'labels': array((size,), np.int32),
        'index': array((size,), np.int32),
        'mask': array((size,), np.float32),
        'teacher_logits': array((size, CLASSES), np.float16),
        'view': array((), np.int32, whole),
    }


def fullest(tree) -> int:
    """Bytes of a tree's arrays on the device that holds most of them."""
    held = defaultdict(int)
    for leaf in jax.tree.leaves(tree):
        for shard in leaf.addressable_shards:
            held[shard.device] += shard.data.nbytes
    return max(held.values())


def table(rows: list[dict]) -> str:
    """Markdown, in MiB."""
    lines = [
        '| net, devices | parameters, MiB | optimiser | temporaries | all three | exchanged a step |',
        '|---|---|---|---|---|---|',
    ]
    for row in rows:
        parts = [row[name] for name in ('parameters', 'optimiser', 'temporaries')]
        sizes = [*parts, sum(parts), sum(row['collectives'].values())]
        cells = [row['name'], *(f'{size / 2**20:,.1f}' for size in sizes)]
        lines.append('| ' + ' | '.join(cells) + ' |')
    return '\n'.join(lines)


if __name__ == '__main__':
    main()
