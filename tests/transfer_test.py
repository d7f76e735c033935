"""Transfer images from elsewhere: joined to the data, rid of test images, streamed."""

import dataclasses
import io
import json
import mmap
import os
import shutil

import jax
import ml_collections
import numpy as np
import pytest
from conftest import refusal, tiny_digits
from pictures import fill, images, read_by_fours

from mimic_jax import pipeline
from mimic_jax.artifacts import store
from mimic_jax.artifacts.recipes import Recipe
from mimic_jax.config import experiment as experiments
from mimic_jax.data import (
    cifar10,
    device_rows,
    duplicates,
    mapped,
    prepare,
    tfds_builder,
    unlabelled,
)
from mimic_jax.data.settings import Data, Transfer
from mimic_jax.mimic import ensemble, logits, students, teachers
from mimic_jax.reporting import tables
from mimic_jax.runtime import files
from mimic_jax.runtime.progress import Progress
from mimic_jax.training import metrics_log

# Digests.


def test_digests_tell_equal_images_from_others_by_every_byte(monkeypatch):
    monkeypatch.setattr(duplicates, '_ROWS', 3)
    pixels = images(8)
    pixels[5] = pixels[2]
    found = duplicates.digests(pixels)
    assert len({row.tobytes() for row in found}) == 7
    np.testing.assert_array_equal(duplicates.among(found, found[2:3]), np.arange(8) % 3 == 2)
    changed = pixels[2:3].copy()
    changed[0, -1, -1, -1] ^= 1
    assert not duplicates.among(duplicates.digests(changed), found).any()


def test_digests_are_compared_whole():
    rows = np.zeros((4, duplicates.BYTES), np.uint8)
    rows[1, 0], rows[2, -1] = 1, 1
    for number in range(3):
        expected = [False, number == 1, number == 2, False] if number else [True, 0, 0, True]
        assert duplicates.among(rows, rows[number : number + 1]).tolist() == expected


# The data artifact.


def prepared(workdir, **settings):
    stream = io.StringIO()
    dataset = prepare.run(Data(**settings), workdir, Progress(stream=stream))
    return dataset, stream.getvalue()


def silent():
    return Progress(stream=io.StringIO())


@pytest.fixture
def own(tmp_path):
    """A data set of 20 labelled and 5 unlabelled images, with a test split of 4 where wanted."""

    def make(test):
        arrays = {'images': images(20), 'labels': np.arange(20) % 2, 'unlabelled': images(5, 1)}
        if test:
            arrays |= {'test_images': images(4, 2), 'test_labels': np.arange(4) % 2}
        np.savez(tmp_path / 'own.npz', **arrays)
        return {'name': 'npz', 'root': str(tmp_path / 'own.npz'), 'train': 10, 'validation': 4}

    return make


def elsewhere(tmp_path, pixels):
    np.savez(tmp_path / 'elsewhere.npz', images=pixels)
    return Transfer('npz', str(tmp_path / 'elsewhere.npz'))


def test_images_from_elsewhere_follow_the_sources_own_unlabelled(tmp_path, own, monkeypatch):
    read_by_fours(monkeypatch)
    settings = own(test=True)
    alone, _ = prepared(tmp_path, **settings)
    dataset, _ = prepared(tmp_path, **settings, transfer=elsewhere(tmp_path, images(9, 3)))
    expected = np.concatenate([images(20), images(5, 1), images(9, 3), images(4, 2)])
    np.testing.assert_array_equal(dataset.inputs, expected)
    pool, others = np.split(dataset.splits['unlabelled'], [6])
    np.testing.assert_array_equal(pool, alone.splits['unlabelled'][:6])
    np.testing.assert_array_equal(others, np.arange(20, 34))
    np.testing.assert_array_equal(dataset.splits['test'], np.arange(34, 38))
    for split in ('train', 'validation'):
        np.testing.assert_array_equal(dataset.splits[split], alone.splits[split])
    assert (dataset.labels[20:34] == -1).all() and (dataset.labels[34:] == np.arange(4) % 2).all()
    assert dataset.removed == 0 and dataset.fingerprint != alone.fingerprint


