"""Speech through the whole pipeline: frames for examples, teachers, logits, student, alignment."""

import dataclasses
import io
import json
import shutil

import jax
import numpy as np
import pytest
from PIL import Image

from mimic_jax import pipeline
from mimic_jax.artifacts import store
from mimic_jax.config import experiment as experiments
from mimic_jax.data import batches, prepare, statistics
from mimic_jax.data.settings import Data
from mimic_jax.errors import UserError
from mimic_jax.models import counts, net
from mimic_jax.planning import collect as plans
from mimic_jax.reporting import comparisons
from mimic_jax.runtime import sharding
from mimic_jax.runtime.progress import Progress
from mimic_jax.speech import align, corpora, figures, phones, timit_splits, viterbi
from mimic_jax.speech import report as speech_report
from mimic_jax.training.session import Session

soundfile = pytest.importorskip('soundfile', reason="needs soundfile: the extra 'speech'")
pytest.importorskip('kaldi_native_fbank', reason="needs kaldi-native-fbank: the extra 'speech'")

TONES = {'h#': 0, 'aa': 500, 'iy': 1500, 's': 4000}  # Hz
WORDS = ('h# aa s h#', 'h# iy aa h#', 'h# s iy h#')
SPEAKERS = [f'{sex}aa{letter}0' for sex in 'fm' for letter in 'abc']
SHORT = 'faaa0_sx0'  # with more phones than its frames can hold


def spoken(words, draw):
    """Samples int16 and .PHN lines of a tone a phone, each 70 to 170 ms, in noise."""
    samples, lines, start = [], [], 0
    for phone in words.split():
        length = int(draw.integers(1100, 2700))
        tone = 3000 * np.sin(2 * np.pi * TONES[phone] * np.arange(length) / 16000)
        samples.append(tone + draw.normal(scale=100, size=length))
        lines.append(f'{start} {start + length} {phone}')
        start += length
    return np.concatenate(samples).astype(np.int16), '\n'.join(lines)


def corpus(root, speakers=SPEAKERS, part='TRAIN'):
    """Three sentences a speaker; the first of faaa0 is labelled with a phone every 20 ms."""
    for number, speaker in enumerate(speakers):
        draw = np.random.default_rng(number)
        folder = root / part / 'DR1' / speaker.upper()
        folder.mkdir(parents=True)
        for sentence, words in enumerate(WORDS):
            samples, text = spoken(words, draw)
            if f'{speaker}_sx{sentence}' == SHORT:
                text = '\n'.join(f'{i} {i + 320} aa' for i in range(0, len(samples) - 319, 320))
            soundfile.write(folder / f'SX{sentence}.WAV', samples, 16000, format='NIST')
            (folder / f'SX{sentence}.PHN').write_text(text)
    return root


def experiment(root, **data):
    train = {'epochs': 12, 'batch_size': 32, 'learning_rate': 0.05, 'clip_norm': 1.0}
    mimic = {'kind': 'logits', 'scale': 0.5}
    speakers = {'split': 'speakers', 'validation': 1, 'test': 2}
    return {
        'data': {
            'name': 'timit', 'root': str(root), 'preprocess': 'feature', **(data or speakers)
        },
        'alignment': {'rounds': 1, 'net': {'model': '8', 'train': train}},
        'members': {'cnn': {'model': '4c15x8v-p1x6/1x2-16', 'train': train}},
        'logits': {'ensemble': {'members': ('cnn',)}},
        'students': {
            'mimic': {
                'model': '8L-16', 'target': 'logits', 'logits': 'ensemble', 'loss': mimic,
                'train': train,
            },
        },
        'run': {'evaluation_batch_size': 50},
    }  # fmt: skip


@pytest.fixture(scope='module')
def root(tmp_path_factory):
    return corpus(tmp_path_factory.mktemp('corpus') / 'TIMIT')


def run(settings, workdir, device, phases=('evaluate',)):
    for phase in phases:
        pipeline.run(settings, workdir=workdir, experiment='speech', phase=phase, devices=device)


