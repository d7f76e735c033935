"""Programs for TPUs and GPUs, compiled or lowered without one.

Lowering for CUDA needs nothing. Compiling for TPUs needs libtpu (pip install -e '.[aot]'); without it
those tests are skipped.
"""

import dataclasses
import functools
import math
import re

import artifact_names
import jax
import jax.numpy as jnp
import pytest
from conftest import refusal
from jax.sharding import AbstractMesh

from mimic_jax.config import experiment as experiments
from mimic_jax.data.placement import Placement
from mimic_jax.models import nets
from mimic_jax.planning import collect as plans
from mimic_jax.planning import compiled_for, programs
from mimic_jax.runtime import backend, sharding, targets
from mimic_jax.runtime.interrupt import Interrupted
from mimic_jax.speech import viterbi

CNN, STUDENT = '8c3-bn-p4-64', '32L-2048'


@functools.cache
def prepared(experiment='cifar_student', placement='auto'):
    """(data, plan, run): an experiment's own data, by shape, and small nets on them."""
    config = artifact_names.module(experiment).get_config()
    for member in config.members.values():
        member.model = CNN
    for student in config.students.values():
        student.model, student.budget = STUDENT, 0
    config.run.placement = placement
    checked = experiments.read(config)
    data = artifact_names.divided(checked.data)
    return data, plans.make(checked, data), checked.run


def traced(kind, target, model_axis=1, **which):
    """The traced call of a kind, its placement, and the data."""
    data, plan, run = prepared(**which)
    with backend.compiling_for(target.backend):
        placement = Placement(data, run, target.mesh(model_axis))
        member, student = plan.members['cnn_1'], plan.students['mimic'][0]
        found = {
            'train': lambda: programs.train(member, placement),
            'mimic': lambda: programs.train(student, placement),
            'evaluate': lambda: programs.evaluate(student, placement),
            'label': lambda: programs.label(member, placement, plan.caches['ecnn'].views),
        }[kind]()
    return found, placement, data


# Lowered for CUDA.

GPUS = targets.parse('cuda:h100:8')


@pytest.mark.parametrize('kind', ['train', 'mimic', 'evaluate', 'label'])
def test_a_gpus_program_has_no_form_of_the_cpu(kind):
    """Pools are windowed maxima, the steps of a call one loop, and images are gathered flat."""
    found, placement, data = traced(kind, GPUS, model_axis=2)
    text = found.lower(lowering_platforms=('cuda',)).as_text()
    assert placement.on_device
    assert (('stablehlo.reduce_window' in text) or ('stablehlo.select_and_scatter' in text)) == (
        kind in ('train', 'label')
    )
    assert ('stablehlo.while' in text) == (kind in ('train', 'mimic'))
    gathered = re.findall(r'stablehlo\.(?:dynamic_)?gather.*?\(tensor<(\d+x[\dx]*ui8)>', text)
    assert [each for each in gathered if each.startswith(f'{len(data.inputs)}x')] == [
        f'{len(data.inputs)}x3072xui8'
    ]


def test_wide_layers_are_split_over_the_model_axis():
    found, placement, _ = traced('mimic', GPUS, model_axis=2)
    assert isinstance(placement.mesh, AbstractMesh) and placement.mesh.shape == {
        'data': 4,
        'model': 2,
    }
    _, plan, _ = prepared()
    state = programs.state(plan.students['mimic'][0], placement)
    held = {
        '/'.join(str(key.key) for key in path): leaf.sharding.shard_shape(leaf.shape)
        for path, leaf in jax.tree_util.tree_leaves_with_path(state.variables)
    }
    # The bottleneck's inputs are its widest axis.
    assert held['params/linear_00/kernel'] == (1536, 32)
    assert held['params/hidden_01/kernel'] == (32, 1024) and held['params/hidden_01/bias'] == (
        1024,
    )
    assert held['params/output_02/kernel'] == (1024, 10)
    text = found.lower(lowering_platforms=('cuda',)).as_text()
    assert 'sdy.mesh' in text or 'mhlo.sharding' in text


def test_views_that_mix_and_means_over_mirrors_are_planned():
    """A batch also holds its partners' images; labelling with mirrors asks the net twice."""
    config = artifact_names.module('cifar_student').get_config()
    config.members.cnn_1.model = CNN
    config.views.mixup, config.logits.ecnn.tta = 0.4, 'mirror'
    checked = experiments.read(config)
    data = artifact_names.divided(checked.data)
    plan, placement = plans.make(checked, data), Placement(data, checked.run, GPUS.mesh())
    with backend.compiling_for('gpu'):
        trained = programs.train(plan.members['cnn_1'], placement)
        cache = plan.caches['ecnn']
        labelled = programs.label(plan.members['cnn_1'], placement, cache.views, cache.settings.tta)
        asked = programs.evaluate(plan.members['cnn_1'], placement)
    text = trained.lower(lowering_platforms=('cuda',)).as_text()
    images = f'tensor<{len(data.inputs)}x3072xui8>'
    assert len([line for line in text.splitlines() if 'gather' in line and images in line]) >= 2
    twice, once = (
        len(re.findall('stablehlo.convolution', each.lower(lowering_platforms=('cuda',)).as_text()))
        for each in (labelled, asked)
    )
    assert twice == 2 * once


