"""Teachers made elsewhere: their logits become a cache like any other."""

import importlib
import json
import re
import subprocess
import sys
import types

import jax
import ml_collections
import numpy as np
import pytest
from conftest import ROOT, refusal

from mimic_jax import pipeline
from mimic_jax.config import experiment as experiments
from mimic_jax.data import views
from mimic_jax.mimic import ensemble, evaluate, external_answers, external_onnx, logits
from mimic_jax.mimic.settings import ExternalTeacher

COUNT, FEATURES, CLASSES = 100, 6, 3
RANDOM = np.random.default_rng(0)
INPUTS = RANDOM.normal(size=(COUNT, FEATURES)).astype(np.float32)
WEIGHTS = RANDOM.normal(size=(FEATURES, CLASSES)).astype(np.float32)
LABELS = (INPUTS @ WEIGHTS + RANDOM.normal(size=(COUNT, CLASSES))).argmax(axis=1)
TRANSFER = 75  # of the 100 examples 10 validate and 15 test

MODULE = """
import numpy as np
WEIGHTS = np.array({weights})
FITTED = []
def linear(inputs):
    return inputs.reshape(len(inputs), -1) @ WEIGHTS
def softmax(inputs):
    values = np.exp(linear(inputs))
    return values / values.sum(axis=1, keepdims=True)
def narrow(inputs):
    return linear(inputs)[:, :2]
def infinite(inputs):
    return np.where(np.arange(3) == 1, np.inf, linear(inputs))
def large(inputs):
    return 1e5 + linear(inputs)
def fit(inputs, labels):
    FITTED.append((inputs, labels))
    return linear
constant = 3
"""


@pytest.fixture
def module(tmp_path, monkeypatch):
    """A module of teachers that nothing has imported; its name."""
    name = f'teachers_{tmp_path.name}'.replace('-', '_')
    (tmp_path / f'{name}.py').write_text(MODULE.format(weights=WEIGHTS.tolist()))
    monkeypatch.syspath_prepend(tmp_path)
    yield name
    sys.modules.pop(name, None)


@pytest.fixture
def settings(tmp_path):
    """A config with one cache, of a source still to be given, and one student."""
    np.savez(tmp_path / 'data.npz', features=INPUTS, labels=LABELS)
    config = ml_collections.ConfigDict()
    config.data = {
        'name': 'npz', 'root': str(tmp_path / 'data.npz'), 'train': 40, 'validation': 10,
        'test': 15, 'preprocess': 'feature',
    }  # fmt: skip
    config.views = {'seed': 0}
    config.logits = {'own': {'views': 1, 'dtype': 'float32'}}
    config.students = {
        'mimic': {
            'model': '4', 'target': 'logits', 'logits': 'own', 'loss': {'kind': 'logits'},
            'train': {'epochs': 2, 'batch_size': 25}, 'seeds': (0,),
        }
    }  # fmt: skip
    return config


def source(config, kind, path, **changes):
    config.logits.own.source = {'kind': kind, 'path': path, **changes}
    return config


def save(tmp_path, name, array):
    (np.savez if name.endswith('npz') else np.save)(tmp_path / name, array)
    return str(tmp_path / name)


def written(make_session, config):
    """The session, the cache's plan, and the open cache after the logits phase."""
    session, plan = make_session(config)
    cache = plan.caches['own']
    logits.run(session, cache)
    return session, cache, ensemble.open_checked(session, cache)


LOGITS = (2 * INPUTS @ WEIGHTS).astype(np.float32)  # of all examples
SECOND = LOGITS + 1