def opened(settings, workdir, device):
    """The session that phases run in, its targets as prepared, and the checked settings."""
    workdir.mkdir(exist_ok=True)
    checked = experiments.read(settings)
    data = prepare.run(checked.data, workdir, Progress(stream=io.StringIO()))
    mesh = sharding.make_mesh(1, device)
    return Session(workdir, data, checked.run, Progress(stream=io.StringIO()), mesh), checked


def names(workdir, phase):
    return {path.name for path in workdir.glob(f'{phase}-*')}


@pytest.fixture(scope='module')
def finished(root, tmp_path_factory, device):
    workdir = tmp_path_factory.mktemp('finished')
    run(experiment(root), workdir, device, ('teacher', 'logits', 'student', 'evaluate'))
    return workdir


def test_every_phase_writes_its_artifacts(finished):
    counts = {
        phase: len(names(finished, phase))
        for phase in ('data', 'preprocess', 'align', 'teacher', 'logits', 'student', 'evaluate')
    }
    assert counts == {
        'data': 1, 'preprocess': 2, 'align': 1, 'teacher': 2, 'logits': 1, 'student': 1,
        'evaluate': 2,
    }  # fmt: skip


def test_nets_learn_the_tones(finished, root, device):
    session, checked = opened(experiment(root), finished, device)
    data, plan = realigned(session, checked), plans.make(checked, session.data)
    labels = data.labels[data.splits['test']]
    for trained in plan.nets():
        logits = np.load(finished / trained.evaluation.name / 'test.npy')
        assert logits.shape == (len(labels), 183)
        said, _ = phones.phone_and_part(logits.argmax(1))
        right, _ = phones.phone_and_part(labels)
        # The commonest of the four, silence, is half of the frames.
        assert np.mean(said == right) > 0.7, trained.name


def realigned(session, checked):
    """What `pipeline.run` goes on with, from the artifact that is there."""
    return align.all_rounds(session, plans.make(checked, session.data).alignments).data


def test_an_example_is_a_frame_and_each_speaker_is_in_one_split(finished, root, device):
    session, _ = opened(experiment(root), finished, device)
    data = session.data
    assert data.input_shape == (15, 41, 3) and data.num_classes == 183
    assert {name: len(where) for name, where in data.utterances.items()} == {
        'train': 9, 'validation': 3, 'test': 6
    }  # fmt: skip
    speakers = [
        {data.speech.utterances[i].speaker for i in data.utterances[name]}
        for name in ('train', 'validation', 'test')
    ]
    assert sorted(set().union(*speakers)) == SPEAKERS and sum(map(len, speakers)) == 6
    for name, where in data.utterances.items():
        rows = [np.arange(*data.speech.bounds[u : u + 2]) for u in where]
        np.testing.assert_array_equal(data.splits[name], np.concatenate(rows))
    assert len(data.splits['unlabelled']) == 0
    np.testing.assert_array_equal(data.labels, data.speech.targets)


@pytest.mark.parametrize('placement', ['device', 'host'])
def test_batches_hold_windows_that_stop_at_utterance_edges(finished, root, device, placement):
    session, _ = opened({**experiment(root), 'run': {'placement': placement}}, finished, device)
    data = session.data
    examples = np.random.default_rng(0).permutation(len(data.labels))[:80].astype(np.int32)
    ids = list(batches.in_order(examples, 50, session.placement.padded(50)))
    assert session.placement.on_device == (placement == 'device')
    found = []
    for fed in session.placement.each(ids):
        batch = jax.jit(lambda fed: fed.batch(fed.items, 0))(fed)
        assert set(batch) == {'inputs', 'labels', 'index', 'mask', 'view'}
        found.append(np.asarray(batch['inputs'])[np.asarray(batch['mask']) > 0])
    expected = []
    for example in examples:
        utterance = np.searchsorted(data.speech.bounds, example, side='right') - 1
        start, stop = data.speech.bounds[utterance : utterance + 2]
        frames = data.speech.frames[start:stop]
        padded = np.concatenate([frames[:1].repeat(7, 0), frames, frames[-1:].repeat(7, 0)])
        window = padded[example - start : example - start + 15]
        expected.append(window.reshape(15, 41, 3))
    np.testing.assert_array_equal(np.concatenate(found), expected)


