"""The CPU's own convolution and batch normalisation, beside XLA's and Flax's.

    python benchmarks/layers.py --json=results/layers.json

Milliseconds on float32 batches of 128, SAME padding: the kernel's gradient of a convolution, the forward
pass where 17 to 32 filters read three channels, and batch normalisation of examples that all count with
the ReLU behind it, forward and gradient. Medians of alternating calls.
"""

import argparse
import statistics
import time
from collections.abc import Callable
from pathlib import Path

import flax.linen as nn
import jax
import jax.numpy as jnp
import record
from jax import lax

from mimic_jax import allocator
from mimic_jax.models.layers import BatchNorm
from mimic_jax.ops import convolution

BATCH = 128
# Side of the map, channels, filters, side of the kernel.
KERNELS = (
    *((32, 3, 32, 3), (32, 3, 32, 5), (32, 3, 128, 5), (16, 32, 64, 3), (16, 47, 47, 3)),
    *((16, 128, 128, 5), (8, 64, 128, 3), (8, 128, 128, 5)),
)
FORWARD = ((32, 3, 24, 3), (32, 3, 32, 3), (32, 3, 32, 5))
MAPS = ((32, 32), (16, 64), (8, 128))  # sides and channels that are batch normalised


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--repeats', type=int, default=15)
    parser.add_argument('--json', type=Path)
    arguments = parser.parse_args()
    allocator.keep_freed_memory()
    start, rows = time.monotonic(), []
    for name, ours, peer, given in (
        *(kernel_gradient(*shape) for shape in KERNELS),
        *(forward(*shape) for shape in FORWARD),
        *(normalised(*shape) for shape in MAPS),
    ):
        rows.append(compare(name, jax.jit(ours), jax.jit(peer), given, arguments.repeats))
        print(rows[-1], flush=True)
    if arguments.json:
        record.save(arguments.json, rows, seconds=round(time.monotonic() - start, 1))


def kernel_gradient(side: int, channels: int, filters: int, size: int):
    """Name, ours, XLA's, and what both are given."""
    inputs, kernel, upstream = arrays(side, channels, filters, size)

    def of(convolve: Callable) -> Callable:
        return lambda inputs, kernel, upstream: jax.vjp(
            lambda kernel: convolve(inputs, kernel, 'SAME'), kernel
        )[1](upstream)

    name = f'{what(side, channels, filters, size)}, kernel gradient, ms'
    return name, of(convolution.conv2d), of(xlas), (inputs, kernel, upstream)


def forward(side: int, channels: int, filters: int, size: int):
    def of(convolve: Callable) -> Callable:
        return lambda inputs, kernel: convolve(inputs, kernel, 'SAME')

    name = f'{what(side, channels, filters, size)}, forward, ms'
    return name, of(convolution.conv2d), of(xlas), arrays(side, channels, filters, size)[:2]


def normalised(side: int, channels: int):
    inputs, upstream = (
        jax.random.normal(jax.random.key(n), (BATCH, side, side, channels)) for n in (0, 1)
    )
    mask = jnp.ones(BATCH)
    ours, flaxs = BatchNorm(), nn.BatchNorm(use_running_average=False, momentum=0.9)
    variables = ours.init(jax.random.key(0), inputs, True, mask)

    def of(apply: Callable) -> Callable:
        def both(variables, inputs, mask, upstream):
            def outputs(params, inputs):
                normal, state = apply({**variables, 'params': params}, inputs, mask)
                return nn.relu(normal), state

            found, pull, state = jax.vjp(outputs, variables['params'], inputs, has_aux=True)
            return found, pull(upstream), state

        return both

    def with_ours(variables, inputs, mask):
        return ours.apply(variables, inputs, True, mask, mutable=['batch_stats'])

    def with_flaxs(variables, inputs, mask):
        where = (mask > 0).reshape(-1, 1, 1, 1)
        return flaxs.apply(variables, inputs, mask=where, mutable=['batch_stats'])

    name = f'{side}×{side}×{channels}, batch norm and ReLU, both passes, ms'
    return name, of(with_ours), of(with_flaxs), (variables, inputs, mask, upstream)


def xlas(inputs, kernel, padding):
    return lax.conv_general_dilated(
        inputs, kernel, (1, 1), padding, dimension_numbers=('NHWC', 'HWIO', 'NHWC')
    )


def arrays(side: int, channels: int, filters: int, size: int):
    """Inputs, kernel and upstream gradient."""
    shapes = (BATCH, side, side, channels), (size, size, channels, filters)
    shapes += ((BATCH, side, side, filters),)
    return tuple(jax.random.normal(jax.random.key(n), shape) for n, shape in enumerate(shapes))


def what(side: int, channels: int, filters: int, size: int) -> str:
    return f'{side}×{side}, {channels} → {filters}, {size}×{size}'


def compare(name: str, ours: Callable, peer: Callable, given: tuple, repeats: int) -> dict:
    seconds = {ours: [], peer: []}
    for turn in range(repeats + 2):
        for call, taken in seconds.items():
            begin = time.perf_counter()
            jax.block_until_ready(call(*given))
            if turn >= 2:  # the first compiles
                taken.append(time.perf_counter() - begin)
    return record.cost(name, *(1e3 * statistics.median(taken) for taken in seconds.values()))


if __name__ == '__main__':
    main()
