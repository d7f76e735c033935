"""Training steps with each optimiser against the same step with optax's bare update.

    python benchmarks/optimizers.py --json=results/optimizers.json

Both sides compute the loss, its gradients and the update; ours adds clipping, the gradients' norm, the
check that all is finite, the decay of weights, and the metrics. The two take turns in one process,
step by step. The medians over all steps are compared, once in processor time and once by the clock.
Other work on the machine slows both sides alike, and affects processor time less.
"""

import argparse
import statistics
import time
from pathlib import Path

BATCH, WARMUP = 128, 3
NETS = {
    '32c5-p2-200L-2000': ((32, 32, 3), 10),
    '2k-2k': ((1845,), 183),
}
OPTIMIZERS = ('sgd', 'sgd, plain', 'adamw', 'muon')


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--steps', type=int, default=60)
    parser.add_argument('--nets', nargs='*', default=list(NETS), choices=list(NETS))
    parser.add_argument('--json', type=Path)
    arguments = parser.parse_args()
    from mimic_jax.runtime import allocator

    allocator.keep_freed_memory()
    import record

    start, rows = time.monotonic(), []
    for spec in arguments.nets:
        for name in OPTIMIZERS:
            for clock, (ours, theirs) in measure(spec, name, arguments.steps).items():
                rows.append(record.cost(f'{spec}, {name}, {clock} ms a step', ours, theirs))
                print(rows[-1], flush=True)
    if arguments.json:
        seconds = round(time.monotonic() - start, 1)
        record.save(arguments.json, rows, seconds=seconds, batch=BATCH, steps=arguments.steps)


def measure(spec: str, name: str, steps: int) -> dict[str, tuple[float, float]]:
    """{clock: (our step, the step with optax's bare update)}, medians in milliseconds."""
    sides = our_side(spec, name), bare_side(spec, name)
    clocks = {'processor': time.process_time, 'wall': time.perf_counter}
    times = {clock: ([], []) for clock in clocks}
    for number in range(WARMUP + steps):
        # So that neither side always finds the other's data in the caches.
        for side in (0, 1) if number % 2 else (1, 0):
            begin = {clock: read() for clock, read in clocks.items()}
            sides[side]()
            for clock, read in clocks.items():
                times[clock][side].append(read() - begin[clock])
    return {
        clock: tuple(1000 * statistics.median(found[WARMUP:]) for found in sides_times)
        for clock, sides_times in times.items()
    }


def our_side(spec: str, name: str):
    """A function that makes a step and waits for it."""
    import jax

    from mimic_jax.runtime import compiled
    from mimic_jax.training.train_step import train_step

    state, batch = state_of(spec, name), batch_of(spec)
    step = compiled.jit(train_step, donate_argnums=0)

    def one():
        nonlocal state
        state, _ = step(state, batch)
        jax.block_until_ready(state)

    return one


def bare_side(spec: str, name: str):
    """The same with optax's update of the same net's parameters."""
    import jax
    import jax.numpy as jnp
    import optax

    from mimic_jax.runtime import compiled

    state, batch = state_of(spec, name), batch_of(spec)
    net, train = state.task.net, state.task.train
    rate = optax.warmup_cosine_decay_schedule(0.0, train.learning_rate, 50, 1000)
    optimizer = {
        'sgd': optax.sgd(rate, 0.9, nesterov=True),
        'sgd, plain': optax.sgd(rate, 0.9),
        'adamw': optax.adamw(rate, weight_decay=0.0),
        'muon': optax.contrib.muon(rate, beta=0.9, muon_weight_dimension_numbers=dimensions),
    }[name]

    def step(params, opt_state, batch):
        def objective(params):
            logits = net.apply({'params': params}, batch['inputs'] / jnp.float32(255))
            return 0.5 * jnp.mean(jnp.sum((logits - batch['teacher_logits']) ** 2, axis=1))

        gradients = jax.grad(objective)(params)
        changes, opt_state = optimizer.update(gradients, opt_state, params)
        return optax.apply_updates(params, changes), opt_state

    step = compiled.jit(step, donate_argnums=(0, 1))
    carry = state.variables['params'], optimizer.init(state.variables['params'])

    def one():
        nonlocal carry
        carry = jax.block_until_ready(step(*carry, batch))

    return one


def dimensions(params):
    """Muon's axes of kernels, None for what its companion updates."""
    import jax
    from optax.contrib import MuonDimensionNumbers

    return jax.tree.map(
        lambda leaf: (
            MuonDimensionNumbers(tuple(range(leaf.ndim - 1)), leaf.ndim - 1)
            if leaf.ndim in (2, 4)
            else None
        ),
        params,
    )


def state_of(spec: str, name: str):
    from mimic_jax.data.view_settings import Views
    from mimic_jax.models import nets
    from mimic_jax.training.loss_settings import Loss
    from mimic_jax.training.settings import Train
    from mimic_jax.training.train_step import Task, create_train_state

    shape, classes = NETS[spec]
    optimizer, _, plain = name.partition(', ')
    train = Train(learning_rate=1e-4, optimizer=optimizer, nesterov=not plain)
    task = Task(nets.of_spec(spec, classes), 'scale', Views(), Loss(kind='logits'), train, 1000)
    return create_train_state(task, shape, 0, 0, {'inputs': {}})


def batch_of(spec: str):
    import jax
    import numpy as np

    shape, classes = NETS[spec]
    random = np.random.default_rng(0)
    return jax.device_put(
        {
            'inputs': random.integers(0, 256, (BATCH, *shape)).astype(np.uint8),
            'labels': np.zeros(BATCH, np.int32),
            'teacher_logits': random.normal(size=(BATCH, classes)).astype(np.float32),
            'index': np.arange(BATCH),
            'mask': np.ones(BATCH, np.float32),
            'view': np.int32(0),
        }
    )


if __name__ == '__main__':
    main()