@pytest.mark.parametrize('form', ['all', 'transfer', 'npz', 'stacked', 'a file a view'])
def test_files_of_logits_become_a_cache(tmp_path, make_session, settings, form):
    session, _ = make_session(source(settings, 'logits', save(tmp_path, 'all.npy', LOGITS)))
    examples = session.data.examples(('train', 'unlabelled'), '')
    assert len(examples) == TRANSFER
    expected = [LOGITS[examples]]
    match form:
        case 'transfer':
            source(settings, 'logits', save(tmp_path, 'own.npy', LOGITS[examples]))
        case 'npz':
            source(settings, 'logits', save(tmp_path, 'own.npz', LOGITS.astype(np.float64)))
        case 'stacked':
            both = np.stack([LOGITS[examples], SECOND[examples]])
            source(settings, 'logits', save(tmp_path, 'own.npy', both))
        case 'a file a view':
            first, second = (
                save(tmp_path, f'{i}.npy', each) for i, each in enumerate((LOGITS, SECOND))
            )
            source(settings, 'logits', (first, second))
    if form in ('stacked', 'a file a view'):
        settings.logits.own.views = 2
        expected.append(SECOND[examples])
    _, _, cache = written(make_session, settings)
    for view, rows in enumerate(expected):
        np.testing.assert_array_equal(cache.view(view), rows)
    np.testing.assert_allclose(cache.mean, np.mean(expected, axis=(0, 1)), rtol=1e-5)
    assert cache.facts['cache']['num_classes'] == CLASSES
    assert len(cache.facts['cache']['teachers'][0]['sha256']) == (form == 'a file a view') + 1


def test_a_function_is_asked_about_every_view(make_session, config, module):
    """The images are augmented, and the function gets the very pixels that the student sees."""
    weights = np.random.default_rng(1).normal(size=(64, 10))
    config.logits.ensemble.members = ()
    config.logits.ensemble.source = {'path': f'{module}:linear', 'version': '1'}
    config.run.evaluation_batch_size = 300  # the last batch is padded
    session, plan = make_session(config)
    __import__(module)
    sys.modules[module].WEIGHTS = weights
    cache = plan.caches['ensemble']
    logits.run(session, cache)
    opened = ensemble.open_checked(session, cache)
    inputs = np.asarray(session.data.inputs)[cache.examples]
    for view in range(2):
        seen = views.batch_views(inputs, view, cache.examples, 0, cache.views)
        assert not np.array_equal(seen, inputs)
        expected = np.asarray(seen).reshape(len(inputs), -1) @ weights
        np.testing.assert_allclose(opened.view(view), expected, rtol=2e-3, atol=2)


@pytest.mark.parametrize('layout', ['auto', 'channels_last', 'channels_first'])
@pytest.mark.parametrize('kind', ['callable', 'fit'])
def test_a_function_gets_images_in_its_layout(
    tmp_path, make_session, settings, module, kind, layout
):
    images = RANDOM.integers(0, 256, (COUNT, 2, 4, 3)).astype(np.uint8)
    np.savez(tmp_path / 'data.npz', images=images, labels=LABELS)
    settings.data.preprocess = 'scale'
    __import__(module)
    weights = sys.modules[module].WEIGHTS = RANDOM.normal(size=(24, CLASSES))
    path = f'{module}:{"fit" if kind == "fit" else "linear"}'
    _, cache, opened = written(make_session, source(settings, kind, path, layout=layout))
    if layout == 'channels_first':
        images = images.transpose(0, 3, 1, 2)
    expected = images[cache.examples].reshape(TRANSFER, -1) @ weights
    np.testing.assert_allclose(opened.view(0), expected, rtol=1e-4, atol=1e-2)
    if kind == 'fit':
        assert sys.modules[module].FITTED[0][0].shape[1:] == images.shape[1:]


def test_layouts_are_of_images(make_session, settings, module):
    source(settings, 'callable', f'{module}:linear', layout='channels_first')
    assert 'source.layout' in refusal(make_session, settings)


def test_a_function_gets_features_as_the_source_has_them(tmp_path, make_session, settings, module):
    """Float32 would blur large numbers, so they are stored centred; the teacher gets them uncentred."""
    stamps = 20240101000000 + RANDOM.integers(0, 1000, (COUNT, 1))
    np.savez(tmp_path / 'data.npz', features=stamps, labels=LABELS)
    __import__(module)
    sys.modules[module].WEIGHTS = np.array([[1.0, 0.0, -1.0]])
    seen = []
    sys.modules[module].linear = lambda inputs: seen.append(inputs) or np.zeros((len(inputs), 3))
    _, cache, _ = written(make_session, source(settings, 'callable', f'{module}:linear'))
    np.testing.assert_array_equal(seen[0], stamps[cache.examples])


