"""The norm of all gradients and clipping by it, against NumPy's norm and optax's clipping."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from mimic_jax.training import clipping


@pytest.fixture
def gradients():
    rng = np.random.default_rng(0)
    shapes = {'kernel': (3, 3, 5, 40), 'hidden': (300, 70), 'bias': (7,), 'scale': ()}
    return {name: jnp.asarray(rng.normal(size=shape), 'float32') for name, shape in shapes.items()}


@pytest.fixture(params=['cpu', 'gpu'])
def backend(request, monkeypatch):
    """Both ways of computing, on this machine."""
    monkeypatch.setattr(jax, 'default_backend', lambda: request.param)


def _numpy_norm(gradients):
    return np.linalg.norm(np.concatenate([np.ravel(leaf) for leaf in gradients.values()]))


def _clipped(limit, gradients):
    clip = clipping.clip_by_norm(limit)
    state = clip.init(gradients)

    @jax.jit
    def update(gradients):
        return clip.update(gradients, state, norm=clipping.global_norm(gradients))[0]

    return update(gradients)


def _assert_equal(ours, expected):
    for name, leaf in expected.items():
        np.testing.assert_allclose(ours[name], leaf, rtol=2e-6)


@pytest.mark.usefixtures('backend')
def test_norm_is_that_of_one_long_vector(gradients):
    norm = jax.jit(lambda leaves: clipping.global_norm(leaves))(gradients)
    assert norm.dtype == jnp.float32
    assert norm == pytest.approx(_numpy_norm(gradients), rel=1e-6)


@pytest.mark.usefixtures('backend')
@pytest.mark.parametrize('share', [0.3, 0.999, 1.001, 5.0])
def test_clipping_equals_optaxs(gradients, share):
    limit = float(share * _numpy_norm(gradients))
    theirs = optax.clip_by_global_norm(limit)
    expected, _ = theirs.update(gradients, theirs.init(gradients))
    _assert_equal(_clipped(limit, gradients), expected)


@pytest.mark.usefixtures('backend')
def test_a_limit_of_0_bounds_nothing(gradients):
    large = {name: 1e12 * leaf for name, leaf in gradients.items()}
    _assert_equal(_clipped(0.0, large), large)


@pytest.mark.usefixtures('backend')
@pytest.mark.parametrize('bad', [np.nan, np.inf])
def test_the_norm_tells_of_a_number_that_is_not_finite(gradients, bad):
    gradients['hidden'] = gradients['hidden'].at[299, 69].set(bad)
    assert not np.isfinite(clipping.global_norm(gradients))
