"""Images are read as viewers show them, upright and transparent; all else is refused or reported."""

import io
import struct
import zlib

import numpy as np
import pytest
from conftest import refusal
from PIL import Image

from mimic_jax.data import image_files, image_folder, unlabelled
from mimic_jax.data.image_files import DEPTH, FRAMES, Noted
from mimic_jax.data.settings import Transfer
from mimic_jax.export import raw_files

HIGH, WIDE = 6, 4
UPRIGHT = np.random.default_rng(0).integers(0, 256, (HIGH, WIDE, 3)).astype(np.uint8)
# What is stored so that a viewer that follows the orientation shows UPRIGHT: EXIF 2.32, table 6.
STORED = {
    1: UPRIGHT,
    2: UPRIGHT[:, ::-1],
    3: UPRIGHT[::-1, ::-1],
    4: UPRIGHT[::-1],
    5: UPRIGHT.transpose(1, 0, 2),
    6: UPRIGHT.transpose(1, 0, 2)[::-1],
    7: UPRIGHT[::-1, ::-1].transpose(1, 0, 2),
    8: UPRIGHT.transpose(1, 0, 2)[:, ::-1],
}
FORMATS = {'png': {}, 'tiff': {}, 'webp': {'lossless': True}}


def turned(path, orientation):
    image = Image.fromarray(np.ascontiguousarray(STORED[orientation]))
    exif = image.getexif()
    exif[0x0112] = orientation
    image.save(path, exif=exif, **FORMATS[path.suffix[1:]])


def encoded(image, kind='PNG', **settings):
    file = io.BytesIO()
    image.save(file, kind, **settings)
    return file


def read(file, shape, **settings):
    file.seek(0)
    return image_files.decode(file, 'it', shape, **settings)


def shape_of(file):
    file.seek(0)
    return image_files.shape_of(file, 'it')


@pytest.mark.parametrize('suffix', FORMATS)
@pytest.mark.parametrize('orientation', STORED)
def test_an_image_is_turned_before_its_size_is_looked_at(tmp_path, suffix, orientation):
    (tmp_path / 'a').mkdir()
    (tmp_path / 'b').mkdir()
    for name in 'ab':
        turned(tmp_path / name / f'1.{suffix}', orientation)
    # In training, the first image's size being the data set's,
    source = image_folder.load(str(tmp_path))
    np.testing.assert_array_equal(np.concatenate(list(source.inputs.chunks())), [UPRIGHT] * 2)
    # in a transfer set,
    _, chunks = unlabelled.load(Transfer('folder', str(tmp_path)), UPRIGHT.shape)
    np.testing.assert_array_equal(np.concatenate(list(chunks)), [UPRIGHT] * 2)
    # and when predicting.
    _, parts = raw_files.examples(tmp_path / 'a', UPRIGHT.shape, np.dtype(np.uint8), 2)
    np.testing.assert_array_equal(next(iter(parts))[1], [UPRIGHT])


def test_a_jpeg_of_a_camera_is_turned():
    pixels = np.zeros((16, 16, 3), np.uint8)
    pixels[:8] = 255
    image = Image.fromarray(pixels)
    exif = image.getexif()
    exif[0x0112] = 6
    found = read(encoded(image, 'JPEG', quality=95, exif=exif), (16, 16, 3))
    assert found[:, 8:].min() > 200 and found[:, :8].max() < 50


def test_an_image_that_is_turned_to_another_size_is_refused():
    image = Image.fromarray(UPRIGHT)
    exif = image.getexif()
    exif[0x0112] = 8
    file = encoded(image, 'PNG', exif=exif)
    assert shape_of(file) == (WIDE, HIGH, 3)
    assert 'has 4×6 pixels' in refusal(read, file, (HIGH, WIDE, 3))


def test_damaged_exif_is_passed_over():
    file = encoded(Image.fromarray(UPRIGHT), 'PNG', exif=b'Exif\0\0II*\0\xff\xff')
    np.testing.assert_array_equal(read(file, UPRIGHT.shape), UPRIGHT)


# Transparency.

BITS = (UPRIGHT[..., 0] > 127).astype(np.uint8)


