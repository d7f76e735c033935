"""Reading a corpus in TIMIT's layout: synthetic ones, each fault, and the real sample where it is."""

import os
import sys
import zlib
from pathlib import Path

import numpy as np
import pytest

from mimic_jax.errors import UserError
from mimic_jax.speech import corpora, phones, timit, timit_files

soundfile = pytest.importorskip('soundfile', reason="needs soundfile: the extra 'speech'")
pytest.importorskip('kaldi_native_fbank', reason="needs kaldi-native-fbank: the extra 'speech'")

SAMPLE = os.environ.get('TIMIT_SAMPLE_DIR')
needs_sample = pytest.mark.skipif(not SAMPLE, reason='TIMIT_SAMPLE_DIR names no TIMIT sample')
LABELS = [(0, 1000, 'h#'), (1000, 2300, 'ix'), (2300, 2400, 'q'), (2400, 4800, 'h#')]
SAMPLES = 5000
SPEAKERS = ('TRAIN/DR1/FAAA0', 'train/dr2/mbbb0', 'Test/Dr1/mCcC1')


def text(rows=LABELS):
    return ''.join(f'{start} {end} {phone}\n' for start, end, phone in rows)


def noise(name, count=SAMPLES):
    draw = np.random.default_rng(zlib.crc32(name.encode()))
    return draw.integers(-3000, 3000, count).astype(np.int16)


def corpus(root):
    """Three speakers with two sentences each and an SA, in letter cases and containers of all kinds."""
    for speaker in SPEAKERS:
        folder = root / speaker
        folder.mkdir(parents=True)
        for name, container in (('SX1.WAV', 'NIST'), ('si2.wav', 'WAV'), ('Sa1.Wav', 'WAV')):
            path = folder / name
            soundfile.write(path, noise(speaker + name), 16000, format=container)
            path.with_suffix('.PHN' if name.isupper() else '.phn').write_text(text())
        (folder / 'SX1.TXT').write_text('0 5000 Nothing.')
    (root / 'DOC').mkdir()
    return root


@pytest.fixture
def root(tmp_path):
    return corpus(tmp_path / 'TIMIT')


@pytest.fixture
def utterance(root):
    return next(u for u in timit.find(root) if u.key == 'faaa0_sx1')


def refusal(call, *arguments, kind=UserError):
    """The message of a refusal: one line."""
    with pytest.raises(kind) as caught:
        call(*arguments)
    assert '\n' not in str(caught.value)
    return str(caught.value)


def test_any_letter_case_is_found_and_sa_is_left_out(root):
    found = timit.find(root)
    assert [(u.part, u.region, u.speaker, u.name) for u in found] == [
        ('test', 'dr1', 'mccc1', 'si2'),
        ('test', 'dr1', 'mccc1', 'sx1'),
        ('train', 'dr1', 'faaa0', 'si2'),
        ('train', 'dr1', 'faaa0', 'sx1'),
        ('train', 'dr2', 'mbbb0', 'si2'),
        ('train', 'dr2', 'mbbb0', 'sx1'),
    ]
    assert all(u.audio.is_file() and u.labels.is_file() for u in found)


def test_the_folder_above_will_do_as_root(root):
    assert timit.find(root.parent) == timit.find(root) == timit.find(str(root))


def test_sphere_and_riff_give_the_samples(root):
    for found in timit.find(root):
        samples, segments = timit_files.read(found)
        speaker = found.folder.relative_to(root)
        np.testing.assert_array_equal(samples, noise(f'{speaker}{found.audio.name}'))
        assert samples.dtype == np.float32
        assert segments.starts.tolist() == [0, 1000, 2300, 2400]
        assert segments.ends.tolist() == [1000, 2300, 2400, 4800]
        assert [phones.PHONES[number] for number in segments.phones] == ['h#', 'ix', 'q', 'h#']


def test_a_floating_point_riff_has_16_bit_units(utterance):
    wanted = noise('float')
    soundfile.write(utterance.audio, wanted / 32768, 16000, format='WAV', subtype='FLOAT')
    np.testing.assert_array_equal(timit_files.read_audio(utterance.audio), wanted)


def test_labels_may_begin_late_and_end_a_little_after_the_audio(utterance):
    utterance.labels.write_text('200 900 H#\n\n900 5400 ix \r\n')
    segments = timit_files.read_labels(utterance.labels, SAMPLES)
    assert segments.starts.tolist() == [200, 900] and segments.ends.tolist() == [900, 5400]


