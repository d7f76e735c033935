"""The curvature of a net's loss at its start, and the largest learning rate that it bears.

Gradient descent with momentum on a quadratic of curvature c stays bounded while rate × c is below a
limit that momentum alone sets. For a net, c is the largest eigenvalue of the Gauss–Newton matrix
J^T H J: J is the Jacobian of a batch's logits by the parameters, H the loss's second derivative by the
logits.
"""

import functools
from collections.abc import Mapping

import jax
import jax.numpy as jnp

from mimic_jax.runtime import compiled
from mimic_jax.training.objective import example_losses
from mimic_jax.training.train_step import TrainState, prepare

MOST_ITERATIONS = 100
CLOSE = 1e-3  # relative change of the eigenvalue between two iterations that ends them


def limit(momentum: float, nesterov: bool = True) -> float:
    """The product of rate and curvature at which SGD with momentum begins to diverge.

    With m the momentum, a step on ½ c w² has the characteristic polynomial
    z² − (1 + m)(1 − h) z + m (1 − h), h being rate × c, where the momentum is Nesterov's, and
    z² − (1 + m − h) z + m where it is plain. Their roots lie inside the unit circle for
    0 < h < (2 + 2m) / (1 + 2m) and for 0 < h < 2 + 2m: below 1.36 and 3.8 at .9, below 2 without
    momentum.
    """
    return (2 + 2 * momentum) / (1 + 2 * momentum if nesterov else 1)


def largest_eigenvalue(state: TrainState, batch: Mapping) -> float:
    """The largest eigenvalue of the Gauss–Newton matrix of a batch, by power iteration.

    state: of the net and its training. Where the task has a teacher's logits, the net's own logits take
    their place: the curvature then does not depend on how far the net is from its teacher.
    batch: as `train_step` reads it, with or without teacher_logits.
    """
    params = state.variables['params']
    leaves, structure = jax.tree.flatten(params)
    keys = jax.random.split(jax.random.key(0), len(leaves))
    start = [jax.random.normal(key, leaf.shape) for key, leaf in zip(keys, leaves, strict=True)]
    vector, value = _normalised(jax.tree.unflatten(structure, start))[0], 0.0
    for _ in range(MOST_ITERATIONS):
        vector, found = _iterate()(state, batch, vector)
        before, value = value, float(found)
        if abs(value - before) <= CLOSE * abs(value):
            break
    return value


@functools.cache
def _iterate():
    return compiled.jit(lambda state, batch, vector: _normalised(_product(state, batch, vector)))


def _product(state: TrainState, batch: Mapping, vector):
    """J^T H J times a vector of the parameters' structure."""
    task, mask = state.task, batch['mask']
    inputs = prepare(task.preprocess, task.views, state.constants, state.view_seed, batch)

    def outputs(params):
        logits, _ = task.net.apply(
            {**state.variables, 'params': params},
            inputs,
            train=True,
            mask=mask,
            rngs={'dropout': jax.random.key(0)},
        )
        return logits

    logits, pull = jax.vjp(outputs, state.variables['params'])
    # J v is the transpose of u -> J^T u: the CPU's kernels have reverse derivatives alone.
    _, push = jax.vjp(pull, jnp.zeros_like(logits))
    (tangent,) = push((vector,))
    teacher = {'teacher_logits': jax.lax.stop_gradient(logits)}

    def loss(logits):
        each = example_losses(task.loss, logits, {**batch, **teacher}, state.constants)
        return jnp.sum(each * mask) / jnp.maximum(jnp.sum(mask), 1)

    _, curved = jax.jvp(jax.grad(loss), (logits,), (tangent,))
    return pull(curved)[0]


def _normalised(vector):
    """The vector over its norm, and the norm: the eigenvalue, once the vector is an eigenvector."""
    squares = sum(jnp.sum(leaf**2) for leaf in jax.tree.leaves(vector))
    norm = jnp.sqrt(squares)
    return jax.tree.map(lambda leaf: leaf / jnp.where(norm > 0, norm, 1.0), vector), norm
