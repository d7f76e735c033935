import hashlib
import io
import zipfile

import numpy as np
import pytest
from sklearn.datasets import load_digits

from mimic_jax.data import npz, sources
from mimic_jax.data.settings import Data
from mimic_jax.errors import UserError

IMAGES = np.random.default_rng(0).integers(0, 256, (6, 5, 4, 3)).astype(np.uint8)
FEATURES = np.random.default_rng(1).normal(size=(6, 7))
LABELS = np.array([0, 2, 1, 2, 0, 1])


@pytest.fixture
def write(tmp_path):
    """Writes arrays as an .npz file and returns its path."""

    def write(**arrays):
        path = tmp_path / 'my.npz'
        np.savez(path, **arrays)
        return path

    return write


def refusal(path):
    """The message that a file is refused with: one line, and it names the file."""
    with pytest.raises(UserError) as caught:
        sources.load_npz(path)
    message = str(caught.value)
    assert '\n' not in message and str(path) in message
    return message


def without(value):
    array = FEATURES.copy()
    array[3, 2] = value
    return array


class Trap:
    """Notes that it was unpickled: unpickling runs code that the file chooses."""

    unpickled = False

    @staticmethod
    def spring():
        Trap.unpickled = True
        return Trap()

    def __reduce__(self):
        return Trap.spring, ()


def test_images_come_as_they_are(write):
    source = sources.load_npz(write(images=IMAGES, labels=LABELS))
    np.testing.assert_array_equal(source.inputs, IMAGES)
    assert source.inputs.dtype == np.uint8
    np.testing.assert_array_equal(source.labels, LABELS)
    assert source.labels.dtype == np.int32
    assert source.num_classes == 3
    for empty in (source.unlabelled, source.test_inputs):
        assert empty.shape == (0, 5, 4, 3) and empty.dtype == np.uint8
    assert source.test_labels.shape == (0,)


def test_features_become_float32(write):
    source = sources.load_npz(write(features=FEATURES, labels=LABELS.astype(np.uint8)))
    np.testing.assert_array_equal(source.inputs, FEATURES.astype(np.float32))
    assert source.inputs.dtype == np.float32
    integers = sources.load_npz(write(features=IMAGES[:, :, 0, 0], labels=LABELS))
    assert integers.inputs.dtype == np.float32
    np.testing.assert_array_equal(integers.inputs, IMAGES[:, :, 0, 0])


