"""A person's own Flax modules as nets: in every phase, beside the notation's, named by their sources."""

import functools
import json
import sys

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from conftest import ROOT, refusal, tiny_digits
from flax import nnx

import mimic_jax
from mimic_jax import pipeline
from mimic_jax.artifacts import source, store
from mimic_jax.config import experiment as experiments
from mimic_jax.export import plan as exporting
from mimic_jax.mimic import ensemble, latency, teachers
from mimic_jax.models import flax_module, nets
from mimic_jax.runtime import interrupt
from mimic_jax.search import trials
from mimic_jax.training import loop

SHAPE, CLASSES = (8, 8, 1), 10
MODULE = """
import flax.linen as nn
import jax.numpy as jnp
from flax import nnx
import my_layers

class Resnet(nn.Module):
    num_classes: int
    width: int = 4
    @nn.compact
    def __call__(self, x, train):
        x = nn.Conv(self.width, (3, 3))(x)
        x = nn.relu(nn.BatchNorm(use_running_average=not train, momentum=0.9)(x))
        x = nn.Dropout(0.2, deterministic=not train)(x)
        return nn.Dense(self.num_classes)(x.mean((1, 2)))

class Perceptron(nnx.Module):
    def __init__(self, num_classes, input_shape, width=8, *, rngs):
        size = input_shape[0] * input_shape[1] * input_shape[2]
        sizes = (size, width, num_classes)
        self.layers = nnx.List([nnx.Linear(*pair, rngs=rngs) for pair in zip(sizes, sizes[1:])])
        self.norm = nnx.BatchNorm(width, momentum=0.9, rngs=rngs)
        self.dropout = nnx.Dropout(0.3, rngs=rngs)
    def __call__(self, x):
        x = nnx.relu(self.norm(self.layers[0](x.reshape(x.shape[0], -1))))
        return self.layers[1](self.dropout(x))

class Dropped(nn.Module):
    num_classes: int
    @nn.compact
    def __call__(self, x, deterministic):
        x = nn.Dropout(0.5, deterministic=deterministic)(x.reshape(len(x), -1))
        return nn.Dense(self.num_classes)(x)

class Plain(nn.Module):
    num_classes: int
    outputs: int = 10
    param_dtype: str = 'float32'
    @nn.compact
    def __call__(self, x):
        x = nn.Dense(my_layers.WIDTH, param_dtype=self.param_dtype)(x.reshape(len(x), -1))
        return nn.Dense(self.outputs)(x)

class Noisy(nn.Module):
    @nn.compact
    def __call__(self, x):
        return nn.Dense(10)(nn.Dropout(0.5, deterministic=False)(x.reshape(len(x), -1)))

class Counting(nn.Module):
    @nn.compact
    def __call__(self, x):
        x = nn.BatchNorm(use_running_average=False)(x.reshape(len(x), -1))
        return nn.Dense(10)(x)

class Empty(nn.Module):
    @nn.compact
    def __call__(self, x):
        return x.reshape(len(x), -1)[:, :10]

class Masked(nn.Module):
    @nn.compact
    def __call__(self, x, train, mask):
        x = nn.BatchNorm(use_running_average=not train)(
            x.reshape(len(x), -1), mask=None if mask is None else mask[:, None])
        return nn.Dense(10)(x)

def factory(width, num_classes):
    return Resnet(num_classes, width)

class Several(nn.Module):
    @nn.compact
    def __call__(self, x):
        x = nn.Dense(10)(x.reshape(x.shape[0], -1))
        return x, x

def no_module(width=1):
    return 3

class Fitted(nnx.Module):
    def __init__(self, num_classes, input_shape, *, rngs):
        self.layer = nnx.Linear(8 * 8, num_classes, rngs=rngs)

    def fit(self, variables, inputs):
        return variables

    def __call__(self, x):
        return self.layer(x.reshape(x.shape[0], -1))

def seedless():
    return Perceptron(10, (8, 8, 1), rngs=nnx.Rngs(0))

ready = Plain(10)
constant = 3
"""


