"""The order of classes of a teacher made elsewhere: by names, where both sides have them."""

import io
import json
import sys

import ml_collections
import numpy as np
import pytest
from conftest import refusal

from mimic_jax.mimic import ensemble, evaluate, external_onnx_data, logits

NAMES = ('cat', 'dog', 'emu', 'fox')
ORDER = ('fox', 'cat', 'emu', 'dog')  # the teacher's
COUNT = 80
RANDOM = np.random.default_rng(0)
INPUTS = RANDOM.normal(size=(COUNT, 6)).astype(np.float32)
WEIGHTS = RANDOM.normal(size=(6, 4)).astype(np.float32)  # a column a class of the data
RIGHT = INPUTS @ WEIGHTS
LABELS = RIGHT.argmax(axis=1)
THEIRS = RIGHT[:, [NAMES.index(name) for name in ORDER]]  # a column a class of the teacher


@pytest.fixture
def settings(tmp_path):
    """A config whose data name their classes, with one cache, of a source still to be given."""
    return of(tmp_path, class_names=np.array(NAMES))


def of(tmp_path, **arrays):
    np.savez(tmp_path / 'data.npz', features=INPUTS, labels=LABELS, **arrays)
    config = ml_collections.ConfigDict()
    config.data = {
        'name': 'npz', 'root': str(tmp_path / 'data.npz'), 'train': 40, 'validation': 12,
        'test': 12, 'preprocess': 'feature',
    }  # fmt: skip
    config.logits = {'own': {'dtype': 'float32'}}
    return config


def saved(folder, array, names=None):
    folder.mkdir(exist_ok=True)
    np.save(folder / 'logits.npy', array)
    if names is not None:
        (folder / 'class_names.json').write_text(json.dumps(names))
    return str(folder / 'logits.npy')


def source(settings, path, kind='logits', **changes):
    settings.logits.own.source = {'kind': kind, 'path': path, **changes}
    return settings


def made(make_session, settings):
    """(session, plan of the cache, the open cache, lines that were said)."""
    session, plan = make_session(settings)
    session.progress._stream = io.StringIO()
    logits.run(session, plan.caches['own'])
    said = session.progress._stream.getvalue()
    lines = [line for line in said.splitlines() if line.startswith(('teacher own', 'warning'))]
    return session, plan.caches['own'], ensemble.open_checked(session, plan.caches['own']), lines


def check(session, cache, opened):
    """The cache, the evaluation and the comparison with labels are all in the data's order."""
    np.testing.assert_array_equal(opened.view(0), RIGHT[cache.examples])
    folder = evaluate.run_external(session, cache.external)
    for split in ('validation', 'test'):
        expected = RIGHT[session.data.splits[split]]
        np.testing.assert_array_equal(np.load(folder / f'{split}.npy'), expected)
    assert {each['accuracy'] for each in opened.facts['checked']} == {1.0}


@pytest.mark.parametrize('place', ['a setting', 'a file', 'both'])
def test_columns_of_files_follow_the_names(tmp_path, make_session, settings, place):
    """Where both are given, the setting counts."""
    in_file = {'a setting': None, 'a file': ORDER, 'both': NAMES[::-1]}[place]
    given = {} if place == 'a file' else {'class_names': ORDER}
    source(settings, saved(tmp_path / 'theirs', THEIRS, in_file), **given)
    session, cache, opened, lines = made(make_session, settings)
    check(session, cache, opened)
    assert lines == [
        "teacher own: columns follow the classes' names (cat is column 1, dog is column 3, emu is "
        'column 2, fox is column 0)'
    ]


def test_columns_of_a_function_follow_the_names(tmp_path, make_session, settings, monkeypatch):
    text = f'import numpy as np\ndef ask(x):\n    return x @ np.array({WEIGHTS.tolist()})[:, [3, 0, 2, 1]]'
    (tmp_path / 'named_teacher.py').write_text(text)
    monkeypatch.syspath_prepend(tmp_path)
    source(settings, 'named_teacher:ask', 'callable', class_names=ORDER)
    session, cache, opened, _ = made(make_session, settings)
    np.testing.assert_allclose(opened.view(0), RIGHT[cache.examples], rtol=1e-4, atol=1e-5)
    test = evaluate.run_external(session, cache.external) / 'test.npy'
    expected = RIGHT[session.data.splits['test']]
    np.testing.assert_allclose(np.load(test), expected, rtol=1e-4, atol=1e-5)
    sys.modules.pop('named_teacher')


