"""The notation against the papers' own counts, hand-computed figures and malformed input."""

import random
import subprocess
import sys

import pytest

from mimic_jax.errors import UserError
from mimic_jax.models import grammar, notation

CIFAR, TIMIT = ((32, 32, 3), 10), ((1845,), 183)
HINTON = '64c5-p3/2s-lrn-64c5-ap3/2s-lrn-64c5-ap3/2s-16lc3-d.5'


@pytest.mark.parametrize(
    ('spec', 'params'),
    [
        ('76c3^2-p2-126c3^2-p2-148c3^4-p2-1200^2', 5_339_350),
        ('96c3^2-p2-171c3^2-p2-128c3^4-p2-512^2', 2_453_729),
        ('54c3^2-p2-158c3^2-p2-189c3^4-p2-1044^2', 5_823_101),
    ],
)
def test_urban_teachers_to_the_last_parameter(spec, params):
    assert notation.count(spec).params == params


@pytest.mark.parametrize(
    ('spec', 'sizes', 'millions'),
    [
        ('128c5-p3/2-1200L-30k', CIFAR, '70.90'),
        ('64c5-p3/2-1200L-30k', CIFAR, '53.6'),
        ('128c5-p3/2s-1200L-30k', CIFAR, '75.7'),
        ('128c5-p3/2-128c5-p3/2-128c5-p3/2-1kfc', CIFAR, '1.99'),
        ('2k-2k-2k', TIMIT, '12.06'),
        ('50k', TIMIT, '101.45'),
        ('250L-400k', TIMIT, '174.06'),
        ('8k', TIMIT, '16.2'),
        ('250L-8k', TIMIT, '3.9'),
        ('150c15x8v-p1x6/1x2-2k-2k-2k', ((15, 41, 3), 183), '12.93'),
    ],
)
def test_parameters_of_ba_and_caruanas_nets(spec, sizes, millions):
    places = len(millions.split('.')[1])
    assert f'{notation.count(spec, *sizes).params / 1e6:.{places}f}' == millions


@pytest.mark.parametrize(
    ('spec', 'sizes', 'units'),
    [
        ('128c5-p3/2-1200L-30k', CIFAR, 191_072),
        ('64c5-p3/2-1200L-30k', CIFAR, 111_136),
        (HINTON, CIFAR, 107_776),
        ('150c15x8v-p1x6/1x2-2k-2k-2k', ((15, 41, 3), 183), 13_350),
    ],
)
def test_units_by_the_convention_of_table_2(spec, sizes, units):
    assert notation.count(spec, *sizes).units == units


def test_rows_of_a_small_net_by_hand():
    counts = notation.count('d.5-4c3v-ap2s', (6, 5, 2), 7)
    assert [(row.kind, row.shape, row.params, row.units, row.flops) for row in counts.rows] == [
        ('dropout', (6, 5, 2), 0, 0, 0),
        ('conv', (4, 3, 4), 4 * (9 * 2) + 4, 48, 2 * 48 * 18),
        ('average_pool', (2, 2, 4), 0, 16, 0),
        ('output', (7,), 7 * 17, 0, 2 * 16 * 7),
    ]
    assert counts.params == 76 + 119
    assert counts.units == 64
    assert counts.flops == 1728 + 224


def test_locally_connected_layer_has_kernels_and_biases_at_each_position():
    row = notation.count('5lc3x1', (4, 6, 2)).rows[0]
    assert (row.shape, row.params, row.flops) == ((4, 6, 5), 24 * 5 * (6 + 1), 2 * 24 * 5 * 6)


def test_batch_norm_takes_the_place_of_biases():
    row = notation.count('4c3-bn', (6, 6, 2)).rows[0]
    assert (row.token, row.params, row.units) == ('4c3-bn', 4 * 18 + 2 * 4, 144)
    assert notation.count('9-bn', (5,)).rows[0].params == 5 * 9 + 2 * 9


def test_empty_spec_is_softmax_regression():
    assert notation.parse('') == ()
    assert notation.count('', (20,), 3).params == 63


def test_numbers():
    specs = ['30k', '1.5k', '2000', '1k', '1kfc', '.5k', '12L', '1kL']
    widths = [notation.parse(spec)[0].width for spec in specs]
    assert widths == [30_000, 1500, 2000, 1000, 1000, 500, 12, 1000]
    assert notation.parse('1kfc')[0].kind == 'hidden'


