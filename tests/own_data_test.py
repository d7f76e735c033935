"""Data of one's own: images in folders, data sets of TFDS by name, tables, synthetic rows."""

import io
import json
import os
import struct
import zlib

import numpy as np
import pytest
import tensorflow_datasets as tfds
from conftest import refusal
from PIL import Image

from mimic_jax.data import image_folder, prepare, sources, splits, tfds_labelled, unlabelled
from mimic_jax.data.munge import munge
from mimic_jax.data.settings import Data, Transfer
from mimic_jax.runtime.progress import Progress

SHAPE = (6, 5, 3)


def images(count, seed=0, shape=SHAPE):
    return np.random.default_rng(seed).integers(0, 256, (count, *shape), np.uint8)


def fill(folder, counts, seed=0, shape=SHAPE):
    """Writes images in a folder a class; returns them in the order of classes and files."""
    pixels = images(sum(counts.values()), seed, shape)
    rows = iter(pixels)
    for name, count in sorted(counts.items()):
        (folder / name).mkdir(parents=True)
        for number in range(count):
            row = next(rows)
            Image.fromarray(row[..., 0] if shape[2] == 1 else row).save(
                folder / name / f'{number}.png'
            )
    return pixels


def prepared(data, workdir):
    workdir.mkdir(exist_ok=True)
    return prepare.run(data, workdir, Progress(stream=io.StringIO()))


def drawn(source):
    return np.concatenate(list(source.inputs.chunks()))


# Folders.


def test_a_folder_a_class_is_read_in_the_order_of_names(tmp_path, monkeypatch):
    monkeypatch.setattr(unlabelled, 'CHUNK_BYTES', 4 * int(np.prod(SHAPE)))
    expected = fill(tmp_path, {'cat': 3, 'ant': 5, 'bee': 2})
    (tmp_path / '.cache').mkdir()
    (tmp_path / 'cat' / '.DS_Store').write_text('hidden')
    (tmp_path / 'notes.txt').write_text('beside the classes')
    source = image_folder.load(str(tmp_path))
    np.testing.assert_array_equal(drawn(source), expected)
    np.testing.assert_array_equal(source.labels, [0] * 5 + [1] * 2 + [2] * 3)
    assert source.class_names == ('ant', 'bee', 'cat')
    assert max(map(len, source.inputs.chunks())) == 4
    assert len(source.test_inputs) == 0 and source.inputs.shape == (10, *SHAPE)


def test_a_folder_of_train_and_test_is_prepared_whole(tmp_path):
    train = fill(tmp_path / 'root' / 'train', {'a': 8, 'b': 6}, shape=(4, 7, 1))
    test = fill(tmp_path / 'root' / 'test', {'b': 3, 'a': 2}, seed=1, shape=(4, 7, 1))
    (tmp_path / 'root' / 'unlabelled').mkdir()
    data = Data('folder', str(tmp_path / 'root'), validation=4)
    found = prepared(data, tmp_path / 'work')
    np.testing.assert_array_equal(found.inputs, np.concatenate([train, test]))
    np.testing.assert_array_equal(found.splits['test'], range(14, 19))
    np.testing.assert_array_equal(found.labels[14:], [0, 0, 1, 1, 1])
    assert found.class_names == ('a', 'b') and found.input_shape == (4, 7, 1)
    again = prepared(data, tmp_path / 'work')
    assert again.fingerprint == found.fingerprint and again.class_names == found.class_names


def test_a_class_called_train_is_a_class(tmp_path):
    fill(tmp_path, {'train': 2, 'plane': 2})
    assert image_folder.load(str(tmp_path)).class_names == ('plane', 'train')


def test_a_changed_file_is_another_data_set(tmp_path):
    fill(tmp_path, {'a': 2, 'b': 2})
    before = image_folder.identity(str(tmp_path))
    assert image_folder.identity(str(tmp_path)) == before
    Image.fromarray(images(1, 9)[0]).save(tmp_path / 'a' / '0.png')
    os.utime(tmp_path / 'a' / '0.png', ns=(1, 1))
    assert image_folder.identity(str(tmp_path)) != before


