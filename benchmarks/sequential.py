"""Depth against time: Ba & Caruana's section 5.3 on this machine, with the paper's widths.

    python benchmarks/sequential.py --json=results/sequential.json

Ba & Caruana hold that shallow nets train faster, and answer in 2 or 3 cycles where a deep net takes one a
layer. A row has a net's sequential layers (layers with weights, the output layer and a linear
bottleneck among them), its forward operations for one example, and three times: of the answer to
one example, of the answers to 128, and of a step of training on 128 by equation 1. Each is the
least of all calls, because another program can only slow a call down. Parameters are untrained,
because time does not depend on them. Nets take turns, `--rounds` times.
"""

import argparse
import time
from pathlib import Path

import jax
import numpy as np
import record

from mimic_jax.data.view_settings import Views
from mimic_jax.models import nets
from mimic_jax.ops.text import aligned
from mimic_jax.runtime import allocator, compiled
from mimic_jax.training.loss_settings import Loss
from mimic_jax.training.settings import Train
from mimic_jax.training.train_step import Task, create_train_state, train_step

BATCH = 128
REPEATED = {'answer_1': 40, 'answer_128': 5, 'step_128': 3}  # calls a round
FRAMES, IMAGES = ((15, 41, 3), 183), ((32, 32, 3), 10)
NETS = {
    'SNN-8k': ('8k', FRAMES),
    'SNN-MIMIC-8k': ('250L-8k', FRAMES),
    'DNN': ('2k-2k-2k', FRAMES),
    'CNN of speech': ('150c15x8v-p1x6/1x2-2k-2k-2k', FRAMES),
    'teacher CNN': ('128c5-p3/2-128c5-p3/2-128c5-p3/2-1k', IMAGES),
    'SNN-MIMIC-30k': ('128c5-p3/2-1200L-30k', IMAGES),
    'teacher CNN, small': ('32c3-bn-p2-64c3-bn-p2-128c3-bn-p2', IMAGES),
    'mimic, small': ('32c5-p2-200L-2000', IMAGES),
    'mimic, small, multiplied away': ('32c5-p2-2000', IMAGES),
}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--rounds', type=int, default=5)
    parser.add_argument('--json', type=Path)
    arguments = parser.parse_args()
    allocator.keep_freed_memory()
    start, made = time.monotonic(), {name: calls(*net) for name, net in NETS.items()}
    found = {name: {kind: [] for kind in REPEATED} for name in NETS}
    for _ in range(arguments.rounds):
        for name, of_net in made.items():
            for kind, call in of_net.items():
                found[name][kind] += [milliseconds(call) for _ in range(REPEATED[kind])]
    rows = [row(name, *NETS[name], found[name]) for name in NETS]
    print(table(rows))
    if arguments.json:
        record.save(arguments.json, rows, seconds=round(time.monotonic() - start, 1))


def calls(spec: str, kind) -> dict:
    """What is timed of a net, by its name in `REPEATED`; each is compiled before it is returned."""
    shape, classes = kind
    net = nets.of_spec(spec, classes)
    train = Train(learning_rate=1e-3)
    task = Task(net, 'scale', Views(), Loss(kind='logits'), train, 1000)
    state = create_train_state(task, shape, 0, 0, {'inputs': {}})
    random = np.random.default_rng(0)
    inputs = random.normal(size=(BATCH, *shape)).astype(np.float32)
    batch = {
        'inputs': inputs,
        'labels': np.zeros(BATCH, np.int32),
        'teacher_logits': random.normal(size=(BATCH, classes)).astype(np.float32),
        'index': np.arange(BATCH),
        'mask': np.ones(BATCH, np.float32),
        'view': np.int32(0),
    }
    batch, one = jax.device_put(batch), jax.device_put(inputs[:1])
    answer = compiled.jit(net.apply)
    step = compiled.jit(train_step, donate_argnums=0)

    def trained():
        nonlocal state
        state, _ = step(state, batch)
        return state

    made = {
        'answer_1': lambda: answer(state.variables, one),
        'answer_128': lambda: answer(state.variables, batch['inputs']),
        'step_128': trained,
    }
    for call in made.values():
        milliseconds(call)
    return made


def milliseconds(call) -> float:
    start = time.perf_counter()
    jax.block_until_ready(call())
    return 1e3 * (time.perf_counter() - start)


def row(name: str, spec: str, kind, times: dict) -> dict:
    size = nets.of_spec(spec, kind[1]).describe(kind[0])
    least = {each: float(f'{min(values):.4g}') for each, values in times.items()}
    return {'name': name, 'model': spec, **size._asdict(), **least}


def table(rows: list[dict]) -> str:
    head = ('', 'sequential layers', 'MFLOPs', '1, ms', '128, ms', 'step of 128, ms')
    body = [
        (
            each['name'],
            str(each['sequential_layers']),
            f'{each["flops"] / 1e6:.1f}',
            *(f'{each[kind]:g}' for kind in REPEATED),
        )
        for each in rows
    ]
    return aligned([head, *body])


if __name__ == '__main__':
    main()
