"""Folders of images: which are splits, what lies there unread, links, names, and what names hold."""

import io
import os
import shutil
from pathlib import Path

import numpy as np
import pytest
from conftest import refusal
from PIL import Image

from mimic_jax.data import folder_layout, image_folder, listing, prepare, sources, unlabelled
from mimic_jax.data.settings import Data, Transfer
from mimic_jax.runtime import files
from mimic_jax.runtime.progress import Progress

drawn = np.random.default_rng(0)


def fill(folder, count=4):
    folder.mkdir(parents=True, exist_ok=True)
    for number in range(count):
        pixels = drawn.integers(0, 256, (4, 3, 3)).astype(np.uint8)
        Image.fromarray(pixels).save(folder / f'{number}.png')


def tree(root, *folders, count=4):
    for folder in folders:
        fill(root / folder, count)
    return str(root)


def prepared(data, workdir):
    workdir.mkdir(exist_ok=True)
    said = io.StringIO()
    return prepare.run(data, workdir, Progress(stream=said)), said.getvalue()


def splits(root):
    found = folder_layout.find(Path(root)).splits
    return {split: (place, list(classes)) for split, (place, classes) in found.items()}


@pytest.mark.parametrize('train', ['train', 'Train', 'TRAINING', 'train2017', 'training_set'])
@pytest.mark.parametrize('held', ['val', 'Valid', 'VALIDATION', 'dev', 'val2017'])
@pytest.mark.parametrize('test', ['test', 'Testing', 'TEST', 'test-images'])
def test_split_folders_of_any_usual_name_and_case_are_splits(tmp_path, train, held, test):
    for split in (train, held, test):
        tree(tmp_path / split, 'cat', 'dog', count=1)
    assert splits(tmp_path) == {
        'train': (train, ['cat', 'dog']),
        'validation': (held, ['cat', 'dog']),
        'test': (test, ['cat', 'dog']),
    }


def test_a_split_of_ones_own_validates(tmp_path):
    root = tmp_path / 'root'
    for split, count in (('Training', 6), ('val', 3), ('Testing', 2)):
        tree(root / split, 'cat', 'dog', count=count)
    dataset, said = prepared(Data('folder', str(root)), tmp_path / 'work')
    assert {name: len(rows) for name, rows in dataset.splits.items()} == {
        'train': 12,
        'validation': 6,
        'test': 4,
        'unlabelled': 0,
    }
    for split, name in (('validation', 'val'), ('test', 'Testing'), ('train', 'Training')):
        rows = np.sort(dataset.splits[split])
        files_there = sorted((root / name).glob('*/*.png'))
        expected = [np.asarray(Image.open(path)) for path in files_there]
        np.testing.assert_array_equal(dataset.inputs[rows], expected)
        labels = [int(path.parent.name == 'dog') for path in files_there]
        np.testing.assert_array_equal(dataset.labels[rows], labels)
    assert 'has 2 classes: cat 6, dog 6; val validates: cat 3, dog 3; Testing tests: cat 2' in said
    some, said = prepared(Data('folder', str(root), validation=4, seed=3), tmp_path / 'work')
    assert len(some.splits['validation']) == 4 and len(some.splits['train']) == 12
    assert set(some.splits['validation']) < set(dataset.splits['validation'])
    all_, said = prepared(Data('folder', str(root), validation=50), tmp_path / 'work')
    assert len(all_.splits['validation']) == 6 and 'has 6 examples, all of which validate' in said


def test_held_out_splits_may_stand_beside_the_classes(tmp_path):
    tree(tmp_path, 'cat', 'dog', 'Test/cat', 'Test/dog')
    assert splits(tmp_path) == {'train': ('', ['cat', 'dog']), 'test': ('Test', ['cat', 'dog'])}


@pytest.mark.parametrize(
    'folders',
    [
        ('train', 'plane'),
        ('train', 'plane', 'test'),
        ('training/a', 'training/b', 'resting'),
        ('valid', 'invalid'),
        ('bullet_train', 'steam_train'),
        ('test1', 'test2', 'test3'),
        ('test/a', 'best'),
    ],
)
def test_classes_that_are_called_like_splits_are_classes(tmp_path, folders):
    tree(tmp_path, *folders)
    classes = sorted({folder.partition('/')[0] for folder in folders})
    assert splits(tmp_path) == {'train': ('', classes)}


@pytest.mark.parametrize(
    'folders', [('train', 'test'), ('Training', 'Testing', 'val'), ('seg_train', 'seg_test', 'x')]
)
def test_splits_that_hold_no_folder_a_class_are_refused(tmp_path, folders):
    tree(tmp_path, *folders)
    assert 'are splits and no classes' in refusal(folder_layout.find, tmp_path)


