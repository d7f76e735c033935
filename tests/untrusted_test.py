"""Files and settings from strangers: a one-line error or a right answer, whatever they hold.

    python -m pytest tests/untrusted_test.py --hypothesis-profile=thorough

tries 300 cases a test, the usual run 20.
"""

import ast
import copy
import io
import json
import struct
import zipfile
import zlib
from pathlib import Path

import numpy as np
import pytest
from conftest import tiny_digits
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from PIL import Image

from mimic_jax.config import experiment as experiments
from mimic_jax.config import presets
from mimic_jax.data import array_files, image_files, sources, splits, unlabelled
from mimic_jax.data.settings import Data, Transfer
from mimic_jax.errors import UserError
from mimic_jax.mimic import external_answers, net_plan
from mimic_jax.models import notation
from mimic_jax.planning import collect as plans
from mimic_jax.speech import phones, timit_files

PACKAGE = Path(__file__).parent.parent / 'mimic_jax'
IMAGES = np.arange(6 * 4 * 5 * 3, dtype=np.uint8).reshape(6, 4, 5, 3)
LABELS = np.array([0, 1, 2, 0, 1, 2])
# All cases of a test may share a folder: each writes its files anew.
shared_folder = settings(suppress_health_check=[HealthCheck.function_scoped_fixture])


def answer(function, *arguments):
    """What a function returns, or None where it refuses in one line; any other error fails the test."""
    try:
        return function(*arguments)
    except UserError as error:
        assert '\n' not in str(error) and len(str(error)) < 1000
        return None


def _is_load(called: ast.expr) -> bool:
    named = isinstance(called, ast.Attribute) and called.attr == 'load'
    return named and ast.unparse(called.value) in ('np', 'numpy')


def test_numpy_is_never_allowed_to_unpickle():
    calls = []
    for path in PACKAGE.rglob('*.py'):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Import | ast.ImportFrom):
                names = [alias.name for alias in node.names] + [getattr(node, 'module', None)]
                assert not {'pickle', 'dill', 'joblib', 'cloudpickle'} & set(names), path
            if isinstance(node, ast.Call) and _is_load(node.func):
                calls.append(path)
                given = {word.arg: ast.unparse(word.value) for word in node.keywords}
                assert given.get('allow_pickle') == 'False', f'{path}:{node.lineno}'
    assert len(calls) > 5


# Nets.

TOKENS = [
    *(
        '8c3',
        '16c5x3v',
        'p2',
        'p3/2s',
        'ap2',
        'sp2',
        'lrn',
        '4lc3',
        '12L',
        '30k',
        '1kfc',
        'd.5',
        'bn',
    ),
    *(
        '3c3^2',
        '?',
        '?L',
        '?*.6c3',
        '0',
        'd1',
        '1000000000000',
        '1c1^999999999',
        '9' * 20,
        '9' * 50,
    ),
    *('p0', '1c9999999999', '-', '5c3^', 'p2/0', '1e9', '٣c3', '\n', '\0', ''),
]
SPECS = st.one_of(
    st.lists(st.sampled_from(TOKENS), max_size=8).map('-'.join),
    st.text('0123456789ckLpsadrbnfv^?*./x-', max_size=30),
    st.text(max_size=10),
    st.none() | st.integers() | st.binary(max_size=4),
)


@given(SPECS)
def test_any_spec_is_counted_or_refused(spec):
    counts = answer(notation.count, spec, (8, 8, 1), 10)
    if counts is not None:
        # Counted again, by the shapes alone: the output layer reads all of the last map.
        before = counts.rows[-2].shape if len(counts.rows) > 1 else (8, 8, 1)
        assert counts.rows[-1].params == (np.prod(before, dtype=object) + 1) * 10
        assert counts.params == sum(row.params for row in counts.rows) >= 20


@given(SPECS, st.floats() | st.integers(-5, 10**13) | st.text(max_size=3))
def test_any_budget_is_kept_or_refused(spec, budget):
    solved = answer(notation.solve, spec, budget, (8, 8, 1), 10)
    if solved is not None:
        assert '?' not in solved
        assert notation.count(solved, (8, 8, 1), 10).params <= budget


# Configs.

NUMBERS = [10**12, -1, 0, 2**63, 10**400, 1e308, float('nan'), float('inf'), -float('inf'), 1 + 2j]
TEXTS = ['', 'x' * 300, 'no\nlines', '1000000000000', '30k-1000000000000', 'train']
OTHERS = [True, None, (), (1,), ('a', 2), [[]], {}, {'a': 1}, b'bytes', ..., ('train',)]
ABSURD = st.sampled_from([*NUMBERS, *TEXTS, *OTHERS])


