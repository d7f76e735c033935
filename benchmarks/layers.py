"""Layers on the CPU backend as this code computes them, beside what JAX, Flax and XLA do by default.

    python benchmarks/layers.py --json=results/layers.json

Milliseconds on float32 batches of 128, SAME padding, medians of alternating calls. Convolutions:
forward pass and gradients (the kernel's alone where inputs are images), by
mimic_jax.runtime.compiled, against XLA's and jax.jit. Winograd's: the same against a direct
convolution, both compiled by this code. Max pools, and batch normalisation without a mask with the
ReLU after it: forward and gradient.
"""

import argparse
import functools
import statistics
import time
from collections.abc import Callable
from pathlib import Path

import flax.linen as nn
import jax
import jax.numpy as jnp
import record
from jax import lax

from mimic_jax.models.kernels import convolution, pooling, winograd
from mimic_jax.models.layers import BatchNorm
from mimic_jax.runtime import allocator, compiled

BATCH = 128
# Side of the map, channels, filters, side of the kernel.
CONVOLUTIONS = (
    *((32, 3, 24, 3), (32, 3, 32, 3), (32, 3, 32, 5), (32, 3, 128, 5), (32, 32, 32, 3)),
    *((16, 32, 64, 3), (16, 47, 47, 3), (8, 64, 128, 3), (16, 64, 64, 3), (8, 128, 128, 3)),
)
WINOGRAD = (  # on the last the package does not use Winograd's
    *((16, 128, 128, 5), (15, 128, 128, 5), (8, 128, 128, 5), (16, 64, 64, 5), (16, 32, 64, 5)),
    *((32, 64, 64, 3), (16, 64, 256, 3), (8, 256, 256, 3), (16, 64, 64, 3), (16, 32, 64, 3)),
    *((8, 64, 128, 3), (32, 32, 32, 3)),
)
POOLS = ((32, 128, 3, 2), (16, 128, 3, 2), (32, 32, 2, 2))  # map, channels, window, stride
MAPS = ((32, 32), (16, 64), (8, 128))  # sides and channels that are batch normalised


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--repeats', type=int, default=15)
    parser.add_argument('--json', type=Path)
    arguments = parser.parse_args()
    allocator.keep_freed_memory()
    start, rows = time.monotonic(), []
    for name, ours, peer, given in (
        *(convolved(*shape) for shape in CONVOLUTIONS),
        *(by_winograd(*shape) for shape in WINOGRAD),
        *(pooled(*shape) for shape in POOLS),
        *(normalised(*shape) for shape in MAPS),
    ):
        rows.append(compare(name, ours, peer, given, arguments.repeats))
        print(rows[-1], flush=True)
    if arguments.json:
        record.save(arguments.json, rows, seconds=round(time.monotonic() - start, 1))


def convolved(side: int, channels: int, filters: int, size: int):
    """Name, ours, the peer, and what both are given."""
    inputs, kernel, upstream = arrays(side, channels, filters, size)
    name = f'{what(side, channels, filters, size)}, ms'
    if channels == 3:
        ours, peer = (both_passes(functools.partial(call, inputs)) for call in (direct, xlas))
        return name, compiled.jit(ours), jax.jit(peer), (kernel, upstream)
    ours, peer = both_passes(direct), both_passes(xlas)
    return name, compiled.jit(ours), jax.jit(peer), (inputs, kernel, upstream)


def by_winograd(side: int, channels: int, filters: int, size: int):
    given = arrays(side, channels, filters, size)
    name = f'{what(side, channels, filters, size)}, Winograd, ms'
    tiled = both_passes(lambda *arrays: winograd.conv2d(*arrays, 'SAME'))
    return name, compiled.jit(tiled), compiled.jit(both_passes(direct)), given


def direct(inputs, kernel):
    return convolution.direct(inputs, kernel, 'SAME')


def xlas(inputs, kernel):
    return lax.conv_general_dilated(
        inputs, kernel, (1, 1), 'SAME', dimension_numbers=('NHWC', 'HWIO', 'NHWC')
    )


def pooled(side: int, channels: int, window: int, stride: int):
    geometry = (window, window), (stride, stride), 'SAME'
    inputs = jax.random.normal(jax.random.key(0), (BATCH, side, side, channels))
    upstream = pooling.max_pool(inputs, *geometry)

    def of(pool: Callable) -> Callable:
        return jax.jit(both_passes(lambda inputs: pool(inputs, *geometry)))

    name = f'{side}×{side}×{channels}, max pool {window}×{window} by {stride}, ms'
    return name, of(pooling.max_pool), of(xlas_max_pool), (inputs, upstream)


def both_passes(function: Callable) -> Callable:
    """A function's outputs and gradients. The last argument is the upstream gradient."""

    def call(*given):
        outputs, pull = jax.vjp(function, *given[:-1])
        return outputs, pull(given[-1])

    return call


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

        return jax.jit(both)

    def with_ours(variables, inputs, mask):
        return ours.apply(variables, inputs, True, mask, mutable=['batch_stats'])

    def with_flaxs(variables, inputs, mask):
        where = (mask > 0).reshape(-1, 1, 1, 1)
        return flaxs.apply(variables, inputs, mask=where, mutable=['batch_stats'])

    name = f'{side}×{side}×{channels}, batch norm and ReLU, ms'
    return name, of(with_ours), of(with_flaxs), (variables, inputs, mask, upstream)


def xlas_max_pool(inputs, window, stride, padding):
    return lax.reduce_window(inputs, -jnp.inf, lax.max, (1, *window, 1), (1, *stride, 1), padding)


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
