"""Corpora of speech: which utterances are read; all others are counted and reported."""

import io
import os
import shutil

import numpy as np
import pytest

from mimic_jax.data.settings import Data
from mimic_jax.runtime.progress import Progress
from mimic_jax.speech import prepare, timit, timit_files, timit_source, transcribe

soundfile = pytest.importorskip('soundfile', reason='needs the speech extra')

SETTINGS = {'name': 'timit', 'split': 'speakers', 'validation': 1, 'test': 1}
LABELS = '0 4000 h#\n4000 8000 sh\n8000 12000 iy\n12000 16000 h#\n'
random = np.random.default_rng(0)


def utterance(folder, name, suffix='.WAV', container='WAV'):
    folder.mkdir(parents=True, exist_ok=True)
    samples = random.normal(scale=900, size=16000).astype(np.int16)
    path = os.fsencode(folder / f'{name}{suffix}')
    soundfile.write(path, samples, 16000, format=container)
    (folder / f'{name}.PHN').write_text(LABELS)


@pytest.fixture
def root(tmp_path):
    """Three speakers with two sentences each, and nothing else."""
    for place in ('TRAIN/DR1/FAAA0', 'TRAIN/DR2/MBBB0', 'TEST/DR1/MCCC1'):
        for name in ('SX1', 'SI2'):
            utterance(tmp_path / 'TIMIT' / place, name)
    return tmp_path / 'TIMIT'


def described(root, **settings):
    return timit_source.described(Data(root=str(root), **{**SETTINGS, **settings}))


def test_of_a_corpus_that_is_read_whole_nothing_is_said(root):
    (root / 'TRAIN' / 'DR1' / 'FAAA0' / '.DS_Store').write_text('hidden')
    (root / '.git').mkdir()
    assert described(root) == '' and len(timit.find(root)) == 6


def test_sentences_of_ones_own_that_begin_with_sa_are_read(root):
    for name in ('sample1', 'sa', 'sally', 'SA1', 'Sa2'):
        utterance(root / 'TRAIN' / 'DR1' / 'FAAA0', name)
    names = [each.name for each in timit.find(root) if each.speaker == 'faaa0']
    assert names == ['sa', 'sally', 'sample1', 'si2', 'sx1']
    assert '2 SA sentences' in described(root)


def test_everything_that_is_skipped_is_counted_and_named(root):
    (root / 'DOC').mkdir()
    (root / 'README').write_text('')
    (root / 'gone').symlink_to('/nonexistent')
    (root / 'TRAIN' / 'stray.wav').write_text('')
    (root / 'TRAIN' / 'DR1' / 'notes').write_text('')
    speaker = root / 'TRAIN' / 'DR1' / 'FAAA0'
    (speaker / 'deeper').mkdir()
    for name in ('SX1.TXT', 'SI2.txt', 'SX1.WRD', 'SX1.flac', 'Makefile'):
        (speaker / name).write_text('')
    line = described(root)
    for words in (
        '1 files without a suffix, 1 .flac files, 2 .txt files, 1 .wrd files',
        'DOC/, README, gone (a link that leads nowhere), TRAIN/stray.wav, TRAIN/DR1/notes',
        '… 1 more',
    ):
        assert words in line
    assert line.startswith(f'{root}: 6 utterances; not read: ')


def test_what_lies_beside_the_corpus_is_named(root):
    (root.parent / 'papers').mkdir()
    assert described(root.parent).endswith('not read: papers/')


def test_speakers_of_no_split_are_counted(root):
    (root / 'TEST' / 'DR1' / 'MCCC1').rename(root / 'TEST' / 'DR1' / 'MDAB0')
    for speaker in ('FAKS0', 'FXYZ0'):
        shutil.copytree(root / 'TRAIN' / 'DR1' / 'FAAA0', root / 'TEST' / 'DR1' / speaker)
    line = described(root, split='official', validation=0, test=0)
    assert "2 utterances of 1 speakers are in no split of 'official'" in line
    assert '2 held-out recordings equal a recording of another split, byte for byte' in line


def test_a_double_suffix_is_read_where_there_is_no_other(root):
    """Converted corpora have such names; where both are there, the corpus's own file is read."""
    folder = root / 'TRAIN' / 'DR1' / 'FAAA0'
    utterance(folder, 'SX9', '.WAV.wav')
    utterance(folder, 'SX1', '.WAV.wav')
    utterance(folder, 'SX1', '.WAV', 'NIST')
    found = {each.name: each.audio.name for each in timit.find(root) if each.speaker == 'faaa0'}
    assert found == {'si2': 'SI2.WAV', 'sx1': 'SX1.WAV', 'sx9': 'SX9.WAV.wav'}
    for each in timit.find(root):
        assert len(timit_files.read(each)[0]) == 16000
    assert 'not read: 1 .wav.wav files' in described(root)


def test_it_is_said_each_time(root, tmp_path):
    (root / 'DOC').mkdir()
    (tmp_path / 'work').mkdir()
    for _ in range(2):
        said = io.StringIO()
        data = Data(root=str(root), **SETTINGS)
        prepare.run(data, tmp_path / 'work', Progress(stream=said))
        assert 'not read: DOC/' in said.getvalue()


def test_names_that_are_no_text_are_read(root):
    utterance(root / 'TRAIN' / 'DR1' / 'FAAA0', 'caf\udce9')
    found = timit.find(root)
    assert 'caf\\xe9' in {each.name for each in found}
    assert timit.digest(found)
    assert all(len(timit_files.read(each)[0]) == 16000 for each in found)
    _, recordings = transcribe.recordings(root / 'TRAIN' / 'DR1' / 'FAAA0')
    assert [name for name, _ in recordings] == ['SI2.WAV', 'SX1.WAV', 'caf\\xe9.WAV']


@pytest.mark.parametrize('kind', ['audio', 'labels'])
def test_each_byte_of_an_utterance_is_in_the_name(root, kind):
    found = timit.find(root)
    path = getattr(found[0], kind)
    content, status, names = path.read_bytes(), path.stat(), {timit.digest(found)}
    places = range(0, len(content), 997 if kind == 'audio' else 1)
    for place in places:
        changed = bytearray(content)
        changed[place] ^= 1
        path.write_bytes(changed)
        os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
        names.add(timit.digest(found))
    assert len(names) == len(places) + 1