def test_a_limit_that_leaves_images_of_ones_own_out_is_told_of(tmp_path, own):
    # 6 labelled images are left over, 5 are the source's own, 9 of which one is a test image follow.
    pixels = np.concatenate([images(4, 2)[:1], images(8, 3)])
    settings = own(test=True) | {'transfer': elsewhere(tmp_path, pixels)}
    whole, said = prepared(tmp_path, **settings)
    assert whole.cut == 0 and 'beyond' not in said
    for limit, cut in ((12, 7), (18, 1), (19, 0), (30, 0)):
        capped, said = prepared(tmp_path, **settings, unlabelled=limit)
        expected = whole.splits['unlabelled'][:limit]
        np.testing.assert_array_equal(capped.splits['unlabelled'], expected)
        assert capped.cut == cut
        assert (f'{cut} examples of config.data.transfer are beyond the {limit}' in said) == bool(
            cut
        )
    for limit in (0, 5, 11):
        message = refusal(prepare.run, Data(**settings, unlabelled=limit), tmp_path, silent())
        assert message.startswith(f'config.data.unlabelled is {limit}, and 11 unlabelled examples')
        assert 'none of the 8 of config.data.transfer is used; set it to -1' in message
    # Without images from elsewhere the same limit is obeyed.
    del settings['transfer']
    assert len(prepared(tmp_path, **settings, unlabelled=2)[0].splits['unlabelled']) == 2


def test_images_of_the_test_split_are_removed_and_told_of(tmp_path, own):
    others = images(9, 3)
    others[1], others[4], others[7] = images(4, 2)[3], images(4, 2)[0], images(4, 2)[3]
    others[8] = others[0]  # equal to one another, they may both stay
    others[5] = images(20)[prepared(tmp_path, **own(test=True))[0].splits['train'][0]]
    transfer = elsewhere(tmp_path, others)
    dataset, said = prepared(tmp_path, **own(test=True), transfer=transfer)
    assert dataset.splits['unlabelled'][6:].tolist() == [
        index for index in range(20, 34) if index - 25 not in (1, 4, 7)
    ]
    assert dataset.removed == 3 and '3 unlabelled images equal a validation or test' in said
    again, _ = prepared(tmp_path, **own(test=True), transfer=transfer)
    assert again.removed == 3 and again.fingerprint == dataset.fingerprint
    # What a smaller test split leaves out is still test images.
    assert prepared(tmp_path, **own(test=True), test=1, transfer=transfer)[0].removed == 3


@pytest.mark.parametrize('seed', [0, 1])
def test_a_test_split_drawn_by_seed_is_removed_too(tmp_path, own, seed):
    transfer = elsewhere(tmp_path, images(20))  # the labelled images themselves
    settings = own(test=False)
    dataset, _ = prepared(tmp_path, **settings, test=3, seed=seed, transfer=transfer)
    held_out = {*dataset.splits['test'].tolist(), *dataset.splits['validation'].tolist()}
    assert dataset.removed == len(held_out) == 7
    kept = {index - 25 for index in dataset.splits['unlabelled'].tolist() if index >= 25}
    assert kept == set(range(20)) - held_out


def test_a_sources_own_unlabelled_images_are_looked_at_as_well(tmp_path, own):
    settings = own(test=True)
    with np.load(settings['root']) as file:
        arrays = dict(file)
    arrays['unlabelled'][2] = arrays['test_images'][1]
    np.savez(settings['root'], **arrays)
    dataset, _ = prepared(tmp_path, **settings)
    assert dataset.removed == 1 and 22 not in dataset.splits['unlabelled']


def test_labelled_images_that_are_left_over_are_looked_at_too(tmp_path, own):
    settings = own(test=True)
    with np.load(settings['root']) as file:
        arrays = {key: file[key] for key in file if key != 'unlabelled'}
    np.savez(settings['root'], **arrays)
    before, said = prepared(tmp_path, **settings)
    assert before.removed == 0 and 'left out' not in said
    validation, train = (before.splits[name] for name in ('validation', 'train'))
    one, two, three, *others = before.splits['unlabelled'].tolist()
    arrays['images'][one] = arrays['test_images'][2]
    arrays['images'][two] = arrays['images'][validation[0]]
    arrays['images'][three] = arrays['images'][train[0]]  # which nothing is measured on
    np.savez(settings['root'], **arrays)
    workdir = tmp_path / 'duplicates'
    workdir.mkdir()
    dataset, said = prepared(workdir, **settings)
    assert dataset.splits['unlabelled'].tolist() == [three, *others]
    assert dataset.removed == 2 and '2 unlabelled images equal a validation or test' in said
    for name in ('train', 'validation', 'test'):
        np.testing.assert_array_equal(dataset.splits[name], before.splits[name])


def test_images_are_compared_without_changing_what_has_no_equals(tmp_path, own, monkeypatch):
    settings = own(test=True)
    found = {}
    for train in (0, 10, 16):  # of 16 that are not validated on
        found[train], _ = prepared(tmp_path, **settings | {'train': train})
    monkeypatch.setattr(prepare, '_digests', lambda *_: None)
    for train, dataset in found.items():
        alone, _ = prepared(tmp_path, **settings | {'train': train})
        assert dataset.fingerprint == alone.fingerprint and dataset.removed == 0


