"""Small images for the tests of unlabelled ones."""

import io

import numpy as np
from PIL import Image

from mimic_jax.data import unlabelled

SHAPE = (6, 5, 3)  # height and width differ, so that exchanging them is seen


def images(count, seed=0, shape=SHAPE):
    return np.random.default_rng(seed).integers(0, 256, (count, *shape), np.uint8)


def read_by_fours(monkeypatch):
    """Files are read in chunks of four images."""
    monkeypatch.setattr(unlabelled, 'CHUNK_BYTES', 4 * int(np.prod(SHAPE)))


def fill(folder):
    """Images in several formats and folders; returns them in the order of their names."""
    expected = images(6)
    (folder / 'b').mkdir(parents=True)
    (folder / '.cache').mkdir()
    (folder / '.cache' / 'index').write_text('hidden')
    (folder / '.DS_Store').write_text('hidden')
    for name, pixels in zip(('a.png', 'b/c.bmp', 'b/d.tif', 'z.webp'), expected, strict=False):
        Image.fromarray(pixels).save(folder / name, lossless=True)
    palette = Image.fromarray(expected[4]).quantize(16)
    palette.save(folder / 'zz.png')
    with Image.open(folder / 'zz.png') as image:
        assert image.mode == 'P'
    expected[4] = np.asarray(palette.convert('RGB'))
    buffer = io.BytesIO()
    Image.fromarray(expected[5]).save(buffer, 'JPEG')
    (folder / 'zzz.jpg').write_bytes(buffer.getvalue())
    expected[5] = np.asarray(Image.open(buffer))
    return expected
