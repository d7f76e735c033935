"""Predictions on a person's own files, by an exported net with random parameters."""

import csv
import functools
import io
import json
import sys

import jax
import numpy as np
import pytest
from PIL import Image

from mimic_jax.artifacts import store
from mimic_jax.artifacts.recipes import Recipe
from mimic_jax.config import experiment as experiments
from mimic_jax.data.dataset import Dataset
from mimic_jax.errors import UserError
from mimic_jax.export import plan as exporting
from mimic_jax.export import predict, raw_files
from mimic_jax.export import run as export
from mimic_jax.mimic import evaluate
from mimic_jax.models import net
from mimic_jax.planning import collect as plans
from mimic_jax.runtime import sharding
from mimic_jax.runtime.interrupt import Interrupted
from mimic_jax.runtime.progress import Progress
from mimic_jax.runtime.settings import Run
from mimic_jax.speech import decode, decoded_files, fbank, phones, transcribe
from mimic_jax.speech.corpora import Speech, Spoken
from mimic_jax.speech.dataset import SpeechDataset
from mimic_jax.training import checkpoint
from mimic_jax.training.session import Session

pytest.importorskip('kaldi_native_fbank', reason='needs the speech extra')
soundfile = pytest.importorskip('soundfile', reason='needs the speech extra')

SHAPE, CLASSES = (4, 5, 3), ('red', 'green', 'blue', 'grey')
UINT8 = np.dtype(np.uint8)
TRAIN = {'epochs': 1, 'batch_size': 4}


def random_variables(module, shape):
    shapes = jax.eval_shape(module.init, jax.random.key(0), np.zeros((1, *shape), np.float32))
    draw = np.random.default_rng(0)
    return jax.tree.map(
        lambda leaf: draw.normal(scale=0.3, size=leaf.shape).astype(np.float32), shapes
    )


@pytest.fixture(scope='module')
def session(tmp_path_factory, device):
    """A session of which predictions read nothing but its progress."""
    data = Dataset(np.zeros((1, *SHAPE), np.uint8), np.zeros(1, np.int32), {}, 4, '', 'scale')
    mesh = sharding.make_mesh(1, device)
    progress = Progress(stream=io.StringIO())
    return Session(tmp_path_factory.mktemp('work'), data, Run(), progress, mesh)


@pytest.fixture(scope='module')
def exported(session):
    """An export, written by hand, of a linear net on images with four classes."""

    def build(folder):
        module = net.build('6', 4)
        content = exporting.serialize(
            module, 'scale', random_variables(module, SHAPE), {}, SHAPE, UINT8
        )
        (folder / exporting.FILE).write_bytes(content)
        facts = {
            'input': {'shape': ['b', *SHAPE], 'dtype': 'uint8'},
            'num_classes': 4,
            'classes': CLASSES,
        }
        (folder / exporting.DESCRIPTION).write_text(json.dumps(facts))
        return {}

    return store.make(session.workdir, Recipe('export', {}), build)


def right(images):
    variables = random_variables(net.build('6', 4), SHAPE)['params']
    hidden, output = variables['hidden_00'], variables['output_01']
    rows = images.reshape(len(images), -1) / 255
    active = np.maximum(rows @ hidden['kernel'] + hidden['bias'], 0)
    powers = np.exp(active @ output['kernel'] + output['bias'])
    return powers / powers.sum(axis=1, keepdims=True)


def drawn(count):
    return np.random.default_rng(1).integers(0, 256, size=(count, *SHAPE)).astype(np.uint8)


@pytest.fixture
def folder(tmp_path):
    """Two images below a folder, of any format, and a hidden file."""
    images = drawn(2)
    (tmp_path / 'in' / 'b').mkdir(parents=True)
    Image.fromarray(images[1]).save(tmp_path / 'in' / 'b' / 'one.png')
    Image.fromarray(images[0]).save(tmp_path / 'in' / 'a.bmp')
    (tmp_path / 'in' / '.hidden').write_text('no image')
    return tmp_path / 'in'


def test_a_folder_of_images_in_the_order_of_names(session, exported, folder, tmp_path, capsys):
    predict.run(session, exported, folder, tmp_path / 'out.csv')
    probabilities = right(drawn(2))
    rows = list(csv.reader((tmp_path / 'out.csv').open(newline='')))
    assert rows[0] == ['input', 'class', *CLASSES]
    assert [row[0] for row in rows[1:]] == ['a.bmp', 'b/one.png']
    assert [row[1] for row in rows[1:]] == [CLASSES[k] for k in probabilities.argmax(axis=1)]
    written = np.array([row[2:] for row in rows[1:]], float)
    np.testing.assert_allclose(written, probabilities, atol=1e-5)
    lines = capsys.readouterr().out.splitlines()
    order = np.argsort(-probabilities[0])[:3]
    top = ', '.join(f'{CLASSES[k]} {probabilities[0, k]:.3f}' for k in order)
    assert lines == [f'a.bmp  {top}', lines[1], str(tmp_path / 'out.csv')]
    assert not list(tmp_path.glob('.*'))
    predict.run(session, exported, folder / 'a.bmp', None)
    assert capsys.readouterr().out == f'{lines[0]}\n'


