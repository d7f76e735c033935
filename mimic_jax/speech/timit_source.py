"""TIMIT as a data set: every frame is an example, and each speaker is in one split."""

import dataclasses
import hashlib
from collections.abc import Sequence

import numpy as np

from mimic_jax.data.settings import Data
from mimic_jax.errors import UserError
from mimic_jax.runtime import files
from mimic_jax.runtime.progress import Say
from mimic_jax.speech import corpora, fbank, phones, timit, timit_splits
from mimic_jax.speech.corpora import Speech
from mimic_jax.speech.dataset import STATES, SpeechDataset


def identity(data: Data) -> dict:
    """What determines the frames and targets of the corpus at `data.root`.

    Raises:
      UserError: what `find` refuses.
    """
    skipping = {'skip_bad': True} if data.skip_bad else {}
    return {
        'name': 'timit',
        'sha256': timit.digest(find(data)),
        'versions': {'speech': corpora.VERSION, 'features': fbank.VERSION},
        **skipping,
    }


def find(data: Data) -> list[timit.Utterance]:
    """The utterances that the split uses: the official one leaves most of TEST alone.

    Raises:
      UserError: no corpus there, settings that speech does not have, speakers too few or not there.
    """
    _check(data)
    found = timit.find(data.root)
    used = np.concatenate(list(positions(found, data).values()))
    return [found[position] for position in np.sort(used)]


def described(data: Data) -> str:
    """A line on what the corpus has that is not read, and on recordings that two splits share.

    Empty where there is nothing to say.

    Raises:
      UserError: as `find`.
    """
    _check(data)
    survey = timit.survey(data.root)
    chosen = positions(survey.utterances, data)
    used = np.concatenate(list(chosen.values()))
    unused = sorted(set(range(len(survey.utterances))) - set(used.tolist()))
    parts = [f'not read: {survey.skipped()}'] if survey.skipped() else []
    if unused:
        speakers = {survey.utterances[position].speaker for position in unused}
        parts.append(
            f'{len(unused):,} utterances of {len(speakers)} speakers are in no split of '
            f'{data.split!r}'
        )
    twins = _twins(survey.utterances, chosen)
    if twins:
        parts.append(
            f'{twins:,} held-out recordings equal a recording of another split, byte for byte'
        )
    if not parts:
        return ''
    return f'{files.printable(data.root)}: {len(used):,} utterances; {"; ".join(parts)}'


def _twins(utterances: Sequence, chosen: dict[str, np.ndarray]) -> int:
    """How many validation recordings are in train too, and test recordings in train or validation."""
    held = {
        split: timit.audio_digests([utterances[position] for position in where])
        for split, where in chosen.items()
    }
    before = set(held['train'])
    count = sum(digest in before for digest in held['validation'])
    before.update(held['validation'])
    return count + sum(digest in before for digest in held['test'])


def positions(utterances: Sequence, data: Data) -> dict[str, np.ndarray]:
    """The positions [n] int32 of each split's utterances; see `timit_splits`."""
    match data.split:
        case 'official':
            return timit_splits.official(utterances)
        case 'speakers':
            return timit_splits.by_speaker(utterances, data.seed, data.validation, data.test)
        case _:
            return timit_splits.fold(utterances, data.seed, data.fold, data.folds, data.validation)


def divide(found: Speech, content: str, data: Data, say: Say) -> SpeechDataset:
    """The corpus in the splits that `data` asks for; there are no unlabelled examples.

    content: the hash of frames, targets and bounds.
    say: told, in a line each, of bad utterances left out and of figures that are not TIMIT's.
    """
    chosen = positions(found.utterances, data)
    if found.bad:
        say(f'{len(found.bad)} bad utterances are left out, the first: {found.bad[0]}')
    if data.split == 'official':
        sequences = [spoken.phones for spoken in found.utterances]
        timit_splits.check_figures(chosen, found.utterances, sequences, say)
    splits = {name: found.rows(where) for name, where in chosen.items()}
    labels = np.full(len(found.targets), -1, np.int32)
    for rows in splits.values():
        labels[rows] = found.targets[rows]
    return SpeechDataset(
        inputs=found.frames,
        labels=labels,
        splits={**splits, 'unlabelled': np.zeros(0, np.int32)},
        num_classes=phones.NUM_STATES,
        fingerprint=_fingerprint(found, content, chosen),
        preprocess=data.preprocess,
        speech=found,
        utterances=chosen,
        split=data.split,
        class_names=STATES,
    )


def realigned(data: SpeechDataset, targets: np.ndarray, name: str) -> SpeechDataset:
    """The data set with other targets [N] int32, which the artifact `name` holds."""
    fingerprint = hashlib.sha256(f'{data.fingerprint} {name}'.encode()).hexdigest()
    return dataclasses.replace(data, labels=targets, fingerprint=fingerprint)


def _fingerprint(found: Speech, content: str, chosen: dict[str, np.ndarray]) -> str:
    digest = hashlib.sha256(content.encode())
    for spoken in found.utterances:
        digest.update(f'{spoken.part} {spoken.key} '.encode() + spoken.phones.tobytes())
    for name in sorted(chosen):
        digest.update(name.encode() + chosen[name].tobytes())
    return digest.hexdigest()


def _check(data: Data) -> None:
    """Settings of other data sets that would go unread are refused."""
    if data.train or data.label_noise or data.transfer.kind != 'none':
        raise UserError(
            "config.data.train, label_noise and transfer are not for 'timit', which is divided by "
            'speaker; leave them out'
        )
    unread = {'official': ('validation', 'test'), 'fold': ('test',), 'speakers': ()}[data.split]
    for name in unread:
        if getattr(data, name):
            raise UserError(
                f'config.data.{name} is {getattr(data, name)}, but the split {data.split!r} has its '
                f"own {name} speakers; set it to 0, or config.data.split to 'speakers'"
            )
