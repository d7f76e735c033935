"""Realigns the targets of speech: decides which frames belong to which spoken phone."""

import functools
import time
from collections.abc import Sequence
from pathlib import Path

import jax
import numpy as np

from mimic_jax.artifacts import store
from mimic_jax.data.dataset import Dataset
from mimic_jax.mimic import ensemble, teachers
from mimic_jax.ops import padding
from mimic_jax.runtime import hosts
from mimic_jax.speech import state_statistics, timit_source, viterbi
from mimic_jax.speech.plan import AlignmentPlan
from mimic_jax.training.session import Session

TARGETS = 'targets.npy'
BATCH = 16  # utterances aligned at a time


def all_rounds(session: Session, plans: Sequence[AlignmentPlan]) -> Session:
    """The session with its targets realigned, round after round, whichever phase was asked for."""
    for plan in plans:
        folder = session.workdir / plan.recipe.name
        if not hosts.first(functools.partial(store.is_complete, folder)):
            teachers.make(session, plan.net)
        session = session.with_data(run(session.alone, plan))
    return session


def run(session: Session, plan: AlignmentPlan) -> Dataset:
    """Reads the finished net; writes the artifact `align-<id>`; returns the data with its targets.

    The artifact holds targets [N] int32; those of the test split are unchanged. Its manifest has the
    number of aligned `utterances`, the number `kept` unchanged because their phones do not fit into
    their frames, and the share of frames whose target `changed`.
    """
    folder = store.make(
        session.workdir,
        plan.recipe,
        lambda folder: _write(folder, session, plan),
        session.progress.say,
    )
    facts = store.manifest(folder)
    if facts['kept']:
        session.progress.say(
            f'{facts["kept"]} of {facts["utterances"]} utterances are too short to align and keep '
            'their targets'
        )
    targets = np.load(folder / TARGETS, allow_pickle=False)
    return timit_source.realigned(session.data, targets, plan.recipe.name)


def _write(folder: Path, session: Session, plan: AlignmentPlan) -> dict:
    start = time.monotonic()
    data = session.data
    chosen = np.concatenate([data.utterances[split] for split in plan.recipe.config['splits']])
    runs = data.speech.runs(chosen)
    sequences = [data.speech.utterances[position].phones for position in chosen]
    longest = max(map(len, sequences))
    best_paths = _aligner(session, plan)
    targets, done, kept = data.labels.copy(), 0, 0
    for indices, length in padding.batches_by_length([b - a for a, b in runs], BATCH):
        rows = [np.arange(*runs[i], dtype=np.int32) for i in indices if i >= 0]
        paths = best_paths(rows, [sequences[i] for i in indices if i >= 0], length, longest)
        for row, path in zip(rows, paths, strict=True):
            if path[0] < 0:
                kept += 1
            else:
                targets[row] = path[: len(row)]
        done += len(rows)
        session.progress.count('aligning utterances', done, len(runs))
    np.save(folder / TARGETS, targets)
    frames = np.concatenate([np.arange(*run) for run in runs])
    return {
        'utterances': len(runs),
        'kept': kept,
        'changed': round(float(np.mean(targets[frames] != data.labels[frames])), 6),
        'seconds': round(time.monotonic() - start, 3),
    }


def _aligner(session: Session, plan: AlignmentPlan):
    """`best_paths(rows, sequences, length, longest) -> [n, length]`: the net's paths of n utterances.

    rows: each utterance's rows.  sequences: its phones.  length, longest: the lengths to which frames
    and phones are padded. Likelihoods are the net's posteriors divided by the priors of its targets.
    """
    data = session.data
    logits = ensemble.load(session, plan.net)
    paths = [data.labels[slice(*run)] for run in data.speech.runs(data.utterances['train'])]
    priors = state_statistics.log_priors(paths, data.num_classes)
    stay, advance = state_statistics.log_transitions(paths, data.num_classes)

    def best_paths(rows, sequences, length, longest):
        said = logits(session.placement.in_order(np.concatenate(rows)))
        cuts = np.cumsum([len(row) for row in rows])[:-1]
        indices = np.append(np.arange(len(rows)), np.full(BATCH - len(rows), -1))
        padded, lengths = padding.pad(np.split(said, cuts), indices, length)
        phones = np.full((BATCH, longest), -1, np.int32)
        for row, sequence in zip(phones, sequences, strict=False):
            row[: len(sequence)] = sequence
        likelihoods = jax.nn.log_softmax(padded) - priors
        best, _ = viterbi.align(likelihoods, lengths, phones, stay, advance)
        return np.asarray(best)[: len(rows)]

    return best_paths