def test_two_folders_for_one_split_are_refused(tmp_path):
    for split in ('train', 'val', 'valid'):
        tree(tmp_path / split, 'cat', 'dog')
    message = refusal(folder_layout.find, tmp_path)
    assert 'has val and valid, all of them for the split validation' in message
    shutil.rmtree(tmp_path / 'valid')
    tree(tmp_path / 'val', 'cow')
    assert 'val/cow is a class that' in refusal(folder_layout.find, tmp_path)


def test_what_lies_there_unread_is_told_of(tmp_path):
    root = tmp_path / 'root'
    tree(root / 'train', 'cat', 'dog')
    tree(root, 'test', 'extra/deep', count=5)
    (root / 'notes.txt').write_text('')
    (root / 'train' / 'flat.png').write_bytes(b'')
    (root / 'train' / 'dog' / 'gone.png').symlink_to('/nonexistent/gone.png')
    for hidden in ('.DS_Store', 'train/.DS_Store', 'train/cat/.DS_Store', 'train/cat/._0.png'):
        (root / hidden).write_text('hidden')
    expected = (
        'extra/ (5 files), notes.txt, test/ (5 files), train/dog/gone.png (a link that leads nowhere), '
        'train/flat.png'
    )
    assert image_folder.described(str(root)).endswith(f'; not read: {expected}')
    data = Data('folder', str(root), validation=2, test=2)
    for _ in range(2):  # also where the data are read already
        assert expected in prepared(data, tmp_path / 'work')[1]
    (root / 'notes.txt').unlink()
    assert 'notes.txt' not in prepared(data, tmp_path / 'work')[1]


def test_frames_that_are_not_read_are_told_of_each_time(tmp_path):
    root = tmp_path / 'root'
    tree(root, 'cat', 'dog')
    frames = [Image.fromarray(drawn.integers(0, 256, (4, 3, 3)).astype(np.uint8)) for _ in range(2)]
    frames[0].save(root / 'cat' / 'x.gif', save_all=True, append_images=frames[1:])
    for _ in range(2):
        _, said = prepared(Data('folder', str(root), validation=2, test=2), tmp_path / 'work')
        assert 'cat/x.gif) has further frames, of which the first alone is read' in said


# Links.


def test_links_are_followed_and_cycles_told_of(tmp_path):
    root, store = tmp_path / 'root', tmp_path / 'store'
    tree(root, 'cat', 'dog')
    fill(store, 3)
    (store / 'back').symlink_to(root / 'cat')
    (root / 'cat' / 'more').symlink_to(store)
    (root / 'dog' / 'self').symlink_to(root / 'dog')
    (root / 'dog' / 'loop').symlink_to(root / 'dog' / 'loop')
    (root / 'dog' / 'one.png').symlink_to(store / '0.png')
    found = folder_layout.find(root)
    assert [len(names) for names in found.splits['train'][1].values()] == [4 + 3, 4 + 1]
    assert sorted(found.unread) == [
        'cat/more/back (a link to a folder that it lies in)',
        'dog/loop (a link that leads nowhere)',
        'dog/self (a link to a folder that it lies in)',
    ]
    transfer = Transfer('folder', str(root))
    assert unlabelled.load(transfer, (4, 3, 3))[0] == 12
    assert 'dog/loop' in unlabelled.described(transfer)


def test_a_link_to_the_root_is_no_class(tmp_path):
    root = tmp_path / 'root'
    tree(root / 'train', 'cat', 'dog')
    (root / 'train' / 'again').symlink_to(root)
    (root / 'latest').symlink_to('.')
    (tmp_path / 'elsewhere').mkdir()
    fill(tmp_path / 'elsewhere' / 'cow')
    (root / 'train' / 'cow').symlink_to(tmp_path / 'elsewhere' / 'cow')
    assert splits(root) == {'train': ('train', ['cat', 'cow', 'dog'])}
    assert folder_layout.find(root).unread == [
        'latest (a link to a folder that it lies in)',
        'train/again (a link to a folder that it lies in)',
    ]


def test_what_a_link_points_to_is_in_the_name(tmp_path):
    fill(tmp_path / 'store')
    root = tree(tmp_path / 'root', 'cat', 'dog')
    (tmp_path / 'root' / 'cat' / 'x.png').symlink_to(tmp_path / 'store' / '0.png')
    (tmp_path / 'root' / 'dog' / 'more').symlink_to(tmp_path / 'store')
    for changed in ('0.png', '3.png'):
        before = image_folder.identity(root), unlabelled.identity(Transfer('folder', root))
        (tmp_path / 'store' / changed).write_bytes(os.urandom(20))
        after = image_folder.identity(root), unlabelled.identity(Transfer('folder', root))
        assert before[0] != after[0] and before[1] != after[1]


