"""Viterbi decoding and forced alignment with three-state left-to-right phone models.

The topology: phone p has the states 3p, 3p + 1 and 3p + 2. A state repeats itself ('stay') or goes on to
the next ('advance'). A phone is entered only in its first state and left only from its last, so it
lasts three frames or more. The last state of any phone leads to the first state of every phone, the
same one included. A path starts in a first state and ends in a last one, and its score is

    Σ log-likelihoods of its states at its frames
    + Σ log-probabilities of staying and advancing (leaving a phone, at the end too, is advancing)
    + lm_scale · (start + Σ bigram + end) − insertion_penalty · number of phones.

The recursion is Rabiner's (1989, section III.B). Only the entry of a phone looks at all others, so a
frame costs O(P²). XLA's CPU backend computes a maximum several times faster than its argmax. So the
forward pass keeps no back-pointers between phones but the scores of leaving each phone; the back-trace
takes the argmax where the best path enters a phone.

Letters: B utterances, T frames (padded), P phones, S = 3P states, L phones of a sequence (padded).
"""

import chex
import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from mimic_jax.speech.phones import PARTS


@jax.jit
def decode(
    log_likelihoods: jax.Array,
    lengths: jax.Array,
    bigram: jax.Array,
    start: jax.Array,
    end: jax.Array,
    stay: jax.Array,
    advance: jax.Array,
    lm_scale: jax.Array,
    insertion_penalty: jax.Array,
) -> tuple[jax.Array, jax.Array]:
    """The best path through a loop of phones. Only the shapes are compiled in.

    log_likelihoods: [B, T, S], scaled: log p(s|x) − log p(s). Frames past a length are not read.
    lengths: [B] int, frames, at most T.
    bigram: [P, P] finite log-probabilities, row the phone before, column the phone after.
    start, end: [P], finite, for a phone first and last in its utterance.
    stay, advance: [S] log-probabilities, or a scalar for all states.
    lm_scale, insertion_penalty: scalars; a positive penalty makes for fewer phones.
    Returns the path [B, T] int32, −1 past the length, and its score [B] float32. An utterance with
    no path (fewer than 3 frames, or likelihoods of 0 in the way) scores −inf and has −1 throughout.
    """
    chex.assert_rank([log_likelihoods, lengths, bigram], [3, 1, 2])
    batch, frames, states = log_likelihoods.shape
    phones = states // PARTS
    chex.assert_is_divisible(states, PARTS)
    chex.assert_shape([lengths, bigram], [(batch,), (phones, phones)])
    chex.assert_shape([start, end], (phones,))
    stay, advance = _by_part(stay, states), _by_part(advance, states)
    into = lm_scale * bigram.T - insertion_penalty  # [to, from]
    # [T, 3, B, P]: each part of the phones is then a contiguous array.
    emissions = log_likelihoods.astype(jnp.float32).reshape(batch, frames, phones, PARTS)
    emissions = emissions.transpose(1, 3, 0, 2)

    def forward(scores, frame):
        time, emission = frame
        leaving = scores[2] + advance[2]
        entering = jnp.max(leaving[:, None, :] + into, axis=2)
        arriving = jnp.stack([entering, scores[0] + advance[0], scores[1] + advance[1]])
        staying = scores + stay[:, None]
        new = jnp.maximum(staying, arriving) + emission
        scores = jnp.where((time < lengths)[:, None], new, scores)
        return scores, (arriving > staying, leaving)

    def backward(state, frame):
        time, moved, leaving = frame
        phone, part = state // PARTS, state % PARTS
        came_from = jnp.argmax(leaving + into[phone], axis=1).astype(jnp.int32)
        before = jnp.where(part == 0, PARTS * came_from + 2, state - 1)
        moves = moved[part, rows, phone] & (time < lengths)
        return jnp.where(moves, before, state), state

    rows, times = jnp.arange(batch), jnp.arange(1, frames)
    scores = jnp.full((PARTS, batch, phones), -jnp.inf)
    scores = scores.at[0].set(lm_scale * start - insertion_penalty + emissions[0, 0])
    scores, (moved, leaving) = lax.scan(forward, scores, (times, emissions[1:]))
    ends = scores[2] + advance[2] + lm_scale * end
    final = PARTS * jnp.argmax(ends, axis=1).astype(jnp.int32) + 2
    first, path = lax.scan(backward, final, (times, moved, leaving), reverse=True)
    return _cut(jnp.concatenate([first[None], path]).T, jnp.max(ends, axis=1), lengths)