def test_inputs_may_be_preprocessed(make_session, settings, module):
    source(settings, 'callable', f'{module}:linear', inputs='preprocessed')
    session, cache, opened = written(make_session, settings)
    train = INPUTS[session.data.splits['train']]
    expected = (INPUTS - train.mean(axis=0)) / train.std(axis=0) @ WEIGHTS
    np.testing.assert_allclose(opened.view(0), expected[cache.examples], rtol=1e-3, atol=1e-3)


def test_a_function_is_fitted_to_the_training_split_alone(make_session, settings, module):
    source(settings, 'fit', f'{module}:fit')
    session, cache, opened = written(make_session, settings)
    ((inputs, labels),) = sys.modules[module].FITTED  # once a process
    train = session.data.splits['train']
    np.testing.assert_array_equal(inputs, INPUTS[train])
    np.testing.assert_array_equal(labels, LABELS[train])
    np.testing.assert_allclose(opened.view(0), (INPUTS @ WEIGHTS)[cache.examples], rtol=1e-4)


def test_probabilities_become_their_logarithms(make_session, settings, module):
    source(settings, 'callable', f'{module}:softmax', probabilities=True)
    _, cache, opened = written(make_session, settings)
    expected = jax.nn.log_softmax(INPUTS @ WEIGHTS)[cache.examples]
    np.testing.assert_allclose(opened.view(0), expected, rtol=1e-3, atol=1e-4)
    floor = external_answers.checked(np.eye(3), 3, 3, True, 'it')
    np.testing.assert_allclose(floor, np.where(np.eye(3), 0, np.log(1e-6)))


def test_the_example_is_a_forest_of_the_training_rows(make_session, settings, monkeypatch):
    from sklearn.ensemble import RandomForestClassifier

    monkeypatch.syspath_prepend(ROOT)
    monkeypatch.setattr(importlib.import_module('examples.forest_teacher'), 'TREES', 7)
    source(settings, 'fit', 'examples.forest_teacher:fit', probabilities=True)
    session, cache, opened = written(make_session, settings)
    train = session.data.splits['train']
    forest = RandomForestClassifier(7, random_state=0).fit(INPUTS[train], LABELS[train])
    expected = np.log(np.maximum(forest.predict_proba(INPUTS[cache.examples]), 1e-6))
    np.testing.assert_allclose(opened.view(0), expected, rtol=1e-5, atol=1e-5)


def test_the_whole_pipeline_runs_and_the_teacher_has_its_row(tmp_path, settings, module, device):
    source(settings, 'callable', f'{module}:linear')
    pipeline.run(settings, workdir=tmp_path / 'work', experiment='own', devices=device)
    report = json.loads((tmp_path / 'work' / 'own' / 'report.json').read_text())
    teacher, student = report['rows']
    test = np.random.default_rng(0).permutation(COUNT)[:15]
    right = (INPUTS @ WEIGHTS).argmax(axis=1) == LABELS
    assert teacher['values'] == [pytest.approx(right[test].mean())]
    assert (teacher['model'], teacher['parameters']) == (f'{module}:linear', None)
    assert student['target'] == 'logits' and 0 <= student['agreement'] <= 1
    assert len(report['costs']['evaluate']['artifacts']) == 2
    assert '| –' in (tmp_path / 'work' / 'own' / 'report.md').read_text()


