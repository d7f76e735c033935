"""An utterance's two files: the audio, NIST SPHERE or RIFF, and the .PHN with its phones."""

import itertools
import os
from pathlib import Path
from typing import NamedTuple

import numpy as np

from mimic_jax.errors import UserError, first_line
from mimic_jax.speech import phones
from mimic_jax.speech.fbank import SAMPLE_RATE, WINDOW
from mimic_jax.speech.timit import Utterance

END_SLACK = WINDOW  # samples by which the last label may end after the audio
UNLABELLED = 16000  # samples at either end without a label, at most; 2,802 occur in TIMIT's sample
MIN_SAMPLES = WINDOW
MAX_SAMPLES = 4 * 3600 * SAMPLE_RATE  # four hours: more is a false header, or is to be cut up
MAX_DIGITS = 12  # of a number in a .PHN
FULL_SCALE = 32768.0  # of 16-bit samples
_MEND = 'repair it, or set config.data.skip_bad to True'


class BadUtterance(UserError):
    """One utterance is at fault: what `skip_bad` skips and counts."""


class Segments(NamedTuple):
    """Labels, one segment after another: starts and ends in samples, phones as numbers, each [S] int."""

    starts: np.ndarray
    ends: np.ndarray
    phones: np.ndarray


def read(utterance: Utterance) -> tuple[np.ndarray, Segments]:
    """Samples float32 [n] in 16-bit units (−32768 to 32767) and the labels over them.

    Raises:
      BadUtterance: a fault of `read_audio` or `read_labels`, or a file that is not there.
      UserError: the library that reads audio is not installed.
    """
    for path, kind in ((utterance.audio, 'WAV'), (utterance.labels, 'PHN')):
        if path is None:
            raise BadUtterance(
                f'{utterance.folder / utterance.name.upper()}.{kind} is missing; {_MEND}'
            )
    samples = read_audio(utterance.audio)
    return samples, read_labels(utterance.labels, len(samples))


def read_audio(path: Path) -> np.ndarray:
    """A file's samples, float32 [n] in 16-bit units: −32768 to 32767.

    Raises:
      BadUtterance: not readable, not 16 kHz, not mono, not as long as its header says, shorter than a
        frame, or not finite.
      UserError: soundfile is not installed.
    """
    try:
        import soundfile
    except (ImportError, OSError) as error:  # OSError: soundfile without libsndfile
        raise UserError("reading audio needs soundfile: pip install -e '.[speech]'") from error
    try:
        declared = _declared_samples(path)
        with soundfile.SoundFile(os.fsencode(path)) as file:  # a name need not be UTF-8
            rate, channels = file.samplerate, file.channels
            _check_length(file.frames * channels, path)
            samples = file.read(dtype='float32')
    except (OSError, ValueError, soundfile.SoundFileError) as error:
        reason = first_line(error)
        raise BadUtterance(f'{path} cannot be read as audio ({reason}); {_MEND}') from error
    if rate != SAMPLE_RATE:
        raise BadUtterance(f'{path} has {rate} samples a second, not {SAMPLE_RATE}; {_MEND}')
    if channels != 1:
        raise BadUtterance(f'{path} has {channels} channels, not 1; {_MEND}')
    if declared is not None and len(samples) != declared:
        raise BadUtterance(
            f'{path} is not as long as it says: {declared} samples in its header, {len(samples)} in it; '
            f'{_MEND}'
        )
    if len(samples) < MIN_SAMPLES:
        raise BadUtterance(f'{path} has {len(samples)} samples, less than a frame; {_MEND}')
    if not np.isfinite(samples).all():
        raise BadUtterance(f'{path} holds samples that are not finite; {_MEND}')
    return samples * np.float32(FULL_SCALE)


