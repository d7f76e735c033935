"""CIFAR-10: preparing it from an archive in the official binary format, reading, refusing."""

import functools
import hashlib
import http.server
import io
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tarfile
import threading
from pathlib import Path

import numpy as np
import pytest
import tensorflow_datasets as tfds

from mimic_jax.data import cifar10, tfds_builder
from mimic_jax.errors import UserError

CLASSES = ['airplane', 'automobile', 'bird', 'cat', 'deer']
CLASSES += ['dog', 'frog', 'horse', 'ship', 'truck']
TRAIN_FILES = [f'data_batch_{i}.bin' for i in range(1, 6)]
PREFIX = 'cifar-10-batches-bin/'
OFFICIAL_SHA256 = 'c4a38c50a1bc5f3a1c5537f2155ab9d68f9f25eb1ed8d9ddda3db29a59bca1dd'
TRAIN_ARRAYS = 'cifar10-train.array_record-00000-of-00001'


def made_examples():
    """Images and labels by TFDS's example id, and the members of an archive that holds them."""
    rng = np.random.default_rng(0)
    examples, members = {}, {}
    counts = dict(zip(TRAIN_FILES, (4, 3, 5, 1, 2), strict=True)) | {'test_batch.bin': 7}
    for name, count in counts.items():
        split = 'test' if name.startswith('test') else 'train'
        before = sum(key.startswith(split) for key in examples)
        data = b''
        for i in range(before, before + count):
            image, label = rng.integers(0, 256, (32, 32, 3), np.uint8), int(rng.integers(10))
            examples[f'{split}_{i:05d}'] = image, label
            planes = [image[:, :, channel].tobytes() for channel in range(3)]
            data += bytes([label]) + b''.join(planes)
        members[PREFIX + name] = data
    members[PREFIX + 'batches.meta.txt'] = ('\n'.join(CLASSES) + '\n\n').encode()
    return examples, members


EXAMPLES, MEMBERS = made_examples()


class Server:
    """Serves a folder on 127.0.0.1; `add` puts an archive there and returns prepare's arguments."""

    def __init__(self, folder):
        self.folder, self.requests = folder, []
        outer = self

        class Handler(http.server.SimpleHTTPRequestHandler):
            def log_message(self, *args):
                outer.requests.append(self.path)

        handler = functools.partial(Handler, directory=str(folder))
        self._http = http.server.ThreadingHTTPServer(('127.0.0.1', 0), handler)
        self.address = f'http://127.0.0.1:{self._http.server_port}'
        serve = functools.partial(self._http.serve_forever, poll_interval=0.01)
        threading.Thread(target=serve, daemon=True).start()

    def add(self, data, name='cifar-10-binary.tar.gz'):
        (self.folder / name).write_bytes(data)
        return {'url': f'{self.address}/{name}', 'checksum': hashlib.sha256(data).hexdigest()}

    def close(self):
        self._http.shutdown()
        self._http.server_close()


def tarball(members):
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode='w:gz') as tar:
        for name, data in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    return buffer.getvalue()


@pytest.fixture
def server(tmp_path):
    folder = tmp_path / 'served'
    folder.mkdir()
    server = Server(folder)
    yield server
    server.close()


@pytest.fixture(scope='module')
def prepared(tmp_path_factory):
    """A data folder prepared once; tests that harm it take a copy."""
    folder = tmp_path_factory.mktemp('served')
    root = tmp_path_factory.mktemp('tfds')
    server = Server(folder)
    tfds_builder.prepare(root, **server.add(tarball(MEMBERS)))
    server.close()
    return root


@pytest.fixture
def copy(prepared, tmp_path):
    shutil.copytree(prepared / 'cifar10', tmp_path / 'copy' / 'cifar10')
    return tmp_path / 'copy'


def error_of(function, *args, **kwargs):
    """The message of the UserError that the call must raise: one line."""
    with pytest.raises(UserError) as caught:
        function(*args, **kwargs)
    message = str(caught.value)
    assert '\n' not in message
    return message