def bomb(path):
    """A PNG whose header promises 10,000 × 9,000 pixels."""

    def chunk(kind, body):
        return (
            struct.pack('>I', len(body)) + kind + body + struct.pack('>I', zlib.crc32(kind + body))
        )

    header = struct.pack('>IIBBBBB', 9000, 10000, 8, 2, 0, 0, 0)
    path.write_bytes(
        b'\x89PNG\r\n\x1a\n' + chunk(b'IHDR', header) + chunk(b'IDAT', b'') + chunk(b'IEND', b'')
    )


def other_size(path):
    Image.fromarray(images(1, shape=(5, 6, 3))[0]).save(path)


BAD = {
    'mixed sizes': (
        'a/5.png',
        other_size,
        ('a/5.png has 5×6', '6×5 pixels', 'a/0.png has', 'set config.data.size'),
    ),
    'no image': ('b/x.png', lambda path: path.write_text('hello'), ('b/x.png is no image',)),
    'cut': ('a/5.png', lambda path: path.write_bytes(b'\x89PNG\r\n\x1a\n'), ('a/5.png',)),
    'bomb first': ('a/-.png', bomb, ('a/-.png', '64,000,000 pixels')),
    'bomb later': ('b/x.png', bomb, ('b/x.png has 10000×9000', 'a/0.png')),
    'grey': (
        'b/x.png',
        lambda path: Image.fromarray(images(1)[0, ..., 0]).save(path),
        ('b/x.png has 1 channel', 'a/0.png'),
    ),
    'empty class': ('c', lambda path: path.mkdir(), ('/c holds no image',)),
}


@pytest.mark.filterwarnings('ignore::PIL.Image.DecompressionBombWarning')
@pytest.mark.parametrize('case', BAD)
def test_a_bad_file_is_named_in_one_line(tmp_path, case):
    fill(tmp_path, {'a': 2, 'b': 2})
    name, make, words = BAD[case]
    make(tmp_path / name)
    message = refusal(lambda: drawn(image_folder.load(str(tmp_path))))
    assert all(word in message for word in words), message


def test_folders_without_classes_are_named(tmp_path):
    assert 'root is empty' in refusal(image_folder.load, '')
    assert 'is no folder' in refusal(image_folder.load, str(tmp_path / 'none'))
    assert '0 folders' in refusal(image_folder.load, str(tmp_path))
    fill(tmp_path / 'train', {'a': 1, 'b': 1})
    fill(tmp_path / 'test', {'a': 1, 'z': 1})
    message = refusal(image_folder.load, str(tmp_path))
    assert f'{tmp_path}/test/z is a class that' in message


# TFDS.


class TinyFashion(tfds.core.GeneratorBasedBuilder, skip_registration=True):
    """Grey images in three named classes."""

    VERSION = tfds.core.Version('1.0.0')

    def _info(self):
        features = {
            'image': tfds.features.Image(shape=(6, 5, 1)),
            'coarse': tfds.features.ClassLabel(num_classes=2),
            'label': tfds.features.ClassLabel(names=['shirt', 'shoe', 'bag']),
        }
        return tfds.core.DatasetInfo(
            builder=self, features=tfds.features.FeaturesDict(features), description='tiny'
        )

    def _split_generators(self, dl_manager):
        return {'train': self._generate_examples(20), 'test': self._generate_examples(6)}

    def _generate_examples(self, count):
        for number, pixels in enumerate(images(count, count, (6, 5, 1))):
            file = io.BytesIO()
            Image.fromarray(pixels[..., 0]).save(file, 'PNG')
            label = int(pixels.sum()) % 3
            yield number, {'image': file.getvalue(), 'coarse': 0, 'label': label}


@pytest.fixture(scope='module')
def tfds_root(tmp_path_factory):
    root = tmp_path_factory.mktemp('tfds')
    TinyFashion(data_dir=root, file_format='array_record').download_and_prepare()
    return root


def test_a_tfds_data_set_is_read_by_its_name(tfds_root, tmp_path, monkeypatch):
    monkeypatch.setattr(unlabelled, 'CHUNK_BYTES', 7 * 30)
    data = Data('tfds:tiny_fashion', str(tfds_root), validation=5)
    found = prepared(data, tmp_path / 'work')
    stock = tfds.builder_from_directory(tfds_root / 'tiny_fashion' / '1.0.0')
    for split, rows in (('train', slice(0, 20)), ('test', slice(20, 26))):
        expected = list(stock.as_data_source(split))
        np.testing.assert_array_equal(found.inputs[rows], [each['image'] for each in expected])
        kept = np.load(next((tmp_path / 'work').glob('data-*')) / 'labels.npy')[rows]
        np.testing.assert_array_equal(kept, [each['label'] for each in expected])
    assert found.class_names == ('shirt', 'shoe', 'bag') and found.num_classes == 3
    assert found.input_shape == (6, 5, 1)
    assert len(found.splits['test']) == 6 and len(found.splits['train']) == 15


