"""Counts on decodings of real utterances, beside those of NIST's sclite."""

import os
import re
import shutil
import subprocess

import numpy as np
import pytest

from mimic_jax.speech import alignment, decoding, fbank, per, phones, timit, timit_files

pytest.importorskip('soundfile', reason="needs soundfile: the extra 'speech'")
SAMPLE = os.environ.get('TIMIT_SAMPLE_DIR')
# Debian's package sctk keeps sclite off the PATH.
SCLITE = shutil.which('sclite', path=f'{os.environ.get("PATH", "")}:/usr/lib/sctk/bin')


@pytest.fixture(scope='module')
def decoded():
    """References (folded), decodings and keys of 32 utterances of the sample.

    They are decoded from their audio, by Gaussians of one covariance about the mean frame of each
    state in 32 other utterances: a linear net that needs no training.
    """
    if not SAMPLE:
        pytest.skip('TIMIT_SAMPLE_DIR names no TIMIT sample')
    found = timit.find(SAMPLE)
    frames, paths, sequences = read(found[2::4])
    model = decoding.estimate(paths, sequences, len(phones.PHONES))
    logits = gaussians(np.concatenate(frames), np.concatenate(paths), model.log_priors)
    frames, _, sequences = read(found[::4])
    likelihoods = [decoding.scaled_likelihoods(logits(each), model.log_priors) for each in frames]
    decoded = decoding.Decoder(likelihoods, model, batch_size=32)(2.0, 0.0)
    references = [phones.fold_numbers(sequence) for sequence in sequences]
    return references, decoded, [utterance.key for utterance in found[::4]]


def read(utterances):
    """Frames, targets and phones of each utterance."""
    frames, paths, sequences = [], [], []
    for utterance in utterances:
        samples, segments = timit_files.read(utterance)
        frames.append(fbank.features(samples))
        paths.append(alignment.split_segments(segments.ends, segments.phones, len(frames[-1])))
        sequences.append(segments.phones)
    return frames, paths, sequences


def gaussians(frames, states, log_priors):
    """`logits(frames [T, F]) -> [T, S]`, of the states that the frames [N, F] are in."""
    centre = frames.mean(axis=0)
    means = np.zeros((phones.NUM_STATES, frames.shape[1]))
    np.add.at(means, states, frames - centre)
    means /= np.maximum(np.bincount(states, minlength=phones.NUM_STATES), 1)[:, None]
    weights = np.linalg.inv(np.cov((frames - centre - means[states]).T)) @ means.T
    constant = log_priors - np.sum(means * weights.T, axis=1) / 2
    return lambda frames: (frames - centre) @ weights + constant


def test_errors_are_of_every_kind(decoded):
    """Otherwise equal counts would say little."""
    references, found, _ = decoded
    total = sum(decoding.score(references, found, per.sclite_alignment), per.EditCounts())
    assert 0.1 < total.rate < 0.9
    assert min(total.substitutions, total.deletions, total.insertions) > 20
    # Unit costs count otherwise on these, so that equality with sclite is no matter of course.
    assert total != sum(decoding.score(references, found), per.EditCounts())


def test_counts_are_those_of_sclite(decoded, tmp_path):
    if SCLITE is None:
        pytest.skip("NIST's sclite is missing: install Debian's sctk")
    references, found, keys = decoded
    hypotheses = [phones.fold_numbers(utterance.phones) for utterance in found]
    for name, sequences in (('reference', references), ('hypothesis', hypotheses)):
        lines = [
            ' '.join([*(phones.CLASSES[n] for n in sequence), f'({key.replace("_", "-")})'])
            for sequence, key in zip(sequences, keys, strict=True)
        ]
        (tmp_path / name).write_text('\n'.join(lines) + '\n')
    command = [SCLITE, '-i', 'spu_id', '-o', 'pralign', 'stdout']
    command += ['-r', tmp_path / 'reference', 'trn', '-h', tmp_path / 'hypothesis', 'trn']
    output = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    form = r'id: \(([\w-]+)\)\s+Scores: \(#C #S #D #I\) (\d+) (\d+) (\d+) (\d+)'
    theirs = {name: tuple(map(int, counts)) for name, *counts in re.findall(form, output)}
    ours = {
        key.replace('_', '-'): (
            counts.correct, counts.substitutions, counts.deletions, counts.insertions
        )
        for key, counts in zip(
            keys, decoding.score(references, found, per.sclite_alignment), strict=True
        )
    }  # fmt: skip
    assert len(ours) == 32 and theirs == ours