@pytest.fixture(scope='module')
def folder(tmp_path_factory):
    """A working folder with my_nets.py and the module that it imports."""
    home = tmp_path_factory.mktemp('own')
    (home / 'my_nets.py').write_text(MODULE)
    (home / 'my_layers.py').write_text('WIDTH = 6\n')
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(home)
        yield home
    for name in ('my_nets', 'my_layers'):
        sys.modules.pop(name, None)


def made(name, shape=SHAPE, **args):
    return nets.make(f'flax:my_nets:{name}', args, CLASSES, shape, where='config.members.a')


def batch(size=6, seed=0):
    return np.random.default_rng(seed).uniform(size=(size, *SHAPE)).astype(np.float32)


@functools.partial(jax.jit, static_argnums=0)
def first(net, seed=0):
    return net.init(jax.random.key(seed), SHAPE)


@functools.partial(jax.jit, static_argnums=0)
def step(net, variables, inputs, mask=None, seed=1):
    return net.apply(variables, inputs, True, mask, {'dropout': jax.random.key(seed)})


@functools.partial(jax.jit, static_argnums=0)
def answers(net, variables, inputs):
    return net.apply(variables, inputs)


# What the contract says of a net.


@pytest.mark.parametrize(
    ('name', 'args', 'parameters'),
    [
        ('Resnet', {'width': 5}, 9 * 5 + 5 + 2 * 5 + 5 * 10 + 10),
        ('Perceptron', {'width': 7}, 64 * 7 + 7 + 2 * 7 + 7 * 10 + 10),
        ('Dropped', {}, 64 * 10 + 10),
        ('factory', {'width': 3}, 9 * 3 + 3 + 2 * 3 + 3 * 10 + 10),
        ('ready', {}, 64 * 6 + 6 + 6 * 10 + 10),
    ],
)
def test_every_kind_of_module_keeps_the_contract(folder, name, args, parameters):
    net = made(name, **args)
    size = net.describe(SHAPE)
    assert size.parameters == parameters and size.units is None and size.flops > 0
    variables = first(net)
    assert sum(leaf.size for leaf in jax.tree.leaves(variables['params'])) == parameters
    assert net == made(name, **args) and hash(net) == hash(made(name, **args))
    found = answers(net, variables, batch())
    assert found.shape == (6, CLASSES) and found.dtype == jnp.float32
    np.testing.assert_array_equal(found, answers(net, variables, batch()))
    trained, updates = step(net, variables, batch(), np.ones(6, np.float32))
    assert trained.shape == found.shape
    assert set(updates) == set(variables) - {'params'}
    assert jax.tree.structure(updates) == jax.tree.structure(
        {key: variables[key] for key in updates}
    )


def test_flops_are_those_of_the_matrices(folder):
    """2 a multiply-add: of the two layers, and little beside."""
    counted = 2 * (64 * 6 + 6 * 10)
    assert counted <= made('Plain').describe(SHAPE).flops <= 1.1 * counted


def test_a_linen_modules_outputs_are_its_own(folder):
    net = made('Resnet', width=5)
    variables = first(net)
    inputs = batch()
    module = net.module
    wanted = jax.jit(functools.partial(module.apply, train=False))(variables, inputs)
    np.testing.assert_allclose(answers(net, variables, inputs), wanted, atol=1e-6)
    # Dropout and running statistics, as Flax has them with the same key.
    rngs = {'dropout': jax.random.key(1)}
    wanted, changed = module.apply(variables, inputs, True, rngs=rngs, mutable=['batch_stats'])
    found, updates = step(net, variables, inputs)
    np.testing.assert_allclose(found, wanted, atol=1e-6)
    jax.tree.map(functools.partial(np.testing.assert_allclose, atol=1e-6), updates, dict(changed))
    mean = np.asarray(updates['batch_stats']['BatchNorm_0']['mean'])
    assert np.abs(mean).max() > 0
    other, _ = step(net, variables, inputs, seed=2)
    assert np.abs(np.asarray(found) - np.asarray(other)).max() > 0


