"""Light, crops by area, cutout and alternating mirrors against NumPy and Pillow."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from PIL import Image, ImageEnhance

from mimic_jax.data import augmentation, draws, views
from mimic_jax.data.view_settings import Views
from mimic_jax.errors import UserError

ALL = Views(
    *(0, True), alternate=True, brightness=0.4, contrast=0.3, area=0.3, cutout=3, mixup=0.0
)  # fmt: skip
JITTED = jax.jit(views.batch_views, static_argnums=4)


def images(count=6, shape=(9, 7, 3)):
    return np.random.default_rng(0).integers(0, 256, (count, *shape)).astype(np.uint8)


def keys(count):
    return jax.vmap(functools.partial(draws.view_key, 5, 3))(jnp.arange(count))


@pytest.mark.parametrize('channels', [1, 3])
def test_light_is_pillows(channels):
    """Pillow cuts each step down to whole levels, and rounds the mean grey level."""
    image = images(1, (9, 7, channels))[0]
    picture = Image.fromarray(image[..., 0] if channels == 1 else image)
    for brightness, contrast in ((0.6, 1.0), (1.4, 1.0), (1.0, 0.5), (1.0, 1.7), (0.8, 1.3)):
        expected = ImageEnhance.Brightness(picture).enhance(brightness)
        expected = np.asarray(ImageEnhance.Contrast(expected).enhance(contrast))
        found = augmentation.light(image, jnp.array([brightness, contrast]))
        assert found.dtype == np.float32
        assert np.abs(found - expected.reshape(image.shape)).max() < 2.5


def test_light_by_hand():
    image = np.array([[[0], [100]], [[200], [255]]], np.uint8)
    bright = np.minimum(np.array([0, 100, 200, 255]) * 1.2, 255)
    expected = np.clip(bright.mean() + 0.5 * (bright - bright.mean()), 0, 255)
    found = augmentation.light(image, jnp.array([1.2, 0.5]))
    np.testing.assert_allclose(found.reshape(-1), expected, rtol=1e-6)


@pytest.mark.parametrize('box', [(0, 0, 9, 7), (2, 1, 8, 6), (0.3, 1.7, 5.1, 6.9), (6.2, 3, 9, 4)])
def test_a_resized_crop_is_pillows(box):
    """Pillow's own float images, so that nothing is rounded.  box: top, left, bottom, right."""
    image = images(1)[0]
    top, left, bottom, right = box
    found = augmentation.resized_crop(
        image, jnp.array([top, left]), jnp.array([bottom - top, right - left])
    )
    expected = [
        Image.fromarray(image[..., channel].astype(np.float32)).resize(
            (7, 9), Image.Resampling.BILINEAR, box=(left, top, right, bottom)
        )
        for channel in range(3)
    ]
    np.testing.assert_allclose(found, np.stack(expected, axis=-1), atol=2e-3)


def test_boxes_by_area_have_the_areas_aspects_and_places_that_they_should():
    corners, sides = jax.vmap(lambda key: draws.box(key, 0.2, 30, 40))(keys(20_000))
    corners, sides = np.asarray(corners), np.asarray(sides)
    assert np.all(corners >= 0) and np.all(corners + sides <= np.array([30, 40]) + 1e-3)
    area, aspect = sides.prod(1) / 1200, sides[:, 1] / sides[:, 0]
    uncut = (sides[:, 0] < 30) & (sides[:, 1] < 40)
    assert area.min() > 0.2 - 1e-5 and area.max() <= 1
    assert aspect[uncut].min() > 3 / 4 - 1e-4 and aspect[uncut].max() < 4 / 3 + 1e-4
    # Below half the image no side is ever cut: there areas are uniform, and so are logs of aspects.
    small = area < 0.5
    assert abs(small.mean() - 0.3 / 0.8) < 5 * 0.5 / np.sqrt(20_000)
    assert abs(np.log(aspect[small]).mean()) < 5 * np.log(4 / 3) / np.sqrt(3 * small.sum())
    room = (np.array([30, 40]) - sides)[small]
    assert np.abs((corners[small] / room).mean(0) - 0.5).max() < 5 / np.sqrt(12 * small.sum())


