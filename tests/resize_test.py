"""Images of different sizes: resized when they are read, by folders, transfer sets and predictions."""

import io

import jax
import ml_collections
import numpy as np
import pytest
from conftest import refusal
from PIL import Image

from mimic_jax import pipeline
from mimic_jax.data import image_files, image_folder, prepare, sources, unlabelled
from mimic_jax.data.settings import Data, Transfer
from mimic_jax.export import raw_files
from mimic_jax.runtime.progress import Progress

RANDOM = np.random.default_rng(0)


def decoded(pixels, shape, fit, file_format='PNG', **saved):
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, file_format, **saved)
    file.seek(0)
    return image_files.decode(file, 'a picture', shape, fit=fit)


def fill(root, sizes):
    """A colour for each class and an image for each size, below `root`."""
    for level, name in ((40, 'dark'), (200, 'light')):
        (root / name).mkdir(parents=True)
        for number, (height, width) in enumerate(sizes):
            noise = RANDOM.integers(-20, 20, (height, width, 3))
            image = Image.fromarray((level + noise).astype(np.uint8))
            image.save(root / name / f'{number:02}.png')


def test_a_square_is_cut_from_the_middle():
    pixels = RANDOM.integers(0, 256, (4, 10, 3)).astype(np.uint8)
    np.testing.assert_array_equal(decoded(pixels, (4, 4, 3), 'cut'), pixels[:, 3:7])
    tall = RANDOM.integers(0, 256, (10, 4, 1)).astype(np.uint8)
    np.testing.assert_array_equal(decoded(tall[..., 0], (4, 4, 1), 'cut'), tall[3:7])


@pytest.mark.parametrize('fit', ['cut', 'stretch'])
def test_made_smaller_an_image_is_averaged(fit):
    """A ramp stays a ramp: away from its ends any symmetric filter gives the level in the middle."""
    ramp = np.repeat(np.arange(0, 240, 5, dtype=np.uint8)[None], 48, axis=0)
    found = decoded(ramp, (16, 16, 1), fit)[:, 2:-2, 0]
    np.testing.assert_array_equal(found, np.repeat([5 + 15 * np.arange(2, 14)], 16, axis=0))
    stripes = np.zeros((48, 48), np.uint8)
    stripes[:, ::2] = 255  # pixels picked out would be 0 or 255
    assert np.all(np.abs(decoded(stripes, (16, 16, 1), fit)[:, 2:-2].astype(int) - 128) < 45)


def test_stretching_keeps_both_ends():
    pixels = np.zeros((6, 30, 3), np.uint8)
    pixels[:, :15], pixels[:, 15:] = (255, 0, 0), (0, 0, 255)
    found = decoded(pixels, (6, 6, 3), 'stretch')
    assert found[:, 0].tolist() == [[255, 0, 0]] * 6 and found[:, -1].tolist() == [[0, 0, 255]] * 6


def test_an_image_is_turned_before_it_is_cut():
    pixels = np.zeros((4, 8), np.uint8)
    pixels[:, :2] = 250
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned right by a quarter: columns become rows
    found = decoded(pixels, (8, 4, 1), 'cut', exif=exif.tobytes())
    assert found[:2].min() == 250 and found[2:].max() == 0


def test_a_folder_of_many_sizes_is_read_as_one(tmp_path):
    sizes = [(8, 8), (5, 9), (30, 7), (16, 16)]
    fill(tmp_path / 'root', sizes)
    data = Data('folder', str(tmp_path / 'root'), size=6, validation=2, test=2)
    message = refusal(sources.load(Data('folder', data.root)).inputs.chunks().__next__)
    assert 'has 5×9 pixels' in message
    (tmp_path / 'work').mkdir()
    found = prepare.run(data, tmp_path / 'work', Progress(stream=io.StringIO()))
    assert found.inputs.shape == (8, 6, 6, 3) and found.fit == 'cut'
    assert np.all(found.inputs[:4] < 100) and np.all(found.inputs[4:] > 140)
    stretched = sources.identity(Data('folder', data.root, size=6, fit='stretch'))
    assert sources.identity(data) != stretched
    assert sources.identity(Data('folder', data.root)) == image_folder.identity(data.root)


def test_a_student_of_many_sizes_predicts_any(tmp_path, capsys):
    """Labelled and unlabelled images of many sizes, through training, export and predictions."""
    fill(tmp_path / 'root', [(8, 8), (5, 9), (30, 7), (16, 16), (9, 9), (12, 7), (7, 12), (6, 6)])
    fill(tmp_path / 'more', [(20, 9), (9, 20)])
    config = ml_collections.ConfigDict({
        'data': {
            'name': 'folder', 'root': str(tmp_path / 'root'), 'size': 6, 'validation': 4, 'test': 4,
            'preprocess': 'scale',
            'transfer': {'kind': 'folder', 'root': str(tmp_path / 'more'), 'fit': 'cut'},
        },
        'views': {'area': 0.5},
        'students': {'net': {'model': '4', 'train': {'epochs': 60, 'batch_size': 8}}},
        'run': {'evaluation_steps': 100},
    })  # fmt: skip

    def run(**phase):
        devices = jax.devices()[:1]
        pipeline.run(
            config, workdir=tmp_path / 'work', experiment='sizes', devices=devices, **phase
        )

    run(phase='student')
    run(phase='export')
    capsys.readouterr()
    run(phase='predict', source=str(tmp_path / 'more'))
    lines = capsys.readouterr().out.splitlines()
    names = [line.split()[:2] for line in lines if line.startswith(('dark', 'light'))]
    assert len(names) == 4 and all(name.startswith(found) for name, found in names), lines


def test_what_cannot_be_resized_is_refused(tmp_path):
    settings = Transfer('folder', str(tmp_path), fit='none')
    Image.fromarray(np.zeros((5, 4), np.uint8)).save(tmp_path / 'a.png')
    _, chunks = raw_files.examples(tmp_path / 'a.png', (4, 4, 3), np.dtype('uint8'), 2, fit='cut')
    assert 'has 1 channel' in refusal(next, chunks)
    _, chunks = unlabelled.load(settings, (4, 4, 1))
    assert 'has 5×4 pixels' in refusal(next, chunks)


@pytest.mark.parametrize('target', [100, 112, 224, 299])
def test_a_cut_lies_within_the_image_whatever_its_size(target):
    """Rounding put edges at about -1e-14, which Pillow refuses."""
    for short in range(1, 2001):
        for width, height in ((short, 2000), (2000, short)):
            left, top, right, bottom = image_files._box((width, height), (target, target), 'cut')
            assert 0 <= left < right <= width and 0 <= top < bottom <= height
            assert right - left == pytest.approx(short) and bottom - top == pytest.approx(short)


def test_an_image_is_cut_whose_edges_round_below_zero():
    sizes = ((short, 2000) for short in range(1, 2001))
    width, height = next(size for size in sizes if (size[0] - size[0] / 299 * 299) / 2 < 0)
    found = decoded(np.full((height, width, 3), 7, np.uint8), (299, 299, 3), 'cut')
    assert found.shape == (299, 299, 3) and (found == 7).all()
