"""Absorbing bottlenecks leaves the function as it was."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mimic_jax.errors import UserError
from mimic_jax.models.absorb import absorb, absorb_variables, absorbed
from mimic_jax.models.net import build


def _variables(spec, shape, classes=5):
    """Variables with no entry left at zero or one, so that a lost bias shows."""
    net, inputs = build(spec, classes), np.random.default_rng(0).standard_normal((6, *shape))
    rng = np.random.default_rng(1)
    variables = jax.tree.map(
        lambda leaf: rng.uniform(-0.2, 0.4, leaf.shape).astype(np.float32) + (leaf.ndim == 1),
        jax.eval_shape(net.init, jax.random.key(0), inputs),
    )
    return net, variables, inputs


@pytest.mark.parametrize(
    ('spec', 'without', 'shape'),
    [
        ('4c3-p2-7L-9', '4c3-p2-9', (6, 6, 2)),
        ('7L-9', '9', (11,)),
        ('7L', '', (11,)),
        ('3L^2-4L-9', '9', (11,)),
        ('9-7L', '9', (11,)),
        ('9-7L-8-6L', '9-8', (11,)),
        ('d.5-4c3-d.2-7L-9-d.5', 'd.5-4c3-d.2-9-d.5', (6, 6, 2)),
        ('4c3-p2-9', '4c3-p2-9', (6, 6, 2)),
        ('4c3-bn-7L-9', '4c3-bn-9', (6, 6, 2)),
    ],
)
def test_outputs_stay_equal(spec, without, shape):
    assert absorbed(spec) == without
    net, variables, inputs = _variables(spec, shape)
    smaller = build(without, 5)
    variables_after = {**variables, 'params': absorb(variables['params'])}
    expected_shapes = jax.eval_shape(smaller.init, jax.random.key(0), inputs)['params']
    assert jax.tree.map(jnp.shape, variables_after['params']) == jax.tree.map(
        jnp.shape, expected_shapes
    )
    before = jax.jit(net.apply)(variables, inputs)
    after = jax.jit(smaller.apply)(variables_after, inputs)
    np.testing.assert_allclose(after, before, rtol=1e-4, atol=1e-4 * np.abs(before).max())


def test_batch_statistics_are_renumbered_with_their_layers():
    net, variables, inputs = _variables('7L-9-8-bn', (11,))
    after = absorb_variables(variables)
    assert list(after['batch_stats']) == ['hidden_01']
    close = functools.partial(np.testing.assert_allclose, rtol=1e-4, atol=1e-4)
    close(build('9-8-bn', 5).apply(after, inputs), net.apply(variables, inputs))


def test_absorb_leaves_its_argument_alone():
    _, variables, _ = _variables('7L-9', (11,))
    before = jax.tree.map(np.array, variables['params'])
    absorb(variables['params'])
    jax.tree.map(np.testing.assert_array_equal, variables['params'], before)


def test_many_layers_keep_their_order():
    spec = '-'.join(['3'] * 101 + ['2L', '3'])
    _, variables, _ = _variables(spec, (4,))
    assert list(absorb(variables['params']))[-2:] == ['hidden_101', 'output_102']


@pytest.mark.parametrize(
    ('spec', 'position'),
    [('4c3-7L-bn-9', 2), ('7L-9-bn', 1), ('7L-d.5-9', 1), ('9-7L^2-bn', 2)],
)
def test_specs_that_cannot_be_absorbed(spec, position):
    with pytest.raises(UserError, match=f'token {position} .* cannot be absorbed'):
        absorbed(spec)


@pytest.mark.parametrize('spec', ['7L-bn-9', '7L-9-bn'])
def test_parameters_that_cannot_be_absorbed(spec):
    _, variables, _ = _variables(spec, (11,))
    with pytest.raises(UserError, match='batch normalised'):
        absorb(variables['params'])


def test_trees_that_are_not_a_nets_parameters():
    _, variables, _ = _variables('4c3-7L-9', (6, 6, 2))
    params = variables['params']
    with pytest.raises(ValueError, match='no layer after linear_01'):
        absorb({'conv_00': params['conv_00'], 'linear_01': params['linear_01']})
    with pytest.raises(ValueError, match='not a dense layer'):
        absorb({'linear_00': params['linear_01'], 'conv_01': params['conv_00']})