def test_cutout_by_hand():
    image = np.arange(24, dtype=np.uint8).reshape(3, 4, 2)
    found = augmentation.cut_out(image, jnp.array([0, 3]), 2)
    expected = image.copy()
    expected[0:1, 2:4] = [11, 12]  # a row of the square lies outside; the means are 11 and 12
    np.testing.assert_array_equal(found, expected)
    assert found.dtype == np.uint8
    halves = augmentation.cut_out(np.array([[[0], [1]]], np.uint8), jnp.array([0, 0]), 1)
    np.testing.assert_array_equal(halves[0, :, 0], [1, 1])  # the mean ½ is rounded upwards
    floats = augmentation.cut_out(image.astype(np.float32), jnp.array([1, 1]), 1)
    np.testing.assert_allclose(floats[0, 0], [0, 1])
    np.testing.assert_allclose(floats[1, 1], [11, 12])


def test_a_cutouts_centre_is_anywhere():
    centres = np.asarray(jax.vmap(lambda key: draws.centre(key, 5, 6))(keys(20_000)))
    places, times = np.unique(centres, axis=0, return_counts=True)
    assert len(places) == 30 and places.max(0).tolist() == [4, 5]
    assert np.all(np.abs(times - 20_000 / 30) < 5 * np.sqrt(20_000 / 30))


def test_alternating_mirrors_show_both_sides_in_any_two_views():
    inputs, index = images(40), np.arange(40) * 77
    alternating, chance = Views(mirror=True, alternate=True), Views(mirror=True)
    seen = [np.asarray(JITTED(inputs, view, index, 9, alternating)) for view in range(4)]
    np.testing.assert_array_equal(seen[0], JITTED(inputs, 0, index, 9, chance))
    flips = np.any(seen[0] != inputs, axis=(1, 2, 3))
    assert 5 < flips.sum() < 35
    np.testing.assert_array_equal(seen[1], seen[0][:, :, ::-1])
    np.testing.assert_array_equal(seen[2], seen[0])
    np.testing.assert_array_equal(seen[3], seen[1])


def test_order_batch_size_and_replay_change_nothing_but_rounding():
    inputs, index = images(12), np.arange(100, 112)
    whole = np.asarray(JITTED(inputs, 4, index, 9, ALL))
    assert whole.dtype == np.float32 and whole.min() >= 0 and whole.max() <= 255
    np.testing.assert_array_equal(JITTED(inputs, 4, index, 9, ALL), whole)
    order = np.random.default_rng(1).permutation(12)
    for rows in (order, order[:5]):
        np.testing.assert_allclose(
            JITTED(inputs[rows], 4, index[rows], 9, ALL), whole[rows], atol=1e-3
        )
    for other in (JITTED(inputs, 5, index, 9, ALL), JITTED(inputs, 4, index, 8, ALL)):
        assert np.mean(np.abs(other - whole) > 1) > 0.3


def test_a_whole_view_is_its_steps_one_after_another():
    image, index = images(1)[0], np.arange(100, 112)

    @jax.jit
    def drawn(number):
        key = draws.view_key(9, 4, number)
        flag, light = draws.alternating(9, 4, number), draws.light(key, ALL)
        return flag, light, draws.box(key, 0.3, 9, 7), draws.centre(key, 9, 7)

    found = JITTED(np.stack([image] * 12), 4, index, 9, ALL)
    for number, each in zip(index, found, strict=True):
        flag, light, box, centre = drawn(number)
        made = augmentation.mirror(augmentation.light(image, light), flag)
        made = augmentation.cut_out(augmentation.resized_crop(made, *box), centre, 3)
        np.testing.assert_allclose(each, made, atol=1e-3)


@pytest.mark.parametrize(
    ('settings', 'shape', 'words'),
    [
        (Views(cutout=7), (9, 7, 3), 'cutout is 7, but images are 9×7; make it smaller'),
        (Views(area=0.5, shift=1), (9, 7, 3), 'both area and shift; set one of them to 0'),
        (Views(area=0.5, crop=5), (9, 9, 3), 'both area and crop; set one of them to 0'),
        (Views(mixup=1.0, cutmix=1.0), (9, 7, 3), 'both mixup and cutmix; set one'),
        (Views(contrast=0.5), (9, 7, 2), 'images have 2 channels, neither 1 nor 3'),
        (Views(mixup=1.0), (9,), r'augments images [H, W, C], but an example has shape (9,)'),
    ],
)
def test_what_does_not_fit_is_refused_in_a_line(settings, shape, words):
    with pytest.raises(UserError) as error:
        views.check(settings, shape, 'config.views')
    assert words in str(error.value) and '\n' not in str(error.value)