@pytest.mark.parametrize('precision', ['default', 'high', 'highest'])
def test_products_have_the_precision_that_is_set(precision):
    """Every convolution and matrix product of the net has it, forward and backward."""
    made = nets.of_spec(CNN, 10, matmul_precision=precision)
    variables = jax.eval_shape(lambda: made.init(jax.random.key(0), (32, 32, 3)))
    images = jax.ShapeDtypeStruct((16, 32, 32, 3), jnp.float32)

    def loss(params, rest, images):
        return made.apply({**rest, 'params': params}, images).sum()

    rest = {key: value for key, value in variables.items() if key != 'params'}
    with backend.compiling_for('tpu'):
        step = jax.jit(jax.grad(loss)).trace(variables['params'], rest, images)
    text = step.lower(lowering_platforms=('tpu',)).as_text()
    products = [
        line
        for line in text.splitlines()
        if re.search(r'stablehlo\.(dot_general|convolution)', line)
    ]
    found = {tuple(re.findall(r'DEFAULT|HIGHEST|HIGH', line)[:2]) for line in products}
    assert len(products) >= 7 and found == {(precision.upper(),) * 2}


def test_batches_from_the_host_are_a_calls_steps():
    """The call takes its 16 batches as arguments, and no data set."""
    found, placement, data = traced('train', GPUS, placement='host')
    assert not placement.on_device
    text = found.lower(lowering_platforms=('cuda',)).as_text()
    assert '16x128x32x32x3xui8' in text and f'{len(data.inputs)}x' not in text


def test_speech_is_decoded_and_aligned_on_gpus():
    for call, shapes in viterbi_calls():
        assert (
            'stablehlo.while' in call.trace(*shapes).lower(lowering_platforms=('cuda',)).as_text()
        )


def viterbi_calls(place=None):
    """The jitted searches with the shapes of 16 utterances of TIMIT."""

    def shape(*sizes, dtype=jnp.float32):
        return jax.ShapeDtypeStruct(sizes, dtype, sharding=place)

    said, lengths, states = shape(16, 800, 183), shape(16, dtype=jnp.int32), shape(183)
    phones, scalar = shape(61), shape()
    model = shape(61, 61), phones, phones, states, states, scalar, scalar
    yield viterbi.decode, (said, lengths, *model)
    yield viterbi.align, (said, lengths, shape(16, 80, dtype=jnp.int32), states, states)


def test_costs_of_a_gpu_are_those_counted_by_hand():
    """A student without convolutions: its FLOPs, and the least memory that its arrays take."""
    data, plan, run = prepared()
    target = targets.parse('cuda:h100')
    placement = Placement(data, run, target.mesh())
    found = {
        cost.program: cost
        for cost in compiled_for.costs(plan, placement, target)
        if cost.net == 'student mimic, seed 0'
    }
    weights = 3072 * 32 + 32 * 2048 + 2048 * 10
    parameters = 4 * (weights + 32 + 2048 + 10)
    arrays = data.inputs.nbytes + 4 * len(data.labels)
    train, evaluate = found['train'], found['evaluate']
    # The first layer has no gradient of its inputs. Preprocessing and views add their sums.
    products = 128 * 2 * (3 * weights - 3072 * 32)
    assert products < train.flops < 1.3 * products
    # Parameters, momentum and gradients, and a few scalars.
    assert 0 <= train.memory - arrays - 3 * parameters < 256
    assert 0 <= evaluate.memory - arrays - parameters < 256
    seeds = plan.students['mimic']  # equal but for their seeds
    assert train.calls == len(seeds) * seeds[0].task.steps
    batches = math.ceil(len(data.splits['validation']) / 500) + 20
    assert evaluate.calls == len(seeds) * batches
    assert train.seconds == pytest.approx(max(train.flops / 494e12, train.traffic / 3.35e12))
    assert not train.compiled and not train.advice and train.exchanged == {}