def palette(values, colours):
    image = Image.fromarray(values, 'P')
    image.putpalette([*colours, *[0] * (768 - len(colours))])
    return image


def test_a_palettes_transparent_colour_is_kept():
    file = encoded(palette(BITS, [9, 8, 7, 9, 8, 7]), transparency=0)
    assert shape_of(file) == (HIGH, WIDE, 4)
    found = read(file, (HIGH, WIDE, 4))
    np.testing.assert_array_equal(found[..., 3], 255 * BITS)
    np.testing.assert_array_equal(found[BITS == 1][:, :3], [[9, 8, 7]] * BITS.sum())
    message = refusal(read, file, (HIGH, WIDE, 3))
    assert 'with transparency' in message and '4 channels' in message


def test_half_transparent_colours_of_a_palette_are_kept():
    file = encoded(palette(BITS, [9, 8, 7, 1, 2, 3]), transparency=bytes([30, 200]))
    found = read(file, shape_of(file))
    np.testing.assert_array_equal(found[..., 3], np.where(BITS == 1, 200, 30))


def test_a_transparent_grey_level_is_kept():
    grey = np.where(BITS == 1, 77, 200).astype(np.uint8)
    file = encoded(Image.fromarray(grey), transparency=77)
    assert shape_of(file) == (HIGH, WIDE, 2)
    np.testing.assert_array_equal(read(file, (HIGH, WIDE, 2))[..., 1], 255 * (1 - BITS))
    assert 'with transparency' in refusal(read, file, (HIGH, WIDE, 1))


def test_a_transparent_colour_is_kept():
    pixels = UPRIGHT.copy()
    pixels[0, 0] = pixels[2, 3] = (1, 2, 3)
    file = encoded(Image.fromarray(pixels), transparency=(1, 2, 3))
    assert shape_of(file) == (HIGH, WIDE, 4)
    clear = np.argwhere(read(file, (HIGH, WIDE, 4))[..., 3] == 0)
    assert clear.tolist() == [[0, 0], [2, 3]]


def test_a_transparent_bit_is_kept():
    file = encoded(Image.fromarray(255 * BITS).convert('1'), transparency=0)
    assert shape_of(file) == (HIGH, WIDE, 2)
    np.testing.assert_array_equal(read(file, (HIGH, WIDE, 2))[..., 1], 255 * BITS)


def test_a_transparent_colour_that_no_pixel_has_makes_no_difference():
    plain = palette(BITS, [9, 8, 7, 1, 2, 3])
    file = encoded(plain, transparency=5)
    assert shape_of(file) == (HIGH, WIDE, 3)
    np.testing.assert_array_equal(read(file, (HIGH, WIDE, 3)), np.asarray(plain.convert('RGB')))
    # Beside transparent images it is opaque; so is a palette without transparency.
    for image in (file, encoded(plain)):
        assert (read(image, (HIGH, WIDE, 4))[..., 3] == 255).all()


def test_a_folder_of_sprites_keeps_their_shapes(tmp_path):
    """The shapes are in the transparency alone; the colours are constant."""
    for name, inside in (('circle', BITS), ('square', 1 - BITS)):
        (tmp_path / name).mkdir()
        image = palette(inside, [255] * 6)
        image.save(tmp_path / name / '1.png', transparency=0)
    source = image_folder.load(str(tmp_path))
    first, second = np.concatenate(list(source.inputs.chunks()))
    np.testing.assert_array_equal(first[..., 3], 255 * BITS)
    np.testing.assert_array_equal(second[..., 3], 255 * (1 - BITS))


# What is not kept is reported.


