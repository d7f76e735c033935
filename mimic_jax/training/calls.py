"""The jitted calls of a mesh: training steps, evaluation, and logits."""

import functools
from collections.abc import Mapping

import jax
import numpy as np

from mimic_jax.data.placement import Fed
from mimic_jax.runtime import compiled, sharding
from mimic_jax.training.train_step import eval_step, mean_forward, train_step


@functools.cache
def train(mesh, norms: bool):
    """`call(state, fed, count)`: `count` steps; returns the new state and the sums of their metrics."""

    def train_call(state, fed: Fed, count: int):
        def one(state, item):
            return train_step(state, _split(mesh, fed.batch(item, state.step)), norms)

        if count == 1:
            return one(state, fed.items)
        state, sums = jax.lax.scan(one, state, fed.items, length=count)
        return state, jax.tree.map(lambda leaf: leaf.sum(0), sums)

    return compiled.jit(train_call, donate_argnums=0, static_argnums=2)


@functools.cache
def evaluate(mesh):
    """`call(state, fed)`: the metric sums of one batch."""

    def eval_call(state, fed: Fed):
        return eval_step(state, _split(mesh, fed.batch(fed.items, 0)))

    return compiled.jit(eval_call)


@functools.cache
def forward(mesh):
    """`call(net, preprocessing, views, variables, constants, view_seed, fed, average)`: logits [B, K].

    The arguments are those of `mean_forward`. Each of several processes gets all rows.
    """

    def forward_call(net, kind, settings, variables, constants, view_seed, fed: Fed, average):
        batch = fed.batch(fed.items, 0)
        return mean_forward(net, kind, settings, variables, constants, view_seed, batch, average)

    placed = sharding.replicated(mesh) if sharding.spans_processes(mesh) else None
    return compiled.jit(forward_call, static_argnums=(0, 1, 2, 7), out_shardings=placed)


def _split(mesh, batch: Mapping) -> dict:
    """The batch, each array split over 'data' along its first axis; the view number stays whole."""
    over_data = sharding.batch_sharding(mesh)
    return {
        key: jax.lax.with_sharding_constraint(value, over_data) if np.ndim(value) else value
        for key, value in batch.items()
    }
