"""ONNX models as people export them: layouts, batches, outputs, and weights in files beside them."""

import numpy as np
import pytest
from conftest import refusal

from mimic_jax.mimic import external_answers, external_onnx, external_onnx_data
from mimic_jax.mimic.settings import ExternalTeacher

onnx = pytest.importorskip('onnx', reason='onnx writes the models of these tests')
pytest.importorskip('onnxruntime', reason='onnxruntime is an extra of its own, 28 MB')

CLASSES = 5
RANDOM = np.random.default_rng(0)
IMAGES = RANDOM.integers(0, 256, (7, 6, 4, 3)).astype(np.uint8)
FIRST = IMAGES.transpose(0, 3, 1, 2).astype(np.float32)
FLAT = RANDOM.normal(size=(72, CLASSES)).astype(np.float32)
KERNELS = RANDOM.normal(size=(2, 3, 3, 3)).astype(np.float32)
HEAD = RANDOM.normal(size=(2, CLASSES)).astype(np.float32)
FLOAT, UINT8, INT64 = onnx.TensorProto.FLOAT, onnx.TensorProto.UINT8, onnx.TensorProto.INT64
node = onnx.helper.make_node
LINEAR = (node('Flatten', ['x'], ['flat'], axis=1), node('MatMul', ['flat', 'w'], ['logits']))
POOLED = (
    node('Conv', ['x', 'kernels'], ['maps'], pads=[1, 1, 1, 1]),
    node('GlobalAveragePool', ['maps'], ['pooled']),
    node('Flatten', ['pooled'], ['rows'], axis=1),
    node('MatMul', ['rows', 'head'], ['logits']),
)
ALL = {'w': FLAT, 'kernels': KERNELS, 'head': HEAD}


def model(path, nodes, shape, outputs=(('logits', FLOAT, ['n', CLASSES]),), dtype=FLOAT, **save):
    """Writes an ONNX model of the input x; returns its path."""
    used = {name for each in nodes for name in each.input}
    value = onnx.helper.make_tensor_value_info
    graph = onnx.helper.make_graph(
        list(nodes),
        'teacher',
        [value('x', dtype, shape)],
        [value(*output) for output in outputs],
        [onnx.numpy_helper.from_array(a, name) for name, a in ALL.items() if name in used],
    )
    opset = [onnx.helper.make_opsetid('', 17)]
    made = onnx.helper.make_model(graph, opset_imports=opset, ir_version=8)
    onnx.save(made, path, **save)
    return str(path)


def load(path, layout='auto', output='', example=(6, 4, 3), say=None):
    said = [] if say is None else say
    return external_onnx.load(path, example, CLASSES, 'here', layout, output, said.append)


def linear(images):
    """What LINEAR says, computed in float64."""
    return images.reshape(len(images), -1).astype(np.float64) @ FLAT


@pytest.mark.parametrize('shape', [['n', 3, 6, 4], ['n', 3, 'h', 'w'], ['n', 3, None, None]])
def test_a_model_of_channels_first_gets_them_first(tmp_path, shape):
    found = load(model(tmp_path / 'm.onnx', LINEAR, shape))(IMAGES)
    np.testing.assert_allclose(found, linear(FIRST), rtol=1e-4, atol=1e-2)


def test_a_model_of_channels_last_gets_them_last(tmp_path):
    found = load(model(tmp_path / 'm.onnx', LINEAR, ['n', 6, 4, 3]))(IMAGES)
    np.testing.assert_allclose(found, linear(IMAGES), rtol=1e-4, atol=1e-2)


def test_axes_that_say_nothing_are_tried(tmp_path, capfd):
    said = []
    path = model(tmp_path / 'm.onnx', POOLED, ['N', 'a', 'b', 'c'])
    found = load(path, say=said)(IMAGES)
    padded = np.pad(FIRST, [(0, 0), (0, 0), (1, 1), (1, 1)]).astype(np.float64)
    windows = np.lib.stride_tricks.sliding_window_view(padded, (3, 3), axis=(2, 3))
    maps = np.einsum('nchwij,kcij->nkhw', windows, KERNELS)
    np.testing.assert_allclose(found, maps.mean((2, 3)) @ HEAD, rtol=1e-4, atol=1e-2)
    assert said == [] and capfd.readouterr() == ('', ''), 'the try that failed is no news'


def test_names_of_axes_decide_where_either_layout_runs(tmp_path):
    said = []
    path = model(tmp_path / 'm.onnx', LINEAR, ['N', 'C', 'H', 'W'])
    np.testing.assert_allclose(load(path, say=said)(IMAGES), linear(FIRST), rtol=1e-4, atol=1e-2)
    path = model(tmp_path / 'm.onnx', LINEAR, ['N', 'height', 'width', 'channels'])
    np.testing.assert_allclose(load(path, say=said)(IMAGES), linear(IMAGES), rtol=1e-4, atol=1e-2)
    assert said == []