def test_without_a_transfer_set_data_artifacts_are_what_they_always_were(tmp_path, own):
    settings = own(test=True)
    dataset, _ = prepared(tmp_path, **settings)
    (folder,) = tmp_path.glob('data-*')
    identity = {'name': 'npz', 'sha256': files.digest(tmp_path / 'own.npz')}
    assert folder.name == Recipe('data', identity).name
    expected = np.concatenate([images(20), images(5, 1), images(4, 2)])
    np.save(tmp_path / 'expected.npy', expected)
    assert (folder / 'inputs.npy').read_bytes() == (tmp_path / 'expected.npy').read_bytes()
    assert isinstance(dataset.inputs, np.memmap)


def test_a_transfer_set_is_named_by_its_content(tmp_path):
    fill(tmp_path / 'set')
    settings = Transfer('folder', str(tmp_path / 'set'))
    first = unlabelled.identity(settings)
    assert unlabelled.identity(settings) == first
    assert unlabelled.identity(dataclasses.replace(settings, limit=3)) != first
    shutil.copytree(tmp_path / 'set', tmp_path / 'copy')
    assert unlabelled.identity(Transfer('folder', str(tmp_path / 'copy'))) == first
    (tmp_path / 'copy' / 'a.png').touch()  # the content is its name, not its time of change
    assert unlabelled.identity(Transfer('folder', str(tmp_path / 'copy'))) == first
    (tmp_path / 'copy' / 'a.png').write_bytes(b'another')
    assert unlabelled.identity(Transfer('folder', str(tmp_path / 'copy'))) != first
    np.savez(tmp_path / 'a.npz', images=images(2))
    np.savez(tmp_path / 'b.npz', images=images(2, 1))
    names = [unlabelled.identity(Transfer('npz', str(tmp_path / f'{n}.npz'))) for n in ('a', 'b')]
    assert names[0] != names[1]


def test_the_config_reads_a_transfer_set():
    settings = {'data': {'transfer': {'kind': 'folder', 'root': 'pictures', 'limit': 5}}}
    checked = experiments.read(ml_collections.ConfigDict(settings))
    assert checked.data.transfer == Transfer('folder', 'pictures', limit=5)
    settings['data']['transfer']['kind'] = 'foldr'
    message = refusal(experiments.read, settings)
    assert message.startswith('config.data.transfer.kind') and "'folder'" in message


# The pipeline.


def digits_with(tmp_path, extra):
    """The tiny digits experiment, most of its images in a transfer set."""
    settings = tiny_digits()
    settings.data.update({'unlabelled': -1, 'train': 50, 'validation': 50, 'test': 100})
    del settings.members.cnn_2
    settings.members.cnn_1.model = '4c3-p2-16'
    settings.members.cnn_1.train.epochs = 1
    settings.logits.ensemble.members = ('cnn_1',)
    settings.logits.ensemble.views = 1
    settings.run.log_steps = 1
    np.savez(tmp_path / 'extra.npz', images=extra)
    settings.data.transfer = {'kind': 'npz', 'root': str(tmp_path / 'extra.npz')}
    return settings


def test_labelling_and_training_stream_to_the_same_numbers(tmp_path, make_session, monkeypatch):
    """Arrays streamed from the file give bit for bit what arrays on the device give."""
    extra = images(400, shape=(8, 8, 1))
    found, released = {}, []
    monkeypatch.setattr(mapped, 'release', lambda array: released.append(type(array)))
    for placement in ('device', 'host'):
        settings = digits_with(tmp_path, extra)
        settings.run.placement = placement
        settings.students.mimic.seeds = (0,)
        settings.students.mimic.train.update({'epochs': 1, 'batch_size': 64})
        session, plan = make_session(settings, tmp_path / placement)
        assert isinstance(session.data.inputs, np.memmap)
        released.clear()
        for member in plan.members.values():
            teachers.make(session, member)
        (cache,) = plan.caches.values()
        assert len(cache.examples) > 1900
        logits.run(session, cache)
        (net,) = plan.students['mimic']
        folder = students.make(session, net)
        facts = store.manifest(folder)
        view = ensemble.open_checked(session, cache).view(0)
        found[placement] = view, facts['variables_sha256']
        assert session.placement.on_device == (placement == 'device')
        assert (np.memmap in released) == (placement == 'host')
    np.testing.assert_array_equal(found['device'][0], found['host'][0])
    assert found['device'][1] == found['host'][1]
    # Some windows of steps hold no labelled example, and so have no accuracy.
    records = [record for record in metrics_log.read(folder) if 'loss' in record]
    assert 0 < sum('accuracy' in record for record in records) < len(records)