def test_files_answer_for_the_splits_that_they_have(tmp_path, make_session, settings):
    everything = save(tmp_path, 'all.npy', LOGITS)
    session, plan = make_session(source(settings, 'logits', everything))
    cache = plan.caches['own']
    assert cache.answered == ('validation', 'test')
    folder = evaluate.run_external(session, cache.external)
    for split in cache.answered:
        found = np.load(folder / f'{split}.npy')
        np.testing.assert_array_equal(found, LOGITS[session.data.splits[split]])
    few = save(tmp_path, 'few.npy', LOGITS[cache.examples])
    _, plan = make_session(source(settings, 'logits', few))
    assert plan.caches['own'].answered == ()
    held_out = save(tmp_path, 'test.npy', LOGITS[session.data.splits['test']])
    session, plan = make_session(source(settings, 'logits', few, test=held_out))
    assert plan.caches['own'].answered == ('test',)
    folder = evaluate.run_external(session, plan.caches['own'].external)
    np.testing.assert_array_equal(np.load(folder / 'test.npy'), np.load(held_out))
    settings.report = {'rows': {'own': {'source': 'logits.own'}}}
    source(settings, 'logits', few)
    assert 'logits.own.source.test' in refusal(make_session, settings)


def test_the_id_follows_what_the_teacher_is(tmp_path, make_session, settings, module):
    def name(kind, path, **changes):
        _, plan = make_session(source(settings, kind, path, **changes))
        return plan.caches['own'].recipe.name, plan.students['mimic'][0].recipe.name

    files = [save(tmp_path, f'{n}.npy', array) for n, array in enumerate((LOGITS, SECOND, LOGITS))]
    names = [
        *(name('logits', path) for path in files[:2]),
        name('logits', files[0], probabilities=True),
        name('callable', f'{module}:linear'),
        name('callable', f'{module}:linear', version='2'),
        name('callable', f'{module}:softmax'),
        name('callable', f'{module}:linear', inputs='preprocessed'),
        name('fit', f'{module}:fit'),
        name('fit', f'{module}:fit', inputs='preprocessed'),
    ]
    assert len(set(names)) == len(names)
    assert len({student for _, student in names}) == len(names)
    assert name('logits', files[2]) == names[0], 'content counts, not the file name'


def test_every_byte_of_a_file_of_logits_counts(tmp_path):
    path = tmp_path / 'x.npy'
    np.save(path, LOGITS[:3])
    content, teacher = path.read_bytes(), ExternalTeacher(kind='logits', path=(str(path),))
    found = {str(external_answers.identity(teacher, 'here'))}
    for place in range(len(content)):
        path.write_bytes(content[:place] + bytes([content[place] ^ 1]) + content[place + 1 :])
        found.add(str(external_answers.identity(teacher, 'here')))
    assert len(found) == len(content) + 1


def test_a_layout_and_an_output_are_named_where_they_are_set(tmp_path):
    path = str(tmp_path / 'm.onnx')
    (tmp_path / 'm.onnx').write_bytes(b'stands for a model')
    given = [{}, {'layout': 'channels_first'}, {'output': 'logits'}]
    plain, layout, output = (
        external_answers.identity(ExternalTeacher(kind='onnx', path=(path,), **each), 'here')
        for each in given
    )
    assert sorted(plain) == ['inputs', 'kind', 'probabilities', 'sha256'], 'as it was before'
    assert layout == {**plain, 'layout': 'channels_first'}
    assert output == {**plain, 'output': 'logits'}


def test_trained_teachers_keep_their_names(make_session):
    """The names are of the second format of recipes; a renamed artifact would be trained anew."""
    from conftest import load_experiment

    _, plan = make_session(load_experiment('digits_student').get_config())
    assert plan.caches['ensemble'].recipe.name == 'logits-6f546e64e1ce'
    assert plan.members['cnn_1'].recipe.name == 'teacher-8566bc95c9f0'
    assert plan.students['mimic'][0].recipe.name == 'student-82faf170b20e'
    assert plan.students['mimic'][0].evaluation.name == 'evaluate-f7db1a8b53b9'
    assert 'source' not in plan.caches['ensemble'].recipe.config, 'there is none'


def bad(value, row=7, column=2):
    array = LOGITS.copy()
    array[row, column] = value
    return array


