"""Winograd's convolutions against NumPy's correlation and XLA's convolution, and where they are used."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from conftest import load_benchmark
from jax import lax

from mimic_jax.models import layers
from mimic_jax.models.kernels import convolution, winograd
from mimic_jax.runtime import sharding

SHAPES = [  # maps that tiles fit and do not, smaller than the kernel, oblong kernels
    ((2, 8, 12, 5), (5, 5, 5, 7)),
    ((3, 9, 6, 4), (3, 3, 4, 2)),
    ((2, 7, 11, 3), (4, 5, 3, 6)),
    ((2, 13, 5, 2), (2, 4, 2, 3)),
    ((1, 3, 2, 8), (5, 4, 8, 2)),
]
CASES = [
    (*shapes, padding)
    for shapes in SHAPES
    for padding in ('SAME', 'VALID')
    if padding == 'SAME' or shapes[0][1] >= shapes[1][0]
]
TEACHERS = (128, 16, 16, 128), (5, 5, 128, 128)  # of the CNNs of Ba & Caruana's Table 2


def _arrays(*shapes):
    rng = np.random.default_rng(0)
    return [jnp.asarray(rng.standard_normal(shape), jnp.float32) for shape in shapes]


def _reference(inputs, kernel, padding):
    return lax.conv_general_dilated(
        inputs, kernel, (1, 1), padding, dimension_numbers=('NHWC', 'HWIO', 'NHWC')
    )


@functools.partial(jax.jit, static_argnums=(0, 3))
def _output_and_gradients(function, inputs, kernel, padding, upstream):
    output, pull_back = jax.vjp(lambda x, k: function(x, k, padding), inputs, kernel)
    return output, *pull_back(upstream)


def _assert_close(ours, theirs):
    assert ours.shape == theirs.shape
    np.testing.assert_allclose(ours, theirs, rtol=0, atol=2e-4 * np.std(theirs))


@pytest.mark.parametrize('outputs', [2, 3, 4])
@pytest.mark.parametrize('taps', range(2, winograd.MOST_TAPS + 1))
def test_a_tile_is_numpys_correlation(outputs, taps):
    back, kernel, values = winograd.toom_cook(outputs, taps)
    rng = np.random.default_rng(0)
    elements, weights = rng.normal(size=outputs + taps - 1), rng.normal(size=taps)
    assert len(kernel) == outputs + taps - 1
    ours = back @ ((kernel @ weights) * (values @ elements))
    np.testing.assert_allclose(ours, np.correlate(elements, weights, 'valid'), atol=1e-13)


@pytest.mark.parametrize(('shape', 'kernel_shape', 'padding'), CASES)
def test_output_and_gradients_equal_lax(shape, kernel_shape, padding):
    inputs, kernel = _arrays(shape, kernel_shape)
    (upstream,) = _arrays(_reference(inputs, kernel, padding).shape)
    ours = _output_and_gradients(winograd.conv2d, inputs, kernel, padding, upstream)
    theirs = _output_and_gradients(_reference, inputs, kernel, padding, upstream)
    for our_array, their_array in zip(ours, theirs, strict=True):
        _assert_close(our_array, their_array)


def test_a_teachers_layer_goes_by_it_on_cpu_and_equals_lax(monkeypatch):
    inputs, kernel = _arrays((16, *TEACHERS[0][1:]), TEACHERS[1])
    inputs = jnp.maximum(inputs, 0)  # as they are behind a ReLU
    variables = {'params': {'kernel': kernel, 'bias': jnp.zeros(len(kernel[0, 0, 0]))}}

    def outputs():
        layer = layers.Convolution(width=128, window=(5, 5), relu=False)
        return jax.jit(lambda *given: layer.apply(*given, False, None))(variables, inputs)

    ours, theirs = outputs(), jax.jit(lambda *given: _reference(*given, 'SAME'))(inputs, kernel)
    _assert_close(ours, theirs)
    assert (ours != theirs).any()  # rounding differs: it is another program
    monkeypatch.setattr(jax, 'default_backend', lambda: 'gpu')
    np.testing.assert_array_equal(outputs(), theirs)


@pytest.mark.parametrize(
    ('inputs', 'kernel', 'padding', 'dtype', 'pays'),
    [
        (*TEACHERS, 'SAME', 'float32', True),
        (*TEACHERS, 'SAME', 'bfloat16', False),
        ((128, 8, 8, 64), (5, 5, 64, 128), 'SAME', 'float32', True),
        ((128, 8, 8, 32), (5, 5, 32, 128), 'SAME', 'float32', True),
        ((128, 8, 8, 128), (5, 5, 128, 16), 'SAME', 'float32', False),
        ((128, 12, 12, 64), (5, 5, 64, 64), 'VALID', 'float32', True),
        ((128, 9, 9, 64), (5, 5, 64, 64), 'VALID', 'float32', False),  # 5×5 outputs of four tiles
        ((1, 8, 8, 128), (5, 5, 128, 128), 'SAME', 'float32', True),
        ((128, 16, 16, 64), (3, 3, 64, 64), 'SAME', 'float32', True),
        ((128, 16, 16, 32), (3, 3, 32, 64), 'SAME', 'float32', True),
        ((128, 32, 32, 32), (3, 3, 32, 64), 'SAME', 'float32', False),  # the transforms take longer
        ((128, 16, 16, 47), (3, 3, 47, 47), 'SAME', 'float32', False),
        ((128, 15, 15, 64), (3, 3, 64, 64), 'SAME', 'float32', True),
        # Nearly half of the tiles' elements lie outside the map.
        ((128, 6, 6, 128), (3, 3, 128, 128), 'SAME', 'float32', False),
        ((128, 16, 16, 256), (2, 2, 256, 256), 'SAME', 'float32', False),
        ((128, 8, 8, 256), (1, 1, 256, 256), 'SAME', 'float32', False),
        ((128, 8, 8, 256), (1, 5, 256, 256), 'SAME', 'float32', False),
        ((128, 16, 16, 64), (7, 7, 64, 64), 'SAME', 'float32', False),
        ((128, 32, 32, 3), (5, 5, 3, 128), 'SAME', 'float32', False),
        ((128, 4, 4, 64), (5, 5, 64, 64), 'SAME', 'float32', True),
        ((128, 2, 2, 256), (3, 3, 256, 256), 'SAME', 'float32', False),  # no gain
        ((128, 2, 2, 64), (5, 5, 64, 64), 'VALID', 'float32', False),  # no outputs
    ],
)
def test_it_is_used_where_it_pays(inputs, kernel, padding, dtype, pays):
    arrays = (jax.ShapeDtypeStruct(shape, dtype) for shape in (inputs, kernel))
    assert winograd.pays(*arrays, padding) == pays


@pytest.mark.parametrize('size', [3, 5])
def test_an_examples_numbers_do_not_depend_on_the_batch(size):
    inputs, kernel = _arrays((64, 8, 8, 64), (size, size, 64, 64))
    together, alone = (convolution.conv2d(x, kernel, 'SAME') for x in (inputs, inputs[:1]))
    np.testing.assert_array_equal(alone, winograd.conv2d(inputs[:1], kernel, 'SAME'))
    np.testing.assert_array_equal(together, winograd.conv2d(inputs, kernel, 'SAME'))
    np.testing.assert_allclose(alone, together[:1], rtol=0, atol=1.2e-5 * np.std(together))


def test_devices_that_share_a_batch_exchange_the_kernels_gradient_alone():
    inputs, kernel = _arrays((64, 8, 8, 64), (5, 5, 64, 64))
    (upstream,) = _arrays(inputs.shape)
    assert winograd.pays(inputs, kernel, 'SAME')
    mesh = sharding.make_mesh(1, jax.devices())
    split, whole = sharding.batch_sharding(mesh), sharding.replicated(mesh)
    step = _output_and_gradients.lower(
        winograd.conv2d,
        *(
            jax.ShapeDtypeStruct(array.shape, array.dtype, sharding=place)
            for array, place in ((inputs, split), (kernel, whole))
        ),
        'SAME',
        jax.ShapeDtypeStruct(upstream.shape, upstream.dtype, sharding=split),
    ).compile()
    exchanged = load_benchmark('device_memory').collectives(step.as_text())
    points = (winograd.OUTPUTS + 5 - 1) ** 2
    assert exchanged == {'all-reduce': 4 * points * 64 * 64}
    placed = [jax.device_put(inputs, split), jax.device_put(kernel, whole)]
    ours = step(*placed, jax.device_put(upstream, split))
    theirs = _output_and_gradients(_reference, inputs, kernel, 'SAME', upstream)
    for our_array, their_array in zip(ours, theirs, strict=True):
        _assert_close(our_array, their_array)
