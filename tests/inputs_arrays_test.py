"""Arrays of one's own: columns that float32 would blur, layouts, further arrays, and what names hold."""

import io
import json

import jax.numpy as jnp
import numpy as np
import pytest
from conftest import refusal

from mimic_jax.data import centring, npz, prepare, preprocess, sources, statistics, unlabelled
from mimic_jax.data.centring import Centre
from mimic_jax.data.munge import munge
from mimic_jax.data.settings import Data, Transfer
from mimic_jax.export import raw_files
from mimic_jax.runtime import files
from mimic_jax.runtime.progress import Progress

FLOAT32 = np.dtype(np.float32)
random = np.random.default_rng(0)
FEATURES = {'name': 'npz', 'preprocess': 'feature', 'validation': 20, 'test': 20}


@pytest.fixture
def save(tmp_path):
    """Writes arrays as an .npz file and returns its path."""

    def save(name='own.npz', **arrays):
        np.savez(tmp_path / name, **arrays)
        return str(tmp_path / name)

    return save


def prepared(workdir, **settings):
    workdir.mkdir(exist_ok=True)
    said = io.StringIO()
    return prepare.run(Data(**settings), workdir, Progress(stream=said)), said.getvalue()


def standardised(values, train):
    """Exact arithmetic on whole numbers as far as that goes, then float64."""
    column = [int(value) for value in values]
    mean = sum(column[row] for row in train) / len(train)
    centred = np.array([value - mean for value in column])
    if abs(mean) > 2**53:  # the mean itself is rounded: from the first value up
        from_first = np.array([value - column[0] for value in column], np.float64)
        centred = from_first - from_first[train].mean()
    return centred / centred[train].std()


STAMPS = 20240101000000 + random.integers(0, 1000, 200)
COLUMNS = {
    'stamps': STAMPS,
    'stamps in float64': STAMPS.astype(np.float64),
    'beyond float64': 2**60 + random.integers(0, 99, 200),
    'beyond int64': np.uint64(2**63) + random.integers(0, 99, 200).astype(np.uint64),
    'below 0': -(2**60) - random.integers(0, 99, 200),
    'a little above float32': 2**24 + random.integers(0, 99, 200),
    'two days of a year, by the second': 1_700_000_000
    + random.integers(0, 99, 200)
    + 15_552_000 * (np.arange(200) % 2),
}


@pytest.mark.parametrize('name', COLUMNS)
def test_a_column_is_centred_ahead_of_float32(tmp_path, save, name):
    """Training, evaluation and predictions get what exact arithmetic gives."""
    column = COLUMNS[name]
    table = np.stack([column, column[::-1]], 1)
    root = save(features=table, labels=np.arange(200) % 2)
    dataset, said = prepared(tmp_path / 'work', root=root, **FEATURES)
    assert 'warning' not in said
    stats = statistics.open_fitted(tmp_path / 'work', dataset)
    found = preprocess.apply('feature', stats, jnp.asarray(np.asarray(dataset.inputs)))
    train = dataset.splits['train']
    for place in range(2):
        expected = standardised(table[:, place], train)
        np.testing.assert_allclose(found[:, place], expected, atol=2e-3)
        assert len(np.unique(found[:, place])) == len(np.unique(column))
    # As predict reads it, through the description that an export has.
    centre = Centre.from_json(json.loads(json.dumps(dataset.centre.as_json())))
    _, parts = raw_files.examples(tmp_path / 'own.npz', (2,), FLOAT32, 64, centre)
    np.testing.assert_array_equal(np.concatenate([part for _, part in parts]), dataset.inputs)
    # A program made elsewhere gets what the file has, as far as float64 holds it.
    raw = dataset.original(np.asarray(dataset.inputs))
    np.testing.assert_allclose(raw, table.astype(np.float64), rtol=1e-12)