def test_arrays_of_any_length(session, exported, tmp_path, capsys, monkeypatch):
    images = drawn(150)  # more than a batch
    np.savez(tmp_path / 'in.npz', images=images, labels=np.zeros(150, int))
    np.save(tmp_path / 'in.npy', images[:3])
    predict.run(session, exported, tmp_path / 'in.npz', tmp_path / 'out.npz')
    assert len(capsys.readouterr().out.splitlines()) == 151, 'all of them where no one looks'
    with np.load(tmp_path / 'out.npz', allow_pickle=False) as said:
        np.testing.assert_allclose(said['probabilities'], right(images), atol=1e-5)
        assert said['class'].tolist() == right(images).argmax(axis=1).tolist()
        assert said['names'].tolist() == [str(number) for number in range(150)]
        assert said['classes'].tolist() == list(CLASSES)
    monkeypatch.setattr(sys.stdout, 'isatty', lambda: True)
    predict.run(session, exported, tmp_path / 'in.npz', None)
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 21 and lines[-1].startswith('… and 130 more; --output=')
    predict.run(session, exported, tmp_path / 'in.npy', None)
    assert len(capsys.readouterr().out.splitlines()) == 3


def read(path, shape=SHAPE, dtype=UINT8):
    _, chunks = raw_files.examples(path, shape, dtype, 2)
    return [(names, inputs) for names, inputs in chunks]


def test_numbers_become_float32_a_chunk_at_a_time(tmp_path):
    values = np.arange(15).reshape(5, 3)
    np.savez(tmp_path / 'in.npz', features=values)
    chunks = read(tmp_path / 'in.npz', (3,), np.dtype(np.float32))
    assert [names for names, _ in chunks] == [['0', '1'], ['2', '3'], ['4']]
    assert all(inputs.dtype == np.float32 for _, inputs in chunks)
    np.testing.assert_array_equal(np.concatenate([inputs for _, inputs in chunks]), values)


def refused(path, *words, shape=SHAPE, dtype=UINT8):
    with pytest.raises(UserError) as caught:
        read(path, shape, dtype)
    assert '\n' not in str(caught.value) and str(path) in str(caught.value)
    for word in words:
        assert word in str(caught.value)


def test_images_that_do_not_fit_are_refused_by_name(tmp_path):
    path = tmp_path / 'x.png'
    Image.new('RGB', (9, 4)).save(path)
    refused(path, '4×9 pixels', '4×5 pixels')
    Image.new('L', (5, 4)).save(path)
    refused(path, '1 channel', '3 channels')
    path.write_bytes(b'no image')
    refused(path, 'no image that Pillow can read')
    refused(tmp_path, str(path))
    path.unlink()
    refused(tmp_path, 'holds no files')
    refused(path, 'neither a file nor a folder')
    refused(path, '[N, 3] numbers', shape=(3,), dtype=np.dtype(np.float32))