def test_unlabelled_and_test_examples(write):
    source = sources.load_npz(
        write(
            images=IMAGES,
            labels=LABELS,
            unlabelled=IMAGES[:2] // 2,
            test_images=IMAGES[:3] // 3,
            test_labels=np.array([4, 0, 0]),
        )
    )
    np.testing.assert_array_equal(source.unlabelled, IMAGES[:2] // 2)
    np.testing.assert_array_equal(source.test_inputs, IMAGES[:3] // 3)
    np.testing.assert_array_equal(source.test_labels, [4, 0, 0])
    assert source.num_classes == 5, 'a class that only the test split shows is a class'


@pytest.mark.parametrize(
    ('arrays', 'message'),
    [
        ({'images': IMAGES}, 'labels'),
        ({'labels': LABELS}, 'images or features'),
        ({'pictures': IMAGES, 'labels': LABELS}, "'pictures'"),
        ({'images': IMAGES, 'labels': LABELS[:5]}, 'labels have shape (5,) and images 6 rows'),
        ({'features': FEATURES[:2], 'labels': LABELS}, 'features 2 rows'),
        ({'images': IMAGES, 'labels': LABELS[:, None]}, 'labels have shape (6, 1)'),
        ({'images': IMAGES / 255, 'labels': LABELS}, 'images is float64; it must be uint8'),
        (
            {'images': IMAGES[..., 0], 'labels': LABELS},
            '(6, 5, 4); it must be [N, H, W, C], none of them 0; add an axis for grey images',
        ),
        ({'images': IMAGES[:, :0], 'labels': LABELS}, 'images has shape (6, 0, 4, 3)'),
        ({'images': IMAGES[:0], 'labels': LABELS[:0]}, 'images has shape (0, 5, 4, 3)'),
        ({'features': IMAGES, 'labels': LABELS}, 'features has shape (6, 5, 4, 3)'),
        ({'features': FEATURES.astype(complex), 'labels': LABELS}, 'features is complex128'),
        ({'features': FEATURES.astype(str), 'labels': LABELS}, 'features is <U'),
        ({'features': without(np.nan), 'labels': LABELS}, 'in float32, 1 of 42, the first'),
        (
            {'features': without(np.inf), 'labels': LABELS},
            'the first in row 3, column 2 from 0',
        ),
        ({'features': without(1e39), 'labels': LABELS}, 'not finite in float32'),
        (
            {'features': FEATURES, 'labels': LABELS.astype(str)},
            'unique(texts, return_inverse=True)',
        ),
        (
            {'features': FEATURES, 'labels': np.where(np.arange(6) == 4, np.nan, LABELS)},
            'labels are missing (nan) in 1 of 6 rows, the first at position 4 from 0',
        ),
        ({'images': IMAGES, 'labels': LABELS - 1}, 'labels must be whole numbers'),
        ({'images': IMAGES, 'labels': LABELS / 2}, 'labels must be whole numbers'),
        ({'images': IMAGES, 'labels': LABELS > 0}, 'labels must be whole numbers'),
        ({'images': IMAGES, 'labels': LABELS + 2**32}, 'labels must be whole numbers'),
        ({'images': IMAGES, 'labels': LABELS * 0}, 'all labels are 0'),
        ({'images': IMAGES, 'labels': LABELS * 0 + 3}, 'all labels are 3'),
        (
            {'images': IMAGES, 'labels': LABELS, 'unlabelled': IMAGES[:, :4]},
            'unlabelled have shape (4, 4, 3), in images (5, 4, 3)',
        ),
        (
            {'images': IMAGES, 'labels': LABELS, 'unlabelled': IMAGES / 255},
            'unlabelled is float64',
        ),
        (
            {'features': FEATURES, 'labels': LABELS, 'unlabelled': without(np.nan)},
            'unlabelled holds',
        ),
        ({'images': IMAGES, 'labels': LABELS, 'test_images': IMAGES}, 'add test_labels'),
        ({'images': IMAGES, 'labels': LABELS, 'test_labels': LABELS}, 'add test_images'),
        (
            {'images': IMAGES, 'labels': LABELS, 'test_images': IMAGES, 'test_labels': LABELS[:1]},
            'test_labels have shape (1,)',
        ),
        (
            {'images': IMAGES, 'labels': LABELS, 'test_images': IMAGES, 'test_labels': -LABELS},
            'test_labels must be whole numbers',
        ),
    ],
)
def test_bad_arrays_are_refused_by_name(write, arrays, message):
    assert message in refusal(write(**arrays))


def test_pickled_objects_are_never_loaded(write):
    Trap.unpickled = False
    path = write(images=IMAGES, labels=np.array([Trap()] * 6))
    assert b'spring' in path.read_bytes(), 'the file holds a pickle'
    assert 'labels holds objects, which are not read' in refusal(path)
    assert not Trap.unpickled


@pytest.mark.parametrize(
    'content', [b'', b'images and labels', b'PK', b'PK\x03\x04' + bytes(100), b'\x80\x04N.']
)
def test_what_is_no_zip_is_refused(tmp_path, content):
    path = tmp_path / 'my.npz'
    path.write_bytes(content)
    assert 'is no .npz file' in refusal(path)


def test_a_csv_file_is_sent_to_pandas(tmp_path):
    path = tmp_path / 'my.csv'
    path.write_text('age,label\n3,yes\n')
    for reads in (sources.load_npz, lambda path: npz.described(Data(name='npz', root=str(path)))):
        with pytest.raises(UserError, match=r'my\.csv is no \.npz file.*pandas to mimic_jax\.run'):
            reads(path)


def test_a_single_array_is_refused(tmp_path):
    path = tmp_path / 'my.npz'
    with path.open('wb') as file:
        np.save(file, IMAGES)
    assert 'is no .npz file' in refusal(path)


def test_members_that_are_no_arrays_are_refused(tmp_path):
    path = tmp_path / 'my.npz'
    labels = io.BytesIO()
    np.save(labels, LABELS)
    with zipfile.ZipFile(path, 'w') as file:
        file.writestr('images.npy', b'no header')
        file.writestr('labels.npy', labels.getvalue())
    assert 'images is no array' in refusal(path)


def test_truncated_files_are_refused_wherever_they_end(write):
    path = write(images=IMAGES, labels=LABELS)
    whole = path.read_bytes()
    for length in range(0, len(whole), 37):
        path.write_bytes(whole[:length])
        refusal(path)


def test_a_flipped_bit_in_compressed_data_is_refused(tmp_path):
    path = tmp_path / 'my.npz'
    np.savez_compressed(path, images=IMAGES, labels=LABELS)
    whole = path.read_bytes()
    with zipfile.ZipFile(path) as file:
        first, second = file.infolist()
    end = second.header_offset  # where the first member's data ends
    # Deflate's first bit (is this the last block?) and the padding of its last byte carry no data.
    for position in range(end - first.compress_size + 1, end - 1, 7):
        damaged = bytearray(whole)
        damaged[position] ^= 1
        path.write_bytes(damaged)
        refusal(path)


def test_digits_are_scikit_learns_in_its_order():
    from sklearn import datasets

    images, labels = datasets.load_digits(return_X_y=True)
    source = sources.load(Data(name='digits'))
    assert source.inputs.shape == (1797, 8, 8, 1) and source.inputs.dtype == np.uint8
    np.testing.assert_array_equal(source.inputs.reshape(1797, 64), images * 15)
    np.testing.assert_array_equal(source.labels, labels)
    assert source.num_classes == 10
    assert len(source.unlabelled) == len(source.test_inputs) == len(source.test_labels) == 0


def test_load_reads_the_file_that_the_config_names(write):
    path = write(images=IMAGES, labels=LABELS)
    source = sources.load(Data(name='npz', root=str(path)))
    np.testing.assert_array_equal(source.inputs, IMAGES)


def test_identity_of_a_file_is_its_content(write, tmp_path):
    path = write(images=IMAGES, labels=LABELS)
    found = sources.identity(Data(name='npz', root=str(path)))
    assert found == {'name': 'npz', 'sha256': hashlib.sha256(path.read_bytes()).hexdigest()}
    moved = path.rename(tmp_path / 'elsewhere.npz')
    assert sources.identity(Data(name='npz', root=str(moved))) == found
    other = write(images=IMAGES, labels=LABELS[::-1])
    assert sources.identity(Data(name='npz', root=str(other))) != found


def test_identities_of_the_built_in_sources_differ():
    assert sources.identity(Data(name='digits')) != sources.identity(Data(name='cifar10'))


@pytest.mark.parametrize(
    ('data', 'message'),
    [
        (Data(name='digit'), "config.data.name is 'digit'; did you mean 'digits'?"),
        (Data(name='npz'), 'config.data.root is empty'),
        (Data(name='npz', root='nowhere.npz'), "'nowhere.npz', where there is no file"),
        (Data(name='npz', root='.'), "'.', where there is no file"),
    ],
)
def test_an_unknown_source_is_refused(data, message):
    with pytest.raises(UserError) as caught:
        sources.identity(data)
    assert message in str(caught.value)


def test_the_words_on_scaled_digits_are_true():
    """Against scikit-learn's own array."""
    ours = sources.load(Data(name='digits')).inputs
    theirs = load_digits().images
    assert (theirs.min(), theirs.max()) == (0, 16)
    assert sources.SCALED['digits'] == 'scikit-learn’s 0 to 16, times 15'
    np.testing.assert_array_equal(ours[..., 0], theirs * 15)
