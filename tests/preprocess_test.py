import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mimic_jax.data import preprocess
from mimic_jax.errors import UserError


def uint8_images(count=5, shape=(6, 5, 3)):
    return np.random.default_rng(0).integers(0, 256, (count, *shape), dtype=np.uint8)


def fit(kind, inputs):
    """Fitted to all of the inputs."""
    return preprocess.fit(kind, inputs, np.arange(len(inputs)))


def test_each_image_minus_its_mean_over_its_deviation():
    images = uint8_images()
    assert fit('image', images) == {}
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


@pytest.mark.parametrize('kind', ['image', 'gcn'])
@pytest.mark.parametrize('level', [np.uint8(0), np.uint8(255), np.float32(0.1), np.float32(1e6)])
def test_a_constant_image_gives_zeros(kind, level):
    images = np.full((2, 32, 32, 3), level)
    np.testing.assert_array_equal(preprocess.apply(kind, {}, images), np.zeros(images.shape))


def test_features_by_training_mean_and_deviation(monkeypatch):
    monkeypatch.setattr(preprocess, '_ROWS', 7)  # several parts, the last one short
    random = np.random.default_rng(1)
    train = (random.normal(size=(40, 3)) * [1, 50, 0.01] + [0, 1000, 5]).astype(np.float32)
    test = train[:4] + 1
    stats = fit('feature', train)
    assert {key: (a.shape, a.dtype) for key, a in stats.items()} == {
        'mean': ((3,), np.float32),
        'deviation': ((3,), np.float32),
    }
    exact = train.astype(np.float64)
    np.testing.assert_allclose(stats['mean'], exact.mean(0), rtol=1e-6)
    np.testing.assert_allclose(stats['deviation'], exact.std(0), rtol=1e-6)
    expected = (test - exact.mean(0)) / exact.std(0)
    np.testing.assert_allclose(preprocess.apply('feature', stats, test), expected, rtol=1e-3)


def test_channels_by_training_mean_and_deviation(monkeypatch):
    monkeypatch.setattr(preprocess, '_ROWS', 7)
    train = uint8_images(count=40, shape=(4, 5, 3)) // np.array([1, 2, 5], np.uint8)
    train[..., 2] = 9  # a constant channel
    stats = fit('channel', train)
    exact = train.astype(np.float64)
    np.testing.assert_allclose(stats['mean'], exact.mean((0, 1, 2)), rtol=1e-6)
    np.testing.assert_allclose(stats['deviation'][:2], exact.std((0, 1, 2))[:2], rtol=1e-6)
    result = np.asarray(preprocess.apply('channel', stats, train), np.float64)
    np.testing.assert_allclose(result.mean((0, 1, 2)), 0, atol=1e-5)
    np.testing.assert_allclose(result.std((0, 1, 2)), [1, 1, 0], rtol=1e-5)
    np.testing.assert_array_equal(preprocess.apply('channel', stats, train + 1)[..., 2], 0)


@pytest.mark.parametrize('level', [0.1, 12345.678, 0.0])
def test_a_feature_constant_in_training_gives_zero_always(level):
    train = np.random.default_rng(2).normal(size=(1000, 2))
    train[:, 1] = level
    stats = fit('feature', train)
    assert stats['deviation'][1] == 0
    result = preprocess.apply('feature', stats, train + np.array([0, 3]))
    np.testing.assert_array_equal(result[:, 1], np.zeros(1000))
    assert np.isclose(np.std(result[:, 0]), 1, atol=1e-3)


def test_a_nearly_constant_feature_is_kept():
    train = np.full((100, 1), 5, np.float32)
    train[7] = 6
    result = preprocess.apply('feature', fit('feature', train), train)
    np.testing.assert_allclose(result[7], [99 / np.sqrt(99)], rtol=1e-4)


def test_scale_divides_bytes_and_leaves_floats():
    scaled = preprocess.apply('scale', {}, np.array([[0, 51, 255]], np.uint8))
    np.testing.assert_allclose(scaled, [[0, 0.2, 1]], rtol=1e-6)
    floats = np.array([[-3.5, 400.0]], np.float32)
    np.testing.assert_array_equal(preprocess.apply('scale', {}, floats), floats)


@pytest.mark.parametrize('kind', preprocess.KINDS)
def test_inside_jit_the_numbers_are_the_same(kind):
    images = uint8_images(count=40, shape=(4, 3, 3))
    stats = fit(kind, images)
    inside = jax.jit(lambda stats, x: preprocess.apply(kind, stats, x))(stats, images)
    assert inside.shape == images.shape and inside.dtype == jnp.float32
    np.testing.assert_allclose(inside, preprocess.apply(kind, stats, images), atol=1e-5)


def test_mistakes_are_one_line():
    frames = np.ones((4, 3), np.float32)
    for call in (
        lambda kind, x: fit(kind, x),
        lambda kind, x: preprocess.apply(kind, {}, x),
    ):
        with pytest.raises(UserError, match="'imgae'; did you mean 'image'") as unknown:
            call('imgae', uint8_images())
        with pytest.raises(UserError, match=r"'image', but the inputs have shape \(4, 3\)") as flat:
            call('image', frames)
        assert '\n' not in f'{unknown.value}{flat.value}'
    with pytest.raises(UserError, match='no training examples'):
        fit('feature', frames[:0])


