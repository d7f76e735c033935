"""A bigram over phones, estimated on label sequences with Witten-Bell smoothing. Host arrays."""

from collections.abc import Iterable
from typing import NamedTuple

import numpy as np


class Bigram(NamedTuple):
    """Natural logarithms of probabilities, float32. The probabilities of each row of `phones` with its
    `end` sum to 1, and so do those of `start`.

    phones: [P, P], row the phone before, column the phone after.
    start: [P], an utterance begins with the phone.  end: [P], an utterance ends after the phone.
    """

    phones: np.ndarray
    start: np.ndarray
    end: np.ndarray


def witten_bell(sequences: Iterable[np.ndarray], num_phones: int) -> Bigram:
    """Interpolated Witten-Bell estimates (Witten & Bell 1991, method C; Chen & Goodman 1999).

        p(w|h) = (c(h, w) + t(h) · p(w)) / (c(h) + t(h)),   p(w) = (c(w) + t / V) / (c + t)

    c counts occurrences. t(h) counts the distinct followers seen of h, and t those of any phone.
    V = P + 1, because the end of an utterance follows like a phone. The followers of a phone that was
    never seen have p(w). No utterance is empty, so the first phone's estimate leaves the end out of
    p(w). All values are finite.

    sequences: the phones of each utterance, [L] int from 0 to P − 1, L ≥ 1.

    Raises:
      ValueError: no sequences, an empty one, or a phone out of range.
    """
    follows = np.zeros((num_phones, num_phones + 1))
    first = np.zeros(num_phones + 1)
    for sequence in sequences:
        sequence = np.asarray(sequence)
        if len(sequence) == 0:
            raise ValueError('a bigram cannot be estimated on an empty sequence')
        if sequence.min() < 0 or sequence.max() >= num_phones:
            raise ValueError(f'phones must be 0 to {num_phones - 1}: {sequence}')
        first[sequence[0]] += 1
        np.add.at(follows, (sequence, np.append(sequence[1:], num_phones)), 1)
    if first.sum() == 0:
        raise ValueError('a bigram needs at least one sequence')
    unigram = _interpolate(
        follows.sum(axis=0) + first, np.full(num_phones + 1, 1 / (num_phones + 1))
    )
    start = _interpolate(first[:-1], unigram[:-1] / unigram[:-1].sum())
    rows = np.log([_interpolate(counts, unigram) for counts in follows]).astype(np.float32)
    return Bigram(rows[:, :-1], np.log(start).astype(np.float32), rows[:, -1])


def free_loop(num_phones: int) -> Bigram:
    """No language model: every phone may follow every other at no cost."""
    zeros = np.zeros(num_phones, np.float32)
    return Bigram(np.zeros((num_phones, num_phones), np.float32), zeros, zeros)


def _interpolate(counts: np.ndarray, lower: np.ndarray) -> np.ndarray:
    distinct = np.count_nonzero(counts)
    if distinct == 0:
        return lower
    return (counts + distinct * lower) / (counts.sum() + distinct)