def test_an_nnx_modules_outputs_are_its_own(folder):
    """Against the module itself, without the bridge, with the net's parameters put into it."""
    net = made('Perceptron')
    variables = first(net)
    _, changed = step(net, variables, batch())
    variables = {**variables, **changed}
    module = sys.modules['my_nets'].Perceptron(CLASSES, SHAPE, rngs=nnx.Rngs(5))
    params, stats = variables['params'], variables['batch_stats']['norm']
    for number in range(2):
        layer = params['layers'][str(number)]
        module.layers[number].kernel[...] = layer['kernel']
        module.layers[number].bias[...] = layer['bias']
    module.norm.scale[...], module.norm.bias[...] = params['norm']['scale'], params['norm']['bias']
    module.norm.mean[...], module.norm.var[...] = stats['mean'], stats['var']
    assert np.abs(np.asarray(stats['mean'])).max() > 0
    module.eval()
    np.testing.assert_allclose(net.apply(variables, batch()), module(batch()), atol=1e-6)
    one, other = (step(net, variables, batch(), seed=seed)[0] for seed in (1, 2))
    assert np.abs(np.asarray(one) - np.asarray(other)).max() > 0
    np.testing.assert_array_equal(one, step(net, variables, batch(), seed=1)[0])


def test_input_scale_multiplies_the_inputs(folder):
    plain = made('Plain')
    scaled = nets.make('flax:my_nets:Plain', {}, CLASSES, SHAPE, input_scale=2.0)
    variables = first(plain)
    np.testing.assert_allclose(
        scaled.apply(variables, batch()), plain.apply(variables, 2 * batch()), rtol=1e-6
    )


def test_padding_repeats_real_examples_for_a_module_without_a_mask(folder):
    """Four examples in a batch of 8: their statistics; of a module with a mask, it is passed on."""
    real = batch(4)
    padded = np.concatenate([real, np.full((4, *SHAPE), 100, np.float32)])
    mask = np.array([1] * 4 + [0] * 4, np.float32)
    for name in ('Perceptron', 'Masked'):
        net = made(name)
        variables = first(net)
        _, wanted = step(net, variables, real)
        _, found = step(net, variables, padded, mask)
        jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, atol=1e-5), found, wanted)


def test_an_edited_module_is_another_net(folder):
    before = made('Plain')
    layers = folder / 'my_layers.py'
    text = layers.read_text()
    try:
        layers.write_text('WIDTH = 9\n')
        after = made('Plain')
        assert after != before and after.identity() != before.identity()
        assert after.describe(SHAPE).parameters == 64 * 9 + 9 + 9 * 10 + 10
    finally:
        layers.write_text(text)
    assert made('Plain').identity() == before.identity()


# Mistakes.


@pytest.mark.parametrize(
    ('model', 'args', 'words'),
    [
        ('flax:nonesuch:Net', {}, 'there is no module nonesuch'),
        ('flax:my_nets:Nonesuch', {}, "my_nets has no 'Nonesuch'"),
        ('flax:my_nets', {}, 'write package.module:name'),
        ('flax:my_nets:constant', {}, 'is no Flax module'),
        ('flax:my_nets:no_module', {}, 'makes a int and no Flax module'),
        ('flax:my_nets:seedless', {}, 'takes no rngs'),
        ('flax:my_nets:Fitted', {}, 'an NNX module with a method fit'),
        ('flax:my_nets:Resnet', {'wdith': 3}, "'wdith', which flax:my_nets:Resnet does not take"),
        ('flax:my_nets:factory', {}, "missing 1 required positional argument: 'width'"),
        ('flax:my_nets:Resnet', {'width': -3}, 'on examples of shape [8, 8, 1] fails'),
        ('flax:my_nets:Resnet', {'width': jnp.float32}, 'give numbers, strings'),
        ('flax:my_nets:ready', {'outputs': 3}, 'is a module already'),
        ('flax:my_nets:Plain', {'outputs': 7}, 'gives shape [2, 7] for 2 examples'),
        ('flax:my_nets:Plain', {'param_dtype': 'bfloat16'}, 'is bfloat16; keep parameters in float32'),
        ('flax:my_nets:Noisy', {}, 'let its __call__ take train or deterministic'),
        ('flax:my_nets:Counting', {}, 'keeps batch_stats; let its __call__ take train'),
        ('flax:my_nets:Empty', {}, 'has no parameters to train'),
        ('flax:my_nets:Several', {}, 'gives a tuple; it must give logits alone'),
        ('flax:my_nets:Net?', {}, "solved in the papers' notation alone"),
        ('64c3', {'width': 3}, 'model_args is for a model of your own'),
    ],
)  # fmt: skip
def test_a_mistake_is_one_line_that_names_the_setting(folder, model, args, words):
    def describe():
        nets.make(model, args, CLASSES, SHAPE, where='config.members.a').describe(SHAPE)

    line = refusal(describe)
    assert words in line and 'config.members.a.model' in line