def test_windows_strides_and_paddings():
    layers = notation.parse('3c15x8v-3c5-p2-p3/2-ap1x6/1x2-sp3/2s')
    assert [(layer.kind, layer.window, layer.stride, layer.padding) for layer in layers] == [
        ('conv', (15, 8), (1, 1), 'VALID'),
        ('conv', (5, 5), (1, 1), 'SAME'),
        ('max_pool', (2, 2), (2, 2), 'VALID'),
        ('max_pool', (3, 3), (2, 2), 'VALID'),
        ('average_pool', (1, 6), (1, 2), 'VALID'),
        ('stochastic_pool', (3, 3), (2, 2), 'SAME'),
    ]


def test_repeats_are_the_token_written_out():
    repeated, written = notation.parse('7c3^2-p2^1-9^3'), notation.parse('7c3-7c3-p2-9-9-9')
    assert [(layer.kind, layer.width) for layer in repeated] == [
        (layer.kind, layer.width) for layer in written
    ]
    assert [layer.position for layer in repeated] == [1, 1, 2, 3, 3, 3]


@pytest.mark.parametrize(
    ('spec', 'position', 'words'),
    [
        ('128c5-p3/x-10', 2, "'p3/x' is not a layer"),
        ('-10', 1, 'is not a layer'),
        ('10-', 2, 'is not a layer'),
        ('10 -20', 1, 'is not a layer'),
        ('10\n', 1, 'is not a layer'),
        ('٣', 1, 'is not a layer'),
        ('8C3', 1, 'is not a layer'),
        ('8c3s', 1, 'is not a layer'),
        ('5-0', 2, 'zero'),
        ('0c3', 1, 'zero'),
        ('4c0', 1, 'zero'),
        ('4c3-p0', 2, 'zero'),
        ('4c3-p2/0', 2, 'zero'),
        ('9^0', 1, 'zero'),
        ('9^', 1, 'after ^'),
        ('9^1.5', 1, 'after ^'),
        ('9^2^2', 1, 'after ^'),
        ('1.5', 1, 'whole number'),
        ('1.0005k', 1, 'whole number'),
        ('9' * 100_000, 1, 'more than 40'),
        ('9' * 20, 1, '10^12'),
        ('9^' + '9' * 12, 1, 'more than 1000'),
        ('9-d1', 2, '[0, 1)'),
        ('9-d5', 2, '[0, 1)'),
        ('bn-9', 1, 'nothing before it'),
        ('4c3-p2-bn', 3, 'after p2'),
        ('9-bn-bn', 3, 'already'),
        ('9-d.5-bn', 3, 'after d.5'),
        ('9-4c3', 2, 'needs a map'),
        ('9L-p2', 2, 'needs a map'),
        ('9-lrn', 2, 'needs a map'),
        ('sp2', 1, 'ReLU'),
        ('9c?', 1, '? may only'),
        ('9-d?', 2, '? may only'),
        ('9^?', 1, 'after ^'),
        ('?*0', 1, 'zero'),
        ('?k', 1, '? may only'),
    ],
)
def test_errors_point_at_the_token(spec, position, words):
    with pytest.raises(UserError) as caught:
        notation.parse(spec)
    message = str(caught.value)
    assert f': token {position} ' in message
    assert words in message
    assert '\n' not in message and len(message) < 400


@pytest.mark.parametrize(
    ('spec', 'shape', 'position', 'words'),
    [
        ('4c3-p2^5-p2', (32, 32, 3), 3, 'window on a 1x1 map'),
        ('4c5v', (4, 9, 1), 1, '5x5 window on a 4x9 map'),
        ('d.1-4c3', (20,), 2, 'needs a map'),
        ('9-?', (20,), 2, 'to be solved'),
    ],
)
def test_errors_that_the_input_shape_shows(spec, shape, position, words):
    with pytest.raises(UserError, match=f'token {position} .*{words}'):
        notation.count(spec, shape)


@pytest.mark.parametrize(
    ('shape', 'classes'),
    [((3, 4), 10), ((), 10), ((0,), 10), ((2.5,), 10), (7, 10), ((7,), 0), ((7,), 1.5), ('ab', 3)],
)
def test_impossible_sizes(shape, classes):
    with pytest.raises(UserError, match='positive whole numbers'):
        notation.count('9', shape, classes)


@pytest.mark.parametrize('spec', [None, 30, b'30k', ['30k']])
def test_other_types_than_strings(spec):
    with pytest.raises(UserError, match='bad model spec'):
        notation.parse(spec)


