"""Unlabelled images from elsewhere, as they are read: arrays, folders, data sets of TFDS."""

import dataclasses
import io
import shutil
import types

import numpy as np
import pytest
import tensorflow_datasets as tfds
from conftest import refusal
from pictures import SHAPE, fill, images, read_by_fours
from PIL import Image

from mimic_jax.data import unlabelled
from mimic_jax.data.settings import Transfer
from mimic_jax.runtime.interrupt import Interrupted


def read(settings, shape=SHAPE):
    count, chunks = unlabelled.load(settings, shape)
    found = np.concatenate(list(chunks))
    assert len(found) == count and found.dtype == np.uint8
    return found


@pytest.fixture
def few_at_a_time(monkeypatch):
    read_by_fours(monkeypatch)


# Reading .npz and .npy files.


def save_npz(path, **arrays):
    np.savez(path, **arrays)


def save_compressed(path, **arrays):
    np.savez_compressed(path, **arrays)


def save_npy(path, **arrays):
    (array,) = arrays.values()
    with path.open('wb') as file:
        np.save(file, array)


@pytest.mark.parametrize('save', [save_npz, save_compressed, save_npy])
@pytest.mark.parametrize('limit', [0, 4, 7, 1000])
def test_a_file_of_images_is_read_chunk_by_chunk(tmp_path, few_at_a_time, save, limit):
    expected = images(11)
    path = tmp_path / 'set.npz'
    save(path, images=expected)
    settings = Transfer('npz', str(path), limit=limit)
    found = read(settings)
    np.testing.assert_array_equal(found, expected[: limit or None])
    sizes = [len(chunk) for chunk in unlabelled.load(settings, SHAPE)[1]]
    assert max(sizes) == 4 and sum(sizes) == len(found)


def test_of_a_whole_data_set_the_unlabelled_images_are_taken(tmp_path):
    np.savez(tmp_path / 'own.npz', images=images(3), labels=np.arange(3), unlabelled=images(2, 1))
    found = read(Transfer('npz', str(tmp_path / 'own.npz')))
    np.testing.assert_array_equal(found, images(2, 1))


BAD_ARRAYS = [
    ({'pictures': images(3)}, 'holds pictures; it needs unlabelled or images'),
    ({'images': images(3).astype(np.float32)}, 'is float32; it must be uint8'),
    ({'images': images(3, shape=(5, 6, 3))}, 'of shape (5, 6, 3), config.data of (6, 5, 3)'),
    ({'images': images(3, shape=(6, 5, 1))}, 'of shape (6, 5, 1), config.data of (6, 5, 3)'),
    ({'images': images(3)[..., 0]}, 'has shape (3, 6, 5); it must be [N, H, W, C]'),
    ({'images': images(0)}, 'none of them 0'),
    ({'images': np.asfortranarray(images(3))}, 'numpy.ascontiguousarray'),
    ({'images': np.array([object()])}, 'must be [N, H, W, C]'),
]


@pytest.mark.parametrize(('arrays', 'words'), BAD_ARRAYS)
def test_a_bad_array_is_one_line(tmp_path, arrays, words):
    path = tmp_path / 'bad.npz'
    np.savez(path, **arrays)
    message = refusal(read, Transfer('npz', str(path)))
    assert words in message and str(path) in message


def test_a_damaged_file_is_one_line(tmp_path):
    path = tmp_path / 'set.npz'
    np.savez_compressed(path, images=images(50))
    whole = path.read_bytes()
    path.write_bytes(whole[:1000] + bytes([whole[1000] ^ 255]) + whole[1001:])
    assert 'cannot be read' in refusal(read, Transfer('npz', str(path)))
    path.write_bytes(b'not an array at all')
    assert 'is no plain array' in refusal(read, Transfer('npz', str(path)))
    save_npy(path, images=images(5))
    path.write_bytes(path.read_bytes()[:-1])
    assert 'ends early' in refusal(read, Transfer('npz', str(path)))


# Reading a folder.


def test_a_folder_is_read_in_the_order_of_its_names(tmp_path, few_at_a_time):
    expected = fill(tmp_path / 'set')
    settings = Transfer('folder', str(tmp_path / 'set'))
    np.testing.assert_array_equal(read(settings), expected)
    two = dataclasses.replace(settings, limit=2)
    np.testing.assert_array_equal(read(two), expected[:2])


