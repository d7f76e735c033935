"""Modules, functions, arrays and tables that are passed straight to a run."""

import functools
import importlib.util
import os
import subprocess
import sys

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from conftest import ROOT, refusal
from flax import nnx

import mimic_jax
from mimic_jax.artifacts import objects
from mimic_jax.config import passed
from mimic_jax.data import arrays
from mimic_jax.mimic import external_torch

RANDOM = np.random.default_rng(0)
INPUTS = RANDOM.normal(size=(160, 5)).astype(np.float32)
WEIGHTS = RANDOM.normal(size=(5, 3)).astype(np.float32)
LABELS = (INPUTS @ WEIGHTS).argmax(axis=1)


class Small(nn.Module):
    num_classes: int
    width: int = 4
    dtype: object = jnp.float32
    draw: object = nn.initializers.lecun_normal()

    @nn.compact
    def __call__(self, x):
        x = nn.Dense(self.width, dtype=self.dtype, kernel_init=self.draw)(x)
        return nn.Dense(self.num_classes)(nn.relu(x))


class Nnx(nnx.Module):
    def __init__(self, num_classes, input_shape, *, rngs):
        self.layer = nnx.Linear(input_shape[0], num_classes, rngs=rngs)

    def __call__(self, x):
        return self.layer(x)


def teacher(inputs):
    """Logits [B, 3] of features [B, 5]."""
    return np.asarray(inputs, np.float32) @ WEIGHTS


def local():
    def inside(inputs):
        return inputs

    return inside


def name(thing, **settings):
    return objects.keep(thing, 'config.x', **settings)


def test_equal_objects_have_one_name_and_others_another():
    same = [Small(3), Small(3), Small(num_classes=3, width=4)]
    assert len({name(each) for each in same}) == 1
    others = [
        Small(4),
        Small(3, width=5),
        Small(3, dtype=jnp.bfloat16),
        Small(3, draw=nn.initializers.he_normal()),
        Small(3, draw=nn.initializers.normal(0.1)),
        Small(3, draw=nn.initializers.normal(0.2)),
        Small,
        Nnx,
        functools.partial(Nnx, num_classes=3),
        functools.partial(Nnx, num_classes=4),
        teacher,
        jax.jit(teacher),
        np.arange(3),
        np.arange(3.0),
        np.arange(3)[None],
        {'a': np.arange(3)},
        {'b': np.arange(3)},
    ]
    names = [name(each) for each in [same[0], *others]]
    assert len(set(names)) == len(names)
    assert name(Small(3)).startswith('object:Small-') and objects.kept(names[0], '') == Small(3)


@pytest.mark.parametrize(
    ('thing', 'what'),
    [
        (lambda inputs: inputs, 'a lambda'),
        (functools.partial(lambda inputs: inputs), 'a lambda'),
        (Small(3, draw=lambda key, shape: 0), 'a lambda'),
        (local(), 'the local local.<locals>.inside'),
        (iter([]), 'list_iterator'),
    ],
)
def test_what_nothing_names_asks_for_a_version(thing, what):
    line = refusal(objects.keep, thing, 'config.logits.a.source.path')
    assert what in line and 'give a version' in line and 'config.logits.a.source.path' in line
    first, same, other = (objects.keep(thing, '', version=version) for version in ('1', '1', '2'))
    assert first == same != other


def test_an_object_of_another_process_is_asked_for(tmp_path):
    config = {**experiment(), 'members': {'own': {'model': 'object:Small-000000000000'}}}
    assert 'pass it to run again' in refusal(
        mimic_jax.run, config, workdir=tmp_path, phase='teacher', data=(INPUTS, LABELS)
    )


def test_a_script_names_what_it_defines_by_its_text(tmp_path):
    """The same class in two scripts has one name; another constant that it uses gives another."""
    text = (
        'import sys\nfrom mimic_jax.artifacts import objects\nWIDTH = {width}\n'
        'def helper(x):\n    return x * WIDTH\n'
        'def teacher(x):\n    return helper(x)\n'
        '# {comment}\nprint(objects.keep(teacher, "x"))\n'
    )
    found = []
    for number, (width, comment) in enumerate([(1, 'a'), (1, 'b'), (2, 'a')]):
        script = tmp_path / f'script_{number}.py'
        script.write_text(text.format(width=width, comment=comment))
        found.append(subprocess.check_output([sys.executable, script], text=True, cwd=ROOT))
    assert found[0] == found[1] != found[2]