def test_a_tfds_data_set_that_is_not_there_says_how_to_prepare_it(tfds_root, tmp_path):
    message = refusal(sources.identity, Data('tfds:cifar100', str(tmp_path)))
    assert 'tfds build cifar100 --file_format=array_record' in message
    assert 'config.data.name is empty' in refusal(sources.identity, Data('tfds:', str(tmp_path)))


def test_a_tfds_data_set_of_no_classes_is_refused(tfds_root, tmp_path):
    import shutil

    shutil.copytree(tfds_root / 'tiny_fashion', tmp_path / 'tiny_fashion')
    path = tmp_path / 'tiny_fashion' / '1.0.0' / 'features.json'
    features = json.loads(path.read_text())
    for key in ('label', 'coarse'):
        del features['featuresDict']['features'][key]
    path.write_text(json.dumps(features))
    message = refusal(tfds_labelled.load, 'tiny_fashion', str(tmp_path))
    assert 'has the features image' in message


# Tables.


def test_scikit_learns_tables_have_their_classes_names(tmp_path):
    from sklearn.datasets import load_wine

    table = load_wine()
    found = prepared(Data('sklearn:wine', validation=20, test=30), tmp_path / 'work')
    np.testing.assert_array_equal(found.inputs, table.data.astype(np.float32))
    assert found.class_names == ('class_0', 'class_1', 'class_2')
    assert 'sklearn:wine' in refusal(sources.identity, Data('sklearn:wien'))


def test_an_npz_file_may_name_its_classes(tmp_path):
    path = tmp_path / 'own.npz'
    arrays = {'features': np.eye(4, dtype=np.float32), 'labels': np.array([0, 1, 1, 0])}
    np.savez(path, **arrays, class_names=np.array(['no', 'yes']))
    assert sources.load_npz(path).class_names == ('no', 'yes')
    np.savez(path, **arrays, class_names=np.array(['no', 'yes', 'maybe']))
    assert 'labels count 2 classes' in refusal(sources.load_npz, path)


def test_synthetic_rows_are_made_of_the_training_rows_alone(tmp_path):
    transfer = Transfer('munge', limit=150, swap=0.3, spread=2.0)
    data = Data('sklearn:iris', train=40, validation=30, test=50, seed=3, transfer=transfer)
    found = prepared(data, tmp_path / 'work')
    made = found.inputs[150:]
    train = np.asarray(found.inputs[found.splits['train']])
    np.testing.assert_array_equal(made, munge(train, 150, 0.3, 2.0, 3))
    # After the 30 labelled rows that are left over.
    np.testing.assert_array_equal(found.splits['unlabelled'][30:], range(150, 300))
    assert (found.labels[150:] == -1).all()
    plain = prepared(Data('sklearn:iris', train=40, validation=30, test=50, seed=3), tmp_path / 'w')
    for name in ('train', 'validation', 'test'):
        np.testing.assert_array_equal(found.splits[name], plain.splits[name])


def test_munge_is_for_tables_and_wants_a_number(tmp_path):
    few = Data('sklearn:iris', validation=30, test=50, transfer=Transfer('munge'))
    assert 'limit is 0' in refusal(prepared, few, tmp_path / 'work')
    pictures = Data('digits', validation=9, test=9, transfer=Transfer('munge', limit=9))
    assert 'rows of a table' in refusal(prepared, pictures, tmp_path / 'work')


def test_draw_and_divide_agree():
    data = Data(train=20, validation=10, test=15, seed=4)
    labels = np.zeros(60, np.int32)
    regions = {'pool': 60, 'unlabelled': 0, 'test': 0}
    whole = splits.divide(labels[:, None], labels, regions, 2, '', data)
    drawn_ = splits.draw(data, 60, 0)
    for name in ('train', 'validation', 'test'):
        np.testing.assert_array_equal(whole.splits[name], getattr(drawn_, name))