def test_large_arrays_reach_the_device_in_pieces(tmp_path, monkeypatch, make_session):
    session, _ = make_session(tiny_digits(), devices=jax.devices())
    sharding = jax.sharding.NamedSharding(session.mesh, jax.sharding.PartitionSpec())
    monkeypatch.setattr(device_rows, 'PIECE_BYTES', 1000)
    released = []
    monkeypatch.setattr(mapped, 'release', lambda array: released.append(array))
    arrays = {'inputs': session.data.inputs, 'floats': np.arange(999, dtype=np.float64)}
    found = device_rows.place(arrays, sharding)
    found['inputs'] = found['inputs'].flat.reshape(arrays['inputs'].shape)
    assert len(released) == -(-1797 // 15) + 8
    for key, array in arrays.items():
        np.testing.assert_array_equal(found[key], array)
        assert found[key].sharding.is_equivalent_to(sharding, array.ndim)
    assert found['inputs'].dtype == np.uint8 and found['floats'].dtype == np.float32


def test_released_pages_read_as_before(tmp_path):
    np.save(tmp_path / 'array.npy', images(5000))
    array = np.load(tmp_path / 'array.npy', mmap_mode='r')
    assert isinstance(array.base, mmap.mmap)  # or there would be nothing to release
    before = array.sum()
    mapped.release(array)
    assert array.sum() == before
    mapped.release(images(2))  # what is no file is left alone


def test_what_lies_on_the_host_anyway_is_streamed_sooner(make_session):
    session, _ = make_session(tiny_digits())
    for gigabytes, expected in ((0.5, True), (2, False), (8, False)):
        shape = (int(gigabytes * 2**20), 32, 32)
        data = dataclasses.replace(session.data, inputs=np.broadcast_to(np.uint8(0), shape))
        assert dataclasses.replace(session, data=data).placement.on_device == expected


def test_the_report_says_how_many_images_were_removed(tmp_path, device):
    extra = images(20, shape=(8, 8, 1))
    checked = experiments.read(digits_with(tmp_path, extra))
    data = prepare.run(checked.data, tmp_path, Progress(stream=io.StringIO()))
    extra[3:6] = data.inputs[data.splits['test'][:3]]
    settings = digits_with(tmp_path, extra)
    settings.students = {}
    settings.logits = {}
    settings.report = {'rows': {}, 'order': (), 'ensemble': ''}
    pipeline.run(settings, workdir=tmp_path / 'work', experiment='tiny', devices=device)
    report = json.loads((tmp_path / 'work' / 'tiny' / 'report.json').read_text())
    assert report['data']['unlabelled_removed'] == 3
    assert report['data']['examples']['test'] == 100
    page = (tmp_path / 'work' / 'tiny' / 'report.md').read_text()
    assert '3 unlabelled images equal a validation or test image and were left out.' in page
    report['data']['unlabelled_removed'] = 0
    assert 'left out' not in tables.page(report, [])


# Real images.


@pytest.fixture(scope='module')
def real_images():
    root = os.environ.get('TFDS_DATA_DIR')
    if not root or not tfds_builder.prepared_folder(root).is_dir():
        pytest.skip('TFDS_DATA_DIR names no folder with a prepared cifar10')
    return cifar10.load(None)


def test_held_out_cifar_images_as_a_transfer_set(tmp_path, real_images):
    """1,000 labelled images; 500 others and three of the test split come from elsewhere."""
    arrays = real_images
    np.savez(
        tmp_path / 'own.npz',
        images=arrays['train_images'][:1000],
        labels=arrays['train_labels'][:1000],
        test_images=arrays['test_images'][:500],
        test_labels=arrays['test_labels'][:500],
    )
    others = arrays['train_images'][1000:1500]
    known = np.concatenate([arrays['train_images'][:1000], arrays['test_images'][:500]])
    assert not (set(map(bytes, others)) & set(map(bytes, known)))
    transfer = elsewhere(tmp_path, np.concatenate([others, arrays['test_images'][[5, 50, 499]]]))
    settings = {'name': 'npz', 'root': str(tmp_path / 'own.npz'), 'validation': 100}
    dataset, said = prepared(tmp_path, **settings, transfer=transfer)
    assert dataset.removed == 3 and '3 unlabelled images equal' in said
    np.testing.assert_array_equal(dataset.inputs[dataset.splits['unlabelled']], others)
