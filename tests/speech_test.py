"""From a corpus to frames, targets and bounds."""

import sys

import numpy as np
import pytest

from mimic_jax.errors import UserError
from mimic_jax.speech import corpora, fbank, phones, timit, timit_files

soundfile = pytest.importorskip('soundfile', reason="needs soundfile: the extra 'speech'")
pytest.importorskip('kaldi_native_fbank', reason="needs kaldi-native-fbank: the extra 'speech'")

LENGTHS = {'faaa0': 4000, 'mbbb0': 7777, 'mccc0': 400}


@pytest.fixture
def utterances(tmp_path):
    for seed, (speaker, length) in enumerate(LENGTHS.items()):
        folder = tmp_path / 'corpus' / 'TRAIN' / 'DR1' / speaker.upper()
        folder.mkdir(parents=True)
        samples = np.random.default_rng(seed).integers(-2000, 2000, length).astype(np.int16)
        soundfile.write(folder / 'SX1.WAV', samples, 16000, format='NIST')
        half = length // 2
        (folder / 'SX1.PHN').write_text(f'0 {half} h#\n{half} {length} ix\n')
    return timit.find(tmp_path / 'corpus')


@pytest.fixture
def folder(tmp_path):
    path = tmp_path / 'out'
    path.mkdir()
    return path


def test_frames_lie_one_utterance_after_another(utterances, folder):
    said = []
    facts = corpora.write(utterances, folder, count=lambda *entry: said.append(entry))
    frames = [1 + (length - 400) // 160 for length in LENGTHS.values()]
    assert facts == {'utterances': 3, 'frames': sum(frames), 'bad': 0}
    found = corpora.load(folder)
    assert found.bounds.tolist() == [0, *np.cumsum(frames)] and found.bounds.dtype == np.int64
    assert found.frames.shape == (sum(frames), 123) and found.frames.dtype == np.float32
    assert isinstance(found.frames, np.memmap)
    for number, utterance in enumerate(utterances):
        rows = slice(*found.runs([number])[0])
        samples, _ = timit_files.read(utterance)
        np.testing.assert_array_equal(found.frames[rows], fbank.features(samples))
    assert said[-1] == ('computing speech features', 3, 3)
    assert ('checking utterances', 3, 3) in said


def test_targets_are_the_labels_states(utterances, folder):
    corpora.write(utterances, folder)
    found = corpora.load(folder)
    assert found.targets.dtype == np.int32 and len(found.targets) == len(found.frames)
    phone, part = phones.phone_and_part(found.targets[found.rows([0])])
    # 4,000 samples: 23 frames with centres at 200, 360 …; the 12th, at 1960, is the last below 2000.
    assert [phones.PHONES[number] for number in phone] == ['h#'] * 12 + ['ix'] * 11
    assert part.tolist() == [0] * 4 + [1] * 4 + [2] * 4 + [0] * 4 + [1] * 3 + [2] * 4
    assert found.targets[found.rows([2])].tolist() == [3 * phones.NUMBER['ix'] + 1]


def test_what_was_spoken_is_kept(utterances, folder):
    corpora.write(utterances, folder)
    found = corpora.load(folder).utterances
    assert [spoken.key for spoken in found] == ['faaa0_sx1', 'mbbb0_sx1', 'mccc0_sx1']
    assert [(spoken.part, spoken.region) for spoken in found] == [('train', 'dr1')] * 3
    for spoken in found:
        np.testing.assert_array_equal(spoken.phones, phones.numbers(['h#', 'ix']))


def test_rows_and_runs_of_some_utterances(utterances, folder):
    corpora.write(utterances, folder)
    found = corpora.load(folder)
    assert found.runs([2, 0]) == [(70, 71), (0, 23)]
    assert found.rows([2, 0]).tolist() == [70, *range(23)] and found.rows([2]).dtype == np.int32
    assert found.rows([]).shape == (0,)


def test_a_bad_utterance_stops_before_anything_is_written(utterances, folder):
    utterances[1].labels.write_text('0 100 zz\n')
    with pytest.raises(UserError, match='none of the 61 phones'):
        corpora.write(utterances, folder)
    assert list(folder.iterdir()) == []


def test_a_bad_utterance_is_skipped_and_listed_when_asked_for(utterances, folder):
    utterances[1].labels.write_text('0 100 zz\n')
    assert corpora.write(utterances, folder, skip_bad=True) == {
        'utterances': 2,
        'frames': 24,
        'bad': 1,
    }
    found = corpora.load(folder)
    assert [spoken.speaker for spoken in found.utterances] == ['faaa0', 'mccc0']
    assert found.bounds.tolist() == [0, 23, 24]
    [line] = found.bad
    assert line.startswith(str(utterances[1].labels)) and "'zz'" in line


def test_nothing_good_is_refused(utterances, folder):
    for utterance in utterances:
        utterance.audio.write_bytes(b'')
    with pytest.raises(UserError) as caught:
        corpora.write(utterances, folder, skip_bad=True)
    assert 'all 3 are bad, the first: ' in str(caught.value) and '\n' not in str(caught.value)
    with pytest.raises(UserError, match='there are none'):
        corpora.write([], folder)


def test_a_missing_library_is_not_skipped(utterances, folder, monkeypatch):
    monkeypatch.setitem(sys.modules, 'soundfile', None)
    with pytest.raises(UserError, match=r'^reading audio needs soundfile'):
        corpora.write(utterances, folder, skip_bad=True)