@pytest.mark.parametrize(
    ('memory', 'advice'),
    [(100e6, 'placement'), (380e6, 'model_axis'), (None, '')],
)
def test_what_does_not_fit_names_the_setting(memory, advice, monkeypatch):
    """Parameters, momentum and gradients take 222 MB beside 184 MB of images."""
    config = artifact_names.module('cifar_student').get_config()
    config.members, config.logits, config.students = {}, {}, {'labels': config.students.labels}
    config.students.labels.model, config.students.labels.budget = '6000', 0
    config.report = {'order': (), 'rows': {}}
    checked = experiments.read(config)
    data = artifact_names.divided(checked.data)
    if memory:
        chip = dataclasses.replace(targets.CHIPS['h100'], memory=memory)
        monkeypatch.setitem(targets.CHIPS, 'h100', chip)
    target = targets.parse('cuda:h100')
    placement = Placement(data, checked.run, target.mesh())
    cost = next(compiled_for.costs(plans.make(checked, data), placement, target))
    assert advice in cost.advice and bool(cost.advice) == bool(advice)


@pytest.mark.parametrize(
    ('name', 'words'),
    [
        ('v5e', 'write tpu:v5e:2x4, cuda:h100 or the like'),
        ('tpu:v9', 'the chips known are tpu:v4, tpu:v5e'),
        ('cuda:v5e', 'the chips known are cuda:a100, cuda:h100'),
        ('tpu:v5e:8', 'as in tpu:v5e:2x4'),
        ('tpu:v5p:2x4', 'as in tpu:v5p:2x2x1'),
        ('cuda:h100:2x4', 'as in cuda:h100:8'),
        ('tpu:v5e:0x4', 'as in tpu:v5e:2x4'),
        ('tpu:v5e:2x4:1', 'as in tpu:v5e:2x4'),
    ],
)
def test_a_target_is_chips_that_are_known(name, words):
    message = refusal(targets.parse, name)
    assert message.startswith(f'--compile_for={name}: ') and words in message


def test_devices_that_cannot_be_divided_so_are_refused():
    assert 'config.run.model_axis is 3' in refusal(targets.parse('cuda:h100:8').mesh, 3)


def test_a_wish_to_stop_is_not_taken_for_a_layout_that_is_none(monkeypatch):
    def stop(*_, **__):
        raise Interrupted

    monkeypatch.setattr(targets.topologies, 'get_topology_desc', stop)
    with pytest.raises(Interrupted):
        targets.parse('tpu:v5e:2x4').mesh()


# Compiled for TPUs.


@pytest.fixture(scope='module')
def tpu():
    return needing_libtpu('tpu:v5e:1x1')


@pytest.fixture(scope='module')
def pod():
    return needing_libtpu('tpu:v5e:2x4')


def needing_libtpu(name):
    pytest.importorskip('libtpu', reason="needs libtpu: pip install -e '.[aot]'")
    return targets.parse(name)


@pytest.mark.parametrize('kind', ['train', 'mimic', 'evaluate', 'label'])
def test_a_tpu_copies_no_data_set(tpu, kind):
    """The images take 184 MB; a copy of them laid out for gathering took four times as much."""
    found, _, data = traced(kind, tpu)
    held = found.lower(lowering_platforms=('tpu',)).compile().memory_analysis()
    assert data.inputs.nbytes == 60_000 * 3072
    assert held.argument_size_in_bytes > data.inputs.nbytes
    batch = 500 * 3072 if kind in ('evaluate', 'label') else 128 * 3072
    assert held.temp_size_in_bytes < data.inputs.nbytes / 2 + 40 * batch


def test_chips_that_split_the_batch_exchange_the_gradients(pod):
    found, placement, _ = traced('mimic', pod)
    assert placement.mesh.shape == {'data': 8, 'model': 1}
    text = found.lower(lowering_platforms=('tpu',)).compile().as_text()
    weights = 3072 * 32 + 32 * 2048 + 2048 * 10
    exchanged = compiled_for.collectives(text)
    reduced = exchanged.get('all-reduce', 0) + exchanged.get('reduce-scatter', 0)
    assert 4 * weights <= reduced < 1.2 * 4 * weights


def test_chips_that_split_layers_exchange_less_than_gradients(pod):
    """They exchange a batch's activations, and the gradients of each chip's own part alone."""
    found, placement, _ = traced('mimic', pod, model_axis=4)
    assert placement.mesh.shape == {'data': 2, 'model': 4}
    program = found.lower(lowering_platforms=('tpu',)).compile()
    exchanged = compiled_for.collectives(program.as_text())
    whole = 4 * (3072 * 32 + 32 * 2048 + 2048 * 10)
    assert 64 * 32 * 4 <= sum(exchanged.values()) < whole


def test_speech_is_decoded_and_aligned_on_tpus(tpu):
    place = sharding.replicated(tpu.mesh())
    for call, shapes in viterbi_calls(place):
        held = call.trace(*shapes).lower(lowering_platforms=('tpu',)).compile().memory_analysis()
        assert held.temp_size_in_bytes < 20 * 16 * 800 * 183 * 4