def read_labels(path: Path, samples: int) -> Segments:
    """The segments of a .PHN over audio of so many samples.

    The last may end up to `END_SLACK` samples after the audio, and up to `UNLABELLED` samples may lie
    before the first and behind the last.

    Raises:
      BadUtterance: no lines, a malformed one, an unknown phone, an empty segment, a gap, an
        overlap, or an end past the audio; the line is named.
    """
    try:
        lines = path.read_text('utf-8', errors='replace').splitlines()
    except OSError as error:
        raise BadUtterance(f'{path} cannot be read ({error.strerror}); {_MEND}') from error
    rows = [
        _row(line, f'{path} line {number}') for number, line in enumerate(lines, 1) if line.strip()
    ]
    if not rows:
        raise BadUtterance(f'{path} holds no labels; {_MEND}')
    for (_, before, _, _), (start, _, _, where) in itertools.pairwise(rows):
        if start != before:
            fault = 'a gap' if start > before else 'an overlap'
            raise BadUtterance(
                f'{where} starts at {start} where the segment before ends at {before}, {fault}; '
                f'{_MEND}'
            )
    start, _, _, where = rows[0]
    if start > UNLABELLED:
        raise BadUtterance(f'{where} starts at {start}, a gap from the beginning; {_MEND}')
    _, end, _, where = rows[-1]
    if samples - end > UNLABELLED:
        raise BadUtterance(
            f'{where} is the last and ends at {end} of {samples} samples, a gap to the end; {_MEND}'
        )
    if end > samples + END_SLACK:
        raise BadUtterance(f'{where} ends at {end}, past the audio of {samples} samples; {_MEND}')
    starts, ends, labels = zip(*(row[:3] for row in rows), strict=True)
    return Segments(np.array(starts), np.array(ends), phones.numbers(labels))


def _row(line: str, where: str) -> tuple[int, int, str, str]:
    fields = line.split()
    if len(fields) != 3 or not (_is_number(fields[0]) and _is_number(fields[1])):
        raise BadUtterance(f"{where} is {line.strip()[:60]!r}, not 'start end phone'; {_MEND}")
    start, end, phone = int(fields[0]), int(fields[1]), fields[2].lower()
    if phone not in phones.NUMBER:
        raise BadUtterance(f'{where} has {phone[:20]!r}, none of the 61 phones; {_MEND}')
    if end <= start:
        raise BadUtterance(f'{where} ends at {end}, not after its start {start}; {_MEND}')
    return start, end, phone, where


def _is_number(text: str) -> bool:
    return text.isdecimal() and len(text) <= MAX_DIGITS


def _check_length(samples: int, path: Path) -> None:
    """ValueError where a header promises far too many samples, before memory is taken for them."""
    if samples > MAX_SAMPLES:
        raise ValueError(f'its header promises {samples} samples, more than {MAX_SAMPLES}')
    size = os.path.getsize(path)
    with path.open('rb') as file:
        plain = file.read(4) in (b'RIFF', b'NIST')  # at least a byte a sample
    if plain and samples > size:
        raise ValueError(f'its header promises {samples} samples, and it has {size} bytes')


def _declared_samples(path: Path) -> int | None:
    """How many samples a SPHERE header promises; None where it has no number, and in other formats.

    Raises:
      ValueError: an empty file, a damaged SPHERE header, or a RIFF file shorter than it says.
    """
    size = os.path.getsize(path)
    if size == 0:
        raise ValueError('the file is empty')
    with path.open('rb') as file:
        head = file.read(16)
        if head[:4] == b'RIFF':
            wanted = int.from_bytes(head[4:8], 'little') + 8
            if wanted != 8 + 0xFFFFFFFF and size < wanted:  # all ones: written to a pipe
                raise ValueError(f'it is cut short: {wanted} bytes in its header, {size} in it')
        if head[:7] != b'NIST_1A':
            return None
        if not head[8:].strip().isdigit():
            raise ValueError('its SPHERE header has no length')
        header = head + file.read(int(head[8:]) - len(head))
    for line in header.decode('latin-1').splitlines():
        match line.split():
            case ['sample_count', '-i', count] if count.isdecimal():
                return int(count)
            case ['end_head']:
                break
    return None