def test_a_guess_is_told_and_the_setting_ends_it(tmp_path):
    path = model(tmp_path / 'm.onnx', LINEAR, ['a', 'd', 'e', 'f'])
    for layout, images in [('auto', IMAGES), ('channels_last', IMAGES), ('channels_first', FIRST)]:
        said = []
        found = load(path, layout, say=said)(IMAGES)
        np.testing.assert_allclose(found, linear(images), rtol=1e-4, atol=1e-2)
        assert len(said) == (layout == 'auto')
    assert all('here.layout' in line and '\n' not in line for line in said)


def test_a_layout_that_does_not_fit_is_refused(tmp_path):
    path = model(tmp_path / 'm.onnx', LINEAR, ['n', 3, 6, 4])
    message = refusal(load, path, 'channels_last')
    assert 'shape [3, 6, 4]' in message and 'the data have [6, 4, 3] given channels last' in message


@pytest.mark.parametrize('size', [1, 3, 7, 10])
def test_a_fixed_batch_is_fed_in_batches_of_its_size(tmp_path, size):
    outputs = [('logits', FLOAT, [size, CLASSES])]
    found = load(model(tmp_path / 'm.onnx', LINEAR, [size, 3, 6, 4], outputs))(IMAGES)
    np.testing.assert_allclose(found, linear(FIRST), rtol=1e-4, atol=1e-2)


LABEL = node('ArgMax', ['logits'], ['label'], axis=1, keepdims=0)
LOGITS_OUT, LABEL_OUT = ('logits', FLOAT, ['n', CLASSES]), ('label', INT64, ['n'])
FEATURES_OUT, AUX_OUT = ('flat', FLOAT, ['n', 72]), ('aux', FLOAT, ['n', CLASSES])
AUX = node('Neg', ['logits'], ['aux'])


@pytest.mark.parametrize('outputs', [(AUX_OUT, LOGITS_OUT), (LABEL_OUT, LOGITS_OUT)])
def test_several_outputs_are_listed_and_one_is_chosen(tmp_path, outputs):
    path = model(tmp_path / 'm.onnx', [*LINEAR, AUX, LABEL], ['n', 3, 6, 4], outputs)
    message = refusal(load, path)
    assert 'here.output' in message and "logits float ['n', 5]" in message
    assert all(name in message for name, _, _ in outputs), message
    np.testing.assert_allclose(load(path, output='logits')(IMAGES), linear(FIRST), atol=1e-2)
    assert "'nonesuch', but" in refusal(load, path, output='nonesuch')


def test_integer_outputs_are_named_and_refused(tmp_path):
    both = (LABEL_OUT, LOGITS_OUT)
    path = model(tmp_path / 'm.onnx', [*LINEAR, LABEL], ['n', 3, 6, 4], both)
    message = refusal(load, path, output='label')
    assert 'integers' in message and 'set here.output to logits' in message
    path = model(tmp_path / 'm.onnx', [*LINEAR, LABEL], ['n', 3, 6, 4], (LABEL_OUT,))
    assert 'label' in (message := refusal(load, path)) and 'integers' in message


def test_logits_ahead_of_what_can_be_none_are_taken_as_before(tmp_path):
    both = (LOGITS_OUT, FEATURES_OUT, LABEL_OUT)
    path = model(tmp_path / 'm.onnx', [*LINEAR, LABEL], ['n', 3, 6, 4], both)
    np.testing.assert_allclose(load(path)(IMAGES), linear(FIRST), rtol=1e-4, atol=1e-2)


def test_a_batch_that_a_model_fails_on_is_one_line(tmp_path, capfd):
    reshape = onnx.helper.make_node('Reshape', ['x', 'one'], ['logits'])
    ALL['one'] = np.array([1, CLASSES])
    path = model(tmp_path / 'm.onnx', [reshape], ['n', 3, 6, 4])
    assert 'fails on a batch of shape [7, 3, 6, 4]' in refusal(load(path), IMAGES)


def test_pixels_are_rounded_for_a_model_that_wants_integers_and_others_refused(tmp_path):
    cast = [node('Cast', ['x'], ['floats'], to=FLOAT), node('Flatten', ['floats'], ['flat'])]
    path = model(tmp_path / 'm.onnx', [*cast, LINEAR[1]], ['n', 6, 4, 3], dtype=UINT8)
    found = (
        load(path)(IMAGES * np.float32(1)),
        load(path)(np.clip(IMAGES - np.float32(0.4), 0, 255)),
    )
    np.testing.assert_allclose(found, [linear(IMAGES)] * 2, rtol=1e-4, atol=1e-2)
    for wrong in (IMAGES / 255 - 0.5, IMAGES / 255, IMAGES * 2.0):
        assert "here.inputs to 'raw'" in refusal(load(path), wrong.astype(np.float32))


