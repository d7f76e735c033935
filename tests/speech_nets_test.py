"""examples/speech_nets.py: equal to the notation's net where that can be written, by hand where not."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from conftest import load_experiment

from mimic_jax.config import timit
from mimic_jax.models import nets

SHAPE, CLASSES = (15, 41, 3), 183
SPEC = '6c15x8v-p1x6/1x2-20-d.3-10-d.3'


def made(model, model_args=(), classes=CLASSES):
    return nets.make(model, dict(model_args), classes, SHAPE)


@pytest.fixture(scope='module')
def windows():
    return np.random.default_rng(0).normal(size=(5, *SHAPE)).astype(np.float32)


def test_one_pool_and_energy_in_its_place_is_the_net_of_the_notation(windows):
    ours = timit.own_convolution(SPEC)
    assert ours['model_args'] == {
        'filters': 6, 'bands': 8, 'pools': (6,), 'hidden': (20, 10), 'dropout': 0.3,
    }  # fmt: skip
    notation, own = made(SPEC), made(**ours)
    variables = notation.init(jax.random.key(1), SHAPE)
    names = {
        'conv_00': 'Conv_0',
        'hidden_01': 'Dense_0',
        'hidden_02': 'Dense_1',
        'output_03': 'Dense_2',
    }
    params = {names[name]: layer for name, layer in variables['params'].items()}
    shapes = jax.eval_shape(lambda key: own.init(key, SHAPE), jax.random.key(0))['params']
    assert jax.tree.map(jnp.shape, params) == jax.tree.map(jnp.shape, shapes)
    expected = notation.apply(variables, windows)
    np.testing.assert_allclose(own.apply({'params': params}, windows), expected, atol=1e-5)
    assert own.describe(SHAPE).sequential_layers == notation.describe(SHAPE).sequential_layers == 4


def test_pools_of_several_widths_and_energy_apart_by_hand(windows):
    own = made(**timit.own_convolution(SPEC, pools=(4, 6, 8), energy_apart=True))
    params = jax.tree.map(np.asarray, own.init(jax.random.key(2), SHAPE)['params'])
    kernel = params['Conv_0']['kernel']  # [15, 8, 3, 6]
    mel = windows[:, :, 1:]
    positions = [
        np.tensordot(mel[:, :, at : at + 8], kernel, ([1, 2, 3], [0, 1, 2])) for at in range(33)
    ]
    maps = np.maximum(np.stack(positions, axis=1) + params['Conv_0']['bias'], 0)  # [5, 33, 6]
    flat = []
    for group, width in enumerate((4, 6, 8)):
        starts = range(0, 33 - width + 1, 2)
        part = maps[:, :, 2 * group : 2 * group + 2]
        flat.append(np.stack([part[:, s : s + width].max(axis=1) for s in starts], axis=1))
    values = np.concatenate(
        [*(each.reshape(5, -1) for each in flat), windows[:, :, 0].reshape(5, -1)], 1
    )
    for name in ('Dense_0', 'Dense_1'):
        values = np.maximum(values @ params[name]['kernel'] + params[name]['bias'], 0)
    expected = values @ params['Dense_2']['kernel'] + params['Dense_2']['bias']
    np.testing.assert_allclose(own.apply({'params': params}, windows), expected, atol=1e-4)


def test_the_presets_change_every_cnn_and_keep_the_size():
    experiment = load_experiment('timit_table1')
    plain, other = (experiment.get_config(arg) for arg in ('', 'heterogeneous'))
    assert set(plain.members) == set(other.members) and len(plain.members) == 11
    for name, member in other.members.items():
        before = plain.members[name]
        assert member.train == before.train and member.subset == before.subset
        if name == 'dnn':
            assert member.model == before.model
            continue
        args = {'model': member.model, 'model_args': member.model_args.to_dict()}
        assert args == timit.own_convolution(before.model, pools=(4, 6, 8))
    whole = timit.own_convolution(plain.members.cnn.model, pools=(4, 6, 8))
    assert made(**whole).describe(SHAPE).parameters == 12_926_333  # as with one pool of 6
    both = experiment.get_config('small,heterogeneous,energy').members.cnn_2
    assert both.model_args.to_dict() == {
        'filters': 38, 'bands': 7, 'pools': (4, 6, 8), 'hidden': (500, 500, 500), 'dropout': 0.3,
        'energy_apart': True,
    }  # fmt: skip
