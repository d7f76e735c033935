"""Several nets of one kind at once, against one after another.

    python benchmarks/together.py --json=results/together.json

One program: milliseconds that a step of four seeds takes, one after another (`ours`, as the package
trains them) and as one program over all four by `vmap` (`peer`), medians of alternating rounds.
Two processes: seconds in which two processes (`ours`) and one alone (`peer`) train four CNNs on
made-up images of 32×32 pixels. Start-up and compilation are included, and no compiled program is
kept. Two processes with the same command share the nets; two of one run (`--distributed`) share
each batch.
"""

import argparse
import os
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import record

from mimic_jax.data.view_settings import Views
from mimic_jax.models import nets
from mimic_jax.runtime import allocator, compiled
from mimic_jax.training.loss_settings import Loss
from mimic_jax.training.settings import Train
from mimic_jax.training.train_step import Task, create_train_state, train_step

ROOT = Path(__file__).parent.parent
SEEDS, ROUNDS = 4, 7
IMAGES = 3000
CONFIG = (
    'import ml_collections\n\n\ndef get_config():\n    return ml_collections.ConfigDict({!r})\n'
)
NETS = {  # of the quickstart, CIFAR-10 and speech: the net, an example's shape, classes, batch, steps
    'digits student': ('32L-2000', (8, 8, 1), 10, 50, 40),
    'digits teacher': ('32c3-p2-64c3-p2-128', (8, 8, 1), 10, 50, 20),
    'CIFAR-10 student': ('32c5-p2-200L-2000', (32, 32, 3), 10, 128, 2),
    'SNN on speech': ('250L-2k', (15, 41, 3), 183, 128, 10),
}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--json', type=Path)
    arguments = parser.parse_args()
    allocator.keep_freed_memory()
    start = time.monotonic()
    rows = []
    for name, settings in NETS.items():
        rows.append(one_program(name, *settings))
        print(rows[-1], flush=True)
    rows += two_processes()
    print(*rows[-2:], sep='\n')
    if arguments.json:
        record.save(arguments.json, rows, seconds=round(time.monotonic() - start, 1))


def settings(folder: Path) -> dict:
    """The experiment of the processes, on images that it makes."""
    random = np.random.default_rng(0)
    images = random.integers(0, 256, (IMAGES + 200, 32, 32, 3)).astype(np.uint8)
    np.savez(folder / 'images.npz', images=images, labels=np.arange(len(images)) % 10)
    train = {'epochs': 3, 'batch_size': 128, 'learning_rate': 0.01}
    member = {'model': '32c3-bn-p2-64c3-bn-p2-128c3-bn-p2', 'train': train}
    return {
        'data': {
            'name': 'npz',
            'root': str(folder / 'images.npz'),
            'preprocess': 'image',
            'validation': 100,
            'test': 100,
        },
        'members': {f'cnn_{seed}': {**member, 'seed': seed} for seed in range(SEEDS)},
    }


def one_program(name: str, spec: str, shape: tuple, classes: int, size: int, steps: int) -> dict:
    train = Train(learning_rate=1e-3, batch_size=size)
    loss = Loss(kind='cross_entropy')
    task = Task(nets.of_spec(spec, classes), 'scale', Views(), loss, train, 10**6)
    random = np.random.default_rng(0)
    batch = {
        'inputs': random.normal(size=(SEEDS, size, *shape)).astype(np.float32),
        'labels': random.integers(0, classes, (SEEDS, size)).astype(np.int32),
        'index': np.tile(np.arange(size, dtype=np.int32), (SEEDS, 1)),
        'mask': np.ones((SEEDS, size), np.float32),
        'view': np.zeros(SEEDS, np.int32),
    }
    batches = [jax.device_put(_nth(batch, seed)) for seed in range(SEEDS)]
    states = [create_train_state(task, shape, seed, seed, {'inputs': {}}) for seed in range(SEEDS)]
    stacked = jax.tree.map(lambda *leaves: jnp.stack(leaves), *states)
    batch = jax.device_put(batch)
    alone = compiled.jit(train_step, donate_argnums=0)
    at_once = compiled.jit(jax.vmap(train_step), donate_argnums=0)

    def in_turn(states):
        for number in range(SEEDS):
            for _ in range(steps):
                states[number], _ = alone(states[number], batches[number])
        return states

    def together(state):
        for _ in range(steps):
            state, _ = at_once(state, batch)
        return state

    kept, seconds = {in_turn: states, together: stacked}, {in_turn: [], together: []}
    for number in range(ROUNDS + 1):
        for call in kept:
            began = time.perf_counter()
            kept[call] = jax.block_until_ready(call(kept[call]))
            if number:  # the first compiles
                seconds[call].append(time.perf_counter() - began)
    equal(kept[in_turn], kept[together])
    ours, peer = (1e3 * statistics.median(seconds[call]) / steps for call in (in_turn, together))
    return record.cost(f'{SEEDS} × {name} {spec}, against vmap, ms a step', ours, peer)


def equal(states: list, stacked) -> None:
    """Both ways must have trained the same nets."""
    for number, state in enumerate(states):
        one, other = map(jax.tree.leaves, (state.variables, _nth(stacked.variables, number)))
        for a, b in zip(one, other, strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-2, atol=1e-3)


def _nth(tree, number: int):
    return jax.tree.map(lambda leaf: leaf[number], tree)


def two_processes() -> list[dict]:
    alone, apart, address = wall(['']), wall(['', '']), f'localhost:{free_port()}'
    one_run = wall([f'{address},2,{number}' for number in range(2)])
    name = f'{SEEDS} CNNs on images by two processes'
    return [
        record.cost(f'{name}, against one, s', apart, alone),
        record.cost(f'{name} as one run, against one, s', one_run, alone),
    ]


def free_port() -> int:
    with socket.socket() as free:
        free.bind(('localhost', 0))
        return free.getsockname()[1]


def wall(places: Sequence[str]) -> float:
    """Seconds of processes with these values of --distributed."""
    with tempfile.TemporaryDirectory() as folder:
        config = Path(folder) / 'images.py'
        config.write_text(CONFIG.format(settings(Path(folder))))
        command = [sys.executable, '-m', 'mimic_jax.main', f'--config={config}']
        command += ['--phase=teacher', f'--workdir={folder}/runs']
        environment = {
            **os.environ,
            'PYTHONPATH': str(ROOT),
            'JAX_COMPILATION_CACHE_DIR': f'{folder}/programs',
        }

        def start(place: str) -> subprocess.Popen:
            flags = [f'--distributed={place}'] if place else []
            return subprocess.Popen(
                [*command, *flags],
                env=environment,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.PIPE,
            )

        began = time.perf_counter()
        for process in [start(place) for place in places]:
            _, said = process.communicate()
            if process.returncode:
                sys.exit(said.decode())
        return time.perf_counter() - began


if __name__ == '__main__':
    main()