# Weights in files of their own.


def external(tmp_path, **save):
    save = {'save_as_external_data': True, 'size_threshold': 0, **save}
    return model(tmp_path / 'm.onnx', POOLED, ['n', 3, 6, 4], **save)


def identity(path):
    return external_answers.identity(ExternalTeacher(kind='onnx', path=(path,)), 'here')


@pytest.mark.parametrize('together', [True, False])
def test_external_data_are_found_as_onnx_finds_them(tmp_path, together):
    location = {'location': 'weights.bin'} if together else {}
    path = external(tmp_path, all_tensors_to_one_file=together, **location)
    expected = {
        entry.value
        for tensor in onnx.load(path, load_external_data=False).graph.initializer
        for entry in tensor.external_data
        if entry.key == 'location'
    }
    assert len(expected) == (1 if together else 2)
    assert external_onnx_data.locations(tmp_path / 'm.onnx') == sorted(expected)
    assert sorted(identity(path)['external']) == sorted(expected)


def test_every_byte_of_external_data_is_part_of_the_identity(tmp_path):
    path, data = external(tmp_path, location='weights.bin'), tmp_path / 'weights.bin'
    content, found = data.read_bytes(), set()
    found.add(str(identity(path)))
    for place in range(len(content)):
        data.write_bytes(content[:place] + bytes([content[place] ^ 1]) + content[place + 1 :])
        found.add(str(identity(path)))
    assert len(found) == len(content) + 1


def attributes():
    """Where a tensor may lie in a node: each attribute with weights in a file of its own."""
    tensor = onnx.numpy_helper.from_array(HEAD, 'deep')
    onnx.external_data_helper.set_external_data(tensor, 'deep.bin')
    inner = onnx.helper.make_graph([node('Constant', [], ['y'], value=tensor)], 'inner', [], [])
    sparse = onnx.SparseTensorProto(values=tensor, dims=[2, CLASSES])
    given = {
        't': [tensor], 'g': [inner], 'tensors': [tensor], 'graphs': [inner],
        'sparse_tensor': [sparse], 'sparse_tensors': [sparse],
    }  # fmt: skip
    for name, values in given.items():
        attribute = onnx.AttributeProto(name=name)
        field = getattr(attribute, name)
        field.extend(values) if name.endswith('s') else field.CopyFrom(values[0])
        yield pytest.param(attribute, id=name)


@pytest.mark.parametrize('attribute', list(attributes()))
@pytest.mark.parametrize('place', ['node', 'function', 'training'])
def test_every_place_of_a_tensor_is_looked_into(tmp_path, attribute, place):
    """The initializers of the graph itself are not the only place."""
    holder, graph = node('Own', ['c'], ['z']), onnx.helper.make_graph([], 'empty', [], [])
    holder.attribute.append(attribute)
    made = onnx.helper.make_model(graph)
    if place == 'function':
        made.functions.append(onnx.helper.make_function('own', 'f', ['c'], ['z'], [holder], []))
    else:
        at = made.graph if place == 'node' else made.training_info.add().algorithm
        at.node.append(holder)
    (tmp_path / 'm.onnx').write_bytes(made.SerializeToString())
    assert external_onnx_data.locations(tmp_path / 'm.onnx') == ['deep.bin']


def test_weights_that_are_not_there_are_named_ahead(tmp_path):
    path = external(tmp_path, location='weights.bin')
    (tmp_path / 'weights.bin').unlink()
    assert "'weights.bin'" in refusal(identity, path)


@pytest.mark.parametrize('content', [b'', b'no model at all', b'\xff' * 50, b':\x7f'])
def test_what_is_no_model_has_no_external_data(tmp_path, content):
    (tmp_path / 'm.onnx').write_bytes(content)
    assert external_onnx_data.locations(tmp_path / 'm.onnx') == []


def test_a_model_of_one_file_keeps_its_identity(tmp_path):
    found = identity(model(tmp_path / 'm.onnx', LINEAR, ['n', 3, 6, 4]))
    assert sorted(found) == ['inputs', 'kind', 'probabilities', 'sha256']


def test_a_home_folder_is_found_and_named(tmp_path, monkeypatch):
    monkeypatch.setenv('HOME', str(tmp_path))
    external(tmp_path, location='weights.bin')
    assert identity('~/m.onnx') == identity(str(tmp_path / 'm.onnx'))
    np.testing.assert_array_equal(load('~/m.onnx')(IMAGES), load(str(tmp_path / 'm.onnx'))(IMAGES))
    assert 'there is no file' in refusal(identity, '~nobody_of_that_name/m.onnx')