def test_numbers_too_small_for_float32_are_scaled(tmp_path, save):
    tiny = random.integers(1, 50, 200) * 1e-300
    root = save(features=np.stack([tiny, tiny * 1e260], 1), labels=np.arange(200) % 2)
    dataset, said = prepared(tmp_path / 'work', root=root, **FEATURES)
    assert 'warning' not in said
    stats = statistics.open_fitted(tmp_path / 'work', dataset)
    found = preprocess.apply('feature', stats, jnp.asarray(np.asarray(dataset.inputs)))
    train = tiny[dataset.splits['train']] * 1e300
    expected = (tiny * 1e300 - train.mean()) / train.std()
    for column in range(2):
        np.testing.assert_allclose(found[:, column], expected, atol=1e-5)
    np.testing.assert_allclose(dataset.original(np.asarray(dataset.inputs))[:, 0], tiny, rtol=1e-5)


@pytest.mark.parametrize(
    'table',
    [
        random.normal(size=(5000, 3)),
        random.lognormal(sigma=2, size=(5000, 3)),
        random.integers(-(2**24), 2**24, (500, 2)),
        1990.0 + random.integers(0, 30, (500, 1)),
        np.full((50, 1), 1e9 + 1),
        random.normal(size=(500, 2)).astype(np.float32) + 3e7,
        random.normal(size=(500, 2)).astype(np.float16),
        random.integers(0, 2**63, (500, 1)),
    ],
)
def test_ordinary_columns_stay_as_they_were(table):
    assert centring.fit(table) == Centre()
    assert not centring.merged(table, table.astype(np.float32))
    np.testing.assert_array_equal(Centre().apply(table), table.astype(np.float32))


def test_a_column_that_no_centre_helps_is_named(tmp_path, save):
    stamps = STAMPS.copy()
    stamps[::10] = 0  # missing
    table = np.stack([random.integers(0, 9, 200), stamps], 1)
    root = save(features=table, labels=np.arange(200) % 2)
    for _ in range(2):
        _, said = prepared(tmp_path / 'work', root=root, **FEATURES)
        warning = next(line for line in said.splitlines() if line.startswith('warning'))
        assert ': 1 (' in warning and f'of {len(np.unique(stamps))})' in warning
        assert 'a column of its own' in warning


def test_what_is_not_standardised_is_not_centred_but_named(tmp_path, save):
    table = np.stack([STAMPS, random.integers(0, 9, 200)], 1)
    root = save(features=table, labels=np.arange(200) % 2)
    dataset, said = prepared(tmp_path / 'work', root=root, **{**FEATURES, 'preprocess': 'scale'})
    np.testing.assert_array_equal(dataset.inputs, table.astype(np.float32))
    assert 'features, and how many values remain: 0 (1 of' in said
    assert "config.data.preprocess to 'feature'" in said


def test_tables_of_other_centres_are_other_data(tmp_path, save):
    tables = [np.stack([STAMPS + by, STAMPS % 7], 1) for by in (0, 10**9)]
    found = [
        prepared(
            tmp_path / 'work', root=save(f'{n}.npz', features=t, labels=STAMPS % 2), **FEATURES
        )[0]
        for n, t in enumerate(tables)
    ]
    np.testing.assert_array_equal(found[0].inputs, found[1].inputs)
    assert found[0].fingerprint != found[1].fingerprint


def test_further_rows_take_the_first_ones_centre(tmp_path, save):
    def rows(count):
        return np.stack([20240101000000 + random.integers(0, 999, count)] * 2, 1)

    arrays = {'features': rows(99), 'unlabelled': rows(9), 'test_features': rows(8)}
    arrays |= {'val_features': rows(7), 'val_labels': np.arange(7) % 2}
    root = save(labels=np.arange(99) % 2, test_labels=np.arange(8) % 2, **arrays)
    settings = {**FEATURES, 'validation': 0, 'test': 0}
    dataset, _ = prepared(tmp_path / 'work', root=root, **settings)
    order = ('features', 'unlabelled', 'test_features', 'val_features')
    together = np.concatenate([arrays[key] for key in order])
    offset = dataset.centre.columns[0][0]
    np.testing.assert_array_equal(dataset.inputs, (together - offset).astype(np.float32))
    np.testing.assert_array_equal(dataset.splits['validation'], range(116, 123))
    np.testing.assert_array_equal(dataset.labels[116:], arrays['val_labels'])


# Layouts.