def refuse(root, **kwargs):
    """The error of a preparation that must leave nothing behind but the downloaded archive."""
    message = error_of(tfds_builder.prepare, root, **kwargs)
    assert not list(root.glob('cifar10/*'))
    assert not list(root.rglob('incomplete*'))
    return message


def in_subprocess(script, **environment):
    root = str(Path(__file__).parents[1])
    return subprocess.run(
        [sys.executable, '-c', script],
        env=os.environ | {'PYTHONPATH': root} | environment,
        capture_output=True,
        text=True,
    )


def test_stock_tfds_reads_the_pixels_and_labels_that_went_in(prepared):
    for split, count in ('train', 15), ('test', 7):
        source = tfds.data_source('cifar10', split=split, data_dir=str(prepared))
        read = {example['id'].decode(): example for example in source}
        assert len(source) == len(read) == count
        assert set(read) == {key for key in EXAMPLES if key.startswith(split)}
        for key, example in read.items():
            image, label = EXAMPLES[key]
            np.testing.assert_array_equal(example['image'], image)
            assert example['label'] == label


def test_load_is_the_stock_order_and_content(prepared, monkeypatch):
    monkeypatch.setattr(cifar10, 'RECORDS_PER_READ', 4)  # several reads, the last one short
    arrays = cifar10.load(prepared)
    assert set(arrays) == {'train_images', 'train_labels', 'test_images', 'test_labels'}
    for split in 'train', 'test':
        images, labels = arrays[f'{split}_images'], arrays[f'{split}_labels']
        source = tfds.data_source('cifar10', split=split, data_dir=str(prepared))
        np.testing.assert_array_equal(images, [example['image'] for example in source])
        np.testing.assert_array_equal(labels, [example['label'] for example in source])
        assert (images.dtype, labels.dtype) == (np.uint8, np.int32)


def test_load_reads_several_record_files_in_order(copy):
    whole = cifar10.load(copy)
    builder = tfds_builder.Cifar10(data_dir=str(copy))
    raw = [builder.as_data_source('train').data_source[i] for i in range(15)]
    folder = tfds_builder.prepared_folder(copy)
    (folder / TRAIN_ARRAYS).unlink()
    from array_record.python.array_record_module import ArrayRecordWriter

    for shard, part in enumerate((raw[:6], raw[6:])):
        writer = ArrayRecordWriter(
            str(folder / f'cifar10-train.array_record-{shard:05d}-of-00002'), 'group_size:1'
        )
        for record in part:
            writer.write(record)
        writer.close()
    info = json.loads((folder / 'dataset_info.json').read_text())
    info['splits'][0]['shardLengths'] = ['6', '9']
    (folder / 'dataset_info.json').write_text(json.dumps(info))
    np.testing.assert_array_equal(cifar10.load(copy)['train_images'], whole['train_images'])


def test_features_and_layout_are_the_official_ones(prepared):
    folder = prepared / 'cifar10' / '3.0.2'
    assert tfds_builder.prepared_folder(prepared) == folder
    official = tfds.builder('cifar10', data_dir=str(prepared))
    assert type(official) is not tfds_builder.Cifar10
    assert official.is_prepared()
    written = tfds.features.FeaturesDict.from_config(str(folder))
    assert written.to_json() == official._info().features.to_json()
    assert (folder / 'label.labels.txt').read_text().split() == CLASSES
    assert {name: split.num_examples for name, split in official.info.splits.items()} == {
        'train': 15,
        'test': 7,
    }


def test_no_tensorflow_from_download_to_stock_reading(server, tmp_path):
    arguments = server.add(tarball(MEMBERS))
    script = f"""
import sys
from mimic_jax.data import cifar10
assert 'tensorflow_datasets' not in sys.modules, 'two seconds that other data would wait for'
from mimic_jax.data import tfds_builder
tfds_builder.prepare({str(tmp_path / 'data')!r}, **{arguments!r})
print(cifar10.load(None)['train_images'].shape)
import tensorflow_datasets as tfds
print(tfds.data_source('cifar10', split='test')[0]['image'].shape)
assert 'tensorflow' not in sys.modules
assert 'jax' not in sys.modules
"""
    done = in_subprocess(script, TFDS_DATA_DIR=str(tmp_path / 'data'))
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-2:] == ['(15, 32, 32, 3)', '(32, 32, 3)']


