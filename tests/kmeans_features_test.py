"""Coates' features against loops in NumPy, and the SVM against scikit-learn's LinearSVC."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from sklearn.svm import LinearSVC

from mimic_jax.baselines import kmeans_features, svm


def images(count=5, shape=(7, 6, 3), seed=0):
    return np.random.default_rng(seed).integers(0, 256, (count, *shape), dtype=np.uint8)


def dictionary(size=3, channels=3, centroids=9, seed=1):
    draw = np.random.default_rng(seed)
    values = size * size * channels
    return {
        'mean': draw.normal(size=values).astype(np.float32) / 10,
        'matrix': draw.normal(size=(values, values)).astype(np.float32),
        'centroids': draw.normal(size=(centroids, values)).astype(np.float32) * 3,
    }


def features_by_loops(image, fitted, size):
    """One image's features [4K] in float64, a patch at a time, a centroid at a time."""
    height, width = (length - size + 1 for length in image.shape[:2])
    centroids = fitted['centroids'].astype(np.float64)
    sums = np.zeros((2, 2, len(centroids)))
    for row in range(height):
        for column in range(width):
            patch = image[row : row + size, column : column + size].astype(np.float64).ravel()
            patch = (patch - patch.mean()) / np.sqrt(patch.var() + 10)
            patch = (patch - fitted['mean']) @ fitted['matrix'].astype(np.float64)
            distances = [np.linalg.norm(patch - centroid) for centroid in centroids]
            code = [max(0, np.mean(distances) - distance) for distance in distances]
            sums[int(row >= (height + 1) // 2), int(column >= (width + 1) // 2)] += code
    return sums.ravel()


def test_patches_come_in_order_of_row_column_channel():
    shown = images()
    patches = np.asarray(kmeans_features.extract_patches(jnp.asarray(shown), 3))
    assert patches.shape == (5, 5, 4, 27)
    for row in range(5):
        for column in range(4):
            expected = shown[:, row : row + 3, column : column + 3].reshape(5, 27)
            np.testing.assert_array_equal(patches[:, row, column], expected)


def test_sampled_patches_are_different_ones_of_the_named_images():
    shown = images(6)
    examples = np.array([4, 1, 3])
    total = 3 * kmeans_features.positions((7, 6, 3), 3)
    every = np.asarray(kmeans_features.extract_patches(jnp.asarray(shown[examples]), 3))
    every = every.reshape(total, 27)
    known = {patch.tobytes() for patch in every}
    found = kmeans_features.sample_patches(shown, examples, 3, 40, seed=7)
    assert found.shape == (40, 27)
    assert found.dtype == np.uint8
    assert len({patch.tobytes() for patch in found}) == 40
    assert {patch.tobytes() for patch in found} <= known
    again, other = (
        kmeans_features.sample_patches(shown, examples, 3, 40, seed=seed) for seed in (7, 8)
    )
    np.testing.assert_array_equal(found, again)
    assert not np.array_equal(found, other)
    # All of them: each once.
    found = kmeans_features.sample_patches(shown, examples, 3, total, seed=0)
    assert sorted(map(bytes, found)) == sorted(map(bytes, every))


def test_more_patches_than_there_are_and_patches_larger_than_images_are_refused():
    with pytest.raises(ValueError, match='60'):
        kmeans_features.sample_patches(images(6), np.arange(3), 3, 61, seed=0)
    for size in (0, 7):
        with pytest.raises(ValueError, match='7 × 6'):
            kmeans_features.positions((7, 6, 3), size)
    assert kmeans_features.positions((7, 6, 3), 6) == 2
    assert kmeans_features.positions((32, 32, 3), 6) == 27 * 27


def test_normalised_patches_by_hand():
    patches = jnp.array([[1, 3, 5, 7], [9, 9, 9, 9]], jnp.uint8)
    # Mean 4, variance 5; and a constant patch, whose variance is 0.
    expected = [np.array([-3, -1, 1, 3]) / np.sqrt(15), np.zeros(4)]
    np.testing.assert_allclose(kmeans_features.normalise(patches), expected, rtol=1e-6)


def test_whitening_shrinks_each_direction_by_its_variance():
    draw = np.random.default_rng(0)
    mix = draw.normal(size=(6, 6))
    patches = (draw.normal(size=(500, 6)) @ mix + 3).astype(np.float32)
    mean, matrix = kmeans_features.fit_whitening(patches)
    np.testing.assert_allclose(mean, patches.mean(0), rtol=1e-5)
    np.testing.assert_allclose(matrix, matrix.T, atol=1e-6)  # zero-phase: no rotation
    whitened = np.asarray(kmeans_features.whiten(patches, mean, matrix), np.float64)
    # Variance λ becomes λ / (λ + .1), along the same axes.
    covariance = np.cov(patches.astype(np.float64), rowvar=False, ddof=0)
    expected = covariance @ np.linalg.inv(covariance + 0.1 * np.eye(6))
    np.testing.assert_allclose(np.cov(whitened, rowvar=False, ddof=0), expected, atol=1e-4)


def test_triangle_code_by_hand():
    centroids = jnp.array([[0.0, 0.0], [3.0, 4.0], [0.0, 10.0]])
    code = kmeans_features.triangle_code(jnp.array([[0.0, 0.0]]), centroids)
    np.testing.assert_allclose(code, [[5, 0, 0]], atol=1e-5)  # distances 0, 5, 10


def test_quadrants_of_an_odd_size_give_the_middle_to_the_top_left():
    codes = jnp.arange(15.0).reshape(1, 5, 3, 1)
    pooled = kmeans_features.pool_quadrants(codes)
    np.testing.assert_array_equal(
        pooled, [[0 + 1 + 3 + 4 + 6 + 7, 2 + 5 + 8, 9 + 10 + 12 + 13, 11 + 14]]
    )


@pytest.mark.parametrize(('shape', 'size'), [((7, 6, 3), 3), ((6, 6, 1), 2), ((4, 4, 2), 4)])
def test_features_equal_loops(shape, size):
    shown = images(3, shape)
    fitted = dictionary(size, shape[2])
    found = kmeans_features.features(jnp.asarray(shown), fitted, size)
    expected = [features_by_loops(image, fitted, size) for image in shown]
    assert found.shape == (3, 36)
    np.testing.assert_allclose(found, expected, rtol=1e-3, atol=1e-3)
    assert np.count_nonzero(expected)


def test_features_do_not_depend_on_the_batch():
    shown, fitted = images(10), dictionary()
    whole = kmeans_features.features(jnp.asarray(shown), fitted, 3)
    parts = [kmeans_features.features(jnp.asarray(shown[i : i + 5]), fitted, 3) for i in (0, 5)]
    np.testing.assert_allclose(np.concatenate(parts), whole, rtol=1e-4, atol=1e-4)


def means_by_loops(values, start, iterations):
    """The authors' k-means in float64, a value at a time: empty centroids are 0."""
    centroids = start.astype(np.float64)
    for _ in range(iterations):
        sums, counts = np.zeros_like(centroids), np.zeros(len(centroids))
        for value in values.astype(np.float64):
            own = np.argmin([np.sum((value - centroid) ** 2) for centroid in centroids])
            sums[own] += value
            counts[own] += 1
        centroids = sums / np.maximum(counts, 1)[:, None]
    return centroids, counts


@pytest.mark.parametrize('iterations', [1, 3, 60])
def test_k_means_is_the_authors_and_sets_empty_centroids_to_0(iterations):
    draw = np.random.default_rng(3)
    values = (draw.normal(size=(80, 5)) + np.array([9, 0, 0, 0, 0])).astype(np.float32)
    start = 0.1 * np.random.default_rng(0).standard_normal((30, 5))
    expected, counts = means_by_loops(values, start, iterations)
    found = kmeans_features.k_means(values, 30, iterations, seed=0)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)
    assert (counts == 0).any() and not found[counts == 0].any()


def test_dictionary_is_k_means_of_whitened_patches():
    """Patches of four kinds with little noise: each kind's centroids are means of its patches."""
    draw = np.random.default_rng(3)
    kinds = draw.integers(0, 256, (4, 12)).astype(np.float32)
    own = np.repeat(np.arange(4), 100)
    patches = kinds[own] + draw.normal(scale=0.5, size=(400, 12)).astype(np.float32)
    fitted = kmeans_features.fit_dictionary(patches, 8, 50, seed=0)
    assert fitted['centroids'].shape == (8, 12)
    assert {array.dtype.name for array in fitted.values()} == {'float32'}
    normalised = kmeans_features.normalise(jnp.asarray(patches))
    whitened = np.asarray(kmeans_features.whiten(normalised, fitted['mean'], fitted['matrix']))
    nearest = np.linalg.norm(whitened[:, None] - fitted['centroids'], axis=-1).argmin(1)
    for centroid in set(nearest):
        mean = whitened[nearest == centroid].mean(0)
        np.testing.assert_allclose(mean, fitted['centroids'][centroid], atol=1e-3)
    again = kmeans_features.fit_dictionary(patches, 8, 50, seed=0)
    for key, value in fitted.items():
        np.testing.assert_array_equal(value, again[key])


def test_more_centroids_than_patches_are_refused():
    with pytest.raises(ValueError, match='9 centroids'):
        kmeans_features.fit_dictionary(np.zeros((8, 4), np.float32), 9, 5, seed=0)


def test_scale_of_a_file_of_features(tmp_path, monkeypatch):
    values = np.random.default_rng(0).normal(50, 7, (2500, 6)).astype(np.float32)
    values[:, 2] = 40  # constant: √.01
    np.save(tmp_path / 'features.npy', values)
    scale = kmeans_features.fit_scale(np.load(tmp_path / 'features.npy', mmap_mode='r'))
    exact = values.astype(np.float64)
    np.testing.assert_allclose(scale['mean'], exact.mean(0), rtol=1e-6)
    np.testing.assert_allclose(scale['deviation'], np.sqrt(exact.var(0) + 0.01), rtol=1e-6)
    standard = kmeans_features.standardise(values, scale)
    assert standard.dtype == np.float32
    np.testing.assert_allclose(standard, (exact - exact.mean(0)) / np.sqrt(exact.var(0) + 0.01),
                               atol=1e-5)  # fmt: skip


def problem(count=120, width=7, classes=4):
    """Overlapping classes as inputs [N, F] and labels [N]."""
    draw = np.random.default_rng(5)
    labels = draw.integers(0, classes, count)
    centres = draw.normal(size=(classes, width))
    return (centres[labels] + draw.normal(size=(count, width))).astype(np.float32), labels


def chunked(inputs, labels, rows):
    """[S, R, F] and [S, R], the last chunk padded with rows that must not count."""
    short = -len(labels) % rows
    inputs = np.concatenate([inputs, np.full((short, inputs.shape[1]), 1e3, np.float32)])
    labels = np.concatenate([labels, np.full(short, -1)])
    return inputs.reshape(-1, rows, inputs.shape[1]), labels.reshape(-1, rows)


def liblinear_objective(coefficients, intercepts, inputs, labels, penalty):
    """½‖w‖² + ½b² + C Σ max(0, 1 − y f)² summed over classes, by the book in float64."""
    total = 0.0
    for k, (w, b) in enumerate(zip(coefficients, intercepts, strict=True)):
        signs = np.where(labels == k, 1.0, -1.0)
        margins = signs * (inputs.astype(np.float64) @ w + b)
        total += 0.5 * (w @ w + b * b) + penalty * np.sum(np.maximum(0, 1 - margins) ** 2)
    return total


@pytest.mark.parametrize('rows', [120, 50, 7])
def test_objective_and_gradient_equal_the_book_whatever_the_chunks(rows):
    inputs, labels = problem()
    weights = np.random.default_rng(6).normal(size=(8, 4))
    arrays = chunked(inputs, labels, rows)

    def book(flat):
        flat = flat.reshape(8, 4)
        return liblinear_objective(flat[:-1].T, flat[-1], inputs, labels, 0.3)

    value, gradient = jax.value_and_grad(svm.objective)(jnp.float32(weights), *arrays, 0.3)
    np.testing.assert_allclose(value, book(weights.ravel()), rtol=1e-5)
    step = 1e-5
    for i in range(32):
        moved = np.zeros(32)
        moved[i] = step
        slope = (book(weights.ravel() + moved) - book(weights.ravel() - moved)) / (2 * step)
        np.testing.assert_allclose(gradient.ravel()[i], slope, rtol=1e-3, atol=1e-2)
    # A factor on the value is a factor on the gradient.
    double = jax.grad(lambda w: 2 * svm.objective(w, *arrays, 0.3))(jnp.float32(weights))
    np.testing.assert_allclose(double, 2 * gradient, rtol=1e-6)


@pytest.mark.parametrize('penalty', [0.01, 1.0])
def test_svm_is_linear_svc(penalty):
    inputs, labels = problem()
    theirs = LinearSVC(
        C=penalty, loss='squared_hinge', dual=False, tol=1e-10, max_iter=100_000
    ).fit(inputs, labels)  # fmt: skip
    seen = []
    weights, facts = svm.fit(
        *chunked(inputs, labels, 50),
        4,
        penalty,
        tolerance=1e-6,
        watch=lambda done, _: seen.append(done),
    )
    # Their bias is regularised as well: intercept_scaling is 1.
    lowest = liblinear_objective(theirs.coef_, theirs.intercept_, inputs, labels, penalty)
    found = liblinear_objective(weights[:-1].T, weights[-1], inputs, labels, penalty)
    assert lowest * (1 - 1e-7) <= found <= lowest * (1 + 1e-6)
    np.testing.assert_allclose(facts['objective'], lowest, rtol=1e-5)
    np.testing.assert_allclose(weights[:-1].T, theirs.coef_, rtol=1e-3, atol=1e-4)
    np.testing.assert_allclose(weights[-1], theirs.intercept_, rtol=1e-3, atol=1e-4)
    np.testing.assert_allclose(
        svm.decision(weights, inputs), theirs.decision_function(inputs), rtol=1e-3, atol=1e-3
    )
    assert seen == list(range(1, facts['iterations'] + 1))
    assert facts['gradient'] <= 1e-5


def test_svm_stops_where_it_is_told_to():
    arrays = chunked(*problem(), 50)
    _, few = svm.fit(*arrays, 4, 1.0, iterations=3)
    assert few['iterations'] == 3
    _, loose = svm.fit(*arrays, 4, 1.0, tolerance=0.05)
    _, tight = svm.fit(*arrays, 4, 1.0, tolerance=1e-3)
    assert few['gradient'] > 1e-3 >= tight['gradient']
    assert loose['gradient'] <= 0.05
    assert loose['iterations'] < tight['iterations'] < 100
    # A tolerance below float32's reach ends for want of progress.
    _, end = svm.fit(*arrays, 4, 1.0, tolerance=0.0, iterations=2000)
    assert end['iterations'] < 2000