# Names.


def test_names_that_are_no_text_work_and_print_anywhere(tmp_path):
    root = tmp_path / 'root'
    tree(root, 'ch\udce2t', 'dog')
    (root / 'dog' / '0.png').rename(str(root / 'dog' / 'caf\udce9.png'))
    (root / '\udcff.txt').write_text('')
    dataset, said = prepared(Data('folder', str(root), validation=2, test=2), tmp_path / 'work')
    assert dataset.class_names == ('ch\\xe2t', 'dog')
    assert r'ch\xe2t 4, dog 4; not read: \xff.txt' in said and said.isascii()
    transfer = Transfer('folder', str(root / 'dog'))
    assert unlabelled.load(transfer, (4, 3, 3))[0] == 4 and unlabelled.identity(transfer)
    assert list(files.below(root / 'dog'))[-1] == 'caf\\xe9.png'
    assert files.printable('château') == 'château'


# What a name is made of.


@pytest.mark.parametrize('read', ['folder', 'transfer'])
def test_each_byte_of_an_image_is_in_the_name(tmp_path, read):
    root = tree(tmp_path, 'cat', 'dog', count=2)

    def name():
        if read == 'folder':
            return str(sources.identity(Data('folder', root)))
        return str(unlabelled.identity(Transfer('folder', root)))

    path = tmp_path / 'dog' / '1.png'
    content, status = path.read_bytes(), path.stat()
    names = {name()}
    for place in range(len(content)):
        changed = bytearray(content)
        changed[place] ^= 1
        path.write_bytes(changed)
        os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))  # as `cp -p` and rsync leave it
        names.add(name())
    assert len(names) == len(content) + 1


def test_a_copy_is_the_same_data(tmp_path):
    root = tree(tmp_path / 'root', 'cat', 'dog')
    copy = shutil.copytree(root, tmp_path / 'elsewhere', copy_function=shutil.copyfile)
    os.utime(Path(copy) / 'cat' / '0.png', ns=(1, 1))
    assert image_folder.identity(str(copy)) == image_folder.identity(str(root))


def test_of_very_many_bytes_times_of_change_are_in_the_name(tmp_path, monkeypatch):
    fill(tmp_path, 2)
    monkeypatch.setattr(listing, 'MOST_BYTES', 10)
    monkeypatch.setattr(listing.files, 'digest', lambda _: pytest.fail('it was read'))
    before = listing.digest(tmp_path, ['0.png', '1.png'])
    os.utime(tmp_path / '0.png', ns=(1, 1))
    assert listing.digest(tmp_path, ['0.png', '1.png']) != before


# Twins.


def with_twins(root):
    """Ten images in a folder a class, eight of `train` again in `val`, two of these again in `test`."""
    for split in ('train', 'val', 'test'):
        tree(root / split, 'cat', 'dog', count=5)
    for name, source, copies in (('val', 'train', 4), ('test', 'val', 1)):
        for label in ('cat', 'dog'):
            for number in range(copies):
                shutil.copy(root / source / label / f'{number}.png', root / name / label)
    return str(root)


def test_twins_are_counted_and_told_of(tmp_path):
    root = with_twins(tmp_path / 'root')
    dataset, said = prepared(Data('folder', root), tmp_path / 'work')
    counts = {'test_in_train': 2, 'validation_in_train': 8, 'test_in_validation': 2, 'dropped': 0}
    assert dataset.facts() == {'twins': counts}
    assert '2 of 10 test examples equal a training example' in said
    assert '8 of 10 validation examples equal a training example' in said
    assert '2 of 10 test examples equal a validation example' in said
    assert len(dataset.splits['train']) == 10
    other, said = prepared(Data('folder', root, twins='drop'), tmp_path / 'work')
    assert len(other.splits['train']) == 2 and other.twins['dropped'] == 8
    assert '8 training examples are left out for it' in said
    kept = {bytes(image) for image in other.inputs[other.splits['train']]}
    for split in ('validation', 'test'):
        assert not kept & {bytes(image) for image in other.inputs[other.splits[split]]}
    assert other.fingerprint != dataset.fingerprint


def test_without_twins_nothing_is_said(tmp_path):
    root = tree(tmp_path / 'root', 'cat', 'dog')
    dataset, said = prepared(Data('folder', root, validation=2, test=2), tmp_path / 'work')
    assert 'equal' not in said and set(dataset.twins.values()) == {0}
    again, _ = prepared(Data('folder', root, validation=2, test=2, twins='drop'), tmp_path / 'work')
    assert again.fingerprint == dataset.fingerprint, 'where none is dropped the data are the same'
