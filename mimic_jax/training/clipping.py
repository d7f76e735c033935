"""The norm of all gradients together, and clipping by it (Pascanu et al. 2013)."""

import jax
import jax.numpy as jnp
import optax
from jax import lax

from mimic_jax.runtime import backend


def global_norm(gradients):
    """The Euclidean norm of all arrays of a tree taken as one vector, float32 [].

    The CPU backend sums each row first and adds up the rows' sums, because XLA is slow there at
    summing an array to one number beside other work. The norm of a net of 8,000 hidden units (65 MB
    of gradients) took 18 ms of a training step's 48, and takes 2 ms this way (jax 0.10.2, 2 CPU cores).
    """
    if not backend.is_cpu():
        return optax.tree.norm(gradients)
    rows = [
        jnp.sum(jnp.square(jnp.atleast_1d(leaf).astype(jnp.float32)), axis=-1)
        for leaf in jax.tree.leaves(gradients)
    ]
    # Without the barrier XLA merges the two sums into one again.
    return jnp.sqrt(sum(jnp.sum(row) for row in lax.optimization_barrier(rows)))


def clip_by_norm(limit: float) -> optax.GradientTransformationExtraArgs:
    """Scales gradients whose norm is above `limit` down to it; a limit of 0 clips nothing.

    The update reads `norm`, the gradients' `global_norm`. The CPU backend takes a limit of 0 as
    infinity: the new parameters then wait for every gradient, so that XLA can write them over the old
    ones. Without that wait XLA copies the old parameters first.
    """
    if not limit and backend.is_cpu():
        limit = jnp.inf

    def update(updates, state, params=None, *, norm):
        if not limit:
            return updates, state
        scale = jnp.where(norm < limit, 1, limit / norm)
        return jax.tree.map(lambda leaf: leaf * scale.astype(leaf.dtype), updates), state

    return optax.GradientTransformationExtraArgs(lambda params: optax.EmptyState(), update)
