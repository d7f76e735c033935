"""Gaussian-process regression, and the expected improvement on the best outcome (lower is better).

The kernel is Matérn-5/2 with a length scale a dimension, as in Snoek, Larochelle & Adams 2012,
"Practical Bayesian optimization of machine learning algorithms", §3.1. Throughout, `inputs` [N, D]
are points of the unit cube and `outcomes` [N] are standardised. Arrays may be padded: `observed` [N]
is true where an outcome is known, `pending` [N] where it is still awaited, and a row that is neither
changes nothing. Cholesky factors of smooth, noiseless data need float64.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import jax.scipy.linalg
import jax.scipy.special
import jax.scipy.stats

# Added to the kernel's diagonal, relative to its amplitude; float64 needs it for two equal points.
_JITTER = 1e-10


class Hyperparameters(NamedTuple):
    """`amplitude` and `noise` are variances, `length_scale` [D] is in units of the inputs."""

    length_scale: jax.Array
    amplitude: jax.Array
    noise: jax.Array
    mean: jax.Array


class Posterior(NamedTuple):
    """What prediction needs. The F fantasies of pending outcomes share all but `weights` and `best`."""

    inputs: jax.Array  # [N, D]
    known: jax.Array  # [N], observed or pending
    hyperparameters: Hyperparameters
    inverse_factor: jax.Array  # [N, N], of the Cholesky factor
    weights: jax.Array  # [F, N]
    best: jax.Array  # [F], the lowest posterior mean at a known input


def unpack(position: jax.Array) -> Hyperparameters:
    """Hyperparameters of a position [D + 3]: logarithms of all but the last, the mean."""
    return Hyperparameters(
        jnp.exp(position[:-3]), jnp.exp(position[-3]), jnp.exp(position[-2]), position[-1]
    )


def matern_52(a: jax.Array, b: jax.Array, length_scale: jax.Array) -> jax.Array:
    """(1 + r + r²/3) exp(−r), r² = 5 Σ_d ((a_d − b_d) / length_scale_d)²; [N, D], [M, D] → [N, M]."""
    squared = 5 * jnp.sum(((a[:, None] - b[None]) / length_scale) ** 2, axis=-1)
    apart = squared > 0
    # The square root has no gradient at 0; the kernel's gradient there is 0.
    r = jnp.where(apart, jnp.sqrt(jnp.where(apart, squared, 1.0)), 0.0)
    return (1 + r + squared / 3) * jnp.exp(-r)


def log_marginal_likelihood(
    hyperparameters: Hyperparameters, inputs: jax.Array, outcomes: jax.Array, observed: jax.Array
) -> jax.Array:
    """log p(outcomes | inputs), a scalar (Rasmussen & Williams 2006, equation 2.30)."""
    factor = _factor(hyperparameters, inputs, observed)
    residual = jnp.where(observed, outcomes - hyperparameters.mean, 0.0)
    white = jax.scipy.linalg.solve_triangular(factor, residual, lower=True)
    return (
        -0.5 * jnp.sum(white**2)
        - jnp.sum(jnp.log(jnp.diagonal(factor)))
        - 0.5 * jnp.sum(observed) * jnp.log(2 * jnp.pi)
    )


def condition(
    hyperparameters: Hyperparameters,
    inputs: jax.Array,
    outcomes: jax.Array,
    observed: jax.Array,
    pending: jax.Array,
    normals: jax.Array,
) -> Posterior:
    """The posterior given the observed outcomes and F joint draws of the pending ones.

    normals: [F, N], standard normal; those of pending rows make the draws. Pending rows stand after
    all observed ones.
    """
    known = observed | pending
    factor = _factor(hyperparameters, inputs, known)
    identity = jnp.eye(len(inputs), dtype=factor.dtype)
    inverse = jax.scipy.linalg.solve_triangular(factor, identity, lower=True)
    residual = jnp.where(observed, outcomes - hyperparameters.mean, 0.0)
    # outcomes − mean = factor · white: given the observed, the pending rows of white are standard
    # normal, and a factor's later rows leave the earlier outcomes alone.
    white = jnp.where(pending, normals, inverse @ residual)
    weights = white @ inverse
    kernel = hyperparameters.amplitude * matern_52(inputs, inputs, hyperparameters.length_scale)
    means = hyperparameters.mean + (weights * known) @ kernel
    best = jnp.min(jnp.where(known, means, jnp.inf), axis=1)
    return Posterior(inputs, known, hyperparameters, inverse, weights, best)


def predict(posterior: Posterior, points: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Mean [F, M] and variance [M] of the function, noise left out, at points [M, D]."""
    length_scale, amplitude, _, mean = posterior.hyperparameters
    kernel = amplitude * matern_52(points, posterior.inputs, length_scale) * posterior.known
    means = mean + posterior.weights @ kernel.T
    explained = jnp.sum((kernel @ posterior.inverse_factor.T) ** 2, axis=1)
    return means, jnp.maximum(amplitude - explained, _JITTER * amplitude)


def log_expected_improvement(posterior: Posterior, points: jax.Array) -> jax.Array:
    """log of the expected improvement on the best, averaged over fantasies; [M, D] → [M]."""
    means, variance = predict(posterior, points)
    deviation = jnp.sqrt(variance)
    by_fantasy = log_improvement((posterior.best[:, None] - means) / deviation)
    averaged = jax.scipy.special.logsumexp(by_fantasy, axis=0) - jnp.log(len(means))
    return averaged + jnp.log(deviation)


def log_improvement(z: jax.Array) -> jax.Array:
    """log(φ(z) + z Φ(z)), without the underflow of φ and Φ far below 0 (Ament et al. 2023, §4.1)."""
    far, high = z < -20.0, z > -1.0
    log_density = -0.5 * z**2 - 0.5 * jnp.log(2 * jnp.pi)
    # Each branch gets only values that it can compute, so that no branch spoils the gradient.
    of_high = jnp.where(high, z, 0.0)
    direct = jnp.log(jax.scipy.stats.norm.pdf(of_high) + of_high * jax.scipy.special.ndtr(of_high))
    middle = jnp.where(far | high, -1.0, z)
    log_ratio = jax.scipy.special.log_ndtr(middle) - jax.scipy.stats.norm.logpdf(middle)
    ratio = jnp.log1p(middle * jnp.exp(log_ratio))
    # Φ(z)'s asymptotic series gives φ + zΦ = φ/z² · (1 − 3/z² + 15/z⁴ − 105/z⁶ + …).
    inverse = 1 / jnp.where(far, z, -20.0) ** 2
    tail = jnp.log(inverse) + jnp.log1p(inverse * (-3 + inverse * (15 - 105 * inverse)))
    return jnp.where(high, direct, log_density + jnp.where(far, tail, ratio))


def _factor(hyperparameters: Hyperparameters, inputs: jax.Array, known: jax.Array) -> jax.Array:
    """Cholesky factor [N, N] of the known outcomes' covariance; rows of padding are the identity's."""
    length_scale, amplitude, noise, _ = hyperparameters
    both = known[:, None] & known[None]
    kernel = jnp.where(both, amplitude * matern_52(inputs, inputs, length_scale), 0.0)
    diagonal = jnp.where(known, noise + _JITTER * amplitude, 1.0)
    return jnp.linalg.cholesky(kernel + jnp.diag(diagonal), symmetrize_input=False)