def test_load_prepares_what_is_missing_and_reports_progress(server, tmp_path, monkeypatch):
    arguments = server.add(tarball(MEMBERS))
    monkeypatch.setattr(tfds_builder, 'official_archive', lambda: tuple(arguments.values()))
    monkeypatch.setenv('TFDS_DATA_DIR', str(tmp_path / 'data'))
    calls = []
    arrays = cifar10.load(None, count=lambda *call: calls.append(call))
    assert len(arrays['test_labels']) == 7
    size = len(tarball(MEMBERS))
    assert calls == [
        ('downloading CIFAR-10', size, size),
        ('decoding CIFAR-10 (train)', 15, 15),
        ('decoding CIFAR-10 (test)', 7, 7),
    ]


def test_the_archive_at_hand_is_not_downloaded_again(server, tmp_path):
    arguments = server.add(tarball(MEMBERS))
    folder = tfds_builder.prepare(tmp_path / 'data', **arguments)
    shutil.rmtree(folder)
    assert tfds_builder.prepare(tmp_path / 'data', **arguments) == folder
    assert folder.is_dir()
    assert len(server.requests) == 1


def test_the_official_address_and_checksum_are_the_default(server, tmp_path):
    url, checksum = tfds_builder.official_archive()
    assert url == 'https://www.cs.toronto.edu/~kriz/cifar-10-binary.tar.gz'
    assert checksum == OFFICIAL_SHA256
    mirror = server.add(tarball(MEMBERS))['url']
    assert OFFICIAL_SHA256 in refuse(tmp_path / 'data', url=mirror)


def test_a_wrong_checksum_is_refused_and_leaves_no_file(server, tmp_path):
    arguments = server.add(tarball(MEMBERS)) | {'checksum': 'ab' * 32}
    message = refuse(tmp_path / 'data', **arguments)
    assert 'ab' * 32 in message and arguments['url'] in message
    assert [path for path in tmp_path.glob('data/**/*') if path.is_file()] == []


def test_an_address_without_the_archive_is_named(server, tmp_path):
    message = refuse(tmp_path / 'data', url=f'{server.address}/nothing.tar.gz')
    assert '404' in message and f'{server.address}/nothing.tar.gz' in message
    assert 'TFDS_DATA_DIR' in message and '--config.data.root' in message
    with socket.socket() as free:
        free.bind(('127.0.0.1', 0))  # bound, not listening: connections are refused
        url = f'http://127.0.0.1:{free.getsockname()[1]}/cifar.tar.gz'
        assert url in refuse(tmp_path / 'data', url=url)
    assert 'ftp://' in refuse(tmp_path / 'data', url='ftp://127.0.0.1/cifar.tar.gz')


@pytest.mark.parametrize('name', ['../evil', '../../evil', PREFIX + '../../evil'])
def test_a_member_that_escapes_is_refused(server, tmp_path, name):
    arguments = server.add(tarball(MEMBERS | {name: b'evil'}))
    assert 'unsafe' in refuse(tmp_path / 'data', **arguments)
    assert not list(tmp_path.rglob('evil'))


def without(name):
    return tarball({key: data for key, data in MEMBERS.items() if key != PREFIX + name})


def with_data(name, data):
    return tarball(MEMBERS | {PREFIX + name: data})


