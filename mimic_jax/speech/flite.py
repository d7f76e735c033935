"""A small labelled corpus of synthetic speech in TIMIT's layout, spoken by flite.

Three voices at four pitches and speeds make twelve speakers, who say eight sentences each. flite prints
the time at which each phone ends. It has no labels for the closures of stops, so `b` stands here for
TIMIT's `bcl b`; its other phones have TIMIT's names. Speakers share voices, so error rates on this
corpus show that the pipeline works, not how well it recognises speech.
"""

import hashlib
import itertools
import subprocess
import wave
from pathlib import Path
from typing import NamedTuple

import numpy as np

from mimic_jax.errors import UserError
from mimic_jax.runtime.progress import Count
from mimic_jax.speech import phones

VERSION = 1  # part of the artifact's name; raise it with every change of what is written
INSTALL = 'install it (Debian: apt-get install flite), or use another data set'
SENTENCES = 8  # a speaker
_NOT_KNOWN = 'which is not understood; try flite 2.2'

_VOICES = {'slt': ('f', 170), 'rms': ('m', 100), 'awb': ('m', 130)}  # sex, pitch in Hz
_STYLES = ((0.9, 1.0), (1.0, 1.15), (1.1, 0.9), (1.2, 1.05))  # factors on pitch and duration
_SUBJECTS = (
    *('the old fisherman', 'a young teacher', 'our noisy neighbor', 'every thirsty horse'),
    *('the royal judge', 'my youngest cousin', 'the shy engineer', 'a huge brown bear'),
)
_VERBS = (
    *('watched', 'measured', 'enjoyed', 'pushed', 'carried', 'thought about', 'chose', 'found'),
)
_OBJECTS = (
    *('the boiling water', 'her good book', 'a cheap leather coat', 'that ugly yellow house'),
    *('the usual television show', 'their garage door', 'a fine piece of cheese', 'nothing at all'),
)
_ENDINGS = (
    *('before noon', 'beyond the hedge', 'with great pleasure', 'under the old oak'),
    *('in this cool weather', 'by the south harbor', 'for a year', 'just to be sure'),
)


class Speaker(NamedTuple):
    """A voice in a style.  name: as TIMIT names speakers.  pitch: Hz.  stretch: of durations."""

    name: str
    voice: str
    pitch: int
    stretch: float


def speakers() -> list[Speaker]:
    return [
        Speaker(f'{sex}{voice}{number}', voice, round(pitch * factor), stretch)
        for voice, (sex, pitch) in _VOICES.items()
        for number, (factor, stretch) in enumerate(_STYLES)
    ]


def sentences() -> list[str]:
    """The spoken sentences, `SENTENCES` for each speaker in turn, no sentence twice."""
    everything = [
        ' '.join(parts) + '.' for parts in itertools.product(_SUBJECTS, _VERBS, _OBJECTS, _ENDINGS)
    ]
    count = len(speakers()) * SENTENCES
    chosen = np.random.default_rng(0).choice(len(everything), count, replace=False)
    return [everything[number] for number in chosen]


def identity() -> dict:
    """What the corpus is made of, except flite's version."""
    text = '\n'.join([*map(str, speakers()), *sentences()])
    return {
        'name': 'flite',
        'version': VERSION,
        'sha256': hashlib.sha256(text.encode()).hexdigest(),
    }


def write(root: Path, count: Count | None = None) -> int:
    """Writes TRAIN/DR1/FSLT0/SX1.WAV, SX1.PHN and so on; returns the number of utterances.

    count: called as `count(what, done, total)`.

    Raises:
      UserError: flite or one of its voices is missing, or flite's output cannot be read.
    """
    _check_voices()
    said = sentences()
    for place, text in enumerate(said):
        speaker = speakers()[place // SENTENCES]
        folder = root / 'TRAIN' / 'DR1' / speaker.name.upper()
        folder.mkdir(parents=True, exist_ok=True)
        audio = folder / f'SX{place % SENTENCES + 1}.WAV'
        printed = _speak(speaker, text, audio)
        with wave.open(str(audio)) as file:
            written = labels(printed, file.getframerate(), file.getnframes())
        audio.with_suffix('.PHN').write_text(written)
        if count:
            count('synthesising speech', place + 1, len(said))
    return len(said)


def labels(printed: str, rate: int, samples: int) -> str:
    """The lines of a .PHN file from the output of `flite -psdur`: 'pau:0.184 dh:0.236 …', ends in seconds.

    A pause at the beginning or the end is h#. The last phone ends with the audio, which has `samples`
    samples at `rate` a second.

    Raises:
      UserError: an entry that is not a phone with its end, or ends that do not rise.
    """
    found = [field.partition(':') for field in printed.split()]
    lines, start = [], 0
    for number, (phone, _, end) in enumerate(found):
        last = number == len(found) - 1
        try:
            stop = samples if last else min(round(float(end) * rate), samples)
        except ValueError:
            raise UserError(f'flite printed {printed[:60]!r} for phones, {_NOT_KNOWN}') from None
        name = 'h#' if phone == 'pau' and (last or number == 0) else phone
        if name not in phones.NUMBER or stop <= start:
            raise UserError(f'flite has the phone {phone!r} to {end} seconds, {_NOT_KNOWN}')
        lines.append(f'{start} {stop} {name}\n')
        start = stop
    return ''.join(lines)


def _speak(speaker: Speaker, text: str, audio: Path) -> str:
    """Writes the audio; returns what flite prints."""
    settings = {'int_f0_target_mean': speaker.pitch, 'duration_stretch': speaker.stretch}
    features = [part for key, value in settings.items() for part in ('--setf', f'{key}={value}')]
    return _run('-voice', speaker.voice, *features, '-psdur', '-t', text, '-o', str(audio))


def _check_voices() -> None:
    there = _run('-lv').split()
    missing = [voice for voice in _VOICES if voice not in there]
    if missing:
        raise UserError(f'flite has no voice {", ".join(missing)}; {INSTALL}')


def _run(*arguments: str) -> str:
    try:
        done = subprocess.run(('flite', *arguments), capture_output=True, text=True, check=True)
    except FileNotFoundError:
        raise UserError(
            f"the data set 'flite' is spoken by flite, which is missing; {INSTALL}"
        ) from None
    except subprocess.CalledProcessError as error:
        raise UserError(
            f'flite failed with status {error.returncode} ({error.stderr.strip()[:80]}); {INSTALL}'
        ) from None
    return done.stdout
