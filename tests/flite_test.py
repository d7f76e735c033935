"""The synthetic corpus: with a stand-in for flite everywhere, with flite itself where it is installed."""

import io
import shutil
import stat
import wave

import numpy as np
import pytest

from mimic_jax.artifacts import store
from mimic_jax.data import prepare
from mimic_jax.data.settings import Data
from mimic_jax.errors import UserError
from mimic_jax.runtime.progress import Progress
from mimic_jax.speech import flite, phones, timit, timit_files

pytest.importorskip('soundfile', reason="needs soundfile: the extra 'speech'")
pytest.importorskip('kaldi_native_fbank', reason="needs kaldi-native-fbank: the extra 'speech'")
needs_flite = pytest.mark.skipif(not shutil.which('flite'), reason='flite is not installed')

# 0.4 s of 16 kHz; its last phone is said to end 10 ms after the audio.
PRINTED = 'pau:0.100 b:0.150 pau:0.200 aa:0.300 pau:0.410 '
LINES = ['0 1600 h#', '1600 2400 b', '2400 3200 pau', '3200 4800 aa', '4800 6400 h#']
SPEAKERS = [flite.Speaker('fslt0', 'slt', 170, 1.0), flite.Speaker('mrms1', 'rms', 100, 1.15)]
STAND_IN = """#!/bin/sh
echo "$@" >> {log}
if [ "$1" = -lv ]; then echo "{voices}"; exit 0; fi
for last in "$@"; do :; done
cp {audio} "$last"
echo "{printed}"
"""


@pytest.fixture
def stand_in(tmp_path, monkeypatch):
    """`make(printed, voices)` puts a program named flite first on the PATH; returns its log."""
    audio, log = tmp_path / 'audio.wav', tmp_path / 'log'
    with wave.open(str(audio), 'wb') as file:
        file.setparams((1, 2, 16000, 0, 'NONE', ''))
        file.writeframes(np.random.default_rng(0).integers(-99, 99, 6400, np.int16).tobytes())

    def make(printed=PRINTED, voices='Voices available: kal awb rms slt'):
        program = tmp_path / 'bin' / 'flite'
        program.parent.mkdir(exist_ok=True)
        program.write_text(STAND_IN.format(log=log, voices=voices, audio=audio, printed=printed))
        program.chmod(program.stat().st_mode | stat.S_IXUSR)
        monkeypatch.setenv('PATH', f'{program.parent}:/usr/bin:/bin')
        monkeypatch.setattr(flite, 'speakers', lambda: SPEAKERS)
        return log

    return make


def test_labels_are_timits_and_end_with_the_audio():
    assert flite.labels(PRINTED, 16000, 6400).splitlines() == LINES
    assert flite.labels('pau:0.1 aa:0.39', 16000, 6400).splitlines() == [
        '0 1600 h#',
        '1600 6400 aa',
    ]


@pytest.mark.parametrize(
    ('printed', 'words'),
    [
        ('pau:0.1 xx:0.2 pau:0.4', "the phone 'xx' to 0.2 seconds"),
        ('pau:0.1 aa:0.1 pau:0.4', "the phone 'aa' to 0.1"),
        ('pau:0.1 aa:0.5 pau:0.6', "the phone 'pau' to 0.6"),
        ('pau:0.1 aa pau:0.4', 'for phones'),
    ],
)
def test_what_is_no_phone_with_its_end_is_refused(printed, words):
    with pytest.raises(UserError, match=words) as caught:
        flite.labels(printed, 16000, 6400)
    assert '\n' not in str(caught.value)


def test_no_sentence_is_said_twice():
    said = flite.sentences()
    assert len(said) == len(set(said)) == 12 * 8
    assert len({speaker.name for speaker in flite.speakers()}) == 12
    assert said == flite.sentences()