BAD_ARCHIVES = {
    'truncated': (tarball(MEMBERS)[:-2000], 'not a whole tar archive'),
    'not a tar': (b'<html>moved</html>', 'not a whole tar archive'),
    'empty': (b'', 'not a whole tar archive'),
    'damaged': (tarball(MEMBERS)[:20] + b'x' * 99 + tarball(MEMBERS)[119:], 'not a whole'),
    'no train file': (without('data_batch_3.bin'), f'has no {PREFIX}data_batch_3.bin'),
    'no test file': (without('test_batch.bin'), f'has no {PREFIX}test_batch.bin'),
    'no class names': (without('batches.meta.txt'), f'has no {PREFIX}batches.meta.txt'),
    'nine classes': (with_data('batches.meta.txt', b'a\nb\nc\nd\ne\nf\ng\nh\ni\n'), '9 classes'),
    'short record': (with_data('data_batch_2.bin', b'\1' * (2 * 3073 - 5)), 'data_batch_2.bin'),
    'no record': (with_data('test_batch.bin', b''), 'test_batch.bin'),
    'label 10': (with_data('data_batch_4.bin', b'\1' * 3073 + b'\12' * 3073), 'record 1'),
}


@pytest.mark.parametrize('case', BAD_ARCHIVES)
def test_a_bad_archive_is_refused(server, tmp_path, case):
    data, expected = BAD_ARCHIVES[case]
    assert expected in refuse(tmp_path / 'data', **server.add(data))


def test_a_folder_that_cannot_be_written_is_named(server, tmp_path):
    (tmp_path / 'file').write_text('in the way')
    root = tmp_path / 'file' / 'data'
    message = error_of(tfds_builder.prepare, root, **server.add(tarball(MEMBERS)))
    assert str(root) in message and 'TFDS_DATA_DIR' in message and 'writable' in message


def test_a_killed_preparation_reads_as_missing_and_is_done_again(server, tmp_path):
    arguments = server.add(tarball(MEMBERS))
    root = tmp_path / 'data'
    script = f"""
import os, signal
from mimic_jax.data import tfds_builder
encode, calls = tfds_builder._png, []
def encode_then_die(image):
    calls.append(0)
    if len(calls) == 17:  # the second test image: the training split is written
        os.kill(os.getpid(), signal.SIGKILL)
    return encode(image)
tfds_builder._png = encode_then_die
tfds_builder.prepare({str(root)!r}, **{arguments!r})
"""
    assert in_subprocess(script).returncode == -signal.SIGKILL
    assert list(root.rglob('cifar10-train*')), 'killed too early to show anything'
    assert not tfds_builder.prepared_folder(root).exists()
    tfds_builder.prepare(root, **arguments)
    assert len(cifar10.load(root)['train_images']) == 15


def test_another_process_may_finish_first(server, prepared, tmp_path, monkeypatch):
    root = tmp_path / 'data'
    encode = tfds_builder._png

    def meanwhile(image):
        if not (root / 'cifar10' / '3.0.2').exists():
            shutil.copytree(prepared / 'cifar10' / '3.0.2', root / 'cifar10' / '3.0.2')
        return encode(image)

    monkeypatch.setattr(tfds_builder, '_png', meanwhile)
    tfds_builder.prepare(root, **server.add(tarball(MEMBERS)))
    assert len(cifar10.load(root)['test_images']) == 7


@pytest.mark.parametrize('name', ['dataset_info.json', TRAIN_ARRAYS])
def test_an_incomplete_folder_is_named_not_mended(copy, name):
    folder = tfds_builder.prepared_folder(copy)
    (folder / name).unlink()
    message = error_of(cifar10.load, copy)
    assert name in message and f'delete {folder}' in message
    shutil.rmtree(folder)
    folder.mkdir()
    assert str(folder) in error_of(cifar10.load, copy)


@pytest.mark.parametrize('text', ['', '{', '[]', '{"name": "cifar10", "version": "3.0.2"}'])
def test_damaged_dataset_info_is_refused(copy, text):
    folder = tfds_builder.prepared_folder(copy)
    (folder / 'dataset_info.json').write_text(text)
    assert f'delete {folder}' in error_of(cifar10.load, copy)


def test_tfrecord_data_says_that_it_needs_tensorflow(copy):
    path = tfds_builder.prepared_folder(copy) / 'dataset_info.json'
    path.write_text(path.read_text().replace('array_record', 'tfrecord'))
    for file in path.parent.glob('*array_record*'):
        file.rename(str(file).replace('array_record', 'tfrecord'))
    message = error_of(cifar10.load, copy)
    assert 'tfrecord' in message and 'TFDS_DATA_DIR' in message