def test_arguments_that_a_partial_has_by_their_place_are_given():
    class Wide(nn.Module):
        num_classes: int
        width: int = 3

        @nn.compact
        def __call__(self, x):
            return nn.Dense(self.num_classes)(nn.Dense(self.width)(x.reshape(x.shape[0], -1)))

    factory = functools.partial(Wide, 10)
    known = {'num_classes': 7, 'input_shape': (8, 8, 1)}
    given = (factory, {'width': 5}, known, 'object:Wide', 'config.x')
    made, _ = flax_module.module(*given)
    assert (made.num_classes, made.width) == (10, 5)
    line = refusal(
        flax_module.module, factory, {'num_classes': 4}, known, 'object:Wide', 'config.x'
    )
    assert "'num_classes', which object:Wide does not take; it takes width" in line


def test_a_factory_that_takes_any_argument_gets_it():
    def factory(**options):
        return nn.Dense(options['width'])

    made, _ = flax_module.module(factory, {'width': 5}, {}, 'object:factory', 'config.x')
    assert made.features == 5


@pytest.mark.parametrize(('name', 'value'), [('dtype', 'bfloat16'), ('init_scale', 2.0)])
def test_what_a_module_sees_to_itself_is_refused(folder, name, value):
    def make():
        nets.make('flax:my_nets:Plain', {}, CLASSES, SHAPE, where='config.x', **{name: value})

    assert f'config.x.train.{name} is {value!r}' in refusal(make)


# Every phase, with nets of both kinds.


def experiment():
    """Digits: a Linen and a notation's teacher, a cache of both, an NNX and a notation's student."""
    config = tiny_digits()
    config.unlock()
    linen = config.members.cnn_1
    linen.model, linen.model_args = 'flax:my_nets:Resnet', {'width': 6}
    config.members = {'linen': linen, 'plain': {'model': '8-bn', 'train': {'epochs': 2}}}
    config.logits.ensemble.members = ('linen', 'plain')
    mimic = config.students.mimic
    mimic.model, mimic.model_args, mimic.seeds = 'flax:my_nets:Perceptron', {'width': 9}, (0,)
    mimic.train.epochs, config.logits.ensemble.views = 2, 1
    dense = {**mimic.to_dict(), 'model': '8L-16', 'model_args': {}}
    config.students = {'mimic': mimic, 'dense': dense}
    config.report.rows, config.report.order = {}, ()
    return config


def one(config, **member):
    """The experiment with one teacher alone."""
    config.members = {'one': {'train': {'epochs': 2, 'batch_size': 50}, **member}}
    config.logits, config.students, config.report.ensemble = {}, {}, ''
    return config


@pytest.fixture(scope='module')
def ran(folder, tmp_path_factory):
    workdir = tmp_path_factory.mktemp('flax') / 'runs'
    return mimic_jax.run(experiment(), workdir=workdir, name='own')


def test_both_kinds_train_label_mimic_and_report(ran):
    rows = {row['name']: row for row in ran.rows}
    assert set(rows) == {'linen', 'plain', 'ensemble', 'mimic', 'dense'}
    assert rows['mimic']['model'] == 'flax:my_nets:Perceptron(width=9)'
    assert rows['mimic']['parameters'] == 64 * 9 + 9 + 2 * 9 + 9 * 10 + 10
    assert rows['mimic']['units'] is None and rows['ensemble']['units'] is None
    members = [rows[name]['parameters'] for name in ('linen', 'plain')]
    assert rows['ensemble']['parameters'] == sum(members)
    assert rows['mimic']['agreement'] > 0.15