def test_grey_images_stand_for_one_channel_alone(tmp_path):
    grey = images(1, shape=(6, 5, 1))
    Image.fromarray(grey[0, ..., 0]).save(tmp_path / 'grey.png')
    bits = np.eye(6, 5, dtype=bool)
    Image.fromarray(bits).save(tmp_path / 'half.png')
    found = read(Transfer('folder', str(tmp_path)), (6, 5, 1))
    np.testing.assert_array_equal(found, np.stack([grey[0], 255 * bits[..., None]]))


def as_text(path):
    path.write_text('three images follow')


def as_image(pixels):
    return lambda path: Image.fromarray(pixels).save(path, 'PNG')


def as_cut_image(path):
    as_image(images(1, shape=SHAPE)[0])(path)
    path.write_bytes(path.read_bytes()[:70])


BAD_FILES = [
    (as_text, 'is no image'),
    (as_cut_image, 'cannot be decoded'),
    (as_image(images(1, shape=(5, 6, 3))[0]), 'has 5×6 pixels; convert it to 6×5 pixels'),
    (as_image(images(1, shape=(6, 5))[0]), 'has 1 channel (mode L)'),
    (as_image(images(1, shape=(6, 5, 4))[0]), 'has 4 channels (mode RGBA)'),
    (as_image(images(1, shape=(6, 5))[0].astype(np.uint16)), 'mode I;16'),
]


@pytest.mark.parametrize(('make', 'words'), BAD_FILES)
def test_a_bad_file_is_named_in_one_line(tmp_path, make, words):
    fill(tmp_path)
    make(tmp_path / 'b' / 'x')
    message = refusal(read, Transfer('folder', str(tmp_path)))
    assert f'{tmp_path}/b/x' in message and words in message


def test_places_where_there_is_nothing_are_named(tmp_path):
    (tmp_path / 'empty').mkdir()
    for settings, words in [
        (Transfer('folder', str(tmp_path / 'empty')), 'holds no files'),
        (Transfer('folder', str(tmp_path / 'none')), 'not a folder'),
        (Transfer('npz', str(tmp_path / 'none')), 'not an .npz or .npy file'),
        (Transfer('npz', str(tmp_path)), 'not an .npz or .npy file'),
        (Transfer('folder'), 'root is empty'),
        (Transfer('tfds', str(tmp_path)), "'imagenet_resized/32x32'"),
    ]:
        assert words in refusal(unlabelled.identity, settings)


def test_images_do_not_join_features(tmp_path):
    message = refusal(unlabelled.load, Transfer('folder', str(tmp_path)), (64,))
    assert 'shape (64,)' in message


# Data sets prepared by TFDS.


class TinyPictures(tfds.core.GeneratorBasedBuilder, skip_registration=True):
    """Encoded images in two configs, as imagenet_resized has them."""

    VERSION = tfds.core.Version('1.10.0')
    BUILDER_CONFIGS = [tfds.core.BuilderConfig(name='6x5')]  # noqa: RUF012

    def _info(self):
        features = {
            'image': tfds.features.Image(),
            'label': tfds.features.ClassLabel(num_classes=2),
        }
        return tfds.core.DatasetInfo(
            builder=self, features=tfds.features.FeaturesDict(features), description='tiny'
        )

    def _split_generators(self, dl_manager):
        return {'train': self._generate_examples(7), 'validation': self._generate_examples(2)}

    def _generate_examples(self, count):
        for number, pixels in enumerate(images(count, seed=count)):
            buffer = io.BytesIO()
            Image.fromarray(pixels).save(buffer, 'PNG')
            yield number, {'image': buffer.getvalue(), 'label': 0}


class TinyNumbers(tfds.core.GeneratorBasedBuilder, skip_registration=True):
    """A data set without images."""

    VERSION = tfds.core.Version('1.0.0')

    def _info(self):
        features = {'age': tfds.features.Scalar(np.int64), 'sum': tfds.features.Scalar(np.int64)}
        return tfds.core.DatasetInfo(
            builder=self, features=tfds.features.FeaturesDict(features), description='tiny'
        )

    def _split_generators(self, dl_manager):
        return {'train': self._generate_examples(3)}

    def _generate_examples(self, count):
        for number in range(count):
            yield number, {'age': number, 'sum': 0}


@pytest.fixture(scope='module')
def tfds_root(tmp_path_factory):
    root = tmp_path_factory.mktemp('tfds')
    TinyPictures(data_dir=root, config='6x5', file_format='array_record').download_and_prepare()
    folder = root / 'tiny_pictures' / '6x5'
    # An older version beside it, which must not be taken.
    shutil.copytree(folder / '1.10.0', folder / '1.9.0')
    info = folder / '1.9.0' / 'dataset_info.json'
    info.write_text(info.read_text().replace('1.10.0', '1.9.0'))
    return root