BAD_FILES = [
    (LOGITS[:60], ('shape [60, 3]', '75 rows', '100')),
    (LOGITS[:, :2], ('2 classes', 'the data have 3')),
    (np.stack([LOGITS, LOGITS]), ('shape [2, 100, 3]', '1 views')),
    (LOGITS[0], ('shape [3]',)),
]


@pytest.mark.parametrize(('array', 'words'), BAD_FILES)
def test_files_of_another_shape_are_refused_before_anything_runs(
    tmp_path, make_session, settings, array, words
):
    path = save(tmp_path, 'bad.npy', array)
    message = refusal(make_session, source(settings, 'logits', path))
    assert path in message and all(word in message for word in words), message


def test_a_logit_that_is_not_finite_is_told_by_its_place(tmp_path, make_session, settings):
    _, plan = make_session(source(settings, 'logits', save(tmp_path, 'x.npy', LOGITS)))
    example = plan.caches['own'].examples[5]
    path = save(tmp_path, 'bad.npy', bad(np.nan, example))
    message = refusal(written, make_session, source(settings, 'logits', path))
    assert f'{path}, view 0, gives nan for example {example}, class 2' in message


@pytest.mark.parametrize(
    ('name', 'words'),
    [
        ('narrow', 'shape [75, 2] for 75 examples of 3 classes'),
        ('infinite', 'class 1, which is not finite'),
        ('large', 'does not fit float16'),
        ('nonesuch', "has no 'nonesuch'"),
        ('constant', 'is no function'),
    ],
)
def test_a_function_that_gives_no_logits_is_one_line(make_session, settings, module, name, words):
    settings.logits.own.dtype = 'float16'
    message = refusal(written, make_session, source(settings, 'callable', f'{module}:{name}'))
    assert words in message


@pytest.mark.parametrize(
    ('kind', 'path', 'words'),
    [
        ('callable', 'no_such_package.module:apply', 'no module no_such_package.module'),
        ('callable', 'just_a_name', 'package.module:name'),
        ('callable', ('a:b', 'c:d'), 'only kind'),
        ('logits', '/nonesuch/logits.npy', 'there is no file'),
        ('onnx', '/nonesuch/model.onnx', 'there is no file'),
    ],
)
def test_what_is_not_there_is_told_before_anything_runs(make_session, settings, kind, path, words):
    assert words in refusal(make_session, source(settings, kind, path))


def test_members_or_a_source_but_not_both(make_session, settings):
    assert 'a tuple of at least one name' in refusal(make_session, settings)
    settings.members = {'net': {'model': '4'}}
    settings.logits.own.members = ('net',)
    source(settings, 'callable', 'a:b')
    message = refusal(make_session, settings)
    assert 'must be empty: --config.logits.own.members=' in message


