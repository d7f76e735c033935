"""Crops resampled by matrices against `scipy.ndimage.zoom` on the crop alone."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import ndimage

from mimic_jax.data import spline


@pytest.mark.parametrize('size', [2, 3, 7, *range(24, 33)])
def test_a_zoom_matrix_is_scipys_zoom(size):
    samples = np.random.default_rng(size).normal(size=(size, 5))
    expected = ndimage.zoom(samples, (32 / size, 1), order=3)
    np.testing.assert_allclose(spline.zoom_matrix(size, 32) @ samples, expected, atol=1e-12)


def test_zoom_keeps_the_ends_constants_and_a_whole_axis():
    matrix = spline.zoom_matrix(24, 32)
    np.testing.assert_allclose(matrix.sum(axis=1), 1)
    samples = np.random.default_rng(0).normal(size=24)
    np.testing.assert_allclose((matrix @ samples)[[0, -1]], samples[[0, -1]])
    np.testing.assert_allclose(spline.zoom_matrix(32, 32), np.eye(32), atol=1e-12)


@functools.cache
def zooms():
    return spline.zoom_matrices(24, 32)


def test_every_crop_has_its_matrix():
    assert zooms().shape == (9, 32, 40) and zooms().dtype == np.float32
    for size in range(24, 33):
        for start in range(33 - size):
            matrix = np.asarray(spline.crop_matrix(zooms(), size, start))
            expected = np.zeros((32, 32), np.float32)
            expected[:, start : start + size] = spline.zoom_matrix(size, 32)
            np.testing.assert_array_equal(matrix, expected)


def test_matrices_of_large_images_are_one_a_size_and_not_one_a_crop():
    # 65 sizes of crop 160 would take 17 MB; the 2,145 matrices of its crops took 430.
    assert spline.zoom_matrices(220, 224).nbytes == 5 * 224 * 228 * 4
    assert spline.zoom_matrices(8, 8).shape == (1, 8, 8)


@jax.jit
def crop(image, size, top, left):
    rows, columns = (spline.crop_matrix(jnp.asarray(zooms()), size, at) for at in (top, left))
    return spline.resample(image, rows, columns)


@pytest.mark.parametrize('size', range(24, 33))
def test_a_resampled_crop_is_scipys(size):
    """In float32, of pixels from 0 to 255: within 0.001 each."""
    draw = np.random.default_rng(size)
    image = draw.integers(0, 256, (32, 32, 3)).astype(np.uint8)
    for top, left in {(0, 32 - size), tuple(draw.integers(0, 33 - size, 2))}:
        part = image[top : top + size, left : left + size].astype(np.float64)
        expected = np.stack(
            [ndimage.zoom(part[..., c], 32 / size, order=3) for c in range(3)], axis=-1
        )
        result = crop(image, size, top, left)
        assert result.dtype == np.float32
        np.testing.assert_allclose(result, expected, atol=1e-3)


def test_resampling_takes_rows_and_columns_of_any_length():
    draw = np.random.default_rng(0)
    image, rows, columns = (draw.normal(size=s) for s in ((4, 5, 2), (3, 4), (6, 5)))
    result = spline.resample(image, rows.astype(np.float32), columns.astype(np.float32))
    expected = np.einsum('ih,hwc,jw->ijc', rows, image, columns)
    np.testing.assert_allclose(result, expected, atol=1e-5)