def _name_in_a_script(folder, text, **environment):
    """What a script of this text, whose last line is added, calls its function `teacher`."""
    script = folder / 'script.py'
    script.write_text(
        f'{text}\nfrom mimic_jax.artifacts import objects\nprint(objects.keep(teacher, "x"))\n'
    )
    # The folder of a script comes before all others, so its own modules are found.
    environment = {**os.environ, 'PYTHONPATH': str(ROOT), **environment}
    return subprocess.check_output([sys.executable, script], text=True, cwd=ROOT, env=environment)


@pytest.mark.parametrize(
    'text',
    [
        'import helpers\ndef teacher(x):\n    return helpers.f(x)',
        'import deep.helpers\ndef teacher(x):\n    return deep.helpers.f(x)',
        'def teacher(x):\n    import helpers\n    return helpers.f(x)',
        'def teacher(x):\n    from helpers import f\n    return f(x)',
    ],
)
def test_a_scripts_function_is_named_by_the_modules_that_it_uses(tmp_path, text):
    found = []
    (tmp_path / 'deep').mkdir()
    for factor in (1, 1, 2):
        for file in ('helpers.py', 'deep/helpers.py'):
            (tmp_path / file).write_text(f'def f(x):\n    return {factor} * x\n')
        (tmp_path / 'unrelated.py').write_text(f'f = {len(found)}\n')
        found.append(_name_in_a_script(tmp_path, text))
    assert found[0] == found[1] != found[2]


def test_a_set_has_one_name_in_every_process(tmp_path):
    text = 'KNOWN = {"a", "b", "c", "d", "e"}\ndef teacher(x):\n    return x in KNOWN'
    seeds = ('1', '2', '3', '4')
    assert len({_name_in_a_script(tmp_path, text, PYTHONHASHSEED=seed) for seed in seeds}) == 1


NETS = """
import functools
import flax.linen as nn
from passed_parts import WIDTH
RATE = 3
def decorated(function):
    @functools.wraps(function)
    def inside(*args):
        return function(*args)
    return inside
@decorated
def teacher(x):
    return x * RATE + 1
class Net(nn.Module):
    @property
    def width(self):
        return WIDTH
    @nn.compact
    def __call__(self, x):
        return nn.Dense(self.width)(x)
"""


@pytest.fixture
def nets(tmp_path, monkeypatch):
    (tmp_path / 'passed_nets.py').write_text(NETS)
    (tmp_path / 'passed_parts.py').write_text('WIDTH = 3\n')
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setattr(sys, 'dont_write_bytecode', True)
    yield importlib.import_module('passed_nets')
    for module in ('passed_nets', 'passed_parts'):
        del sys.modules[module]


@pytest.mark.parametrize('asked', [False, True], ids=['never named', 'named before'])
@pytest.mark.parametrize(
    ('file', 'before', 'after'),
    [
        ('passed_nets.py', '+ 1', '+ 2'),
        ('passed_nets.py', 'return WIDTH', 'return 7'),
        ('passed_nets.py', 'RATE = 3', 'RATE = 4'),
        ('passed_parts.py', '3', '4'),
    ],
)
def test_what_was_edited_since_it_was_imported_is_refused(
    tmp_path, nets, file, before, after, asked
):
    first = (name(nets.teacher), name(nets.Net())) if asked else None
    path = tmp_path / file
    path.write_text(path.read_text().replace(before, after))
    for thing in (nets.teacher, nets.Net, nets.Net()):
        line = refusal(objects.keep, thing, 'config.x')
        assert line == (
            f'config.x uses {path}, which was edited since it was imported; import it again'
        )
    if file == 'passed_parts.py':
        importlib.reload(sys.modules['passed_parts'])
    old = nets.teacher
    importlib.reload(nets)
    again = name(nets.teacher), name(nets.Net())
    assert again != first
    if after == '+ 2':  # `from passed_nets import teacher` before the reload
        assert 'import it again' in refusal(objects.keep, old, 'config.x')


