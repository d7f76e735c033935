import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mimic_jax.data import preprocess
from mimic_jax.errors import UserError


def uint8_images(count=5, shape=(6, 5, 3)):
    return np.random.default_rng(0).integers(0, 256, (count, *shape), dtype=np.uint8)


def test_each_image_minus_its_mean_over_its_deviation():
    images = uint8_images()
    assert preprocess.fit('image', images) == {}
    result = preprocess.apply('image', {}, images)
    assert result.dtype == jnp.float32
    for image, ours in zip(images.astype(np.float64), result, strict=True):
        np.testing.assert_allclose(ours, (image - image.mean()) / image.std(), atol=2e-6)


def test_image_does_not_depend_on_brightness_contrast_or_batch():
    images = uint8_images()
    plain = preprocess.apply('image', {}, images)
    changed = preprocess.apply('image', {}, images.astype(np.float32) / 255 * 3 + 7)
    np.testing.assert_allclose(plain, changed, atol=1e-5)
    alone = preprocess.apply('image', {}, images[2:3])
    np.testing.assert_allclose(alone[0], plain[2], atol=1e-6)


@pytest.mark.parametrize('level', [np.uint8(0), np.uint8(255), np.float32(0.1), np.float32(1e6)])
def test_a_constant_image_gives_zeros(level):
    images = np.full((2, 32, 32, 3), level)
    np.testing.assert_array_equal(preprocess.apply('image', {}, images), np.zeros(images.shape))


def test_features_by_training_mean_and_deviation(monkeypatch):
    monkeypatch.setattr(preprocess, '_ROWS', 7)  # several parts, the last one short
    random = np.random.default_rng(1)
    train = (random.normal(size=(40, 3)) * [1, 50, 0.01] + [0, 1000, 5]).astype(np.float32)
    test = train[:4] + 1
    stats = preprocess.fit('feature', train)
    assert {key: (a.shape, a.dtype) for key, a in stats.items()} == {
        'mean': ((3,), np.float32),
        'deviation': ((3,), np.float32),
    }
    exact = train.astype(np.float64)
    np.testing.assert_allclose(stats['mean'], exact.mean(0), rtol=1e-6)
    np.testing.assert_allclose(stats['deviation'], exact.std(0), rtol=1e-6)
    expected = (test - exact.mean(0)) / exact.std(0)
    np.testing.assert_allclose(preprocess.apply('feature', stats, test), expected, rtol=1e-3)


@pytest.mark.parametrize('level', [0.1, 12345.678, 0.0])
def test_a_feature_constant_in_training_gives_zero_always(level):
    train = np.random.default_rng(2).normal(size=(1000, 2))
    train[:, 1] = level
    stats = preprocess.fit('feature', train)
    assert stats['deviation'][1] == 0
    result = preprocess.apply('feature', stats, train + np.array([0, 3]))
    np.testing.assert_array_equal(result[:, 1], np.zeros(1000))
    assert np.isclose(np.std(result[:, 0]), 1, atol=1e-3)


def test_a_nearly_constant_feature_is_kept():
    train = np.full((100, 1), 5, np.float32)
    train[7] = 6
    result = preprocess.apply('feature', preprocess.fit('feature', train), train)
    np.testing.assert_allclose(result[7], [99 / np.sqrt(99)], rtol=1e-4)


def test_scale_divides_bytes_and_leaves_floats():
    scaled = preprocess.apply('scale', {}, np.array([[0, 51, 255]], np.uint8))
    np.testing.assert_allclose(scaled, [[0, 0.2, 1]], rtol=1e-6)
    floats = np.array([[-3.5, 400.0]], np.float32)
    np.testing.assert_array_equal(preprocess.apply('scale', {}, floats), floats)


@pytest.mark.parametrize('kind', preprocess.KINDS)
def test_inside_jit_the_numbers_are_the_same(kind):
    images = uint8_images()
    stats = preprocess.fit(kind, images)
    inside = jax.jit(lambda stats, x: preprocess.apply(kind, stats, x))(stats, images)
    assert inside.shape == images.shape and inside.dtype == jnp.float32
    np.testing.assert_allclose(inside, preprocess.apply(kind, stats, images), atol=1e-5)


def test_mistakes_are_one_line():
    frames = np.ones((4, 3), np.float32)
    for call in (
        lambda kind, x: preprocess.fit(kind, x),
        lambda kind, x: preprocess.apply(kind, {}, x),
    ):
        with pytest.raises(UserError, match="'imgae'; did you mean 'image'") as unknown:
            call('imgae', uint8_images())
        with pytest.raises(UserError, match=r"'image', but the inputs have shape \(4, 3\)") as flat:
            call('image', frames)
        assert '\n' not in f'{unknown.value}{flat.value}'
    with pytest.raises(UserError, match='no training examples'):
        preprocess.fit('feature', frames[:0])