PICTURES = random.integers(0, 256, (60, 8, 9, 3)).astype(np.uint8)
CLASSES = np.arange(60) % 2
IMAGES = {'name': 'npz', 'validation': 5, 'test': 5}


def test_channels_first_are_refused_with_the_way_out(tmp_path, save):
    root = save(images=PICTURES.transpose(0, 3, 1, 2), labels=CLASSES)
    message = refusal(npz.load, npz.path_of(root))
    assert '(60, 3, 8, 9)' in message and "config.data.layout to 'chw', or to 'hwc'" in message
    found, _ = prepared(tmp_path / 'work', root=root, layout='chw', **IMAGES)
    right = prepared(
        tmp_path / 'work', root=save('right.npz', images=PICTURES, labels=CLASSES), **IMAGES
    )
    np.testing.assert_array_equal(found.inputs, PICTURES)
    assert found.fingerprint == right[0].fingerprint
    as_is, _ = prepared(tmp_path / 'work', root=root, layout='hwc', **IMAGES)
    assert as_is.input_shape == (3, 8, 9)


def test_all_of_a_files_images_have_one_layout(tmp_path, save):
    first = PICTURES.transpose(0, 3, 1, 2)
    arrays = {'images': first, 'labels': CLASSES, 'unlabelled': first[:4]}
    arrays |= {'test_images': first[:6], 'test_labels': CLASSES[:6]}
    arrays |= {'valid_images': first[:5], 'valid_labels': CLASSES[:5]}
    settings = {**IMAGES, 'validation': 0, 'test': 0}
    found, _ = prepared(tmp_path / 'work', root=save(**arrays), layout='chw', **settings)
    order = (slice(None), slice(4), slice(6), slice(5))
    np.testing.assert_array_equal(found.inputs, np.concatenate([PICTURES[each] for each in order]))


@pytest.mark.parametrize(
    'shape',
    [(8, 9, 3), (1, 28, 3), (3, 4, 1), (5, 4, 3), (1, 60, 9), (4, 4, 4), (3, 5, 64), (32, 32, 8)],
)
def test_shapes_that_may_well_be_right_are_read(save, shape):
    images = random.integers(0, 256, (6, *shape)).astype(np.uint8)
    source = npz.load(npz.path_of(save(images=images, labels=np.arange(6) % 2)))
    np.testing.assert_array_equal(source.inputs, images)


@pytest.mark.parametrize('shape', [(1, 28, 28), (3, 32, 32), (3, 8, 9), (4, 48, 64), (2, 16, 16)])
def test_shapes_with_channels_first_are_known(shape):
    assert npz.looks_channel_first(shape)


def test_a_transfer_set_with_channels_first_says_how_to_turn_it(save):
    root = save(images=PICTURES.transpose(0, 3, 1, 2))
    assert 'transpose(0, 2, 3, 1)' in refusal(unlabelled.load, Transfer('npz', root), (8, 9, 3))


# Further arrays.


@pytest.mark.parametrize('word', ['validation', 'valid', 'val'])
def test_a_validation_split_of_ones_own_validates(tmp_path, save, word):
    held = {f'{word}_images': 255 - PICTURES[:7], f'{word}_labels': CLASSES[:7] * 2}
    root = save(images=PICTURES, labels=CLASSES, **held)
    dataset, said = prepared(tmp_path / 'work', root=root, name='npz', test=10)
    np.testing.assert_array_equal(dataset.inputs[dataset.splits['validation']], 255 - PICTURES[:7])
    assert len(dataset.splits['train']) == 50 and dataset.num_classes == 3
    assert 'not read' not in said


def test_half_a_validation_split_or_two_are_refused(save):
    arrays = {'images': PICTURES, 'labels': CLASSES, 'val_labels': CLASSES}
    assert 'half a val split; add val_images' in refusal(npz.load, npz.path_of(save(**arrays)))
    arrays |= {'val_images': PICTURES, 'valid_images': PICTURES, 'valid_labels': CLASSES}
    assert 'both validation splits' in refusal(npz.load, npz.path_of(save(**arrays)))