@pytest.mark.parametrize('kind', ['GIF', 'TIFF', 'PNG', 'WEBP'])
def test_further_frames_are_told_of(tmp_path, kind, capsys):
    frames = [Image.fromarray(np.roll(UPRIGHT, k, 0)) for k in range(3)]
    still, moving = encoded(frames[0], kind), io.BytesIO()
    frames[0].save(moving, kind, save_all=True, append_images=frames[1:])
    noted = Noted()
    read(still, UPRIGHT.shape, note=noted)
    assert not noted
    read(moving, UPRIGHT.shape, note=noted)
    read(moving, UPRIGHT.shape, note=noted)
    assert noted == {FRAMES: (2, 'it')}
    assert noted.lines() == [
        '2 images (it, …) have further frames, of which the first alone is read'
    ]
    (tmp_path / 'x.gif').write_bytes(moving.getvalue())
    _, parts = raw_files.examples(tmp_path / 'x.gif', UPRIGHT.shape, np.dtype(np.uint8), 2)
    list(parts)
    assert 'x.gif) has further frames' in capsys.readouterr().err


def deep_png(value):
    """A PNG of 16 bits a channel, which Pillow cannot write."""

    def chunk(kind, body):
        return (
            struct.pack('>I', len(body)) + kind + body + struct.pack('>I', zlib.crc32(kind + body))
        )

    rows = b''.join(b'\0' + np.full((WIDE, 3), value, '>u2').tobytes() for _ in range(HIGH))
    header = struct.pack('>IIBBBBB', WIDE, HIGH, 16, 2, 0, 0, 0)
    body = chunk(b'IHDR', header) + chunk(b'IDAT', zlib.compress(rows)) + chunk(b'IEND', b'')
    return io.BytesIO(b'\x89PNG\r\n\x1a\n' + body)


def test_the_lower_bits_of_16_are_told_of():
    noted = Noted()
    found = read(deep_png(0x1234), UPRIGHT.shape, note=noted)
    assert (found == 0x12).all() and noted == {DEPTH: (1, 'it')}


# What is accepted, and what is refused in a line, is as it was.

ACCEPTED = {
    'RGB': (UPRIGHT, 3),
    'L': (UPRIGHT[..., 0], 1),
    'RGBA': (np.dstack([UPRIGHT, BITS]), 4),
    'LA': (np.dstack([UPRIGHT[..., 0], BITS]), 2),
}


@pytest.mark.parametrize('mode', ACCEPTED)
def test_modes_with_a_channel_each_come_as_they_are(mode):
    pixels, channels = ACCEPTED[mode]
    file = encoded(Image.fromarray(pixels, mode))
    assert shape_of(file) == (HIGH, WIDE, channels)
    np.testing.assert_array_equal(
        read(file, (HIGH, WIDE, channels)), pixels.reshape(HIGH, WIDE, channels)
    )


def test_bits_and_palettes_are_accepted():
    bits = encoded(Image.fromarray(255 * BITS).convert('1'))
    np.testing.assert_array_equal(read(bits, (HIGH, WIDE, 1))[..., 0], 255 * BITS)
    colours = encoded(palette(BITS, [9, 8, 7, 1, 2, 3]))
    expected = np.where(BITS[..., None] == 1, [1, 2, 3], [9, 8, 7])
    np.testing.assert_array_equal(read(colours, (HIGH, WIDE, 3)), expected)
    assert shape_of(deep_png(4000)) == (HIGH, WIDE, 3)


@pytest.mark.parametrize(
    ('image', 'kind', 'words'),
    [
        (Image.fromarray(UPRIGHT).convert('CMYK'), 'JPEG', 'mode CMYK'),
        (Image.fromarray(UPRIGHT[..., 0].astype(np.uint16) * 99), 'PNG', 'mode I;16'),
        (Image.fromarray(UPRIGHT[..., 0].astype(np.float32)), 'TIFF', 'mode F'),
    ],
)
def test_other_modes_are_refused_by_name(image, kind, words):
    file = encoded(image, kind)
    assert words in refusal(shape_of, file) and 'convert it' in refusal(shape_of, file)
    assert words in refusal(read, file, (HIGH, WIDE, 3))


def test_an_image_without_alpha_does_not_join_images_with_it():
    assert '3 channels' in refusal(read, encoded(Image.fromarray(UPRIGHT)), (HIGH, WIDE, 4))
    opaque = np.dstack([UPRIGHT, np.full_like(BITS, 255)])
    assert '4 channels' in refusal(read, encoded(Image.fromarray(opaque)), (HIGH, WIDE, 3))
