"""Speech features of a core test set's worth of audio, beside plain numpy, on one core.

    python benchmarks/features.py

192 utterances of made-up audio (about 580 s): from samples in memory to frames of 123 numbers. Both
run on one core, to which the process is bound where the system can do that. Seconds are the median of
five, after a first run. The peer is the same features from their definitions in numpy and float32,
an utterance at a time; both must give the same numbers. With `--root=FOLDER`, a corpus in TIMIT's
layout, reading and checking its files is timed too, with no peer. `--json=FILE` keeps the rows.
"""

import argparse
import os
import statistics
import sys
import time
from pathlib import Path

import numpy as np
import record

from mimic_jax.speech import fbank, timit, timit_files

TOLERANCE = 2e-3  # of logarithms; float32 sums in another order
FFT = 512


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--utterances', type=int, default=192)
    parser.add_argument('--repeats', type=int, default=5)
    parser.add_argument('--root', type=Path)
    parser.add_argument('--json', type=Path)
    arguments = parser.parse_args()
    bind_to_one_core()
    began = time.perf_counter()
    audio = waveforms(arguments.utterances)
    duration = sum(map(len, audio)) / fbank.SAMPLE_RATE
    weights = triangles()
    programs = {
        'ours': lambda: [fbank.features(samples) for samples in audio],
        'peer': lambda: [numpy_features(samples, weights) for samples in audio],
    }
    found, seconds = {}, {}
    for name, program in programs.items():
        found[name] = program()
        seconds[name] = median(program, arguments.repeats)
    check_equal(found['ours'], found['peer'])
    measured = rows(arguments.utterances, duration, seconds)
    print(f'{arguments.utterances} utterances, {duration:.0f} s of audio, on one core')
    for name, title in (('ours', 'mimic_jax, by kaldi-native-fbank'), ('peer', 'numpy')):
        print(f'{title:33}  {seconds[name]:6.2f} s  {duration / seconds[name]:7.0f} × real time')
    if arguments.root:
        measured += [reading(arguments.root, arguments.repeats)]
    if arguments.json:
        seconds = round(time.perf_counter() - began, 1)
        record.save(arguments.json, measured, seconds=seconds)


def bind_to_one_core() -> None:
    """Threads of numpy's libraries stay on that core too."""
    if hasattr(os, 'sched_setaffinity'):  # Linux
        os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})


def waveforms(utterances: int) -> list[np.ndarray]:
    """Noise of 1 to 7 seconds in 16-bit units, float32 [n]; an utterance has 3 s in the mean."""
    random = np.random.default_rng(0)
    lengths = 16000 + np.round(96000 * random.beta(2, 4, utterances)).astype(int)
    return [random.normal(scale=1000, size=n).round().astype(np.float32) for n in lengths]


def triangles() -> np.ndarray:
    """The mel bank's weights [257, 40] float32, of equal width in mel from 20 to 8000 Hz."""

    def mel(hertz):
        return 1127 * np.log(1 + hertz / 700)

    edges = np.linspace(mel(20), mel(8000), fbank.BANDS + 1)
    centres = mel(np.arange(FFT // 2) * fbank.SAMPLE_RATE / FFT)[:, None]
    rise = (centres - edges[:-2]) / np.diff(edges)[:-1]
    fall = (edges[2:] - centres) / np.diff(edges)[1:]
    bank = np.clip(np.minimum(rise, fall), 0, None)
    return np.pad(bank, ((0, 1), (0, 0))).astype(np.float32)  # nothing at 8000 Hz itself


def numpy_features(samples: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """The peer: all windows of an utterance at once, [T, 123] float32."""
    windows = np.lib.stride_tricks.sliding_window_view(samples, fbank.WINDOW)[:: fbank.SHIFT]
    windows = windows - windows.mean(axis=1, keepdims=True)
    floor = np.float32(2.0**-23)
    energy = np.maximum(np.einsum('tn,tn->t', windows, windows), floor)
    before = np.concatenate([windows[:, :1], windows[:, :-1]], axis=1)
    shaped = (windows - np.float32(0.97) * before) * np.hamming(fbank.WINDOW).astype(np.float32)
    spectrum = np.fft.rfft(shaped, FFT, axis=1)
    power = spectrum.real**2 + spectrum.imag**2
    bands = np.maximum(power @ weights, floor)
    static = np.log(np.concatenate([energy[:, None], bands], axis=1)).astype(np.float32)
    first = numpy_deltas(static)
    return np.stack([static, first, numpy_deltas(first)], axis=2).reshape(len(static), -1)


def numpy_deltas(values: np.ndarray) -> np.ndarray:
    padded = np.pad(values, ((2, 2), (0, 0)), mode='edge')
    return ((padded[3:-1] - padded[1:-3]) + 2 * (padded[4:] - padded[:-4])) / np.float32(10)


def check_equal(ours: list[np.ndarray], theirs: list[np.ndarray]) -> None:
    most = max(float(np.abs(a - b).max()) for a, b in zip(ours, theirs, strict=True))
    if not most <= TOLERANCE:
        sys.exit(f'features differ by {most:.4f} between the two, by more than {TOLERANCE}')


def rows(utterances: int, duration: float, seconds: dict) -> list[dict]:
    measured = {
        f'features of {utterances} utterances, {duration:.0f} s of audio': ('s', seconds),
        'real-time factor': ('s a s of audio', {k: v / duration for k, v in seconds.items()}),
    }
    return [
        record.cost(name, values['ours'], values['peer'], unit=unit)
        for name, (unit, values) in measured.items()
    ]


def reading(root: Path, repeats: int) -> dict:
    """The row on reading: samples and labels of every utterance, checked."""
    found = timit.find(root)
    duration = sum(len(timit_files.read(each)[0]) for each in found) / fbank.SAMPLE_RATE
    seconds = median(lambda: [timit_files.read(each) for each in found], repeats)
    print(f'reading {len(found)} utterances  {seconds:.2f} s  {duration / seconds:.0f} × real time')
    name = f'reading {len(found)} utterances, {duration:.0f} s of audio'
    return {'name': name, 'ours': round(seconds, 6), 'peer': None, 'ratio': None, 'unit': 's'}


def median(program, repeats: int) -> float:
    times = []
    for _ in range(repeats):
        began = time.perf_counter()
        program()
        times.append(time.perf_counter() - began)
    return statistics.median(times)


if __name__ == '__main__':
    main()
