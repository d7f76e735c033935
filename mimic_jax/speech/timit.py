"""TIMIT (LDC93S1) in the LDC's layout: which utterances there are.

`TRAIN/DR1/FCJF0/SX37.WAV` and `SX37.PHN`: part, dialect region, speaker and utterance, in any
letter case. Copies of the corpus may have `SX37.WAV.wav` beside or instead of `SX37.WAV`.
`timit_files` reads the two files.
"""

import dataclasses
import hashlib
import re
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from mimic_jax.errors import UserError
from mimic_jax.runtime import files

PARTS = ('train', 'test')
KINDS = ('wav', 'wav.wav', 'phn')  # what files' names end in, behind the first dot
SA = re.compile(r'sa\d+')  # the two sentences that every speaker reads
MISSING, UNREADABLE = 'missing', 'unreadable'  # in the place of a file's digest
WHERE_FROM = (
    'TIMIT comes from the LDC (LDC93S1, https://catalog.ldc.upenn.edu/LDC93S1); set '
    '--config.data.root to the folder that holds its TRAIN and TEST, or try '
    'experiments/speech_demo.py, which needs no corpus'
)


@dataclasses.dataclass(frozen=True)
class Names:
    """An utterance's names, in lower case.  part: train or test, the corpus's own."""

    part: str
    region: str
    speaker: str
    name: str

    @property
    def key(self) -> str:
        return f'{self.speaker}_{self.name}'


@dataclasses.dataclass(frozen=True)
class Utterance(Names):
    """One recording of a speaker.  audio, labels: its files, None where there is none."""

    folder: Path
    audio: Path | None
    labels: Path | None


@dataclasses.dataclass
class Survey:
    """A corpus as it lies on the disk.

    utterances: in an order of their names, SA sentences left out.  sa: how many of these there are.
    suffixes: how many files of speakers are no recordings or labels, by what their names end in.
    others: what else lies in the corpus and is not read, in words.
    """

    utterances: list[Utterance] = dataclasses.field(default_factory=list)
    sa: int = 0
    suffixes: Counter = dataclasses.field(default_factory=Counter)
    others: list[str] = dataclasses.field(default_factory=list)

    def skipped(self) -> str:
        """What is left out, in words; empty where nothing is."""
        parts = [f'{self.sa:,} SA sentences'] if self.sa else []
        parts += [
            f'{count:,} {f"{suffix} files" if suffix else "files without a suffix"}'
            for suffix, count in sorted(self.suffixes.items())
        ]
        return ', '.join([*parts, files.few(self.others)] if self.others else parts)


def find(root: str | Path) -> list[Utterance]:
    """The utterances of `survey`."""
    return survey(root).utterances


def survey(root: str | Path) -> Survey:
    """The utterances under `root`, and what else lies there; hidden files and folders aside.

    root: the folder that holds TRAIN and TEST (one of the two is enough), or the folder above it.

    Raises:
      UserError: no TIMIT there, one speaker in two splits, or one utterance twice.
    """
    if not str(root):
        raise UserError(f'config.data.root is empty; {WHERE_FROM}')
    top = files.expand(root)
    if not top.is_dir():
        raise UserError(f'{top} is no folder; {WHERE_FROM}')
    try:
        found = _walk(top)
    except OSError as error:
        raise UserError(
            f'{error.filename} cannot be read ({error.strerror}); make it readable'
        ) from error
    if not found.utterances:
        raise UserError(f'{top} has no utterances such as TRAIN/DR1/FCJF0/SX37.WAV; {WHERE_FROM}')
    found.utterances.sort(key=lambda utterance: (utterance.part, utterance.key))
    return found


def digest(utterances: Sequence[Utterance]) -> str:
    """SHA-256 of the utterances' names and of the content of their files, wherever they lie."""
    result = hashlib.sha256()
    for utterance in utterances:
        digests = [_file_digest(path) for path in (utterance.audio, utterance.labels)]
        names = (utterance.part, utterance.region, utterance.speaker, utterance.name)
        result.update(' '.join((*names, *digests)).encode() + b'\n')
    return result.hexdigest()