def test_a_shipped_experiment_gets_a_teacher_by_flags(tmp_path):
    """The flags are those of docs/own_teacher.md; members that nothing reads are not trained."""
    command = (sys.executable, '-m', 'mimic_jax', '--config=experiments/digits_student.py')
    flags = (
        '--config.logits.ensemble.members=',
        '--config.logits.ensemble.source.kind=fit',
        '--config.logits.ensemble.source.probabilities=True',
        '--config.logits.ensemble.source.path=examples.forest_teacher:fit',
    )
    done = subprocess.run(
        [*command, f'--workdir={tmp_path}', '--phase=plan', *flags],
        capture_output=True, text=True, cwd=ROOT,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert re.findall(r'\| teacher (\S+)', done.stdout) == ['cnn_1'], 'which the report shows'
    assert (
        '| answers of teacher ensemble' in done.stdout and '| student mimic, seed 2' in done.stdout
    )


def test_members_stay_where_no_teacher_was_made_elsewhere(settings):
    settings.members = {name: {'model': '4'} for name in 'abc'}
    settings.logits.own.members = ('a',)
    settings.report = {'rows': {'b': {'source': 'members.b'}}}
    assert set(experiments.read(settings).members) == set('abc')
    settings.logits.other = {'source': {'path': 'some:function'}}
    assert set(experiments.read(settings).members) == set('ab')
    settings.report.order = ('own',)
    settings.report.rows.own = {'source': 'logits.own'}
    assert set(experiments.read(settings).members) == {'a'}, 'its row is not shown'
    settings.report = {}  # shows everything
    assert set(experiments.read(settings).members) == set('abc')


@pytest.mark.parametrize(
    ('values', 'words'),
    [
        ([[0.5, 0.5, 0.5]], '1.5 in all classes instead of 1'),
        ([[1.5, -0.5, 0.0]], 'no probability'),
        ([[-2.0, 3.0, 0.0]], 'set probabilities to False'),
    ],
)
def test_what_are_no_probabilities_is_refused(values, words):
    assert words in refusal(external_answers.checked, np.array(values), 1, 3, True, 'it')


# ONNX.


class FakeSession:
    """Stands in for onnxruntime's: a model of channels first that sums each over the image."""

    def __init__(self, path, providers):
        if 'broken' in path:
            raise RuntimeError('no protobuf\nat all')

    def get_inputs(self):
        return [types.SimpleNamespace(name='x', type='tensor(float)', shape=['batch', 3, 4, 5])]

    def get_outputs(self):
        return [types.SimpleNamespace(name='y', type='tensor(float)', shape=['batch', 3])]

    def run(self, outputs, feed):
        assert outputs == ['y']
        assert feed['x'].dtype == np.float32 and feed['x'].shape[1:] == (3, 4, 5)
        return [feed['x'].sum(axis=(2, 3))]


@pytest.fixture
def fake_onnx(monkeypatch):
    fake = types.ModuleType('onnxruntime')
    fake.InferenceSession, fake.get_available_providers = FakeSession, lambda: ['CPU']
    monkeypatch.setitem(sys.modules, 'onnxruntime', fake)


def test_images_go_to_an_onnx_model_as_it_wants_them(fake_onnx):
    inputs = RANDOM.integers(0, 256, (7, 4, 5, 3)).astype(np.uint8)
    found = external_onnx.load('model.onnx', (4, 5, 3), 3, 'here')(inputs)
    np.testing.assert_array_equal(found, inputs.sum(axis=(1, 2)))
    message = refusal(external_onnx.load, 'model.onnx', (9, 5, 3), 3, 'here')
    assert 'wants examples of shape [3, 4, 5], but the data have [9, 5, 3]' in message
    assert '(no protobuf)' in refusal(external_onnx.load, 'broken.onnx', (4, 5, 3), 3, 'here')


def test_without_onnxruntime_the_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, 'onnxruntime', None)
    assert '.[onnx]' in refusal(external_onnx.load, 'model.onnx', (4, 5, 3), 3, 'here')


def test_an_onnx_model_becomes_a_cache(tmp_path, make_session, settings):
    pytest.importorskip('onnxruntime', reason='onnxruntime is an extra of its own, 28 MB')
    onnx = pytest.importorskip('onnx', reason='onnx writes the model of this test')
    graph = onnx.helper.make_graph(
        [onnx.helper.make_node('MatMul', ['x', 'weights'], ['logits'])],
        'linear',
        [onnx.helper.make_tensor_value_info('x', 1, ['batch', FEATURES])],
        [onnx.helper.make_tensor_value_info('logits', 1, ['batch', CLASSES])],
        [onnx.numpy_helper.from_array(WEIGHTS, 'weights')],
    )
    opset = [onnx.helper.make_opsetid('', 17)]
    model = onnx.helper.make_model(graph, opset_imports=opset, ir_version=9)
    onnx.save(model, tmp_path / 'model.onnx')
    source(settings, 'onnx', str(tmp_path / 'model.onnx'))
    _, cache, opened = written(make_session, settings)
    expected = (INPUTS @ WEIGHTS)[cache.examples]
    np.testing.assert_allclose(opened.view(0), expected, rtol=1e-4, atol=1e-5)
