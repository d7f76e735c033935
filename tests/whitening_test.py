import jax
import jax.numpy as jnp
import numpy as np

from mimic_jax.data import whitening


def rows(count=50, size=6):
    random = np.random.default_rng(0)
    return random.normal(size=(count, size)) @ random.normal(size=(size, size)) + 3


def test_moments_by_hand():
    mean, covariance = whitening.moments([np.array([[1.0, 0.0], [3.0, 4.0]]), np.array([[5.0, 2]])])
    np.testing.assert_allclose(mean, [3, 2])
    np.testing.assert_allclose(covariance, np.array([[8, 4], [4, 8]]) / 3)


def test_moments_of_parts_are_numpys_of_the_whole():
    data = rows()
    for size in (1, 7, 50):
        mean, covariance = whitening.moments(data[i : i + size] for i in range(0, 50, size))
        np.testing.assert_allclose(mean, data.mean(axis=0), rtol=1e-12)
        np.testing.assert_allclose(covariance, np.cov(data.T, bias=True), rtol=1e-10)
        assert covariance.dtype == np.float64


def test_moments_are_summed_in_float64():
    """A float32 sum of squares near 1 would lose a deviation of 2⁻¹³."""
    part = np.full((1000, 1), 1, np.float32)
    part[::2] += np.float32(2**-12)
    _, covariance = whitening.moments([part] * 100)
    np.testing.assert_allclose(covariance, [[2.0**-26]], rtol=1e-6)


def test_zca_matrix_by_hand():
    """Eigenvalues 3 along (1, 1)/√2 and 1 along (1, −1)/√2; bias 1 makes them 1/2 and 1/√2."""
    result = whitening.zca_matrix(np.array([[2.0, 1.0], [1.0, 2.0]]), 1.0)
    a, b = 1 / 2, 1 / np.sqrt(2)
    np.testing.assert_allclose(result, np.array([[a + b, a - b], [a - b, a + b]]) / 2, rtol=1e-12)


def test_zca_matrix_is_symmetric_and_undoes_the_covariance():
    data = rows(count=500, size=40)
    covariance = np.cov(data.T, bias=True)
    matrix = whitening.zca_matrix(covariance, 0.1)
    np.testing.assert_array_equal(matrix, matrix.T)
    np.testing.assert_allclose(
        matrix @ (covariance + 0.1 * np.eye(40)) @ matrix, np.eye(40), atol=1e-8
    )


def test_zca_matrix_of_nothing_at_all_is_the_biases():
    np.testing.assert_allclose(whitening.zca_matrix(np.zeros((3, 3)), 0.25), 2 * np.eye(3))


def test_whiten_asks_for_full_precision():
    data = rows().astype(np.float32)
    mean, matrix = data.mean(axis=0), whitening.zca_matrix(np.cov(data.T), 0.1).astype(np.float32)
    np.testing.assert_allclose(
        whitening.whiten(data, mean, matrix), (data - mean) @ matrix, rtol=1e-4, atol=1e-5
    )
    program = str(jax.make_jaxpr(whitening.whiten)(*map(jnp.asarray, (data, mean, matrix))))
    assert 'HIGHEST' in program
