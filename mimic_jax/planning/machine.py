"""How fast this machine is, measured in a second: the two rates that a plan's times come from."""

import time
from typing import NamedTuple

import jax
import jax.numpy as jnp

from mimic_jax.runtime import backend

TURNS = 5


class Machine(NamedTuple):
    """products: FLOP/s of a float32 matrix product.  memory: bytes/s read and written by a sum."""

    products: float
    memory: float

    def seconds(self, flops: float, traffic: float) -> float:
        """Seconds of work: its products, and then its traffic."""
        return flops / self.products + traffic / self.memory


def measure() -> Machine:
    """The rates of the first device: the best of several turns, since other programs may use it."""
    side, length = (1536, 1 << 24) if backend.is_cpu() else (8192, 1 << 28)
    multiply = jax.jit(lambda x: x @ x * (1 / side))
    add = jax.jit(lambda x: x + 1, donate_argnums=0)  # no new memory, whose first touch is slow
    return Machine(
        2 * side**3 / _seconds(multiply, jnp.ones((side, side))),
        8 * length / _seconds(add, jnp.ones(length)),
    )


def _seconds(call, array: jax.Array) -> float:
    array = call(array).block_until_ready()  # compiles
    found = []
    for _ in range(TURNS):
        start = time.perf_counter()
        array = call(array).block_until_ready()
        found.append(time.perf_counter() - start)
    return min(found)