def test_the_cache_and_the_evaluations_are_of_both_kinds(ran):
    session, plan = ran._session, ran._plan
    test = session.data.inputs[session.data.splits['test']]
    alone = [ran.teacher(name)(test) for name in ('linen', 'plain')]
    for name, found in zip(('linen', 'plain'), alone, strict=True):
        kept = np.load(session.workdir / plan.members[name].evaluation.name / 'test.npy')
        np.testing.assert_allclose(found, kept, atol=1e-4)
    np.testing.assert_allclose(ran.ensemble('ensemble')(test), np.mean(alone, axis=0), atol=1e-5)
    milliseconds = latency.measure(session, [plan.members['linen']])
    assert milliseconds['1'] > 0 and milliseconds['128'] > 0
    cache = ran.cache('ensemble')
    assert cache.view(0).shape == (len(cache.examples), CLASSES)


def test_a_recipe_names_path_arguments_and_sources(ran):
    recipe = ran._plan.students['mimic'][0].recipe
    assert recipe.config['model'] == 'flax:my_nets:Perceptron'
    assert recipe.config['model_args'] == {'width': 9}
    assert recipe.config['sources'] == source.identity('my_nets:Perceptron', '')['sha256']
    assert 'models' not in recipe.versions
    assert 'sources' not in ran._plan.students['dense'][0].recipe.config


def test_what_is_there_is_reused_and_an_edit_makes_new_artifacts(ran, folder, make_session):
    before = set(ran.folders.values())
    assert (
        set(mimic_jax.run(experiment(), workdir=ran.workdir, name='own').folders.values()) == before
    )
    text = (folder / 'my_nets.py').read_text()
    try:
        (folder / 'my_nets.py').write_text(f'{text}\n# edited\n')
        _, plan = make_session(experiment())
    finally:
        (folder / 'my_nets.py').write_text(text)
    named = {net.name: net.recipe.name for net in plan.nets()}
    for name, path in ran.folders.items():
        if name in named:
            assert (named[name] == path.name) == (name == 'teacher plain')


def test_an_export_answers_as_the_net(ran, folder):
    student = 'mimic'
    pipeline.run(
        experiment(), workdir=ran.workdir, experiment='own', phase='export', student_name=student
    )
    (path,) = [
        each
        for each in ran.workdir.glob('export-*')
        if json.loads((each / 'export.json').read_text())['student'] == student
    ]
    facts = json.loads((path / 'export.json').read_text())
    assert facts['bottleneck'] == 'exported as it is' and facts['parity']['max_difference'] < 1e-4
    images = ran._session.data.inputs[:9]
    np.testing.assert_allclose(
        mimic_jax.load_student(path).predict_proba(images),
        ran.student(student).predict_proba(images),
        atol=1e-5,
    )


def test_a_module_that_needs_the_size_of_a_batch_is_not_exported(folder):
    net = made('Dropped')  # asks len(x)
    line = refusal(exporting.serialize, net, 'scale', first(net), {}, SHAPE, np.dtype(np.uint8))
    assert 'my_nets:Dropped cannot be exported for every number of examples' in line


def test_what_such_a_net_cannot_do_is_one_line(ran, folder):
    def export():
        how = {'phase': 'export', 'student_name': 'mimic', 'file_format': 'onnx'}
        pipeline.run(experiment(), workdir=ran.workdir, experiment='own', **how)

    pytest.importorskip('onnx')
    assert "only nets of the papers' notation have an ONNX export" in refusal(export)
    config = experiment()
    config.report.rows = {'a': {'source': 'students.mimic', 'absorbed': True}}
    line = refusal(mimic_jax.run, config, workdir=ran.workdir, name='other', phase='report')
    assert 'a bottleneck to absorb' in line
    config = experiment()
    config.students.mimic.budget = 50.0
    line = refusal(mimic_jax.run, config, workdir=ran.workdir, name='other', phase='student')
    assert 'more than its budget of 50' in line


def test_training_stops_and_resumes_bit_for_bit(folder, tmp_path, device):
    """Checkpoints hold the running statistics of NNX, whose lists have numbers as names."""
    config = one(experiment(), model='flax:my_nets:Perceptron')
    taken, original = [], loop.hosts.check_stop

    def stop():
        taken.append(1)
        if len(taken) == 5:
            interrupt.request()
        original()

    def trained(folder):
        how = {'experiment': 'x', 'phase': 'teacher', 'devices': device}
        _, plan = pipeline.run(config, workdir=tmp_path / folder, **how)
        name = plan.members['one'].recipe.name
        return store.manifest(tmp_path / folder / name)['variables_sha256']

    try:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(loop.hosts, 'check_stop', stop)
            with pytest.raises(interrupt.Interrupted):
                trained('stopped')
    finally:
        interrupt._Request.pending = False
    assert trained('stopped') == trained('whole')


