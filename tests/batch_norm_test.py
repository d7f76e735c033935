"""Batch normalisation against Flax's, which knows masks too."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mimic_jax.models.kernels import batch_norm
from mimic_jax.models.layers import BatchNorm


def _case(*shape):
    random = np.random.default_rng(0)
    inputs = jnp.asarray(random.normal(1, 2, shape), jnp.float32)
    scale, bias = jnp.asarray(random.normal(size=(2, shape[-1])), jnp.float32)
    mask = jnp.asarray([1.0, 0.0, 1.0, 1.0, 0.0, 1.0])[: shape[0]]
    return inputs, mask, {'scale': scale, 'bias': bias}


@pytest.mark.parametrize('shape', [(6, 4), (6, 3, 4), (6, 5, 3, 2)])
@pytest.mark.parametrize('masked', [True, False])
def test_outputs_statistics_and_gradients_are_flaxs(shape, masked):
    inputs, mask, params = _case(*shape)
    upstream = jnp.asarray(np.random.default_rng(1).normal(size=shape), jnp.float32)
    flaxs, ours = nn.BatchNorm(use_running_average=False, momentum=0.9), BatchNorm()
    upstream *= mask.reshape(-1, *[1] * (len(shape) - 1))  # what is masked has no gradient
    initial = ours.init(jax.random.key(0), inputs, True, mask)
    assert jax.tree.structure(initial) == jax.tree.structure(flaxs.init(jax.random.key(0), inputs))

    def outputs(module, params, inputs):
        variables = {**initial, 'params': params}
        if module is ours:
            call = (True, mask if masked else None)
            return module.apply(variables, inputs, *call, mutable=['batch_stats'])
        where = mask.reshape(-1, *[1] * (len(shape) - 1)) > 0 if masked else None
        return module.apply(variables, inputs, mask=where, mutable=['batch_stats'])

    @jax.jit
    def found(params, inputs):
        return tuple(
            jax.vjp(lambda *given, module=module: outputs(module, *given), params, inputs)
            for module in (ours, flaxs)
        )

    (mine, pull), (theirs, pull_theirs) = found(params, inputs)
    zeros = jax.tree.map(jnp.zeros_like, mine[1])
    close = lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5)  # noqa: E731
    jax.tree.map(close, mine, theirs)
    jax.tree.map(close, pull((upstream, zeros)), pull_theirs((upstream, zeros)))


def test_initial_statistics_are_untouched_and_testing_reads_them():
    inputs, mask, _ = _case(6, 4)
    module = BatchNorm()
    variables = module.init(jax.random.key(0), inputs, True, mask)
    assert not np.any(variables['batch_stats']['mean'])
    outputs = module.apply(variables, inputs, False, None)
    np.testing.assert_allclose(outputs, inputs / np.sqrt(1 + batch_norm.EPSILON), rtol=1e-6)


def test_bfloat16_has_moments_in_float32():
    inputs, mask, params = _case(6, 50, 4)
    mean, variance = batch_norm.moments(inputs.astype(jnp.bfloat16), mask)
    assert mean.dtype == variance.dtype == jnp.float32
    real = np.asarray(inputs.astype(jnp.bfloat16), np.float64)[np.asarray(mask) > 0]
    np.testing.assert_allclose(mean, real.mean((0, 1)), rtol=1e-5)
    np.testing.assert_allclose(variance, real.var((0, 1)), rtol=1e-4)
    outputs = batch_norm.normalise(inputs.astype(jnp.bfloat16), mean, variance, **params)
    assert outputs.dtype == jnp.bfloat16