def test_an_onnx_model_names_its_classes_itself(tmp_path, make_session, settings):
    onnx = pytest.importorskip('onnx', reason='onnx writes the model of this test')
    pytest.importorskip('onnxruntime', reason='onnxruntime is an extra of its own')
    helper, dtype = onnx.helper, onnx.TensorProto.FLOAT
    columns = WEIGHTS[:, [NAMES.index(name) for name in ORDER]]
    graph = helper.make_graph(
        [helper.make_node('MatMul', ['x', 'w'], ['logits'])],
        'teacher',
        [helper.make_tensor_value_info('x', dtype, ['n', 6])],
        [helper.make_tensor_value_info('logits', dtype, ['n', 4])],
        [onnx.numpy_helper.from_array(columns, 'w')],
    )
    opset = [helper.make_opsetid('', 17)]
    model = helper.make_model(graph, opset_imports=opset, ir_version=8)
    helper.set_model_props(model, {'author': 'somebody', 'classes': json.dumps(ORDER)})
    path = tmp_path / 'teacher.onnx'
    onnx.save(model, path)
    expected = {each.key: each.value for each in onnx.load(path).metadata_props}
    assert external_onnx_data.metadata(path) == expected
    _, cache, opened, lines = made(make_session, source(settings, str(path), 'onnx'))
    np.testing.assert_allclose(opened.view(0), RIGHT[cache.examples], rtol=1e-4, atol=1e-5)
    assert opened.facts['checked'][0]['accuracy'] == 1.0 and 'cat is column 1' in lines[0]
    (tmp_path / 'class_names.json').write_text(json.dumps(['?', *ORDER[1:]]))
    message = refusal(make_session, settings)
    assert 'class_names.json has no class ' in message, 'a file beside the model counts first'


def test_the_same_order_has_the_name_of_no_names(tmp_path, make_session, settings):
    """Naming the order that a cache has already does not make it anew; another order does."""
    path = saved(tmp_path / 'plain', RIGHT)

    def name(**changes):
        _, plan = make_session(source(settings, path, **changes))
        return plan.caches['own'].recipe.name, plan.caches['own'].evaluations[0].name

    plain, same, other = name(), name(class_names=NAMES), name(class_names=ORDER)
    assert plain == same and plain[0] != other[0] and plain[1] != other[1]
    _, cache, opened, lines = made(make_session, source(settings, path, class_names=NAMES))
    np.testing.assert_array_equal(opened.view(0), RIGHT[cache.examples])
    assert lines == []


OTHERS = {
    'another class': (('fox', 'cat', 'gnu', 'dog'), "has no class 'emu', which the data have"),
    'fewer': (('fox', 'cat', 'dog'), "has no class 'emu', which the data have"),
    'more': ((*ORDER, 'gnu', 'yak'), "has the class 'gnu', which the data have not"),
    'one twice': (('cat', 'dog', 'emu', 'fox', 'emu'), "the class 'emu' twice"),
    'another spelling': (('Cat', 'dog', 'emu', 'fox'), "has no class 'cat', which the data have"),
}


@pytest.mark.parametrize('case', OTHERS)
def test_other_classes_are_refused_by_the_first_that_is_missing(
    tmp_path, make_session, settings, case
):
    names, words = OTHERS[case]
    path = saved(tmp_path / 'theirs', THEIRS)
    message = refusal(make_session, source(settings, path, class_names=names))
    assert f'config.logits.own.source.class_names {words}' in message or words in message
    saved(tmp_path / 'theirs', THEIRS, names)
    message = refusal(make_session, source(settings, path))
    assert 'class_names.json' in message and words in message


def test_names_of_one_side_alone_are_a_line(tmp_path, make_session, settings):
    path = saved(tmp_path / 'plain', RIGHT)
    *_, lines = made(make_session, source(settings, path))
    assert len(lines) == 1 and 'in the order of the classes (cat, dog, emu, fox)' in lines[0]
    assert 'source.class_names or class_names.json' in lines[0]
    nameless = of(tmp_path)
    _, cache, opened, lines = made(
        make_session, source(nameless, path, class_names=('a', 'b', 'c', 'd'))
    )
    np.testing.assert_array_equal(opened.view(0), RIGHT[cache.examples])
    assert lines == [
        'teacher own: its columns stay in their order (a, b, c, d); the data name no classes'
    ]


def test_files_of_names_that_are_none_or_contradict_each_other(tmp_path, make_session, settings):
    path = saved(tmp_path / 'theirs', THEIRS, {'cat': 0})
    assert 'a JSON list of texts' in refusal(make_session, source(settings, path))
    (tmp_path / 'theirs' / 'class_names.json').write_text('[cat]')
    assert 'a JSON list of texts' in refusal(make_session, settings)
    saved(tmp_path / 'theirs', THEIRS, ORDER)
    test = saved(tmp_path / 'test', THEIRS, NAMES)
    message = refusal(make_session, source(settings, path, test=test))
    assert 'theirs' in message and 'name other classes, or another order' in message
    saved(tmp_path / 'test', THEIRS, ORDER)
    make_session(settings)