def experiment():
    return {
        'data': {'train': 60, 'validation': 30, 'test': 40, 'preprocess': 'feature'},
        'members': {'own': {'model': Small(3), 'train': {'epochs': 2, 'batch_size': 30}}},
        'logits': {'function': {'source': teacher}, 'alone': {'members': ('own',)}},
        'students': {
            'mimic': {
                'model': functools.partial(Nnx, num_classes=3), 'target': 'logits', 'logits': 'function',
                'loss': {'kind': 'logits'}, 'train': {'epochs': 30, 'batch_size': 30},
            }
        },
    }  # fmt: skip


@pytest.fixture(scope='module')
def ran(tmp_path_factory):
    workdir = tmp_path_factory.mktemp('passed')
    return mimic_jax.run(experiment(), workdir=workdir, data=(INPUTS, LABELS))


def test_modules_a_function_and_arrays_make_a_run(ran):
    rows = {row['name']: row for row in ran.rows}
    assert rows['own']['model'].startswith('object:Small-')
    assert rows['own']['parameters'] == 5 * 4 + 4 + 4 * 3 + 3
    assert rows['mimic']['parameters'] == 5 * 3 + 3
    # A linear student of a linear teacher on standardised features.
    assert rows['function']['mean'] == 1.0 and rows['mimic']['mean'] > 0.9
    cache = ran.cache('function')
    raw = INPUTS[cache.examples]
    np.testing.assert_allclose(cache.view(0), teacher(raw), atol=0.02)


def test_the_same_objects_find_their_artifacts_again(ran):
    """A later process finds them too: names hold nothing but content, and a changed value changes them."""
    again = mimic_jax.run(
        experiment(), workdir=ran.workdir, data=(INPUTS.copy(), LABELS), phase='evaluate'
    )
    assert again.folders == ran.folders
    changed = INPUTS.copy()
    changed[0, 0] += 1
    config = passed.with_data(experiment(), (changed, LABELS))
    assert (
        config['data']['root'] != passed.with_data(experiment(), (INPUTS, LABELS))['data']['root']
    )


def test_an_experiment_takes_a_module_by_its_setting():
    config = mimic_jax.load_experiment('digits_student', **{'students.mimic.model': Small})
    assert config.students.mimic.model.startswith('object:Small-')
    taken = objects.kept(config.students.mimic.model, '')
    assert taken is Small


def test_names_take_the_places_of_objects_alone():
    config = {
        'members': {
            'a': {'model': '4', 'seed': 3},
            'b': {'model': Small, 'model_args': {'f': teacher}},
        },
        'logits': {'c': {'source': {'path': lambda x: x, 'version': '7', 'inputs': 'raw'}}},
        'students': {},
    }
    found = passed.named(config)
    assert found['members']['a'] == {'model': '4', 'seed': 3}
    assert found['members']['b'] == {'model': name(Small), 'model_args': {'f': teacher}}
    source = found['logits']['c']['source']
    assert source['path'].startswith('object:') and source['version'] == '7'
    assert config['members']['b']['model'] is Small


# Arrays and tables.


def test_arrays_are_read_as_a_file_of_them_is():
    images = np.zeros((4, 2, 2, 1), np.uint8)
    found = arrays.of((images, [0, 1, 1, 0]))
    assert set(found) == {'images', 'labels'}
    found = arrays.of((INPUTS[:4], ['b', 'a', 'b', 'c']))
    assert found['labels'].tolist() == [1, 0, 1, 2]
    assert found['class_names'].tolist() == ['a', 'b', 'c']
    held = {'features': INPUTS, 'labels': LABELS, 'test_features': INPUTS, 'test_labels': LABELS}
    assert set(arrays.of(held)) == set(held)


@pytest.mark.parametrize(
    ('data', 'words'), [(INPUTS, 'data is ndarray; give (X, y)'), ((1, 2, 3), 'data is tuple')]
)
def test_other_forms_are_one_line(data, words):
    assert words in refusal(arrays.of, data)