def audio_digests(utterances: Sequence[Utterance]) -> list[str]:
    """SHA-256 of the recordings' files, of those that can be read."""
    digests = [_file_digest(utterance.audio) for utterance in utterances]
    return [digest for digest in digests if digest not in (MISSING, UNREADABLE)]


def _file_digest(path: Path | None) -> str:
    try:
        return files.digest(path) if path else MISSING
    except OSError:
        return UNREADABLE  # a bad utterance, which `timit_files.read` reports


def _walk(top: Path) -> Survey:
    found, homes = Survey(), {}
    parts = _parts(top)
    place = parts[0][1].parent
    if place != top:
        _note_others(top, top, [place], found)
    _note_others(top, place, [folder for _, folder in parts], found)
    for part, part_folder in parts:
        regions = _folders(part_folder)
        _note_others(top, part_folder, [folder for _, folder in regions], found)
        for region, region_folder in regions:
            speakers = _folders(region_folder)
            _note_others(top, region_folder, [folder for _, folder in speakers], found)
            for speaker, folder in speakers:
                if speaker in homes:
                    raise UserError(
                        f'speaker {speaker} is in two splits or regions, {homes[speaker]} and '
                        f'{folder}; remove one of the two'
                    )
                homes[speaker] = folder
                _add_utterances(found, top, (part, region, speaker), folder)
    return found


def _parts(top: Path) -> list[tuple[str, Path]]:
    """The folders TRAIN and TEST in `top`, or in the one folder of it that has them."""
    places = {}
    for place in (top, *(folder for _, folder in _folders(top))):
        parts = [(name, folder) for name, folder in _folders(place) if name in PARTS]
        if parts and place == top:
            return parts
        if parts:
            places[place] = parts
    if not places:
        raise UserError(f'{top} has neither a TRAIN nor a TEST folder; {WHERE_FROM}')
    if len(places) > 1:
        names = ', '.join(place.name for place in places)
        raise UserError(f'{top} holds several corpora ({names}); set --config.data.root to one')
    return next(iter(places.values()))


def _entries(folder: Path) -> list[Path]:
    return [path for path in sorted(folder.iterdir()) if not path.name.startswith('.')]


def _folders(folder: Path) -> list[tuple[str, Path]]:
    """The folders in a folder, with their names in lower case."""
    return [(_name(path), path) for path in _entries(folder) if path.is_dir()]


def _name(path: Path) -> str:
    return files.printable(path.name).lower()


def _note_others(top: Path, folder: Path, known: Sequence[Path], found: Survey) -> None:
    """Notes what lies in a folder beside the folders that are read."""
    found.others += [_described(top, path) for path in _entries(folder) if path not in known]


def _described(top: Path, path: Path) -> str:
    return files.described(path, files.printable(path.relative_to(top)))


def _add_utterances(found: Survey, top: Path, where: tuple[str, str, str], folder: Path) -> None:
    """Adds a speaker's utterances: `SX37.WAV`, or `SX37.WAV.wav` where there is no such, and `SX37.PHN`."""
    kinds_of: dict[str, dict[str, Path]] = {}
    sentences = set()
    for path in _entries(folder):
        name, _, kind = _name(path).partition('.')
        if kind not in KINDS:
            if path.is_file():
                found.suffixes[f'.{kind}' if kind else ''] += 1
            else:
                found.others.append(_described(top, path))
        elif SA.fullmatch(name):
            sentences.add(name)
        else:
            kinds = kinds_of.setdefault(name, {})
            if kind in kinds:
                raise UserError(f'{kinds[kind]} and {path} are one utterance; remove one of them')
            kinds[kind] = path
    found.sa += len(sentences)
    for name, kinds in kinds_of.items():
        if {'wav', 'wav.wav'} <= set(kinds):
            found.suffixes['.wav.wav'] += 1
        audio = kinds.get('wav', kinds.get('wav.wav'))
        found.utterances.append(Utterance(*where, name, folder, audio, kinds.get('phn')))
