"""Averages of weights over steps, which are evaluated and kept in place of the last weights."""

import jax
import jax.numpy as jnp

from mimic_jax.training.settings import Train


def start(train: Train, variables):
    """The average at step 0: a copy of the weights, or None where there is to be none."""
    return None if train.average == 'none' else jax.tree.map(jnp.copy, variables)


def update(train: Train, step, steps: int, variables, average):
    """(weights to train on, their average) after step number `step` of `steps`, counted from 1.

    'ema': average ← d·average + (1 − d)·weights with d the lesser of `ema_decay` and
    (1 + step) / (10 + step), so that the first steps do not weigh on a short run.
    'lookahead' (Zhang et al. 2019, algorithm 1): the same every `lookahead_period` steps with
    d = `lookahead_decay` · (step / steps)^`lookahead_power`; training then goes on from the average.

    Running statistics are averaged like parameters. Arrays of whole numbers are copied.
    """
    if train.average == 'none':
        return variables, average
    if train.average == 'ema':
        decay = jnp.minimum(train.ema_decay, (1 + step) / (10 + step))
        return variables, _mixed(decay, average, variables)
    decay = train.lookahead_decay * (step / steps) ** train.lookahead_power
    due = step % train.lookahead_period == 0
    average = _mixed(jnp.where(due, decay, 1.0), average, variables)
    return jax.tree.map(lambda slow, fast: jnp.where(due, slow, fast), average, variables), average


def _mixed(decay, average, variables):
    def one(slow, fast):
        if not jnp.issubdtype(fast.dtype, jnp.floating):
            return fast
        return (decay * slow + (1 - decay) * fast).astype(fast.dtype)

    return jax.tree.map(one, average, variables)
