"""TIMIT (LDC93S1) in the LDC's layout: which utterances there are.

`TRAIN/DR1/FCJF0/SX37.WAV` and `SX37.PHN`: part, dialect region, speaker and utterance, in any
letter case. `timit_files` reads the two files.
"""

import dataclasses
import hashlib
from collections.abc import Sequence
from pathlib import Path

from mimic_jax.artifacts import store
from mimic_jax.errors import UserError

PARTS = ('train', 'test')
WHERE_FROM = (
    'TIMIT comes from the LDC (LDC93S1, https://catalog.ldc.upenn.edu/LDC93S1); set '
    '--config.data.root to the folder that holds its TRAIN and TEST, or try '
    'experiments/speech_demo.py, which needs no corpus'
)


@dataclasses.dataclass(frozen=True)
class Utterance:
    """One recording of a speaker, its names in lower case.

    part: train or test, the corpus's own.  audio, labels: its files, None where there is none.
    """

    part: str
    region: str
    speaker: str
    name: str
    folder: Path
    audio: Path | None
    labels: Path | None

    @property
    def key(self) -> str:
        return f'{self.speaker}_{self.name}'


def find(root: str | Path) -> list[Utterance]:
    """The utterances under `root` in an order of their names; SA sentences are left out.

    root: the folder that holds TRAIN and TEST (one of the two is enough), or the folder above it.

    Raises:
      UserError: no TIMIT there, one speaker in two splits, or one utterance twice.
    """
    if not str(root):
        raise UserError(f'config.data.root is empty; {WHERE_FROM}')
    top = Path(root).expanduser()
    if not top.is_dir():
        raise UserError(f'{top} is no folder; {WHERE_FROM}')
    try:
        found = _walk(top)
    except OSError as error:
        raise UserError(
            f'{error.filename} cannot be read ({error.strerror}); make it readable'
        ) from error
    if not found:
        raise UserError(f'{top} has no utterances such as TRAIN/DR1/FCJF0/SX37.WAV; {WHERE_FROM}')
    return sorted(found, key=lambda utterance: (utterance.part, utterance.key))


def digest(utterances: Sequence[Utterance]) -> str:
    """SHA-256 of the utterances' names and of the content of their files, wherever they lie."""
    result = hashlib.sha256()
    for utterance in utterances:
        files = [_file_digest(path) for path in (utterance.audio, utterance.labels)]
        names = (utterance.part, utterance.region, utterance.speaker, utterance.name)
        result.update(' '.join((*names, *files)).encode() + b'\n')
    return result.hexdigest()


def _file_digest(path: Path | None) -> str:
    try:
        return store.file_digest(path) if path else 'missing'
    except OSError:
        return 'unreadable'  # a bad utterance, which `timit_files.read` reports


def _walk(top: Path) -> list[Utterance]:
    found, homes = [], {}
    for part, part_folder in _parts(top):
        for region, region_folder in _folders(part_folder):
            for speaker, folder in _folders(region_folder):
                if speaker in homes:
                    raise UserError(
                        f'speaker {speaker} is in two splits or regions, {homes[speaker]} and '
                        f'{folder}; remove one of the two'
                    )
                homes[speaker] = folder
                found += _utterances(part, region, speaker, folder)
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


def _folders(folder: Path) -> list[tuple[str, Path]]:
    """The folders in a folder, with their names in lower case."""
    return [(path.name.lower(), path) for path in sorted(folder.iterdir()) if path.is_dir()]


def _utterances(part: str, region: str, speaker: str, folder: Path) -> list[Utterance]:
    files: dict[str, dict[str, Path]] = {}
    for path in sorted(folder.iterdir()):
        name, _, kind = path.name.lower().partition('.')
        if kind in ('wav', 'phn') and name[:2] != 'sa':
            kinds = files.setdefault(name, {})
            if kind in kinds:
                raise UserError(f'{kinds[kind]} and {path} are one utterance; remove one of them')
            kinds[kind] = path
    return [
        Utterance(part, region, speaker, name, folder, kinds.get('wav'), kinds.get('phn'))
        for name, kinds in files.items()
    ]