def test_statistics_are_a_features_own_over_the_training_frames(root, tmp_path, device):
    session, _ = opened(experiment(root), tmp_path, device)
    data = session.data
    stats = statistics.open_fitted(tmp_path, data)
    assert stats['mean'].shape == stats['deviation'].shape == (41, 3)
    runs = data.speech.runs(data.utterances['train'])
    frames = np.concatenate([np.float64(data.speech.frames[start:stop]) for start, stop in runs])
    for key, expected in (('mean', frames.mean(axis=0)), ('deviation', frames.std(axis=0))):
        np.testing.assert_allclose(stats[key].ravel(), expected, rtol=1e-5, atol=1e-6)


def test_alignment_says_what_was_spoken_and_leaves_the_test_split(finished, root, device):
    session, checked = opened(experiment(root), finished, device)
    before, after = session.data, realigned(session, checked)
    [folder] = finished.glob('align-*')
    np.testing.assert_array_equal(after.labels, np.load(folder / 'targets.npy'))
    moved = 0
    for split, where in before.utterances.items():
        for position in where:
            rows = slice(*before.speech.bounds[position : position + 2])
            utterance = before.speech.utterances[position]
            if split == 'test' or utterance.key == SHORT:
                np.testing.assert_array_equal(after.labels[rows], before.labels[rows])
                continue
            path = after.labels[rows]
            np.testing.assert_array_equal(viterbi.segments(path)[0], utterance.phones)
            moved += np.sum(path != before.labels[rows])
    facts = store.manifest(folder)
    assert facts['utterances'] == 12 and facts['kept'] == 1
    frames = sum(len(before.splits[split]) for split in ('train', 'validation'))
    assert facts['changed'] == pytest.approx(moved / frames, abs=1e-6)
    assert 0 < facts['changed'] < 0.5  # the tones are clear: boundaries move by frames


def test_the_report_has_phones_decoded_and_their_errors(finished, root, device):
    run(experiment(root), finished, device, ('decode', 'report'))
    folder = finished / 'speech'
    report = json.loads((folder / 'report.json').read_text())
    rates = {row['name']: row for row in report['rows'] if row['metric'] == 'per'}
    assert len(rates) == 3  # a teacher, the ensemble of one, the student
    for row in rates.values():
        counted = row['insertions'] + row['deletions'] + row['substitutions']
        assert row['mean'] == pytest.approx(counted / row['tokens'])
        assert 0 <= row['mean'] < 0.5 and row['n_speakers'] == 2
    assert all(timing['real_time_factor'] > 0 for timing in report['timings'])
    assert report['data']['utterances'] == {'train': 9, 'validation': 3, 'test': 6}
    made = set(names(finished, 'align')) | set(names(finished, 'teacher'))
    assert (
        set(report['costs']['align']['artifacts']) | set(report['costs']['teacher']['artifacts'])
        == made
        and report['costs']['align']['seconds'] > 0
    )
    page = (folder / 'report.html').read_text()
    for name in ('confusions.png', 'utterance.png'):
        assert (folder / name).stat().st_size > 5000
        assert figures.CAPTIONS[name] in page