def small_data():
    draw = np.random.default_rng(0)
    regions = {'pool': 120, 'unlabelled': 30, 'test': 0}
    return splits.divide(
        inputs=draw.integers(0, 255, (150, 8, 8, 1), np.uint8),
        labels=draw.integers(0, 10, 150).astype(np.int32),
        regions=regions,
        num_classes=10,
        content='',
        data=Data(train=60, validation=20, test=20),
    )


def paths(value, path=''):
    """Every path in nested dicts, of groups and of values."""
    if path:
        yield path
    if isinstance(value, dict):
        for key, item in value.items():
            yield from paths(item, f'{path}.{key}'.strip('.'))


DATA = small_data()
EVERYTHING = {
    **tiny_digits().to_dict(),
    'alignment': {'rounds': 0},
    'decoding': {'batch_size': 32, 'lm_scales': (1.0,), 'penalties': (0.0,)},
    'baselines': {'svm': {'patches': 50, 'patch_size': 4, 'centroids': 5, 'penalties': (1.0,)}},
    'search': {'member': {'model': '8'}, 'trials': 2, 'space': {'a': {'low': 1, 'high': 2}}},
}


CHANGES = st.dictionaries(
    st.sampled_from(sorted(paths(EVERYTHING))), ABSURD, min_size=1, max_size=3
)


def with_values(changes):
    """The tiny experiment with the values at some dotted paths replaced."""
    config = tiny_digits().to_dict()
    for path, value in changes.items():
        *groups, last = path.split('.')
        here = config
        for group in groups:
            here = here.setdefault(group, {}) if isinstance(here, dict) else {}
        if isinstance(here, dict):
            here[last] = copy.deepcopy(value)  # later changes may go into it
    return config


@given(CHANGES)
def test_any_config_that_can_be_read_can_be_completed_and_reads_the_same(changes):
    config = with_values(changes)
    expected, found = answer(experiments.read, config), answer(presets.build, config)
    assert expected is None or experiments.read(found) == expected


@given(CHANGES)
def test_any_value_of_a_config_is_planned_or_refused(changes):
    config = with_values(changes)

    def planned():
        return plans.make(experiments.read(config), DATA)

    plan = answer(planned)
    if plan is not None:
        for net in plan.nets():
            assert net.parameters <= net_plan.MOST_PARAMETERS and net.task.steps < 2**31
            json.loads(json.dumps(net.recipe.as_json(), allow_nan=False))
            assert len(net.recipe.id) == 12


@pytest.mark.parametrize(
    ('path', 'value', 'words'),
    [
        ('members.cnn_1.model', '1000000000000', 'parameters, more than 10,000,000,000'),
        ('students.mimic.model', '30k-1000000000000', 'parameters, more than 10,000,000,000'),
        ('members.cnn_1.train.epochs', 10**12, 'too many to count'),
        ('logits.ensemble.views', 10**12, 'from 1 to 100000'),
        ('run.evaluation_batch_size', 10**12, 'from 1 to 65536'),
        ('decoding.batch_size', 10**12, 'from 1 to 1024'),
        ('alignment.rounds', 10**12, 'from 0 to 100'),
        ('baselines.svm.patches', 10**12, 'from 1 to 100000000'),
    ],
)
def test_an_absurd_number_is_refused_before_memory_is_asked_for_it(path, value, words):
    config = tiny_digits().to_dict()
    *groups, last = path.split('.')
    here = config
    for group in groups:
        here = here.setdefault(group, {})
    here[last] = value
    with pytest.raises(UserError) as caught:
        plans.make(experiments.read(config), DATA)
    assert path.rpartition('.')[0] in str(caught.value) and words in str(caught.value)


JUNK = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner),
    max_leaves=8,
)
SECTIONS = st.sampled_from(
    ['data', 'views', 'members', 'logits', 'students', 'baselines', 'search', 'report', 'run', 'zz']
)


@given(st.dictionaries(SECTIONS, JUNK, max_size=4))
def test_any_config_at_all_is_read_or_refused(config):
    answer(experiments.read, config)


# Labels of speech.

TIMES = st.sampled_from(['0', '100', '800', '1600', '-5', '1e3', '٣', '9' * 5000, '10' * 9, 'x'])
LINES = st.one_of(
    st.tuples(TIMES, TIMES, st.sampled_from(['aa', 'h#', 'IY', 'zz', 'a' * 99])).map(' '.join),
    st.text(max_size=12),
)


