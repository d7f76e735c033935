"""The Gaussian process against scikit-learn, expected improvement against integrals, the slice sampler
against densities whose moments are known."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import integrate, special, stats
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process.kernels import ConstantKernel, Matern

from mimic_jax.search import gaussian_process as gp
from mimic_jax.search.slice_sampling import UNIFORMS, slice_sample

condition, predict = jax.jit(gp.condition), jax.jit(gp.predict)
log_marginal_likelihood = jax.jit(gp.log_marginal_likelihood)
log_expected_improvement = jax.jit(gp.log_expected_improvement)

JITTER = 1e-10
RNG = np.random.default_rng(0)
INPUTS = RNG.random((9, 3))
OUTCOMES = RNG.standard_normal(9)
POINTS = np.concatenate([RNG.random((20, 3)), INPUTS[:2]])
PARAMETERS = gp.Hyperparameters(np.array([0.3, 0.7, 2.0]), 1.7, 0.03, 0.4)
ALL, NONE, ONE_DRAW = np.ones(9, bool), np.zeros(9, bool), np.zeros((1, 9))


@pytest.fixture(autouse=True)
def double_precision():
    with jax.enable_x64(True):
        yield


def sklearn_gp(inputs, outcomes, noise=PARAMETERS.noise):
    kernel = ConstantKernel(PARAMETERS.amplitude) * Matern(PARAMETERS.length_scale, nu=2.5)
    regressor = GaussianProcessRegressor(
        kernel, alpha=noise + JITTER * PARAMETERS.amplitude, optimizer=None
    )
    return regressor.fit(inputs, outcomes - PARAMETERS.mean)


def with_padding(rows):
    """Inputs, outcomes, observed and pending rows, with rows of rubbish after them."""
    inputs = np.concatenate([INPUTS, RNG.random((rows, 3))])
    outcomes = np.concatenate([OUTCOMES, np.full(rows, 1e6)])
    observed = np.arange(9 + rows) < 9
    return inputs, outcomes, observed, np.zeros(9 + rows, bool)


def test_posterior_is_that_of_scikit_learn():
    posterior = condition(PARAMETERS, INPUTS, OUTCOMES, ALL, NONE, ONE_DRAW)
    means, variance = predict(posterior, POINTS)
    regressor = sklearn_gp(INPUTS, OUTCOMES)
    expected, deviation = regressor.predict(POINTS, return_std=True)
    np.testing.assert_allclose(means[0], expected + PARAMETERS.mean, rtol=1e-9, atol=1e-9)
    np.testing.assert_allclose(variance, deviation**2, rtol=1e-8)
    at_inputs = regressor.predict(INPUTS) + PARAMETERS.mean
    np.testing.assert_allclose(posterior.best, [at_inputs.min()], rtol=1e-9)


def test_marginal_likelihood_is_that_of_scikit_learn():
    ours = log_marginal_likelihood(PARAMETERS, INPUTS, OUTCOMES, ALL)
    theirs = sklearn_gp(INPUTS, OUTCOMES).log_marginal_likelihood_value_
    np.testing.assert_allclose(ours, theirs, rtol=1e-10)


def test_unpack_takes_logarithms_of_all_but_the_mean():
    parameters = gp.unpack(jnp.log(jnp.array([0.3, 0.7, 2.0, 1.7, 0.03, np.exp(0.4)])))
    for ours, expected in zip(parameters, PARAMETERS, strict=True):
        np.testing.assert_allclose(ours, expected, rtol=1e-12)


@pytest.mark.parametrize('rows', [1, 7])
def test_padding_changes_nothing(rows):
    inputs, outcomes, observed, pending = with_padding(rows)
    np.testing.assert_allclose(
        log_marginal_likelihood(PARAMETERS, inputs, outcomes, observed),
        log_marginal_likelihood(PARAMETERS, INPUTS, OUTCOMES, ALL),
        rtol=1e-12,
    )
    draws = np.zeros((1, 9 + rows))
    padded = condition(PARAMETERS, inputs, outcomes, observed, pending, draws)
    plain = condition(PARAMETERS, INPUTS, OUTCOMES, ALL, NONE, ONE_DRAW)
    for ours, expected in zip(predict(padded, POINTS), predict(plain, POINTS), strict=True):
        np.testing.assert_allclose(ours, expected, rtol=1e-10, atol=1e-12)
    np.testing.assert_allclose(padded.best, plain.best, rtol=1e-12)


def test_fantasies_are_joint_draws_of_what_is_pending():
    """By the law of total variance, the variance falls by the spread of the fantasies' means."""
    draws = 20_000
    observed, pending = np.arange(9) < 6, np.arange(9) >= 6
    normals = np.random.default_rng(1).standard_normal((draws, 9))
    fantasies = condition(PARAMETERS, INPUTS, OUTCOMES, observed, pending, normals)
    means, variance = (np.asarray(a) for a in predict(fantasies, POINTS))
    before, deviation = sklearn_gp(INPUTS[:6], OUTCOMES[:6]).predict(POINTS, return_std=True)
    _, after = sklearn_gp(INPUTS, OUTCOMES).predict(POINTS, return_std=True)
    np.testing.assert_allclose(variance, after**2, rtol=1e-8)
    np.testing.assert_allclose(means.mean(axis=0), before + PARAMETERS.mean, atol=0.03)
    lost = deviation**2 - after**2
    np.testing.assert_allclose(means.var(axis=0), lost, rtol=0.06, atol=1e-4)