def test_random_strings_give_a_result_or_a_user_error():
    rng = random.Random(0)
    pieces = [*'0123456789.kxcpLlcv/s^?*- dbn', 'lrn', 'bn', 'sp', 'ap', 'lc', '-', '-', '-']
    valid = ['8c3', 'p2', '5L', '7', 'd.5', '?', '?*.3', 'bn', 'lrn', 'sp2', '3lc3', '^2', '1x2']
    parsed = 0
    for _ in range(20_000):
        spec = ''.join(rng.choices(pieces + valid, k=rng.randrange(9)))
        try:
            layers = notation.parse(spec)
        except UserError as error:
            assert '\n' not in str(error)
            continue
        parsed += bool(layers)
        try:
            assert notation.count(spec).params > 0
        except UserError as error:
            assert '\n' not in str(error)
    assert parsed > 500


@pytest.mark.parametrize(
    ('spec', 'sizes', 'budgets'),
    [
        ('?', ((7,), 3), range(14, 200, 7)),
        ('4c3-p2-?L-9', ((6, 6, 2), 5), range(200, 3000, 171)),
        ('?c3-?*.5c3^2-p2-?*2', ((8, 8, 1), 4), range(250, 20_000, 977)),
        ('?-bn-?*.6-?*.3L', ((11,), 6), range(50, 5000, 333)),
    ],
)
def test_solve_against_trying_every_width(spec, sizes, budgets):
    def written(width):  # ratios rounded half up, at least 1
        tokens = []
        for token in spec.split('-'):
            for ratio in ('*.6', '*.5', '*.3', '*2', ''):
                value = max(1, int(float(ratio[1:] or 1) * width + 0.5 + 1e-9))
                token = token.replace(f'?{ratio}', str(value))
            tokens.append(token)
        return '-'.join(tokens)

    for budget in budgets:
        width = 1
        while notation.count(written(width + 1), *sizes).params <= budget:
            width += 1
        assert notation.solve(spec, budget, *sizes) == written(width)


def test_solve_takes_the_budget_exactly_and_as_a_float():
    params = notation.count('4c3-17', (6, 6, 2)).params
    assert notation.solve('4c3-?', params, (6, 6, 2)) == '4c3-17'
    assert notation.solve('4c3-?', params - 1, (6, 6, 2)) == '4c3-16'
    assert notation.solve('4c3-?', float(params), (6, 6, 2)) == '4c3-17'


def test_solve_names_the_least_that_fits():
    least = notation.count('4c3-1').params
    with pytest.raises(UserError, match=f'at least {least:,} parameters'):
        notation.solve('4c3-?', least - 1)


@pytest.mark.parametrize('budget', [0, -5, float('nan'), float('inf'), 1e300, '10e6', None])
def test_impossible_budgets(budget):
    with pytest.raises(UserError, match='budget'):
        notation.solve('?', budget)


def test_solve_without_a_question_mark():
    with pytest.raises(UserError, match=r'no \? to solve'):
        notation.solve('30k', 10e6)


def test_solve_reaches_the_largest_budget():
    assert notation.count(notation.solve('?*.000001-?', 1e12, (1,), 1), (1,), 1).params <= 10**12


def test_command_prints_the_table(capsys):
    assert notation.main(['128c5-p3/2-1200L-30k']) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[1].split() == ['128c5', '32x32x128', '9,728', '131,072', '19,660,800']
    assert lines[-1].split() == ['total', '70,900,938', '191,072', '161,380,800']


def test_command_solves(capsys):
    assert notation.main(['?', '--budget=100', '--input_shape=7', '--num_classes=3']) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[:2] == ['8', '9 parameters short of the budget']  # 8 (7 + 1) + 3 (8 + 1) = 91


@pytest.mark.parametrize(
    'arguments',
    [
        ['p3/x'],
        ['9-?'],
        ['9', '--budget=10'],
        ['9', '--input_shape=a,b'],
        ['9', '--num_classes=ten'],
        ['?', '--budget=much'],
    ],
)
def test_command_reports_mistakes_in_one_line(arguments, capsys):
    assert notation.main(arguments) == 2
    printed = capsys.readouterr()
    assert printed.out == '' and printed.err.count('\n') == 1


def test_counting_does_not_import_jax():
    code = 'import sys, mimic_jax.models.notation; print("jax" in sys.modules)'
    printed = subprocess.check_output([sys.executable, '-c', code], text=True)
    assert printed.strip() == 'False'


def test_layers_are_hashable_and_frozen():
    layer = grammar.parse('9')[0]
    assert hash(layer) == hash(grammar.parse('9')[0])
    with pytest.raises(AttributeError):
        layer.width = 3