@shared_folder
@example(b'0 ' + b'9' * 5000 + b' aa')
@example(b'0 100 aa\n100 1600 H#\n')
@given(st.lists(LINES, max_size=5).map('\n'.join).map(str.encode) | st.binary(max_size=40))
def test_any_labels_are_read_or_refused(tmp_path, content):
    path = tmp_path / 'a.PHN'
    path.write_bytes(content)
    found = answer(timit_files.read_labels, path, 1600)
    if found is not None:
        rows = [line.split() for line in content.decode(errors='replace').splitlines()]
        rows = [row for row in rows if row]
        assert found.starts.tolist() == [int(row[0]) for row in rows]
        assert found.ends.tolist() == [int(row[1]) for row in rows]
        assert [phones.PHONES[number] for number in found.phones] == [r[2].lower() for r in rows]
        assert found.ends[-1] <= 2000


# Arrays.


def npy(shape, descr, content, by_columns=False) -> bytes:
    """An .npy file with any header."""
    header = f"{{'descr': {descr!r}, 'fortran_order': {by_columns}, 'shape': {shape}, }}".encode()
    return b'\x93NUMPY\x01\x00' + struct.pack('<H', len(header)) + header + content


SHAPES = [
    *('(6, 4, 5, 3)', '(6,)', '()', '(6, 60)', '6', '(0, 4, 5, 3)', '[6]', '((6,), 4)', '(True,)'),
    *('(6.0,)', '(-1, 4, 5, 3)', '(10**12,)', '(1000000000000,)', '(1000000, 1000000, 1000000, 3)'),
    '(' * 200,
]
TYPES = ['|u1', '<i8', '<f4', '|O', 'nonsense', '<U5', '|V0', [('a', '<i4')], '>f8']
CONTENTS = [IMAGES.tobytes(), LABELS.tobytes(), b'', b'x', bytes(48)]
ARRAYS = st.tuples(*map(st.sampled_from, (SHAPES, TYPES, CONTENTS)))


@shared_folder
@given(ARRAYS, ARRAYS, st.booleans())
def test_any_header_of_an_array_is_read_or_refused(tmp_path, images, labels, as_features):
    path = tmp_path / 'my.npz'
    with zipfile.ZipFile(path, 'w', zipfile.ZIP_DEFLATED) as file:
        file.writestr('features.npy' if as_features else 'images.npy', npy(*images))
        file.writestr('labels.npy', npy(*labels))
    source = answer(sources.load_npz, path)
    if source is not None:
        shape, descr, content = images
        expected = np.frombuffer(content, np.dtype(descr)).reshape(ast.literal_eval(shape))
        np.testing.assert_array_equal(source.inputs, expected.astype(source.inputs.dtype))
    count = answer(lambda: unlabelled.load(Transfer('npz', str(path)), (4, 5, 3))[0])
    assert count in (None, 6)


@shared_folder
@given(st.data())
def test_any_damage_to_an_npz_file_is_refused_or_harmless(tmp_path, data):
    buffer = io.BytesIO()
    save = data.draw(st.sampled_from([np.savez, np.savez_compressed]))
    save(buffer, images=IMAGES, labels=LABELS)
    whole = bytearray(buffer.getvalue())
    for _ in range(data.draw(st.integers(1, 4))):
        place = data.draw(st.integers(0, len(whole) - 1))
        match data.draw(st.sampled_from(['flip', 'cut', 'insert', 'zero'])):
            case 'flip':
                whole[place] ^= 1 << data.draw(st.integers(0, 7))
            case 'cut':
                del whole[place + 1 :]
            case 'insert':
                whole[place:place] = data.draw(st.binary(max_size=20))
            case 'zero':
                whole[place : place + 8] = bytes(len(whole[place : place + 8]))
    path = tmp_path / 'my.npz'
    path.write_bytes(whole)
    source = answer(sources.load_npz, path)
    if source is not None:
        np.testing.assert_array_equal(source.inputs, IMAGES)
        np.testing.assert_array_equal(source.labels, LABELS)
    # Of two arrays or damaged, it holds no logits.
    assert answer(external_answers.open_logits, str(path), 'a cache') is None


def test_a_header_that_promises_more_than_its_file_holds_is_refused(tmp_path):
    path = tmp_path / 'my.npz'
    with zipfile.ZipFile(path, 'w') as file:
        file.writestr('images.npy', npy('(1000000, 4, 5, 3)', '|u1', IMAGES.tobytes()))
    with pytest.raises(UserError, match='images promises 60,000,000 bytes, and is'):
        array_files.read_npz(path)


def test_an_array_larger_than_the_machine_is_refused_before_it_is_read(tmp_path, monkeypatch):
    path = tmp_path / 'my.npz'
    np.savez_compressed(path, images=np.zeros((2000, 8, 8, 1), np.uint8), labels=LABELS)
    assert set(array_files.read_npz(path)) == {'images', 'labels'}
    monkeypatch.setattr(array_files, '_memory', lambda: 100_000)
    with pytest.raises(UserError, match='more than this machine has'):
        array_files.read_npz(path)


# Images.