@pytest.mark.parametrize(
    ('labels', 'words'),
    [
        (np.array(['a', None, 'b', None], object), '2 of 4 labels are missing, the first at position 1'),
        (['a', 'b', 'c', float('nan')], '1 of 4 labels are missing, the first at position 3'),
        (np.array([0, 1, np.nan, 1], object), '1 of 4 labels are missing, the first at position 2'),
    ],
)  # fmt: skip
def test_a_missing_label_is_no_class(labels, words):
    assert words in refusal(arrays.of, (INPUTS[:4], labels))


def test_whole_numbers_of_any_type_are_the_classes_that_they_say():
    labels = [0, 10, 2, 1, *range(3, 10)]  # as text 10 is before 2
    found = arrays.of((INPUTS[: len(labels)], np.array(labels, object)))
    assert found['labels'].tolist() == labels and found['labels'].dtype.kind == 'i'
    assert 'class_names' not in found
    texts = arrays.of((INPUTS[:3], np.array(['b', 1, 'a'], object)))
    assert texts['class_names'].tolist() == ['1', 'a', 'b']


def test_a_mistake_in_arrays_is_one_line(tmp_path):
    line = refusal(mimic_jax.run, experiment(), workdir=tmp_path, data=(INPUTS[:, 0], LABELS))
    assert 'data: features has shape' in line


def test_a_table_is_a_data_set():
    pandas = pytest.importorskip('pandas', reason='a table needs pandas')
    frame = pandas.DataFrame({'a': [1, 2, 3], 'b': [0.5, 0.25, 1], 'kind': ['x', 'y', 'x']})
    found = arrays.of((frame, 'kind'))
    assert found['features'].tolist() == [[1, 0.5], [2, 0.25], [3, 1]]
    assert found['labels'].tolist() == [0, 1, 0] and found['class_names'].tolist() == ['x', 'y']
    frame['kind'] = pandas.Series(['x', None, 'y'])
    assert '1 of 3 labels are missing' in refusal(arrays.of, (frame, 'kind'))
    numbers = pandas.Series([1, None, 0], dtype='Int64')
    assert '1 of 3 labels are missing' in refusal(arrays.of, (frame[['a', 'b']], numbers))
    assert "no column 'nonesuch'; it has a, b, kind" in refusal(arrays.of, (frame, 'nonesuch'))
    without_head = pandas.DataFrame({0: [0.5, 0.25, 1], 1: [1, 0, 1]})
    found = arrays.of((without_head, 1))
    assert found['features'].tolist() == [[0.5], [0.25], [1]] and found['labels'].tolist() == [
        1,
        0,
        1,
    ]
    assert 'no column 5; it has 0, 1' in refusal(arrays.of, (without_head, 5))
    assert "the column 'kind' is" in refusal(arrays.of, (frame, [0, 1, 0]))


@pytest.mark.skipif(importlib.util.find_spec('torch') is None, reason='needs torch')
def test_a_torch_module_is_named_by_its_parameters_and_asked_channels_first():
    import torch

    def make(seed):
        torch.manual_seed(seed)
        return torch.nn.Sequential(
            torch.nn.Conv2d(2, 3, 3),
            torch.nn.Flatten(),
            torch.nn.Dropout(0.5),
            torch.nn.Linear(12, 4),
        )

    assert name(make(0)) == name(make(0)) != name(make(1))
    module = make(0)
    assert external_torch.is_module(module) and not external_torch.is_module(teacher)
    images = RANDOM.integers(0, 256, (6, 4, 4, 2)).astype(np.uint8)
    module.eval()
    with torch.no_grad():
        wanted = module(torch.tensor(images.transpose(0, 3, 1, 2), dtype=torch.float32)).numpy()
    module.train()
    ask = external_torch.as_function(module, channels_first=True)
    np.testing.assert_allclose(ask(images), wanted, rtol=1e-5)
    again = external_torch.as_function(module, channels_first=False)
    np.testing.assert_allclose(again(images.transpose(0, 3, 1, 2)), wanted, rtol=1e-5)
