"""Colours against `colorsys`, to 1e-5 of the range from 0 to 1."""

import colorsys

import jax
import numpy as np
import pytest

from mimic_jax.data import colour

TOLERANCE = 1e-5
CORNERS = np.array([[r, g, b] for r in (0, 1) for g in (0, 1) for b in (0, 1)], np.float32)
GREYS = np.repeat(np.linspace(0, 1, 9, dtype=np.float32)[:, None], 3, axis=1)


def colours(count=600):
    """Random colours, all corners of the cube, greys, and colours that share two channels."""
    drawn = np.random.default_rng(0).random((count, 3)).astype(np.float32)
    ties = drawn[:60].copy()
    for part, (one, other) in zip(np.split(ties, 3), ((0, 1), (1, 2), (0, 2)), strict=True):
        part[:, one] = part[:, other]
    return np.concatenate([drawn, CORNERS, GREYS, ties, drawn[:20] / 255])


def assert_same_hue(hue, expected):
    """Equal around the circle: 0 is next to 1."""
    apart = np.abs(np.asarray(hue) - expected)
    np.testing.assert_allclose(np.minimum(apart, 1 - apart), 0, atol=TOLERANCE)


def test_hsv_is_colorsys():
    rgb = colours()
    hsv = np.asarray(jax.jit(colour.rgb_to_hsv)(rgb))
    expected = np.array([colorsys.rgb_to_hsv(*map(float, one)) for one in rgb])
    assert_same_hue(hsv[:, 0], expected[:, 0])
    np.testing.assert_allclose(hsv[:, 1:], expected[:, 1:], atol=TOLERANCE)
    assert hsv[:, 0].min() >= 0 and hsv[:, 0].max() < 1


def test_rgb_is_colorsys_and_the_way_back():
    hsv = np.random.default_rng(1).random((600, 3)).astype(np.float32)
    hsv = np.concatenate([hsv, [[h / 6, 1, 1] for h in range(7)], [[0.3, 0, 0.5], [0.3, 1, 0]]])
    rgb = np.asarray(jax.jit(colour.hsv_to_rgb)(hsv.astype(np.float32)))
    expected = [colorsys.hsv_to_rgb(*map(float, one)) for one in hsv]
    np.testing.assert_allclose(rgb, expected, atol=TOLERANCE)
    both = colour.hsv_to_rgb(colour.rgb_to_hsv(colours()))
    np.testing.assert_allclose(both, colours(), atol=TOLERANCE)


def test_hues_go_round():
    hsv = np.array([[0.25, 0.5, 0.7]], np.float32)
    for turns in (-2, -1, 1, 3):
        around = colour.hsv_to_rgb(hsv + np.array([turns, 0, 0]))
        np.testing.assert_allclose(around, colour.hsv_to_rgb(hsv), atol=TOLERANCE)


@pytest.mark.parametrize(
    ('shifts', 'scales'),
    [
        ((0.0, 0.0, 0.0), (1.0, 1.0)),
        ((0.3, 0.0, 0.0), (1.0, 1.0)),
        ((-0.9, 0.26, -0.2), (0.83, 1.13)),
        ((0.05, -0.26, 0.2), (1.21, 0.9)),
        ((0.0, 1.0, 1.0), (1.0, 1.0)),  # cut off at 1
        ((0.0, -1.0, -0.5), (1.0, 1.0)),  # and at 0
    ],
)
def test_adjusting_pixels_is_colorsys_pixel_by_pixel(shifts, scales):
    image = np.random.default_rng(2).integers(0, 256, (5, 7, 3)).astype(np.uint8)
    image[0, :3] = [[0, 0, 0], [255, 255, 255], [90, 90, 90]]
    result = colour.adjust(image, np.float32(shifts), np.float32(scales))
    assert result.dtype == np.float32
    expected = np.zeros(image.shape)
    for place in np.ndindex(5, 7):
        h, s, v = colorsys.rgb_to_hsv(*(image[place] / 255))
        s, v = (
            min(max(scale * value + shift, 0), 1)
            for value, shift, scale in zip((s, v), shifts[1:], scales, strict=True)
        )
        expected[place] = colorsys.hsv_to_rgb((h + shifts[0]) % 1, s, v)
    np.testing.assert_allclose(result, 255 * expected, atol=255 * TOLERANCE)


def test_other_channels_and_constants_are_refused():
    with pytest.raises(AssertionError):
        colour.rgb_to_hsv(np.zeros((4, 4), np.float32))
    with pytest.raises(AssertionError):
        colour.adjust(np.zeros((4, 4, 3)), np.zeros(2), np.ones(2))