@jax.jit
def align(
    log_likelihoods: jax.Array,
    lengths: jax.Array,
    phones: jax.Array,
    stay: jax.Array,
    advance: jax.Array,
) -> tuple[jax.Array, jax.Array]:
    """The best path through a known sequence of phones: forced alignment.

    log_likelihoods: [B, T, S], scaled.  lengths: [B] int, frames, at most T.
    phones: [B, L] int, the sequence, then −1.
    stay, advance: [S] log-probabilities, or a scalar for all states.

    Returns the path [B, T] int32 in states 0 to S − 1, −1 past the length, and its score [B]
    float32, without a language model. A sequence that does not fit (fewer than 3 frames a phone, or
    no phones) scores −inf and has −1 throughout; the caller then keeps the old targets.
    """
    chex.assert_rank([log_likelihoods, lengths, phones], [3, 1, 2])
    batch, frames, states = log_likelihoods.shape
    chex.assert_shape([lengths, phones[:, 0]], (batch,))
    stay = jnp.broadcast_to(jnp.asarray(stay, jnp.float32), (states,))
    advance = jnp.broadcast_to(jnp.asarray(advance, jnp.float32), (states,))
    chain = PARTS * jnp.maximum(phones, 0)[:, :, None] + jnp.arange(PARTS)
    chain = chain.reshape(batch, -1).astype(jnp.int32)  # [B, 3L]: the state at each place
    last = PARTS * jnp.sum(phones >= 0, axis=1) - 1  # [B]; −1 where there are no phones
    emissions = log_likelihoods.astype(jnp.float32).transpose(1, 0, 2)

    def forward(scores, frame):
        time, emission = frame
        arriving = jnp.pad(
            (scores + advance[chain])[:, :-1], ((0, 0), (1, 0)), constant_values=-jnp.inf
        )
        staying = scores + stay[chain]
        new = jnp.maximum(staying, arriving) + jnp.take_along_axis(emission, chain, axis=1)
        scores = jnp.where((time < lengths)[:, None], new, scores)
        return scores, arriving > staying

    def backward(place, frame):
        time, moved = frame
        moves = moved[rows, place] & (time < lengths)
        return place - moves, place

    rows = jnp.arange(batch)
    times = jnp.arange(1, frames)
    scores = jnp.full(chain.shape, -jnp.inf).at[:, 0].set(emissions[0, rows, chain[:, 0]])
    scores, moved = lax.scan(forward, scores, (times, emissions[1:]))
    score = scores[rows, last] + advance[chain[rows, last]]
    score = jnp.where(last >= 0, score, -jnp.inf)
    first, places = lax.scan(backward, last, (times, moved), reverse=True)
    places = jnp.concatenate([first[None], places]).T
    return _cut(jnp.take_along_axis(chain, places, axis=1), score, lengths)


def segments(path: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The phones of one path, the frame at which each starts and the frame before which it ends.

    path: [T] of `decode` or `align`. A phone starts where the path enters a first state from a last
    one, even the same phone's. Returns host arrays of int32, [L] each; empty where there is no path.
    """
    path = np.asarray(path)
    path = path[path >= 0]
    part = path % PARTS
    enters = (part == 0) & (np.concatenate([[PARTS - 1], part[:-1]]) == PARTS - 1)
    starts = np.flatnonzero(enters).astype(np.int32)
    ends = np.append(starts[1:], np.int32(len(path)))[: len(starts)]
    return (path[starts] // PARTS).astype(np.int32), starts, ends


def _by_part(values, states):
    """[S] or a scalar as [3, P]."""
    return jnp.broadcast_to(jnp.asarray(values, jnp.float32), (states,)).reshape(-1, PARTS).T


def _cut(path, score, lengths):
    """−1 past the length, and throughout where there is no path."""
    real = (jnp.arange(path.shape[1]) < lengths[:, None]) & jnp.isfinite(score)[:, None]
    return jnp.where(real, path, -1), score
