"""State priors and transitions of the training targets, for decoding. Host arrays."""

from collections.abc import Iterable

import numpy as np


def log_priors(paths: Iterable[np.ndarray], num_states: int, floor: float = 1e-5) -> np.ndarray:
    """log p(s) of each state, [S] float32: the state's share of the frames, at least `floor`.

    Decoding divides posteriors by the priors; without a floor a rare state would win by that division
    alone. Floored priors are not normalised again.

    paths: the targets of each utterance, [T] int from 0 to S − 1; −1 is no target and not counted.

    Raises:
      ValueError: no targets, a state out of range, or a floor that is not above 0.
    """
    if not floor > 0:
        raise ValueError(f'the floor of the priors is {floor}: it must be above 0')
    counts = np.zeros(num_states)
    for path in paths:
        counts += _count(path, num_states)
    if counts.sum() == 0:
        raise ValueError('state priors need at least one target')
    return np.log(np.maximum(counts / counts.sum(), floor)).astype(np.float32)


def log_transitions(paths: Iterable[np.ndarray], num_states: int) -> tuple[np.ndarray, np.ndarray]:
    """Log-probabilities of staying in each state and of advancing from it, [S] float32 each.

    Each visit to a state advances from it once, so the estimate of advancing is (visits + 1) /
    (frames + 2). It is never 0 or 1, and a half for a state that was never seen.

    paths: the targets of each utterance, [T] int from 0 to S − 1; −1 separates visits.

    Raises:
      ValueError: a state out of range.
    """
    frames, visits = np.zeros(num_states), np.zeros(num_states)
    for path in paths:
        path = np.asarray(path)
        frames += _count(path, num_states)
        visits += _count(path[np.diff(path, prepend=-2) != 0], num_states)
    advance = (visits + 1) / (frames + 2)
    return np.log(1 - advance).astype(np.float32), np.log(advance).astype(np.float32)


def _count(path: np.ndarray, num_states: int) -> np.ndarray:
    states = np.asarray(path)
    states = states[states >= 0]
    counts = np.bincount(states, minlength=num_states)
    if len(counts) > num_states:
        raise ValueError(f'a target is {len(counts) - 1}: states are 0 to {num_states - 1}')
    return counts