@pytest.mark.parametrize(
    ('content', 'message'),
    [
        (
            '0 1000 h#\n1001 4800 ix\n',
            'line 2 starts at 1001 where the segment before ends at 1000',
        ),
        ('0 1000 h#\n1001 4800 ix\n', 'a gap'),
        ('0 1000 h#\n999 4800 ix\n', 'an overlap'),
        ('0 1000 h#\n1000 5401 ix\n', 'line 2 ends at 5401, past the audio of 5000 samples'),
        ('0 1000 h#\n1000 4800 sil\n', "line 2 has 'sil', none of the 61 phones"),
        ('0 1000 h#\n1000 1000 ix\n', 'line 2 ends at 1000, not after its start 1000'),
        ('0 1000 h#\n1000 ix\n', "line 2 is '1000 ix', not 'start end phone'"),
        ('0 1000 h#\n\n-5 10 ix\n', "line 3 is '-5 10 ix'"),
        ('0 1000.5 h#\n', "line 1 is '0 1000.5 h#'"),
        ('0 1000 h# ix\n', "line 1 is '0 1000 h# ix'"),
        ('0 1000 \xff\n', 'line 1 has'),
        ('', 'holds no labels'),
        (' \n\n', 'holds no labels'),
    ],
)
def test_bad_labels_are_refused_by_file_and_line(utterance, content, message):
    utterance.labels.write_bytes(content.encode('latin-1'))
    found = refusal(timit_files.read, utterance, kind=timit_files.BadUtterance)
    assert found.startswith(str(utterance.labels)) and message in found


@pytest.mark.parametrize(
    ('content', 'message'),
    [
        ('0 1000 h#\n', 'line 1 is the last and ends at 1000 of 20000 samples, a gap to the end'),
        ('16001 20000 ix\n', 'line 1 starts at 16001, a gap from the beginning'),
    ],
)
def test_a_second_without_a_label_at_either_end_is_a_gap(utterance, content, message):
    utterance.labels.write_text(content)
    found = refusal(timit_files.read_labels, utterance.labels, 20000, kind=timit_files.BadUtterance)
    assert found.startswith(str(utterance.labels)) and message in found
    utterance.labels.write_text('16000 16001 h#\n')
    assert timit_files.read_labels(utterance.labels, 32001).ends.tolist() == [16001]


def riff(path, samples, rate=16000):
    soundfile.write(path, samples, rate, format='WAV', subtype='PCM_16')


def truncate(path, size):
    path.write_bytes(path.read_bytes()[:size])


def folder_at(path):
    """A folder in the file's place, because tests may run as a user whom no permission stops."""
    path.unlink()
    path.mkdir()


def not_finite(path):
    soundfile.write(path, np.full(SAMPLES, np.nan), 16000, format='WAV', subtype='FLOAT')


@pytest.mark.parametrize(
    ('spoil', 'message'),
    [
        (lambda path: riff(path, noise('x'), 8000), 'has 8000 samples a second, not 16000'),
        (lambda path: riff(path, np.zeros((SAMPLES, 2), np.int16)), 'has 2 channels, not 1'),
        (lambda path: riff(path, noise('x', 399)), 'has 399 samples, less than a frame'),
        (lambda path: riff(path, noise('x', 0)), 'has 0 samples, less than a frame'),
        (lambda path: truncate(path, 6024), 'long as it says: 5000 samples in its header, 2500 in'),
        (lambda path: truncate(path, 11022), 'as it says: 5000 samples in its header, 4999 in it'),
        (lambda path: truncate(path, 40), 'cannot be read as audio'),
        (lambda path: truncate(path, 0), 'the file is empty'),
        (lambda path: path.write_bytes(b'no audio at all' * 9), 'cannot be read as audio'),
        (lambda path: path.write_bytes(b'NIST_1A\n   many\n' * 9), 'SPHERE header has no length'),
        (not_finite, 'samples that are not finite'),
        (lambda path: path.unlink(), 'cannot be read as audio'),
        (lambda path: folder_at(path), 'cannot be read as audio'),
    ],
)
def test_bad_audio_is_refused_by_file(utterance, spoil, message):
    spoil(utterance.audio)
    found = refusal(timit_files.read, utterance, kind=timit_files.BadUtterance)
    assert found.startswith(str(utterance.audio)) and message in found


def test_a_truncated_riff_is_refused_wherever_it_ends(utterance):
    riff(utterance.audio, noise('x'))
    whole = utterance.audio.read_bytes()
    for size in (0, 3, 11, 30, 44, 45, 3000, len(whole) - 2, len(whole) - 1):
        utterance.audio.write_bytes(whole[:size])
        refusal(timit_files.read_audio, utterance.audio, kind=timit_files.BadUtterance)


def test_labels_that_cannot_be_read_are_a_bad_utterance(root, utterance):
    folder_at(utterance.labels)
    found = refusal(timit_files.read, utterance, kind=timit_files.BadUtterance)
    assert found.startswith(f'{utterance.labels} cannot be read')
    assert len(timit.digest(timit.find(root))) == 64  # such a file stops nothing before its turn


