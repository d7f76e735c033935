"""Layers in sequence (Ba & Caruana 2014, section 5.3): the papers' nets by hand, modules by name."""

import json

import flax.linen as nn
import jax
import jax.numpy as jnp
import pytest
from conftest import load_benchmark

from mimic_jax.models import nets, notation, sequence
from mimic_jax.reporting import tables

TIMIT, CIFAR = ((1845,), 183), ((32, 32, 3), 10)


@pytest.mark.parametrize(
    ('spec', 'sizes', 'layers'),
    [
        ('8k-d.5', TIMIT, 2),  # the text's '2 or 3 cycles': hidden, output
        ('250L-8k', TIMIT, 3),  # 2 once its linear layer is multiplied away
        ('2k-2k-2k', TIMIT, 4),
        ('150c15x8v-p1x6/1x2-2k-2k-2k', ((15, 41, 3), 183), 5),
        ('128c5-p3/2-30k', CIFAR, 3),
        ('128c5-p3/2-1200L-30k', CIFAR, 4),
        ('64c5-p3/2s-lrn-64c5-ap3/2s-lrn-64c5-ap3/2s-16lc3-d.5', CIFAR, 5),
        ('76c3^2-p2-126c3^2-p2-148c3^4-p2-1200^2', CIFAR, 11),
        ('', TIMIT, 1),
    ],
)
def test_nets_of_the_papers(spec, sizes, layers):
    assert notation.count(spec, *sizes).sequential_layers == layers
    shape, classes = sizes
    assert nets.of_spec(spec, classes).describe(shape).sequential_layers == layers


@pytest.mark.parametrize(
    ('path', 'args', 'layers'),
    [
        ('nets:ResNet18', {'width': 2}, 18),  # the name counts no shortcut
        (
            'nets:WRN',
            {'depth': 10, 'widen': 1},
            8,
        ),  # the name counts three shortcuts: two too many
        ('nets:MLPMixer', {'depth': 3}, 1 + 3 * 4 + 1),
        ('airbench:Airbench', {}, 1 + 3 * 2 + 1),
    ],
)
def test_modules_by_their_longest_way(path, args, layers):
    found = nets.make(f'flax:examples.{path}', args, 10, (32, 32, 3)).describe((32, 32, 3))
    assert found.sequential_layers == layers


class Side(nn.Module):
    """Two ways to the logits, of one product and of three; a product of weights alone beside."""

    @nn.compact
    def __call__(self, x):
        weights = self.param('weights', nn.initializers.ones, (4, 4))
        x = x @ (weights @ weights)
        return nn.Dense(3)(x) + nn.Dense(3)(jax.nn.relu(nn.Dense(4)(x)))


def program(function, *given):
    return jax.jit(function).trace(*given).jaxpr


def test_ways_beside_each_other_and_products_of_weights_do_not_add():
    side, inputs = Side(), jnp.ones((1, 4))
    variables = side.init(jax.random.key(0), inputs)
    assert sequence.longest(program(side.apply, variables, inputs)) == 3


def test_a_loop_that_holds_a_product_has_no_count():
    def looped(weights, x):
        return jax.lax.scan(lambda x, _: (x @ weights, None), x, length=5)[0]

    def cumulative(weights, x):
        return jnp.cumsum(x @ weights, axis=0)

    weights, x = jnp.eye(3), jnp.ones((2, 3))
    assert sequence.longest(program(looped, weights, x)) is None
    assert sequence.longest(program(cumulative, weights, x)) == 1
    assert sequence.longest(program(jax.checkpoint(lambda w, x: (x @ w) @ w), weights, x)) == 2


def test_the_table_of_costs_has_the_layers_where_a_row_has_any():
    row = {'model': '8k', 'target': 'labels', 'metric': 'accuracy', 'parameters': 2**18}
    report = {
        'rows': [{'name': name, **row} for name in ('net', 'forest')],
        'timings': [
            {'training_seconds': 1.5, 'milliseconds': {'1': 0.5}, 'sequential_layers': 2},
            {'training_seconds': None, 'milliseconds': None},
        ],
    }
    head, first, second = tables.timing_cells(report)
    assert head == ['', 'weights, MiB', 'sequential layers', 'training, s', '1 at a time, ms']
    assert first == ['net', '1.00', '2', '1.5', '0.5']
    assert second == ['forest', '1.00', '–', '–', '–']
    for timing in report['timings']:
        timing.pop('sequential_layers', None)
    assert 'sequential layers' not in tables.timing_cells(report)[0]


def test_the_program_times_every_net(tmp_path, monkeypatch, capsys):
    module = load_benchmark('sequential')
    monkeypatch.setattr(module, 'NETS', {'one': ('6L-9', ((5,), 3)), 'other': ('9', ((5,), 3))})
    monkeypatch.setattr('sys.argv', ['x', '--rounds=1', f'--json={tmp_path / "found.json"}'])
    module.main()
    one, other = json.loads((tmp_path / 'found.json').read_text())['rows']
    assert (one['sequential_layers'], other['sequential_layers']) == (3, 2)
    assert one['flops'] == 2 * (5 * 6 + 6 * 9 + 9 * 3)
    for row in (one, other):
        assert row['answer_1'] > 0 and row['answer_128'] > 0 and row['step_128'] > 0
    assert 'step of 128, ms' in capsys.readouterr().out
