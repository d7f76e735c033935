"""Where to look next: expected improvement under a Gaussian process, maximised over the unit cube.

It follows Snoek, Larochelle & Adams 2012 (§3): slice sampling integrates over the hyperparameters,
and fantasies integrate over the outcomes of running trials. All arithmetic is float64 on the CPU,
whatever the process's defaults: a likelihood of smooth data needs the digits, and the arrays are
small.
"""

import contextlib
from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
from scipy import optimize
from scipy.stats import qmc

from mimic_jax.runtime import backend
from mimic_jax.search import gaussian_process as gp
from mimic_jax.search.slice_sampling import UNIFORMS, slice_sample

SAMPLES = 10  # of the hyperparameters
BURN_IN = 10  # sweeps before the first of them
FANTASIES = 8  # of running trials' outcomes, for each sample
SPREAD = 1024  # candidates over the whole cube
NEARBY = 512  # candidates around the best points seen
CLIMBS = 8  # candidates that are improved by local ascent


def suggest(
    inputs: np.ndarray,
    outcomes: np.ndarray,
    pending: np.ndarray,
    snap: Callable[[np.ndarray], np.ndarray],
    seed: tuple[int, ...],
) -> np.ndarray:
    """The point [D] of the unit cube with the largest expected improvement.

    inputs: [N, D], N ≥ 1, of finished trials; outcomes: [N], lower is better; pending: [P, D], of
    running ones. snap: rounds points [M, D] as the search space does. seed: of all random draws.
    """
    rng = np.random.default_rng(seed)
    candidates = snap(_candidates(inputs, outcomes, rng))
    with _double_precision():
        posteriors = _posteriors(inputs, outcomes, pending, rng)
        scores = np.asarray(_score(posteriors, candidates))
        ends = snap(_climb(posteriors, candidates[_best_starts(scores)]))
        end_scores, _ = _score_and_gradient(posteriors, ends)
    points, scores = np.concatenate([ends, candidates]), np.concatenate([end_scores, scores])
    return points[np.argmax(scores)]


@contextlib.contextmanager
def _double_precision():
    with jax.enable_x64(True), jax.default_device(backend.host()):
        yield


def _posteriors(inputs, outcomes, pending, rng) -> gp.Posterior:
    """One posterior for each sample of the hyperparameters, stacked."""
    finished, running, dimensions = len(inputs), len(pending), inputs.shape[1]
    size = padded(finished + running)
    rows = np.zeros((size, dimensions))
    rows[:finished] = inputs
    rows[finished : finished + running] = pending
    values = np.zeros(size)
    values[:finished] = standardised(outcomes)
    at = np.arange(size)
    observed, awaited = at < finished, (at >= finished) & (at < finished + running)
    # Drawn here and not by jax.random, whose generator takes seconds to compile.
    uniforms = rng.random((BURN_IN + SAMPLES, dimensions + 3, UNIFORMS))
    normals = rng.standard_normal((SAMPLES, FANTASIES if running else 1, size))
    return _fit(rows, values, observed, awaited, uniforms, normals)


def padded(rows: int) -> int:
    """The number of rows after padding: one of few sizes, so that few programs are compiled."""
    return 16 if rows <= 16 else -(-rows // 32) * 32


def standardised(outcomes: np.ndarray) -> np.ndarray:
    deviation = np.std(outcomes)
    return (outcomes - np.mean(outcomes)) / (deviation if deviation > 0 else 1.0)


@jax.jit
def _fit(inputs, outcomes, observed, pending, uniforms, normals):
    def log_density(position):
        hyperparameters = gp.unpack(position)
        likelihood = gp.log_marginal_likelihood(hyperparameters, inputs, outcomes, observed)
        return likelihood + log_prior(position)

    chain = slice_sample(log_density, uniforms, prior_mean(inputs.shape[1]))[BURN_IN:]
    return jax.vmap(
        lambda position, draws: gp.condition(
            gp.unpack(position), inputs, outcomes, observed, pending, draws
        )
    )(chain, normals)


def prior_mean(dimensions: int) -> jax.Array:
    scale = np.log(0.5 * np.sqrt(dimensions))
    return jnp.array([scale] * dimensions + [np.log(1.0), np.log(1e-4), 0.0])


def log_prior(position: jax.Array) -> jax.Array:
    """The prior's log density, up to a constant, for standardised outcomes.

    Length scales, amplitude and noise are log-normal, and the mean is normal.

    The length scales' median grows with √D, as distances in the unit cube do (Hvarfner, Hellsten &
    Nardi 2024, "Vanilla Bayesian optimization performs great in high dimensions", §4).
    """
    dimensions = len(position) - 3
    deviation = jnp.array([1.0] * dimensions + [1.5, 3.0, 1.0])
    return -0.5 * jnp.sum(((position - prior_mean(dimensions)) / deviation) ** 2)


@jax.jit
def _score(posteriors: gp.Posterior, points: jax.Array) -> jax.Array:
    """log of the expected improvement, averaged over hyperparameters and fantasies; [M, D] → [M]."""
    scores = jax.vmap(gp.log_expected_improvement, in_axes=(0, None))(posteriors, points)
    return jax.scipy.special.logsumexp(scores, axis=0) - np.log(len(scores))


@jax.jit
def _score_and_gradient(posteriors, points):
    """Scores [M] and their gradients [M, D]; each score depends on its own point alone."""
    scores, pull = jax.vjp(lambda points: _score(posteriors, points), points)
    return scores, pull(jnp.ones_like(scores))[0]


def _candidates(inputs: np.ndarray, outcomes: np.ndarray, rng) -> np.ndarray:
    """Sobol points over the cube, and points around the best trials at all distances."""
    dimensions = inputs.shape[1]
    spread = qmc.Sobol(dimensions, rng=rng).random(SPREAD)
    best = inputs[np.argsort(outcomes, kind='stable')[:4]]
    centres = best[rng.integers(len(best), size=NEARBY)]
    distance = 10 ** rng.uniform(-3, -0.5, (NEARBY, 1))
    moved = rng.random((NEARBY, dimensions)) < rng.uniform(0, 1, (NEARBY, 1))
    nearby = centres + distance * moved * rng.standard_normal((NEARBY, dimensions))
    return np.clip(np.concatenate([spread, nearby]), 0, 1)


def _best_starts(scores: np.ndarray) -> np.ndarray:
    """Rows of the best candidates, one half spread over the cube and one half near the best trials."""
    half = CLIMBS // 2
    spread = np.argsort(-scores[:SPREAD], kind='stable')[:half]
    nearby = SPREAD + np.argsort(-scores[SPREAD:], kind='stable')[:half]
    return np.concatenate([spread, nearby])


def _climb(posteriors: gp.Posterior, starts: np.ndarray) -> np.ndarray:
    """The starts [M, D], each moved uphill. The gradient of the sum of scores is that of each score."""

    def loss(flat):
        scores, gradient = _score_and_gradient(posteriors, flat.reshape(starts.shape))
        return -float(np.sum(scores)), -np.asarray(gradient).ravel()

    result = optimize.minimize(
        loss,
        starts.ravel(),
        jac=True,
        method='L-BFGS-B',
        bounds=[(0.0, 1.0)] * starts.size,
        options={'maxiter': 100},
    )
    return result.x.reshape(starts.shape)