@pytest.mark.parametrize('harm', ['truncated', 'emptied', 'overwritten', 'fewer records'])
def test_a_damaged_record_file_is_named(copy, harm):
    folder = tfds_builder.prepared_folder(copy)
    path = folder / TRAIN_ARRAYS
    data = path.read_bytes()
    if harm == 'fewer records':
        shutil.copy(folder / TRAIN_ARRAYS.replace('train', 'test'), path)
    else:
        path.write_bytes(
            {
                'truncated': data[:-10000],
                'emptied': b'',
                'overwritten': data[:70] + bytes(200) + data[270:],
            }[harm]
        )
    assert str(path) in error_of(cifar10.load, copy)


BAD_PNGS = {
    'cut': lambda png: png[:200],
    'not a PNG': lambda png: b'hello',
    'empty': lambda png: b'',
    'grey': lambda png: reencoded(np.zeros((32, 32), np.uint8)),
    'other shape': lambda png: reencoded(np.zeros((64, 16, 3), np.uint8)),
}


def reencoded(image):
    buffer = io.BytesIO()
    tfds_builder.Image.fromarray(image).save(buffer, format='PNG')
    return buffer.getvalue()


@pytest.mark.parametrize('case', BAD_PNGS)
def test_a_damaged_image_is_named_by_file_and_record(server, tmp_path, monkeypatch, case):
    encode = tfds_builder._png
    victim = EXAMPLES['train_00006'][0]

    def harm(image):
        png = encode(image)
        return BAD_PNGS[case](png) if np.array_equal(image, victim) else png

    monkeypatch.setattr(tfds_builder, '_png', harm)
    folder = tfds_builder.prepare(tmp_path / 'data', **server.add(tarball(MEMBERS)))
    builder = tfds_builder.Cifar10(data_dir=str(tmp_path / 'data'))
    skip = {'image': tfds.decode.SkipDecoding()}
    ids = [example['id'] for example in builder.as_data_source('train', decoders=skip)]
    message = error_of(cifar10.load, tmp_path / 'data')
    assert f'{folder / TRAIN_ARRAYS} has a damaged image' in message
    assert f'record {ids.index(b"train_00006")} ' in message


@pytest.fixture(scope='session')
def real_root():
    root = os.environ.get('TFDS_DATA_DIR')
    if not root or not tfds_builder.prepared_folder(root).is_dir():
        pytest.skip('TFDS_DATA_DIR names no folder with a prepared cifar10')
    return root


@pytest.fixture(scope='session')
def real_arrays(real_root):
    return cifar10.load(None)


def test_examples_are_shuffled_as_in_the_official_data(real_root, prepared):
    def ids(root):
        skip = {'image': tfds.decode.SkipDecoding()}
        source = tfds.data_source('cifar10', split='test', data_dir=str(root), decoders=skip)
        return [example['id'] for example in source.__getitems__(range(len(source)))]

    few = ids(prepared)
    assert [key for key in ids(real_root) if key in set(few)] == few != sorted(few)


def test_the_real_data_has_the_published_statistics(real_arrays):
    images, labels = real_arrays['train_images'], real_arrays['train_labels']
    assert images.shape == (50000, 32, 32, 3) and images.dtype == np.uint8
    assert real_arrays['test_images'].shape == (10000, 32, 32, 3)
    counts = np.stack([np.bincount(images[..., c].ravel(), minlength=256) for c in range(3)])
    levels = np.arange(256) / 255
    means = counts @ levels / counts[0].sum()
    deviations = np.sqrt(counts @ levels**2 / counts[0].sum() - means**2)
    np.testing.assert_allclose(means, [0.49139968, 0.48215841, 0.44653091], atol=1e-8)
    np.testing.assert_allclose(deviations, [0.24703223, 0.24348513, 0.26158784], atol=1e-8)
    assert np.bincount(labels).tolist() == [5000] * 10
    assert np.bincount(real_arrays['test_labels']).tolist() == [1000] * 10
