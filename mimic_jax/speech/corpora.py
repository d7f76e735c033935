"""Utterances as arrays: the frames of all of them, one after another, with targets and bounds."""

import dataclasses
import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from mimic_jax.data import mapped
from mimic_jax.errors import UserError
from mimic_jax.runtime.progress import Count
from mimic_jax.speech import alignment, fbank, phones, timit, timit_files
from mimic_jax.speech.timit import Utterance

# Part of artifacts' names. Raise it with every change of what is stored.
VERSION = 1


@dataclasses.dataclass(frozen=True)
class Spoken(timit.Names):
    """One utterance's names and reference.  phones: [S] int32 of 0–60, before folding."""

    phones: np.ndarray


@dataclasses.dataclass(frozen=True)
class Speech:
    """Frames of U utterances.

    frames: [N, 123] float32, memory-mapped; see `fbank.features`.  targets: [N] int32, states 0–182.
    bounds: [U + 1] int64; utterance u holds the frames from bounds[u] to bounds[u + 1] − 1.
    utterances: the U utterances.  bad: a line on each utterance that was left out.
    """

    frames: np.ndarray
    targets: np.ndarray
    bounds: np.ndarray
    utterances: tuple[Spoken, ...]
    bad: tuple[str, ...]

    def runs(self, positions: np.ndarray) -> list[tuple[int, int]]:
        """The (start, stop) rows of the utterances at some positions."""
        return [(int(self.bounds[u]), int(self.bounds[u + 1])) for u in positions]

    def rows(self, positions: np.ndarray) -> np.ndarray:
        """The rows of the utterances at some positions, [n] int32."""
        parts = [np.arange(start, stop, dtype=np.int32) for start, stop in self.runs(positions)]
        return np.concatenate([np.zeros(0, np.int32), *parts])


def write(
    utterances: Sequence[Utterance],
    folder: Path,
    skip_bad: bool = False,
    count: Count | None = None,
) -> dict:
    """Writes frames.npy, targets.npy, bounds.npy and utterances.json, in the utterances' order.

    Everything is read and checked before the first feature is computed. A frame takes 492 bytes
    (541 MB for 1.1 million) on the disk, and memory does not grow with the corpus.
    folder: must exist.  skip_bad: leave bad utterances out, and list them, instead of raising.
    count: called as `count(what, done, total)`, in utterances.
    Returns the numbers {'utterances', 'frames', 'bad'}.

    Raises:
      UserError: a bad utterance, none that is good, or a library that is not installed.
    """
    good, lengths, bad = _checked(utterances, skip_bad, count)
    bounds = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
    frames = mapped.create(folder / 'frames.npy', (int(bounds[-1]), fbank.FEATURES))
    targets = np.empty(bounds[-1], np.int32)
    spoken = []
    for number, utterance in enumerate(good):
        samples, segments = timit_files.read(utterance)
        place = slice(bounds[number], bounds[number + 1])
        frames[place] = fbank.features(samples)
        targets[place] = alignment.split_segments(segments.ends, segments.phones, lengths[number])
        spoken.append(_entry(utterance, segments))
        if count:
            count('computing speech features', number + 1, len(good))
    frames.flush()
    np.save(folder / 'targets.npy', targets)
    np.save(folder / 'bounds.npy', bounds)
    text = json.dumps({'utterances': spoken, 'bad': bad}, indent=1)
    (folder / 'utterances.json').write_text(text)
    return {'utterances': len(good), 'frames': int(bounds[-1]), 'bad': len(bad)}


def load(folder: Path) -> Speech:
    """The speech that `write` wrote; its frames stay on the disk until they are read."""
    described = json.loads((folder / 'utterances.json').read_text())
    utterances = tuple(
        Spoken(**{**entry, 'phones': phones.numbers(entry['phones'].split())})
        for entry in described['utterances']
    )
    return Speech(
        frames=np.load(folder / 'frames.npy', mmap_mode='r', allow_pickle=False),
        targets=np.load(folder / 'targets.npy', allow_pickle=False),
        bounds=np.load(folder / 'bounds.npy', allow_pickle=False),
        utterances=utterances,
        bad=tuple(described['bad']),
    )


def _checked(
    utterances: Sequence[Utterance], skip_bad: bool, count
) -> tuple[list[Utterance], list[int], list[str]]:
    """The good utterances, their numbers of frames, and a line on each bad one."""
    good, lengths, bad = [], [], []
    for number, utterance in enumerate(utterances, 1):
        try:
            samples, _ = timit_files.read(utterance)
        except timit_files.BadUtterance as error:
            if not skip_bad:
                raise
            bad.append(str(error))
        else:
            good.append(utterance)
            lengths.append(fbank.frame_count(len(samples)))
        if count:
            count('checking utterances', number, len(utterances))
    if not good:
        what = f'all {len(bad)} are bad, the first: {bad[0]}' if bad else 'there are none'
        raise UserError(f'no utterance to prepare, {what}')
    return good, lengths, bad


def _entry(utterance: Utterance, segments: timit_files.Segments) -> dict:
    return {
        'part': utterance.part,
        'region': utterance.region,
        'speaker': utterance.speaker,
        'name': utterance.name,
        'phones': ' '.join(phones.PHONES[number] for number in segments.phones),
    }