def picture(name: str, size=(5, 4)) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(IMAGES[0]).resize(size).save(buffer, format=name)
    return buffer.getvalue()


FORMATS = {name: picture(name) for name in ('PNG', 'BMP', 'GIF', 'TIFF', 'JPEG', 'WEBP', 'PPM')}


@given(st.sampled_from(sorted(FORMATS)), st.data())
def test_any_image_is_decoded_to_its_size_or_refused(name, data):
    whole = bytearray(FORMATS[name])
    for _ in range(data.draw(st.integers(0, 3))):
        place = data.draw(st.integers(0, len(whole) - 1))
        whole[place : place + data.draw(st.integers(0, 9))] = data.draw(st.binary(max_size=9))
        whole = whole or bytearray(b'\0')
    image = answer(image_files.decode, io.BytesIO(whole), 'a picture', (4, 5, 3))
    assert image is None or (image.shape == (4, 5, 3) and image.dtype == np.uint8)


@pytest.mark.filterwarnings('ignore::PIL.Image.DecompressionBombWarning')
@pytest.mark.parametrize('side', [12_000, 60_000])
def test_an_image_that_would_fill_the_memory_is_refused_unread(side, monkeypatch):
    """A PNG of a few bytes that says it has so many pixels a side, Pillow's limit passed or not."""
    png = bytearray(FORMATS['PNG'])
    png[16:24] = struct.pack('>II', side, side)
    png[29:33] = struct.pack('>I', zlib.crc32(bytes(png[12:29])))
    monkeypatch.setattr(Image.Image, 'load', lambda _: pytest.fail('it was decoded'))
    with pytest.raises(UserError) as caught:
        image_files.decode(io.BytesIO(png), 'a bomb', (4, 5, 3))
    assert str(caught.value).startswith('a bomb ') and '\n' not in str(caught.value)


def test_a_picture_that_is_a_program_is_not_run(monkeypatch):
    drawing = picture('EPS')
    monkeypatch.setattr(Image.Image, 'load', lambda _: pytest.fail('it was run'))
    with pytest.raises(UserError, match='a program'):
        image_files.decode(io.BytesIO(drawing), 'a drawing', (4, 5, 3))


# Recordings.


def sphere(count='1600', length='   1024', extra='') -> bytes:
    lines = (
        f'NIST_1A\n{length}\nsample_count -i {count}\nsample_rate -i 16000\nchannel_count -i 1\n'
    )
    lines += (
        f'sample_n_bytes -i 2\nsample_byte_format -s2 01\nsample_coding -s3 pcm\n{extra}end_head\n'
    )
    return lines.encode().ljust(1024) + bytes(3200)


def wav(samples: int, rate=16000) -> bytes:
    content = bytes(3200)
    form = struct.pack('<4sIHHIIHH', b'fmt ', 16, 1, 1, rate, 2 * rate % 2**32, 2, 16)
    data = struct.pack('<4sI', b'data', min(2 * samples, 2**32 - 1)) + content
    return struct.pack('<4sI4s', b'RIFF', 4 + len(form) + len(data), b'WAVE') + form + data


COUNTS = st.sampled_from(['1600', '0', '-1', '9' * 12, '9' * 5000, '100000000000', 'x', '1599'])
LENGTHS = st.sampled_from(['   1024', '      8', '-1', '99999999', '   abcd', '', '   0'])
SOUNDS = st.one_of(
    st.builds(sphere, COUNTS, LENGTHS, st.text('ab \n-i0', max_size=8)),
    st.builds(wav, st.sampled_from([1600, 0, 10**9, 2**31]), st.sampled_from([16000, 0, 2**31])),
    st.binary(max_size=60),
)


@shared_folder
@given(SOUNDS)
def test_any_recording_is_read_or_refused(tmp_path, content):
    pytest.importorskip('soundfile', reason="needs soundfile: the extra 'speech'")
    path = tmp_path / 'a.WAV'
    path.write_bytes(content)
    samples = answer(timit_files.read_audio, path)
    if samples is not None:
        np.testing.assert_array_equal(samples, np.zeros(1600, np.float32))


def test_a_recording_that_promises_days_is_refused_before_there_is_room_for_it(tmp_path):
    """FLAC keeps the number of samples in 36 bits of its first block."""
    soundfile = pytest.importorskip('soundfile', reason="needs soundfile: the extra 'speech'")
    path = tmp_path / 'a.wav'
    soundfile.write(path, np.zeros(1600, np.int16), 16000, format='FLAC')
    assert len(timit_files.read_audio(path)) == 1600
    content = bytearray(path.read_bytes())
    content[21] |= 0x0F
    content[22:26] = b'\xff' * 4
    path.write_bytes(content)
    with pytest.raises(UserError, match='its header promises 68719476735 samples'):
        timit_files.read_audio(path)