def test_a_search_fills_arguments(folder):
    def search(**member):
        return experiments.read({
            'search': {
                'space': {'width': {'low': 2, 'high': 8, 'int': True}, 'drop': {'low': 0.1, 'high': 0.5}},
                'member': {'model': 'flax:my_nets:Resnet', **member},
            }
        }).search  # fmt: skip

    args = {'width': '{width}', 'deep': ('{width}', 'd{drop:.1f}'), 'fixed': 3}
    net = trials.net_at(search(model_args=args), {'width': 4, 'drop': 0.25})
    assert net.model_args == {'width': 4, 'deep': [4, 'd0.2'], 'fixed': 3}
    assert isinstance(net.model_args['width'], int)
    line = refusal(
        trials.net_at, search(model_args={'width': '{wide}'}), {'width': 4, 'drop': 0.25}
    )
    assert 'config.search.member.model_args names {wide}' in line
    line = refusal(
        trials.net_at, search(model_args={'width': '{width}'}), {'width': 4, 'drop': 0.25}
    )
    assert 'space.drop is used by nothing' in line


def test_wide_layers_are_split_over_the_model_axis(folder, make_session):
    """By the rule of any net; what it learns is the same to rounding."""
    config = one(experiment(), model='flax:my_nets:Perceptron', model_args={'width': 256})
    session, plan = make_session(config, devices=jax.devices()[:2], model_axis=2)
    teachers.make(session, plan.members['one'])
    kernel = ensemble.variables(session, plan.members['one'])['params']['layers']['0']['kernel']
    assert {shard.data.shape for shard in kernel.addressable_shards} == {(64, 128)}


# The nets of examples/nets.py.


@pytest.fixture
def examples(monkeypatch):
    """The module examples/nets.py, found as it is from its folder."""
    monkeypatch.chdir(ROOT / 'examples')
    yield
    sys.modules.pop('nets', None)


@pytest.mark.parametrize(
    ('name', 'args', 'shape', 'classes', 'parameters'),
    [
        ('ResNet18', {}, (32, 32, 3), 10, 11_173_962),
        ('WRN', {}, (32, 32, 3), 10, 2_748_890),
        # Mixer-S/16 on ImageNet (Tolstikhin et al. 2021, table 1: 18M).
        ('MLPMixer', {'patch': 16, 'width': 512, 'depth': 8, 'tokens': 256, 'channels': 2048},
         (224, 224, 3), 1000, 18_528_264),
    ],
)  # fmt: skip
def test_the_examples_have_the_published_sizes(examples, name, args, shape, classes, parameters):
    net = nets.make(f'flax:nets:{name}', args, classes, shape)
    shapes = jax.eval_shape(lambda key: net.init(key, shape), jax.random.key(0))
    assert sum(leaf.size for leaf in jax.tree.leaves(shapes['params'])) == parameters


@pytest.mark.parametrize(
    ('name', 'args'),
    [
        ('ResNet18', {'width': 2, 'blocks': (1, 1)}),
        ('WRN', {'depth': 10, 'widen': 1, 'dropout': 0.1}),
        ('MLPMixer', {'width': 8, 'depth': 1, 'tokens': 4, 'channels': 8, 'dropout': 0.1}),
    ],
)
def test_the_examples_train(examples, tmp_path, name, args):
    config = {
        'data': {'name': 'digits', 'train': 150, 'validation': 50, 'test': 50, 'preprocess': 'scale'},
        'members': {'own': {'model': f'flax:nets:{name}', 'model_args': args,
                            'train': {'epochs': 1, 'batch_size': 32, 'learning_rate': 0.02}}},
    }  # fmt: skip
    result = mimic_jax.run(config, workdir=tmp_path, phase='teacher')
    losses = result.curve('teacher own')['validation_loss'][:, 1]
    assert np.isfinite(losses).all()