def test_a_prepared_tfds_data_set_is_read(tfds_root, monkeypatch, few_at_a_time):
    settings = Transfer('tfds', str(tfds_root), 'tiny_pictures/6x5')
    found = read(settings)
    expected = {pixels.tobytes() for pixels in images(7, seed=7)}
    assert {pixels.tobytes() for pixels in found} == expected and len(found) == 7
    stock = tfds.builder_from_directory(tfds_root / 'tiny_pictures/6x5/1.10.0')
    order = [example['image'] for example in stock.as_data_source('train')]
    np.testing.assert_array_equal(found, order)
    np.testing.assert_array_equal(read(dataclasses.replace(settings, limit=5)), order[:5])
    assert len(read(dataclasses.replace(settings, split='validation'))) == 2
    monkeypatch.setenv('TFDS_DATA_DIR', str(tfds_root))
    np.testing.assert_array_equal(read(dataclasses.replace(settings, root='')), order)
    assert unlabelled.identity(settings).items() > {
        'kind': 'tfds', 'limit': 0, 'name': 'tiny_pictures/6x5', 'version': '1.10.0',
        'split': 'train', 'images': 7,
    }.items()  # fmt: skip


def test_what_tfds_has_not_prepared_is_told_with_the_command_that_does(tfds_root):
    settings = Transfer('tfds', str(tfds_root), 'imagenet_resized/32x32')
    message = refusal(unlabelled.identity, settings)
    command = 'tfds build imagenet_resized/32x32 --file_format=array_record'
    assert f'{command} --data_dir={tfds_root}' in message
    other = dataclasses.replace(settings, name='tiny_pictures/6x5', split='test')
    assert "split is 'test'; tiny_pictures/6x5 has train, validation" in refusal(read, other)
    assert 'convert it to 6×4 pixels' in refusal(
        read, dataclasses.replace(other, split='train'), (6, 4, 3)
    )


def test_a_tfds_data_set_without_images_is_one_line(tmp_path):
    TinyNumbers(data_dir=tmp_path, file_format='array_record').download_and_prepare()
    message = refusal(read, Transfer('tfds', str(tmp_path), 'tiny_numbers'))
    folder = tmp_path / 'tiny_numbers' / '1.0.0'
    assert message == f"{folder} has no images among ['age', 'sum']; choose another data set"


def interrupted(*_, **__):
    raise Interrupted


def test_a_signal_while_tfds_opens_a_data_set_is_no_damage(tfds_root, monkeypatch):
    monkeypatch.setattr(tfds, 'builder_from_directory', interrupted)
    with pytest.raises(Interrupted):
        read(Transfer('tfds', str(tfds_root), 'tiny_pictures/6x5'))


def test_a_signal_while_tfds_reads_records_is_no_damage(tfds_root, monkeypatch):
    builder = tfds.builder_from_directory(tfds_root / 'tiny_pictures/6x5/1.10.0')
    source = types.SimpleNamespace(__getitems__=interrupted)
    monkeypatch.setattr(builder, 'as_data_source', lambda *_, **__: source)
    monkeypatch.setattr(tfds, 'builder_from_directory', lambda folder: builder)
    with pytest.raises(Interrupted):
        read(Transfer('tfds', str(tfds_root), 'tiny_pictures/6x5'))


def test_a_damaged_tfds_folder_is_one_line(tfds_root, tmp_path):
    shutil.copytree(tfds_root / 'tiny_pictures', tmp_path / 'tiny_pictures')
    settings = Transfer('tfds', str(tmp_path), 'tiny_pictures/6x5/1.10.0')
    folder = tmp_path / 'tiny_pictures/6x5/1.10.0'
    (records,) = folder.glob('*train*')
    records.write_bytes(records.read_bytes()[:100])
    assert f'{folder} cannot be read' in refusal(read, settings)
    text = (folder / 'dataset_info.json').read_text()
    (folder / 'dataset_info.json').write_text(text.replace('array_record', 'tfrecord'))
    message = refusal(read, settings)
    assert 'tfrecord' in message and 'tfds build' in message
    (folder / 'dataset_info.json').write_text('{')
    assert f'{folder} cannot be read' in refusal(read, settings)
