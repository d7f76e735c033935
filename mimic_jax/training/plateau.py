"""Halving the learning rate when the validation error stops falling (Urban et al. 2017)."""

from typing import NamedTuple

import jax
import jax.numpy as jnp

PATIENCE = 10  # epochs without a fall before a cut
APART = 8  # epochs from one cut to the next, at least
GIVE_UP = 30  # epochs without a fall that end the run
SMALLEST = 1 / 2000  # a rate below this part of the first one ends the run, too


class Plateau(NamedTuple):
    """All are scalars. best_error: the lowest so far.  since_best, since_cut: epochs since the lowest
    error, and since the last cut.  scale: the factor on the learning rate."""

    best_error: jax.Array
    since_best: jax.Array
    since_cut: jax.Array
    scale: jax.Array


def start() -> Plateau:
    """The state before the first epoch."""
    return Plateau(jnp.float32(jnp.inf), jnp.int32(0), jnp.int32(APART), jnp.float32(1))


def update(plateau: Plateau, error: jax.Array | float) -> Plateau:
    """The state after an epoch that ended with this validation error.

    The rate is halved when the error has not fallen for 10 epochs, but not within 8 epochs of the
    previous cut. Any error below the lowest so far is a fall.
    """
    error = jnp.float32(error)
    fell = error < plateau.best_error
    since_best = jnp.where(fell, 0, plateau.since_best + 1)
    since_cut = plateau.since_cut + 1
    cut = (since_best >= PATIENCE) & (since_cut >= APART)
    return Plateau(
        best_error=jnp.where(fell, error, plateau.best_error),
        since_best=since_best,
        since_cut=jnp.where(cut, 0, since_cut),
        scale=jnp.where(cut, plateau.scale / 2, plateau.scale),
    )


def stopped(plateau: Plateau) -> bool:
    """Whether training ends here: 30 epochs without a fall, or a rate below 1/2000 of the first."""
    return bool((plateau.since_best >= GIVE_UP) | (plateau.scale < SMALLEST))