@pytest.mark.parametrize('kind', ['audio', 'labels'])
def test_half_an_utterance_is_refused(root, utterance, kind):
    getattr(utterance, kind).unlink()
    half = next(u for u in timit.find(root) if u.key == utterance.key)
    found = refusal(timit_files.read, half, kind=timit_files.BadUtterance)
    assert f'SX1.{"WAV" if kind == "audio" else "PHN"} is missing' in found


def test_a_missing_library_is_not_a_bad_utterance(utterance, monkeypatch):
    monkeypatch.setitem(sys.modules, 'soundfile', None)
    with pytest.raises(UserError) as caught:
        timit_files.read(utterance)
    assert "pip install -e '.[speech]'" in str(caught.value)
    assert not isinstance(caught.value, timit_files.BadUtterance)


def test_a_root_without_timit_says_where_it_comes_from(tmp_path):
    (tmp_path / 'TRAIN').mkdir()
    for root in ('', tmp_path / 'nowhere', Path(__file__), tmp_path):
        message = refusal(timit.find, root)
        assert 'LDC93S1' in message and '--config.data.root' in message
    (tmp_path / 'TRAIN').rmdir()
    assert 'neither a TRAIN nor a TEST folder' in refusal(timit.find, tmp_path)


def test_two_corpora_under_a_root_are_refused(root):
    corpus(root.parent / 'copy')
    assert 'several corpora (TIMIT, copy)' in refusal(timit.find, root.parent)


def test_a_speaker_in_two_splits_is_refused(root):
    again = root / 'TEST' / 'DR1' / 'faaa0'
    again.mkdir(parents=True)
    message = refusal(timit.find, root)
    assert 'speaker faaa0 is in two splits' in message
    assert str(again) in message and str(root / SPEAKERS[0]) in message


def test_an_utterance_twice_is_refused(root, utterance):
    copy = utterance.audio.with_name('sx1.wav')
    copy.write_bytes(b'')
    message = refusal(timit.find, root)
    assert str(copy) in message and str(utterance.audio) in message


def test_the_digest_is_of_names_and_contents(root, utterance):
    before = timit.digest(timit.find(root))
    moved = root.rename(root.parent / 'moved')
    assert timit.digest(timit.find(moved)) == before
    (moved / SPEAKERS[0] / 'SX1.TXT').write_text('another text')
    assert timit.digest(timit.find(moved)) == before
    labels = moved / SPEAKERS[0] / 'SX1.PHN'
    labels.write_text(labels.read_text().replace('ix', 'ih'))
    changed = timit.digest(timit.find(moved))
    labels.unlink()
    assert len({before, changed, timit.digest(timit.find(moved))}) == 3


@needs_sample
def test_the_sample_is_what_it_is_said_to_be():
    found = timit.find(SAMPLE)
    assert len(found) == 128 and len({u.speaker for u in found}) == 16
    assert {u.region for u in found} == {f'dr{number}' for number in range(1, 9)}
    assert {u.part for u in found} == {'train'}


@needs_sample
def test_the_samples_frames_and_labels(tmp_path):
    facts = corpora.write(timit.find(SAMPLE), tmp_path)
    assert facts == {'utterances': 128, 'frames': 38_767, 'bad': 0}
    found = corpora.load(tmp_path)
    # The whole of TIMIT, 1.1 million frames, stays under 600 MB.
    stored = sum(path.stat().st_size for path in tmp_path.iterdir())
    assert 1.1e6 * stored / len(found.frames) < 600e6
    assert np.isfinite(found.frames).all()
    # All 183 states occur; with q, and without merging, 4,988 segments of which 4,893 are scored.
    np.testing.assert_array_equal(np.unique(found.targets), np.arange(183))
    assert sum(len(spoken.phones) for spoken in found.utterances) == 4_988
    assert sum(len(phones.fold_numbers(spoken.phones)) for spoken in found.utterances) == 4_893
    assert {tuple(spoken.phones[[0, -1]]) for spoken in found.utterances} == {
        (phones.NUMBER['h#'], phones.NUMBER['h#'])
    }


@needs_sample
def test_the_samples_audio_agrees_with_its_own_headers():
    """TIMIT's headers hold the smallest and the largest sample."""
    for found in timit.find(SAMPLE)[::16]:
        header = found.audio.read_bytes()[:1024].decode('latin-1').split()
        limits = [int(header[header.index(key) + 2]) for key in ('sample_min', 'sample_max')]
        samples = timit_files.read_audio(found.audio)
        assert [samples.min(), samples.max()] == limits
