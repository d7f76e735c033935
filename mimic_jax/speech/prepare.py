"""Reads a corpus of speech once, or has flite speak one first, and divides it by speaker."""

import dataclasses
import time
from pathlib import Path

from mimic_jax.artifacts import store
from mimic_jax.artifacts.recipes import Recipe, canonical_json
from mimic_jax.data import sources
from mimic_jax.data.settings import Data
from mimic_jax.errors import UserError
from mimic_jax.runtime.progress import Progress
from mimic_jax.speech import corpora, flite, timit_source
from mimic_jax.speech.dataset import SpeechDataset

FILES = ('frames.npy', 'targets.npy', 'bounds.npy')


def run(data: Data, workdir: Path, progress: Progress) -> SpeechDataset:
    """The corpus of a config, its frames memory-mapped from the artifact `data-<id>`."""
    if data.name == 'flite':
        data = _synthesised(data, workdir, progress)
    else:
        left_out = timit_source.described(data)
        if left_out:
            progress.say(left_out)
    folder = store.make(
        workdir,
        Recipe('data', timit_source.identity(data)),
        lambda folder: _build(folder, data, progress),
        progress.say,
    )
    facts = store.manifest(folder)
    content = canonical_json([facts['files'][name] for name in FILES])
    return timit_source.divide(corpora.load(folder), content, data, progress.say)


def register() -> None:
    """Makes the corpora known as data sets, by config.data.name."""
    for name in ('timit', 'flite'):
        sources.register(name, run)


def _synthesised(data: Data, workdir: Path, progress: Progress) -> Data:
    """The settings of the corpus `corpus-<id>`, which flite speaks and which is read like TIMIT."""
    if data.root:
        raise UserError(
            f"config.data.root is {data.root!r}, but 'flite' makes its corpus in the workdir; leave "
            "it empty, or set config.data.name to 'timit' to read the one that is there"
        )
    folder = store.make(
        workdir,
        Recipe('corpus', flite.identity()),
        lambda folder: _speak(folder, progress),
        progress.say,
    )
    store.manifest(folder)  # a changed label may read as well as the right one
    return dataclasses.replace(data, name='timit', root=str(folder))


def _speak(folder: Path, progress: Progress) -> dict:
    start = time.monotonic()
    count = flite.write(folder, progress.count)
    return {'utterances': count, 'seconds': round(time.monotonic() - start, 3)}


def _build(folder: Path, data: Data, progress: Progress) -> dict:
    start = time.monotonic()
    found = timit_source.find(data)
    facts = corpora.write(found, folder, data.skip_bad, progress.count)
    return {**facts, 'seconds': round(time.monotonic() - start, 3)}
