"""Slice sampling (Neal 2003, Annals of Statistics 31): draws from a density known up to a factor."""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp

_STEPS = 8  # the widest a slice may grow, both sides together, in widths
_DRAWS = 48  # from a shrinking slice; after so many it is a point, and the position stays
UNIFORMS = 3 + _DRAWS  # the random numbers that an update may use


class _Slice(NamedTuple):
    """A slice being found: it grows to the left, then to the right, then shrinks to a draw in it."""

    lower: jax.Array
    upper: jax.Array
    left: jax.Array  # steps that may still be made on this side
    right: jax.Array
    draws: jax.Array  # made so far
    probe: jax.Array  # where the density is evaluated next
    value: jax.Array  # the density at the draw that was taken
    done: jax.Array


def slice_sample(
    log_density: Callable[[jax.Array], jax.Array],
    uniforms: jax.Array,
    start: jax.Array,
    width: float = 1.0,
) -> jax.Array:
    """A Markov chain that updates one coordinate after the other, stepping out and shrinking.

    log_density: of a position [D], a scalar; NaN counts as no density at all.
    uniforms: [sweeps, D, UNIFORMS], drawn evenly from [0, 1), the only random numbers. (Drawing them
    inside would take most of the time to compile.)
    start: [D], where the density is above 0. width: first guess of a slice's width, in any coordinate.
    Returns [sweeps, D]: the position after each sweep through all coordinates.
    """

    def density(position):
        value = log_density(position)
        return jnp.where(jnp.isnan(value), -jnp.inf, value)

    def sweep(state, uniforms):
        def update(axis, state):
            return _update(density, uniforms[axis], *state, axis, width)

        state = jax.lax.fori_loop(0, start.size, update, state)
        return state, state[0]

    return jax.lax.scan(sweep, (start, density(start)), uniforms)[1]


def _update(density, uniforms, position, value, axis, width):
    """One coordinate moved within its slice (Neal 2003, figures 3 and 5)."""
    of_level, of_place, of_steps, *_ = uniforms
    level = value + jnp.log1p(-of_level)
    here = position[axis]
    lower = here - width * of_place
    upper = lower + width
    # The steps are divided between the sides at random: that keeps the density invariant.
    left = jnp.floor(of_steps * _STEPS).astype(int)
    right = _STEPS - 1 - left

    def step(state):
        # One evaluation for all three stages, so that the density is compiled once.
        new = density(position.at[axis].set(state.probe))
        inside = new > level
        to_left = state.left > 0
        to_right = ~to_left & (state.right > 0)
        drawing = ~to_left & ~to_right
        below = state.probe < here
        lower = jnp.where(drawing & below, state.probe, state.lower - width * (to_left & inside))
        upper = jnp.where(drawing & ~below, state.probe, state.upper + width * (to_right & inside))
        left = jnp.where(to_left, (state.left - 1) * inside, state.left)
        right = jnp.where(to_right, (state.right - 1) * inside, state.right)
        draws = state.draws + drawing
        drawn = lower + (upper - lower) * uniforms[3 + jnp.minimum(draws, _DRAWS - 1)]
        taken = drawing & inside
        given_up = drawing & ~inside & (draws == _DRAWS)
        probe = jnp.where(left > 0, lower, jnp.where(right > 0, upper, drawn))
        probe = jnp.where(taken, state.probe, jnp.where(given_up, here, probe))
        new = jnp.where(taken, new, value)
        return _Slice(lower, upper, left, right, draws, probe, new, taken | given_up)

    nothing, false = jnp.zeros_like(left), jnp.zeros((), bool)
    probe = jnp.where(left > 0, lower, upper)
    first = _Slice(lower, upper, left, right, nothing, probe, value, false)
    found = jax.lax.while_loop(lambda state: ~state.done, step, first)
    return position.at[axis].set(found.probe), found.value