@pytest.mark.filterwarnings('error')
@pytest.mark.parametrize('side', [9_000, 12_000, 40_000])
def test_an_image_of_very_many_pixels_is_refused_by_its_header(tmp_path, side):
    """One row of 1 bit pixels, in a file whose header promises up to 1,600 megapixels."""
    path = tmp_path / 'x.pbm'
    path.write_bytes(f'P4 {side} {side} '.encode() + bytes(side // 8))
    refused(path)


def test_a_signal_while_an_array_is_opened_is_no_damage(tmp_path, monkeypatch):
    def interrupted(*_, **__):
        raise Interrupted

    np.save(tmp_path / 'x.npy', drawn(2))
    monkeypatch.setattr(np.lib.format, 'open_memmap', interrupted)
    with pytest.raises(Interrupted):
        read(tmp_path / 'x.npy')


def test_arrays_that_do_not_fit_are_refused(tmp_path):
    array, archive = tmp_path / 'x.npy', tmp_path / 'x.npz'
    np.save(array, drawn(2)[:, :3])
    refused(array, '(2, 3, 5, 3)', '[N, 4, 5, 3] uint8')
    np.save(array, drawn(2)[0])
    refused(array, '(4, 5, 3)')
    np.save(array, drawn(2)[:0])
    refused(array, '(0, 4, 5, 3)')
    np.save(array, drawn(2) / 255)
    refused(array, 'float64', 'uint8')
    np.save(array, np.array([{'a': 1}], object), allow_pickle=True)
    refused(array, 'cannot be read', 'numpy.save')
    array.write_bytes(b'')
    refused(array, 'cannot be read')
    np.savez(archive, pictures=drawn(2))
    refused(archive, 'pictures', 'images or features')
    np.savez(archive, images=np.array([{'a': 1}], object))
    refused(archive, 'cannot be read')
    np.save(array, np.array([[1.0, 2.0, 3.0], [4.0, np.nan, 6.0]]))
    refused(array, 'row 1', 'not finite', shape=(3,), dtype=np.dtype(np.float32))
    np.save(array, np.array([['a', 'b', 'c']]))
    refused(array, '[N, 3] numbers', shape=(3,), dtype=np.dtype(np.float32))


@pytest.mark.parametrize(
    ('source', 'output', 'words'),
    [
        ('', '', '--phase=predict needs --input'),
        ('nowhere', '', '--input=nowhere: there is no such'),
        ('.', 'out.txt', 'ends in .npz or .csv'),
        ('.', 'nowhere/out.csv', 'there is no folder nowhere'),
    ],
)
def test_paths_that_cannot_be_meant_are_refused_first(source, output, words):
    with pytest.raises(UserError, match=words):
        predict.check(source, output)


def test_recordings_are_decoded_as_the_test_utterances_are(tmp_path, device, capsys):
    (tmp_path / 'wavs').mkdir()
    for number in range(2):
        samples = np.random.default_rng(number).normal(scale=900 + 900 * number, size=5000)
        soundfile.write(tmp_path / 'wavs' / f'{number}.WAV', samples.astype(np.int16), 16000)
    (tmp_path / 'wavs' / 'notes.txt').write_text('no recording')
    session, plan = speech(tmp_path, device)
    (student,) = plan.students['mimic']
    evaluate.run(session, student, 'student')
    decoding_plan = plan.decodings['students.mimic'][0]
    exported = export.run(session, exporting.make(plan, session.data))
    source = tmp_path / 'wavs'
    tuned = functools.partial(transcribe.run, session, decoding_plan)
    with pytest.raises(UserError, match='--phase=decode'):
        predict.run(session, exported, source, None, tuned)
    decoded = decoded_files.read_split(decode.run(session, decoding_plan), 'test')
    assert all(len(entry['decoded'].split()) > 2 for entry in decoded)
    assert decoded[0]['decoded'] != decoded[1]['decoded']

    predict.run(session, exported, source, tmp_path / 'out.csv', tuned)
    lines = capsys.readouterr().out.splitlines()
    assert lines[:2] == [f'{number}.WAV  {decoded[number]["decoded"]}' for number in range(2)]
    rows = list(csv.DictReader((tmp_path / 'out.csv').open(newline='')))
    second = [float(row['start']) for row in rows if row['input'] == '1.WAV']
    np.testing.assert_allclose(second, np.array(decoded[1]['starts']) / 100)
    predict.run(session, exported, source, tmp_path / 'out.npz', tuned)
    with np.load(tmp_path / 'out.npz', allow_pickle=False) as said:
        assert said['phones'].tolist() == [row['phone'] for row in rows]

    with pytest.raises(UserError, match='row of it and run --phase=decode'):
        undecoded = functools.partial(transcribe.run, session, None)
        predict.run(session, exported, source, None, undecoded)
    (source / '1.WAV').write_bytes(b'RIFF')
    with pytest.raises(UserError, match=r'1\.WAV cannot be read as audio.*leave it out$'):
        predict.run(session, exported, source, None, tuned)


def speech(folder, device):
    """A session whose test utterances are the recordings of `folder`, and a mimic with random weights."""
    samples = [soundfile_samples(path) for path in sorted((folder / 'wavs').glob('*.WAV'))]
    frames = [fbank.features(each) for each in samples] * 3
    words = phones.numbers(['h#', 'aa', 's', 'h#'])
    spoken = [Spoken('train', 'dr1', f'faa{n}0', 'sx0', words) for n in range(len(frames))]
    bounds = np.concatenate([[0], np.cumsum([len(each) for each in frames])])
    path = np.repeat((3 * words[:, None] + np.arange(3)).ravel(), 3)[: len(frames[0])]
    targets = np.concatenate([np.resize(path, len(each)) for each in frames]).astype(np.int32)
    found = Speech(np.concatenate(frames), targets, bounds, tuple(spoken), ())
    utterances = {
        name: np.arange(2) + 2 * place for place, name in enumerate(('train', 'validation', 'test'))
    }
    data = SpeechDataset(
        inputs=found.frames,
        labels=targets,
        splits={**{n: found.rows(u) for n, u in utterances.items()}, 'unlabelled': []},
        num_classes=phones.NUM_STATES,
        fingerprint='planted',
        preprocess='feature',
        speech=found,
        utterances=utterances,
    )
    checked = experiments.read({
        'data': {'preprocess': 'feature'},
        'students': {'mimic': {'model': '6', 'train': TRAIN}},
        'decoding': {'lm_scales': (0.5,), 'penalties': (-20.0,)},
    })  # fmt: skip
    progress = Progress(stream=io.StringIO())
    session = Session(folder, data, checked.run, progress, sharding.make_mesh(1, device))
    plan = plans.make(checked, data)
    (student,) = plan.students['mimic']

    def build(target):
        variables = random_variables(student.task.net.module, data.input_shape)
        with checkpoint.Checkpoints(target) as checkpoints:
            checkpoints.save(1, variables)
        return {}

    store.make(folder, student.recipe, build)
    return session, plan


def soundfile_samples(path):
    import soundfile

    return soundfile.read(path, dtype='float32')[0] * 32768
