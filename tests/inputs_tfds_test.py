"""Data sets of TFDS: splits that are not read, and files that are in the name."""

import io
import os

import numpy as np
import pytest
import tensorflow_datasets as tfds
from PIL import Image

from mimic_jax.data import prepare, tfds_images, tfds_labelled, unlabelled
from mimic_jax.data.settings import Data, Transfer
from mimic_jax.runtime.progress import Progress


class Three(tfds.core.GeneratorBasedBuilder, skip_registration=True):
    """Grey images in two classes, in four splits."""

    VERSION = tfds.core.Version('1.0.0')

    def _info(self):
        features = {
            'image': tfds.features.Image(shape=(6, 5, 1)),
            'label': tfds.features.ClassLabel(num_classes=2),
        }
        return tfds.core.DatasetInfo(
            builder=self, features=tfds.features.FeaturesDict(features), description='tiny'
        )

    def _split_generators(self, dl_manager):
        counts = {'train': 12, 'test': 4, 'validation': 3, 'extra': 2}
        return {split: self._generate_examples(count) for split, count in counts.items()}

    def _generate_examples(self, count):
        random = np.random.default_rng(count)
        for number in range(count):
            file = io.BytesIO()
            pixels = random.integers(0, 256, (6, 5)).astype(np.uint8)
            Image.fromarray(pixels).save(file, 'PNG')
            yield number, {'image': file.getvalue(), 'label': number % 2}


@pytest.fixture(scope='module')
def root(tmp_path_factory):
    root = tmp_path_factory.mktemp('tfds')
    Three(data_dir=root, file_format='array_record').download_and_prepare()
    return root


def test_splits_that_are_not_read_are_told_of_each_time(root, tmp_path):
    (tmp_path / 'work').mkdir()
    for _ in range(2):
        said = io.StringIO()
        data = Data('tfds:three', str(root), validation=2)
        prepare.run(data, tmp_path / 'work', Progress(stream=said))
        expected = 'splits that are not read: extra (2 examples), validation (3 examples)'
        assert expected in said.getvalue()


def test_each_file_of_a_data_set_is_in_the_name(root):
    def names():
        transfer = Transfer('tfds', str(root), 'three')
        return (
            str(tfds_labelled.identity('three', str(root))),
            str(unlabelled.identity(transfer)),
        )

    folder, _, _ = tfds_images.found('three', str(root), 'config.data')
    paths = sorted(path for path in folder.iterdir() if path.name != tfds_images.INFO)
    seen = {names()}
    for path in paths:
        content, status = path.read_bytes(), path.stat()
        for place in range(0, len(content), max(1, len(content) // 20)):
            changed = bytearray(content)
            changed[place] ^= 1
            path.write_bytes(changed)
            os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
            before = len(seen)
            seen.add(names())
            assert len(seen) == before + 1
        path.write_bytes(content)
        os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
    assert len(paths) >= 4 and names() in seen