def test_arrays_that_are_not_read_are_told_of(tmp_path, save):
    root = save(images=PICTURES, labels=CLASSES, unlabeled=PICTURES[:3], weights=CLASSES)
    for _ in range(2):
        _, said = prepared(tmp_path / 'work', root=root, **IMAGES)
        assert f'{root}: arrays that are not read: unlabeled, weights' in said
    transfer = Transfer('npz', save('more.npz', images=PICTURES, labels=CLASSES))
    assert unlabelled.described(transfer).endswith('not read: labels')


# What is accepted stays accepted.


@pytest.mark.parametrize(
    'dtype',
    [np.float16, np.float32, np.float64, np.longdouble, np.int8, np.uint16, np.int64, np.uint64],
)
def test_features_of_any_number_type_are_read(save, dtype):
    table = random.integers(0, 99, (8, 3)).astype(dtype)
    for preprocessing in ('feature', 'scale'):
        root = save(features=table, labels=np.arange(8) % 2)
        source = sources.load(Data('npz', root, preprocess=preprocessing))
        np.testing.assert_array_equal(source.inputs, table.astype(np.float32))


@pytest.mark.parametrize('dtype', [np.uint8, np.int16, np.uint64])
def test_labels_from_1_leave_class_0_empty_and_are_read(tmp_path, save, dtype):
    root = save(images=PICTURES, labels=(CLASSES + 1).astype(dtype))
    dataset, said = prepared(tmp_path / 'work', root=root, **IMAGES)
    assert dataset.num_classes == 3 and 'no example of 1 of the 3 classes (0)' in said


# What a name is made of.


@pytest.mark.parametrize('read', ['data', 'transfer'])
def test_each_byte_of_a_file_is_in_the_name(tmp_path, save, read):
    path = npz.path_of(save(images=PICTURES[:2, :3, :2], labels=np.arange(2)))
    content, names = path.read_bytes(), set()

    def name():
        if read == 'data':
            return str(npz.identity(Data('npz', str(path))))
        return str(unlabelled.identity(Transfer('npz', str(path))))

    for place in range(0, len(content) // 2, 7):  # behind it is the list of contents
        changed = bytearray(content)
        changed[place] ^= 1
        path.write_bytes(changed)
        names.add(name())
    assert len(names) == len(range(0, len(content) // 2, 7))


def test_how_a_file_is_read_is_in_the_name(save):
    root = save(images=PICTURES, labels=CLASSES)
    plain = npz.identity(Data('npz', root))
    assert plain == {'name': 'npz', 'sha256': files.digest(npz.path_of(root))}
    others = [
        npz.identity(Data('npz', root, layout='chw')),
        npz.identity(Data('npz', root, preprocess='feature')),
        npz.identity(
            Data('npz', save('b.npz', images=PICTURES, labels=CLASSES, val_labels=CLASSES))
        ),
    ]
    assert all(each.keys() > plain.keys() for each in others)
    assert npz.identity(Data('npz', root, layout='hwc')).keys() == plain.keys()


# Twins among rows of a table.


def test_equal_rows_are_counted_and_unlabelled_ones_stay(tmp_path, save):
    table = random.normal(size=(40, 3))
    tests = np.concatenate([table[:5], random.normal(size=(5, 3))])
    root = save(
        features=table,
        labels=np.arange(40) % 2,
        test_features=tests,
        test_labels=np.arange(10) % 2,
        unlabelled=tests,
    )
    settings = {**FEATURES, 'test': 0, 'validation': 8, 'root': root}
    dataset, _ = prepared(tmp_path / 'work', **settings)
    twins = dataset.twins['test_in_train'], dataset.twins['test_in_validation']
    assert sum(twins) == 5 and dataset.removed == 0 and len(dataset.splits['unlabelled']) == 10
    dropped, _ = prepared(tmp_path / 'work', **settings, twins='drop')
    assert dropped.twins['dropped'] == twins[0] and len(dropped.splits['train']) == 32 - twins[0]
    made, _ = prepared(
        tmp_path / 'work', **settings, twins='drop', transfer=Transfer('munge', limit=30)
    )
    rows = dropped.inputs[dropped.splits['train']]
    np.testing.assert_array_equal(made.inputs[50:80], munge(rows, 30, 0.5, 1.0, 0))
