"""Decoding a core test set's worth of utterances, beside a plain numpy Viterbi.

    python benchmarks/viterbi.py

192 utterances of 100 to 700 frames (about 58,000 in all) of made-up state likelihoods, 61 phones of
three states, a bigram of random weights: from host arrays to phones on the host. Seconds are the
median of three, after a first run that compiles and is printed apart; the real-time factor counts
10 ms a frame. Both decoders must find the same phones. `--json=FILE` keeps the rows.
"""

import argparse
import os
import statistics
import sys
import time
from pathlib import Path

import numpy as np
import record

from mimic_jax.ops import padding
from mimic_jax.speech import viterbi

PHONES = 61
FRAME_SECONDS = 0.01
LM_SCALE, PENALTY = np.float32(2.0), np.float32(1.0)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--utterances', type=int, default=192)
    parser.add_argument('--batch', type=int, default=32)
    parser.add_argument('--repeats', type=int, default=3)
    parser.add_argument('--json', type=Path)
    arguments = parser.parse_args()
    began = time.perf_counter()
    likelihoods, model = corpus(arguments.utterances)
    frames = sum(map(len, likelihoods))
    decoders = {
        'ours': lambda: decode(likelihoods, model, arguments.batch),
        'peer': lambda: [numpy_viterbi(utterance, model) for utterance in likelihoods],
    }
    first, found, seconds = {}, {}, {}
    for name, decoder in decoders.items():
        first[name], found[name] = timed(decoder)
        seconds[name] = statistics.median(timed(decoder)[0] for _ in range(arguments.repeats))
    check_equal(found['ours'], found['peer'])
    print(f'{arguments.utterances} utterances, {frames} frames, on {os.cpu_count()} cores')
    for name, title in (('ours', 'mimic_jax'), ('peer', 'numpy, one utterance at a time')):
        factor = seconds[name] / (frames * FRAME_SECONDS)
        print(
            f'{title:30}  {seconds[name]:7.2f} s  real-time factor {factor:.5f}'
            f'  (first run {first[name]:.2f} s)'
        )
    if arguments.json:
        found = rows(arguments.utterances, frames, first, seconds)
        record.save(arguments.json, found, seconds=round(time.perf_counter() - began, 1))


def rows(utterances: int, frames: int, first: dict, seconds: dict) -> list[dict]:
    audio = frames * FRAME_SECONDS
    measured = {
        f'Viterbi of {utterances} utterances, {frames} frames': ('s', seconds),
        'the same with compilation, first run': ('s', first),
        'real-time factor': ('s a s of audio', {name: seconds[name] / audio for name in seconds}),
    }
    return [
        record.cost(name, values['ours'], values['peer'], unit=unit)
        for name, (unit, values) in measured.items()
    ]


def corpus(utterances: int) -> tuple[list[np.ndarray], tuple]:
    """Likelihoods [T, S] that favour a path of random phones, and the model to decode them with."""
    random = np.random.default_rng(0)
    # A beta distribution of mean a third: 192 lengths from 100 to 700 sum to about 58,000.
    lengths = 100 + np.round(600 * random.beta(2, 4, utterances)).astype(int)
    likelihoods = []
    for length in lengths:
        scores = random.normal(scale=2.0, size=(length, 3 * PHONES)).astype(np.float32)
        phones = random.integers(0, PHONES, length // 9 + 1)
        spoken = (3 * phones[:, None] + np.arange(3)).ravel().repeat(3)[:length]
        scores[np.arange(length), spoken] += 4.0
        likelihoods.append(scores)
    table = np.log(random.dirichlet(np.ones(PHONES + 1), PHONES + 1)).astype(np.float32)
    half = np.full(3 * PHONES, np.log(0.5), np.float32)
    return likelihoods, (table[:-1, :-1], table[-1, :-1], table[:-1, -1], half, half)


def decode(likelihoods: list[np.ndarray], model: tuple, batch_size: int) -> list[np.ndarray]:
    phones = [None] * len(likelihoods)
    lengths = [len(utterance) for utterance in likelihoods]
    for indices, padded_length in padding.batches_by_length(lengths, batch_size):
        batch = padding.pad(likelihoods, indices, padded_length)
        paths, _ = viterbi.decode(*batch, *model, LM_SCALE, PENALTY)
        for index, path in zip(indices, np.asarray(paths), strict=True):
            if index >= 0:
                phones[index] = viterbi.segments(path)[0]
    return phones


def numpy_viterbi(likelihoods: np.ndarray, model: tuple) -> np.ndarray:
    """The peer: one utterance, frame by frame, with a back-pointer for every state."""
    bigram, start, end, stay, advance = model
    entry = LM_SCALE * bigram - PENALTY
    scores = np.full(likelihoods.shape[1], -np.inf, np.float32)
    scores[::3] = LM_SCALE * start - PENALTY + likelihoods[0, ::3]
    before = np.arange(len(scores)) - 1
    came_from = np.zeros(likelihoods.shape, np.int32)
    for time_step in range(1, len(likelihoods)):
        leaving = scores + advance
        into = leaving[2::3, None] + entry
        arriving, origin = np.roll(leaving, 1), before.copy()
        origin[::3] = 3 * into.argmax(axis=0) + 2
        arriving[::3] = into.max(axis=0)
        staying = scores + stay
        moves = arriving > staying
        came_from[time_step] = np.where(moves, origin, np.arange(len(scores)))
        scores = np.where(moves, arriving, staying) + likelihoods[time_step]
    final = scores[2::3] + advance[2::3] + LM_SCALE * end
    path = np.empty(len(likelihoods), np.int32)
    path[-1] = 3 * final.argmax() + 2
    for time_step in range(len(path) - 1, 0, -1):
        path[time_step - 1] = came_from[time_step, path[time_step]]
    return viterbi.segments(path)[0]


def check_equal(ours: list[np.ndarray], theirs: list[np.ndarray]) -> None:
    # Float32 sums in another order can turn a tie; more than one in a hundred would be a mistake.
    different = sum(not np.array_equal(*pair) for pair in zip(ours, theirs, strict=True))
    if different > len(ours) / 100:
        sys.exit(f'{different} of {len(ours)} utterances differ between the two decoders')


def timed(function):
    began = time.perf_counter()
    result = function()
    return time.perf_counter() - began, result


if __name__ == '__main__':
    main()