def test_a_frame_that_is_disagreed_on_is_shown_as_its_windows_spectrogram(finished, root, device):
    session, _ = opened(experiment(root), finished, device)
    data, part = session.data, speech_report.SpeechPart(session, (), {})

    def brightest(phone):
        """The row, counted from the top, in which the middle of a phone's middle frame is brightest."""
        (number,) = phones.numbers([phone])
        frames = np.flatnonzero(data.labels == 3 * number + 1)
        png = comparisons.picture(data, int(frames[len(frames) // 2]), part)
        picture = np.asarray(Image.open(io.BytesIO(png)))
        assert picture.shape == (40, 45) and picture.dtype == np.uint8
        return picture[:, 22].argmax()

    assert brightest('s') < brightest('iy') < brightest('aa'), 'high tones stand above'


def test_alignment_is_made_once_and_everything_after_has_other_names(finished, root, device):
    markers = {path: path.stat().st_mtime_ns for path in finished.glob('*-*/COMPLETE')}
    run(experiment(root), finished, device)
    assert markers == {path: path.stat().st_mtime_ns for path in finished.glob('*-*/COMPLETE')}

    session, checked = opened(experiment(root), finished, device)
    data = realigned(session, checked)
    assert data.fingerprint != session.data.fingerprint
    made = {
        rounds: plans.make(
            dataclasses.replace(
                checked, alignment=dataclasses.replace(checked.alignment, rounds=rounds)
            ),
            session.data,
        )
        for rounds in (0, 1, 2)
    }
    assert {plan.members['cnn'].recipe.data for plan in made.values()} >= {data.fingerprint}
    for nets in zip(*(plan.nets() for plan in made.values()), strict=True):
        assert len({net.recipe.name for net in nets}) == 3
    assert made[2].alignments[0].recipe == made[1].alignments[0].recipe
    second = made[2].alignments[1]
    assert second.recipe.name not in names(finished, 'align')
    assert second.net.recipe.data == data.fingerprint


def test_a_second_round_realigns_the_first_rounds_targets(finished, root, tmp_path, device):
    shutil.copytree(finished, tmp_path / 'work')
    settings = experiment(root)
    settings['alignment']['rounds'] = 2
    session, checked = opened(settings, tmp_path / 'work', device)
    first, second = plans.make(checked, session.data).alignments
    data = realigned(session, checked)
    before, after = (
        np.load(session.workdir / each.recipe.name / 'targets.npy') for each in (first, second)
    )
    np.testing.assert_array_equal(data.labels, after)
    splits = np.concatenate([session.data.splits[name] for name in ('train', 'validation')])
    changed = store.manifest(session.workdir / second.recipe.name)['changed']
    assert changed == pytest.approx(np.mean(after[splits] != before[splits]), abs=1e-6)


def test_no_rounds_change_nothing(root, tmp_path, device):
    settings = experiment(root)
    settings['alignment']['rounds'] = 0
    with pytest.raises(UserError, match='teacher cnn is not there yet') as caught:
        run(settings, tmp_path, device, ('logits',))
    del settings['alignment']
    session, checked = opened(settings, tmp_path, device)
    assert plans.make(checked, session.data).members['cnn'].recipe.name in str(caught.value)
    assert not names(tmp_path, 'align') and not names(tmp_path, 'teacher')


def test_a_members_subset_is_of_utterances(finished, root, device):
    settings = experiment(root)
    settings['members']['cnn']['subset'] = 0.5
    session, checked = opened(settings, finished, device)
    data, member = session.data, plans.make(checked, session.data).members['cnn']
    first, last = data.arrays['first'], data.arrays['last']
    seen = {(first[i], last[i]) for i in member.examples}
    assert len(seen) == 4  # half of nine
    assert len(member.examples) == sum(end - start + 1 for start, end in seen)
    assert set(member.examples) < set(data.splits['train'])


def test_the_official_split_keeps_only_its_own_speakers(tmp_path, device):
    root = corpus(tmp_path / 'TIMIT', ['faaa0'])
    dev, core = timit_splits.DEV_SPEAKERS[0], timit_splits.CORE_SPEAKERS[0]
    corpus(root, [dev, core, 'mzzz9'], 'TEST')
    said = io.StringIO()
    data = Data(name='timit', root=str(root), preprocess='feature')
    found = prepare.run(data, tmp_path, Progress(stream=said))
    assert {u.speaker for u in found.speech.utterances} == {'faaa0', dev, core}
    assert {name: len(where) for name, where in found.utterances.items()} == dict.fromkeys(
        ('train', 'validation', 'test'), 3
    )
    assert said.getvalue().count('warning: ') == 8  # this is not the whole of TIMIT


def test_folds_share_what_was_read(root, tmp_path):
    tested = []
    for fold in range(3):
        data = Data(name='timit', root=str(root), split='fold', fold=fold, folds=3, validation=1)
        found = prepare.run(data, tmp_path, Progress(stream=io.StringIO()))
        tested += [found.speech.utterances[i].key for i in found.utterances['test']]
        assert len(found.utterances['validation']) == 3
    assert len(names(tmp_path, 'data')) == 1
    assert len(tested) == len(set(tested)) == 18


def test_a_bad_utterance_stops_preparation_or_is_counted(tmp_path):
    root = corpus(tmp_path / 'TIMIT')
    bad = root / 'TRAIN' / 'DR1' / SPEAKERS[1].upper() / 'SX1.PHN'
    bad.write_text('0 1000 xx\n')
    settings = experiment(root, split='speakers', validation=1, test=1)['data']
    with pytest.raises(UserError, match=r'SX1\.PHN line 1'):
        prepare.run(Data(**settings), tmp_path, Progress(stream=io.StringIO()))
    said = io.StringIO()
    skipping = Data(**settings, skip_bad=True)
    found = prepare.run(skipping, tmp_path, Progress(stream=said))
    assert len(found.speech.bad) == 1 and len(found.speech.utterances) == 17
    assert 'bad utterances' in said.getvalue()


@pytest.mark.parametrize(
    ('path', 'value', 'message'),
    [
        ('data.root', '', 'TIMIT comes from the LDC'),
        ('data.root', '/no/such/place', 'TIMIT comes from the LDC'),
        ('data.train', 100, 'divided by speaker'),
        ('data.label_noise', 0.1, 'divided by speaker'),
        ('data.split', 'speaker', "did you mean 'speakers'"),
        ('data.split', 'fold', 'config.data.test is 2'),
        ('data.split', 'official', 'config.data.validation is 1'),
        ('data.test', 6, '6 test speakers of 6'),
        ('data.preprocess', 'image', "config.data.preprocess is 'image'"),
        ('views', {'shift': 1, 'seed': 1}, 'these examples are none; set config.views.shift=0'),
        ('members.cnn.views', {'mirror': True}, 'set config.members.cnn.views.mirror=False'),
        ('alignment.net.model', '', 'config.alignment.net.model is empty'),
        ('alignment.rounds', -1, 'config.alignment.rounds is -1'),
        ('baselines', {'svm': {'patches': 9}}, 'config.baselines.svm takes patches of images'),
    ],
)
def test_bad_settings_are_one_line_before_any_net(root, tmp_path, device, path, value, message):
    settings = experiment(root)
    *groups, key = path.split('.')
    part = settings
    for group in groups:
        part = part[group]
    part[key] = value
    if path == 'baselines':
        value['svm']['centroids'] = 9
    with pytest.raises(UserError) as caught:
        run(settings, tmp_path, device)
    assert message in str(caught.value) and '\n' not in str(caught.value)
    assert not names(tmp_path, 'teacher')


def test_only_speech_is_aligned(config, tmp_path, device):
    config.alignment = {'rounds': 1, 'net': {'model': '8'}}
    with pytest.raises(UserError, match='only speech has targets to align'):
        run(config, tmp_path, device)


def test_speech_is_mapped_from_the_disk(finished, root, device):
    session, _ = opened(experiment(root), finished, device)
    assert isinstance(session.data.inputs, np.memmap)
    assert isinstance(session.data.speech, corpora.Speech)


@pytest.mark.parametrize(
    ('model', 'parameters'),
    [
        ('8k', 1846 * 8000 + 8001 * 183),
        ('250L-8k', 1846 * 250 + 251 * 8000 + 8001 * 183),
        ('2k-2k-2k', 1846 * 2000 + 2 * 2001 * 2000 + 2001 * 183),
        (
            '150c15x8v-p1x6/1x2-2k-2k-2k',
            (15 * 8 * 3 + 1) * 150 + (15 * 150 + 1) * 2000 + 2 * 2001 * 2000 + 2001 * 183,
        ),
    ],
)
def test_the_papers_nets_read_windows(model, parameters):
    window = jax.ShapeDtypeStruct((1, 15, 41, 3), np.float32)
    shapes = jax.eval_shape(net.build(model, 183).init, jax.random.key(0), window)
    assert sum(leaf.size for leaf in jax.tree.leaves(shapes)) == parameters
    assert counts.count(model, (15, 41, 3), 183).params == parameters