def test_the_corpus_is_read_like_timit(stand_in, tmp_path):
    log, root = stand_in(), tmp_path / 'corpus'
    assert flite.write(root) == 16
    found = timit.find(root)
    assert [u.key for u in found[:2]] == ['fslt0_sx1', 'fslt0_sx2'] and len(found) == 16
    for utterance in found:
        samples, segments = timit_files.read(utterance)
        assert len(samples) == 6400 and segments.ends.tolist()[-1] == 6400
        names = [phones.PHONES[number] for number in segments.phones]
        assert names == ['h#', 'b', 'pau', 'aa', 'h#']
    calls = log.read_text().splitlines()[1:]
    assert '-voice slt --setf int_f0_target_mean=170 --setf duration_stretch=1.0' in calls[0]
    assert '-voice rms --setf int_f0_target_mean=100 --setf duration_stretch=1.15' in calls[-1]
    said = flite.sentences()
    assert all(sentence in call for sentence, call in zip(said, calls, strict=True))


def test_preparation_makes_the_corpus_once(stand_in, tmp_path):
    log, workdir = stand_in(), tmp_path / 'work'
    workdir.mkdir()
    data = Data(name='flite', split='fold', folds=2, validation=1)
    settings = [Data(**{**vars(data), 'validation': 0}), Data(**{**vars(data), 'root': 'x'})]
    with pytest.raises(UserError, match='0 validation and 1 test speakers of 2'):
        prepare.run(settings[0], workdir, Progress(stream=io.StringIO()))
    before = len(log.read_text().splitlines())
    assert before == 1 + 16 and len(list(workdir.glob('corpus-*/COMPLETE'))) == 1
    with pytest.raises(UserError, match='makes its corpus in the workdir'):
        prepare.run(settings[1], workdir, Progress(stream=io.StringIO()))
    with pytest.raises(UserError, match='1 validation and 1 test speakers of 2'):
        prepare.run(data, workdir, Progress(stream=io.StringIO()))
    assert len(log.read_text().splitlines()) == before


def test_a_label_of_the_corpus_that_has_changed_is_found_though_it_reads_well(stand_in, tmp_path):
    stand_in()
    data = Data(name='flite', split='fold', folds=2, validation=1)
    with pytest.raises(UserError, match='speakers of 2'):
        prepare.run(data, tmp_path, Progress(stream=io.StringIO()))
    (labels, *_) = sorted(tmp_path.glob('corpus-*/TRAIN/*/*/*.PHN'))
    labels.write_text(labels.read_text().replace(' aa', ' ae'))
    store._verified_manifest.cache_clear()
    with pytest.raises(UserError, match=r'SX1\.PHN has changed since it was written; delete '):
        prepare.run(data, tmp_path, Progress(stream=io.StringIO()))


def test_a_missing_flite_says_what_to_install(tmp_path, monkeypatch):
    monkeypatch.setenv('PATH', str(tmp_path))
    with pytest.raises(UserError, match='apt-get install flite') as caught:
        prepare.run(Data(name='flite', split='speakers'), tmp_path, Progress(stream=io.StringIO()))
    assert '\n' not in str(caught.value)


def test_a_missing_voice_is_named(stand_in, tmp_path):
    stand_in(voices='Voices available: kal slt')
    with pytest.raises(UserError, match='no voice rms, awb'):
        flite.write(tmp_path / 'corpus')


@needs_flite
def test_flite_itself_says_phones_where_there_is_sound(tmp_path, monkeypatch):
    monkeypatch.setattr(flite, 'speakers', lambda: SPEAKERS)
    monkeypatch.setattr(flite, 'SENTENCES', 2)
    flite.write(tmp_path)
    for utterance in timit.find(tmp_path):
        samples, segments = timit_files.read(utterance)
        assert segments.starts[0] == 0 and segments.ends[-1] == len(samples)
        power = [
            np.mean(np.square(samples[start:end]))
            for start, end in zip(segments.starts, segments.ends, strict=True)
        ]
        silent = segments.phones == phones.NUMBER['h#']
        assert silent.sum() == 2 and max(np.array(power)[silent]) < np.median(power) / 10