def test_expected_improvement_is_the_integral():
    observed, pending = np.arange(9) < 7, np.arange(9) >= 7
    normals = np.random.default_rng(2).standard_normal((3, 9))
    posterior = condition(PARAMETERS, INPUTS, OUTCOMES, observed, pending, normals)
    means, variance = (np.asarray(a) for a in predict(posterior, POINTS[:6]))
    ours = np.exp(log_expected_improvement(posterior, POINTS[:6]))

    def improvement(mean, deviation, best):
        density = stats.norm(mean, deviation).pdf
        span = (mean - 12 * deviation, best)
        return integrate.quad(lambda f: (best - f) * density(f), *span, epsabs=0)[0]

    for point in range(6):
        expected = np.mean(
            [
                improvement(mean, np.sqrt(variance[point]), best)
                for mean, best in zip(means[:, point], np.asarray(posterior.best), strict=True)
            ]
        )
        np.testing.assert_allclose(ours[point], expected, rtol=1e-6)


def test_log_improvement_far_from_0():
    z = np.array([-1e4, -150.0, -20.1, -19.9, -5.0, -1.01, -0.99, 0.0, 3.0, 60.0])

    def by_integral(z):
        # φ(z) + zΦ(z) = φ(z) ∫ t exp(zt − t²/2) dt over t > 0; t = u/|z| when z is far below 0.
        if z > 10:
            return np.log(z * special.ndtr(z))
        scale = max(1.0, -z)

        def integrand(u):
            return u / scale**2 * np.exp(z * u / scale - (u / scale) ** 2 / 2)

        return stats.norm.logpdf(z) + np.log(integrate.quad(integrand, 0, 60, epsabs=0)[0])

    values, slopes = jax.jit(jax.vmap(jax.value_and_grad(gp.log_improvement)))(z)
    np.testing.assert_allclose(values, [by_integral(one) for one in z], rtol=1e-8)
    # The derivative of φ(z) + zΦ(z) is Φ(z).
    np.testing.assert_allclose(slopes, np.exp(special.log_ndtr(z) - np.asarray(values)), rtol=1e-6)


def test_the_gradient_at_a_known_point_is_finite():
    posterior = condition(PARAMETERS, INPUTS, OUTCOMES, ALL, NONE, ONE_DRAW)
    gradient = jax.jit(
        jax.grad(lambda points: jnp.sum(gp.log_expected_improvement(posterior, points)))
    )(INPUTS)
    assert np.isfinite(gradient).all()
    assert np.abs(gradient).max() > 0


def test_two_equal_points_have_a_factor():
    twice = np.concatenate([INPUTS, INPUTS])
    parameters = PARAMETERS._replace(noise=0.0)
    value = log_marginal_likelihood(parameters, twice, np.tile(OUTCOMES, 2), np.ones(18, bool))
    assert np.isfinite(value)


def test_slice_sampler_on_correlated_normals():
    covariance = np.array([[1.0, 0.6], [0.6, 4.0]])
    precision = jnp.linalg.inv(covariance)
    mean = np.array([3.0, -1.0])
    uniforms = np.random.default_rng(3).random((20_000, 2, UNIFORMS))
    chain = np.asarray(
        jax.jit(
            lambda u: slice_sample(
                lambda x: -0.5 * (x - mean) @ precision @ (x - mean), u, jnp.zeros(2)
            )
        )(uniforms)
    )[100:]
    np.testing.assert_allclose(chain.mean(axis=0), mean, atol=0.08)
    np.testing.assert_allclose(np.cov(chain.T), covariance, atol=0.2)


def test_slice_sampler_on_a_skewed_density_with_an_end():
    """Gamma(3), which has no density below 0; NaN there counts as none."""
    uniforms = np.random.default_rng(4).random((20_000, 1, UNIFORMS))
    chain = np.asarray(
        jax.jit(
            lambda u: slice_sample(lambda x: jnp.sum(2 * jnp.log(x) - x), u, jnp.ones(1), width=0.3)
        )(uniforms)
    )[100:, 0]
    assert chain.min() > 0
    for part in (0.1, 0.5, 0.9):
        assert abs(np.mean(chain < stats.gamma(3).ppf(part)) - part) < 0.02