def test_contrast_normalisation_by_hand():
    """Pixels 0, 2, 4, 10 have mean 4; 16 + 4 + 0 + 36 = 56 is their squared norm about it."""
    image = np.array([0, 2, 4, 10], np.uint8).reshape(1, 2, 2, 1)
    expected = 55 * np.array([-4, -2, 0, 6]) / np.sqrt(56)
    assert fit('gcn', image) == {}
    result = preprocess.apply('gcn', {}, image)
    assert result.shape == image.shape and result.dtype == jnp.float32
    np.testing.assert_allclose(np.ravel(result), expected, rtol=1e-6)


def test_contrast_normalisation_makes_no_difference_between_bright_and_dim():
    images = uint8_images()
    result = preprocess.apply('gcn', {}, images)
    np.testing.assert_allclose(np.linalg.norm(result.reshape(5, -1), axis=1), 55, rtol=1e-5)
    changed = preprocess.apply('gcn', {}, images.astype(np.float32) / 255 * 3 + 7)
    np.testing.assert_allclose(changed, result, atol=1e-4)


def correlated_images(count=200, shape=(3, 4, 2), seed=3):
    """Random images in which neighbours are alike, as in photographs."""
    noise = np.random.default_rng(seed).normal(size=(count, *shape)).cumsum(axis=1).cumsum(axis=2)
    return np.clip(128 + 20 * noise, 0, 255).astype(np.uint8)


def whitened_in_numpy(train, images):
    """GCN and ZCA worked out another way: float64, np.cov, a singular value decomposition."""

    def normalised(x):
        x = x.reshape(len(x), -1).astype(np.float64)
        x = x - x.mean(axis=1, keepdims=True)
        return 55 * x / np.sqrt((x**2).sum(axis=1, keepdims=True))

    x = normalised(train)
    u, s, _ = np.linalg.svd(np.cov(x, rowvar=False, bias=True))
    matrix = (u / np.sqrt(s + 0.1)) @ u.T
    return (normalised(images) - x.mean(axis=0)) @ matrix, u, s


def test_whitening_agrees_with_numpy():
    train, images = correlated_images(), correlated_images(count=7, seed=4)
    stats = fit('gcn_zca', train)
    assert {key: (a.shape, a.dtype) for key, a in stats.items()} == {
        'mean': ((24,), np.float32),
        'matrix': ((24, 24), np.float32),
    }
    result = preprocess.apply('gcn_zca', stats, images)
    assert result.shape == images.shape and result.dtype == jnp.float32
    expected, _, _ = whitened_in_numpy(train, images)
    np.testing.assert_allclose(result, expected.reshape(images.shape), atol=3e-4)


def test_whitened_training_images_have_the_covariance_that_the_bias_leaves():
    train = correlated_images()
    white = np.asarray(preprocess.apply('gcn_zca', fit('gcn_zca', train), train), np.float64)
    white = white.reshape(len(train), -1)
    _, u, s = whitened_in_numpy(train, train)
    expected = (u * (s / (s + 0.1))) @ u.T
    np.testing.assert_allclose(white.mean(axis=0), 0, atol=1e-4)
    np.testing.assert_allclose(np.cov(white, rowvar=False, bias=True), expected, atol=1e-4)
    # One direction, the mean of all pixels, is empty after GCN; the others come near 1.
    assert s[-1] < 1e-9 and np.sort(np.linalg.eigvalsh(expected))[1] > 0.9


@pytest.mark.parametrize('rows', [1, 7, 100])
def test_whitening_fitted_in_parts_is_the_same(monkeypatch, rows):
    train = correlated_images(count=100)
    whole = fit('gcn_zca', train)
    monkeypatch.setattr(preprocess, '_ROWS', rows)
    parts = fit('gcn_zca', train)
    for key in ('mean', 'matrix'):
        np.testing.assert_allclose(parts[key], whole[key], atol=1e-5)


@pytest.mark.parametrize('kind', preprocess.FITTED)
def test_only_the_examples_named_are_fitted_to(kind):
    images = correlated_images(count=120)
    chosen = np.sort(np.random.default_rng(0).permutation(120)[:60])
    stats = preprocess.fit(kind, images, chosen)
    poisoned = images.copy()
    poisoned[np.setdiff1d(np.arange(120), chosen)] = 255
    for other in (preprocess.fit(kind, poisoned, chosen), fit(kind, images[chosen])):
        for key, array in stats.items():
            np.testing.assert_array_equal(other[key], array)


def test_whitening_wants_an_image_a_dimension():
    assert fit('gcn_zca', correlated_images(count=24))
    with pytest.raises(UserError, match='24 dimensions, but there are only 23 images') as few:
        fit('gcn_zca', correlated_images(count=23))
    with pytest.raises(UserError, match=r"'gcn_zca', but the inputs have shape \(40, 3\)") as flat:
        fit('gcn_zca', np.ones((40, 3), np.float32))
    assert '\n' not in f'{few.value}{flat.value}'


def test_a_constant_image_is_whitened_without_nan():
    train = correlated_images()
    train[5] = 77
    stats = fit('gcn_zca', train)
    black, grey = preprocess.apply('gcn_zca', stats, np.stack([train[5] * 0, train[5]]))
    assert np.isfinite(black).all()
    np.testing.assert_array_equal(black, grey)  # both are zeros before whitening
