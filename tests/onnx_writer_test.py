"""Every layer and every preprocessing as ONNX, run by onnxruntime beside Flax."""

import jax
import numpy as np
import pytest
from conftest import random_variables

from mimic_jax.data import preprocess
from mimic_jax.export import plan as exporting
from mimic_jax.models import grammar, net

pytest.importorskip('onnx', reason="needs the extra 'onnx'")
onnxruntime = pytest.importorskip('onnxruntime', reason="needs the extra 'onnx'")

# Odd sizes, so that SAME pads unequally; windows that do not divide the maps.
CASES = [
    ('feature', 'd.1-8-d.5', (5,), 1.0),
    ('feature', '4c3-p1x2/2s-6', (5, 6, 3), 1.0),
    ('image', '4c3-bn-p2-6', (4, 4, 2), 1.0),
    ('scale', '4c3x2v-p3/2s-lrn-ap3/2s-5lc3-sp2x1/2s-8L-6', (9, 8, 3), 1.0),
    ('channel', '4c3-6', (4, 5, 3), 1.0),
    ('gcn', '6lc3-bn-sp3/2-ap2-7L-6-bn', (7, 8, 3), 0.7),
    ('gcn_zca', '8L-6', (3, 3, 1), 1.0),
    ('scale', '', (5, 6, 1), 1.0),
]


@pytest.mark.parametrize(('kind', 'spec', 'shape', 'input_scale'), CASES)
def test_the_model_answers_as_the_net_does(tmp_path, kind, spec, shape, input_scale):
    draw = np.random.default_rng(0)
    if kind == 'feature':
        inputs = draw.normal(3, 5, size=(40, *shape)).astype(np.float32)
        inputs[..., 1] = 4  # a feature that is constant
    else:
        inputs = draw.integers(0, 256, size=(40, *shape)).astype(np.uint8)
        inputs[3] = 7  # an image that is constant
    stats = preprocess.fit(kind, inputs, np.arange(30))
    module = net.build(spec, 3, input_scale=input_scale)
    variables = random_variables(module, (1, *shape))

    @jax.jit
    def logits(variables):
        return module.apply(variables, preprocess.apply(kind, stats, inputs))

    # Answers that differ from example to example: logits of mean 0 and deviation 1.
    output = variables['params'][max(variables['params'], key=lambda name: name.split('_')[1])]
    found = logits(variables)
    output['bias'] = (output['bias'] - found.mean(axis=0)) / found.std(axis=0)
    output['kernel'] = output['kernel'] / found.std(axis=0)
    right = np.asarray(jax.nn.softmax(logits(variables)))
    path = tmp_path / 'student.onnx'
    path.write_bytes(
        exporting.serialize(module, kind, variables, stats, shape, inputs.dtype, 'onnx')
    )
    call = exporting.load(path)
    said = call(inputs)
    assert said.dtype == np.float32
    np.testing.assert_allclose(said, right, atol=2e-5)
    np.testing.assert_allclose(call(inputs[:1]), right[:1], atol=2e-5)
    assert np.ptp(right, axis=0).max() > 0.3


def test_the_cases_hold_every_kind():
    layers = [layer for _, spec, *_ in CASES for layer in grammar.parse(spec)]
    kinds = {*grammar.PARAMETER_KINDS, *grammar.POOL_KINDS, 'lrn', 'dropout'}
    assert {layer.kind for layer in layers} == kinds
    assert {layer.padding for layer in layers if layer.kind == 'conv'} == {'SAME', 'VALID'}
    assert {kind for kind, *_ in CASES} == set(preprocess.KINDS)


def test_a_model_does_not_see_what_its_net_does_not(tmp_path):
    draw = np.random.default_rng(1)
    inputs = draw.integers(0, 256, size=(6, 4, 4, 1)).astype(np.uint8)
    module = net.build('3c3-p2-5', 3, input_scale=0.5, unseen=(':,2:', '0'))
    variables = random_variables(module, (1, 4, 4, 1))
    path = tmp_path / 'student.onnx'
    shape = inputs.shape[1:]
    path.write_bytes(
        exporting.serialize(module, 'scale', variables, {}, shape, inputs.dtype, 'onnx')
    )
    blank = inputs.copy()
    blank[:, :, 2:] = blank[:, 0] = 0
    right = jax.nn.softmax(
        net.build('3c3-p2-5', 3, input_scale=0.5).apply(variables, blank / np.float32(255))
    )
    np.testing.assert_allclose(exporting.load(path)(inputs), right, atol=2e-5)


def test_a_model_says_what_goes_in_and_out(tmp_path):
    module = net.build('4', 3)
    content = exporting.serialize(
        module, 'scale', random_variables(module, (1, 2, 3, 1)), {}, (2, 3, 1),
        np.dtype(np.uint8), 'onnx',
    )  # fmt: skip
    model = onnxruntime.InferenceSession(content)
    (given,), (made,) = model.get_inputs(), model.get_outputs()
    assert (given.name, given.shape, given.type) == ('inputs', ['b', 2, 3, 1], 'tensor(uint8)')
    assert (made.name, made.shape, made.type) == ('probabilities', ['b', 3], 'tensor(float)')
