"""A report's rows as a grid, in the paper's layout, and as curves with gaps marked."""

import matplotlib.pyplot as plt
import numpy as np
import pytest
from conftest import tiny_digits

from mimic_jax.config import experiment as experiments
from mimic_jax.errors import UserError
from mimic_jax.reporting import curve_figures, grids, tables
from mimic_jax.reporting.settings import Gap, Point, Report, Row

SETTINGS = Report(
    rows={
        'mlp_1M': Row(curve='1 hidden', x=1e6),
        'mlp_3M16': Row(curve='1 hidden', x=3.16e6),
        'conv_3M16': Row(curve='1 conv', x=3.16e6),
        'labels': Row(curve='1 conv, on labels', x=3.16e6),
        'ensemble': Row(),
    },
    order=('mlp_1M', 'mlp_3M16', 'conv_3M16', 'labels', 'ensemble'),
    gaps={
        'convolutional': Gap('convolutional gap', ('mlp_1M', 'mlp_3M16'), ('conv_3M16',)),
        'compression': Gap('compression gap', ('labels',), ('conv_3M16',)),
    },
)


def row(name, mean, std=None, paper=None):
    seeds = {'metric': 'accuracy', 'mean': mean, 'std': std, 'n': 2 if std else 1, 'paper': paper}
    return {'name': name, 'model': name, 'target': 'logits', **seeds}


ROWS = [
    row('mlp_1M', 0.65, paper=0.658),
    row('mlp_3M16', 0.68, std=0.0025),
    row('conv_3M16', 0.86, std=0.001, paper=0.863),
    row('labels', 0.84),
    row('ensemble', 0.94, paper=0.938),
]


def test_a_grid_has_a_line_a_curve_and_a_column_an_x():
    grid = grids.make(SETTINGS, ROWS)
    assert grid['columns'] == [1e6, 3.16e6]
    means = {
        line['name']: [cell and cell['mean'] for cell in line['cells']] for line in grid['rows']
    }
    assert means == {
        '1 hidden': [0.65, 0.68],
        '1 conv': [None, 0.86],
        '1 conv, on labels': [None, 0.84],
    }
    assert grids.table(grid).splitlines() == [
        '| | 1M | 3.16M |',
        '|---|---|---|',
        '| 1 hidden | 65.00 (65.80) | 68.00 ± 0.25 |',
        '| 1 conv | – | 86.00 ± 0.10 (86.30) |',
        '| 1 conv, on labels | – | 84.00 |',
    ]


def test_rows_of_one_place_are_one_cell_and_one_point():
    """Mean and deviation of .60 and .64 by hand: .62 and .04 / √2. The gap ends at the mean."""
    places = {'first': Row(curve='dense', x=1e6), 'second': Row(curve='dense', x=1e6)}
    rows = {**places, 'conv': Row(curve='conv', x=1e6)}
    star = Point('of another paper', 7e7, 0.858)
    gap = Gap('gap', ('first',), ('conv',))
    settings = Report(rows, tuple(rows), gaps={'gap': gap}, points={'star': star})
    measured = [row('first', 0.6, std=0.3, paper=0.61), row('second', 0.64), row('conv', 0.8)]
    (dense, conv) = grids.make(settings, measured)['rows']
    (cell,) = dense['cells']
    assert cell == {'mean': pytest.approx(0.62), 'std': pytest.approx(0.02828, abs=1e-5),
                    'n': 2, 'paper': 0.61}  # fmt: skip
    assert conv['cells'][0]['mean'] == 0.8
    figure, axes = plt.subplots()
    curve_figures.curves(axes, settings, measured)
    shown = {line.get_label(): line.get_xydata().tolist() for line in axes.lines}
    assert shown['of another paper'] == [[7e7, 85.8]]
    points = [bar.lines[0].get_xydata().tolist() for bar in axes.containers]
    assert points == [[[1e6, pytest.approx(62)]], [[1e6, pytest.approx(80)]]]
    assert any('gap +18.0' in text.get_text() for text in axes.texts)
    plt.close(figure)


@pytest.mark.parametrize(
    'x, text',
    [(100e3, '100k'), (31.6e6, '31.6M'), (5e10, '50G'), (3e12, '3T'), (4.0, '4'), (0.5, '0.5')],
)
def test_numbers_are_written_short(x, text):
    assert grids.short(x) == text


def test_gaps_are_marked_where_the_best_rows_lie():
    figure, axes = plt.subplots()
    assert curve_figures.curves(axes, SETTINGS, ROWS)
    words = [text.get_text().strip() for text in axes.texts if text.get_text()]
    assert words == ['convolutional gap +18.0', 'compression gap +2.0']
    arrows = [text for text in axes.texts if not text.get_text()]
    ends = [(arrow.xy, arrow.xyann) for arrow in arrows]
    np.testing.assert_allclose(ends[0], [(3.16e6, 86), (3.16e6, 68)])
    np.testing.assert_allclose(ends[1], [(3.16e6, 86), (3.16e6, 84)])
    assert axes.get_xscale() == 'log'
    plt.close(figure)


def test_ensembles_member_by_member():
    figure, axes = plt.subplots()
    assert curve_figures.by_members(axes, {'best': [0.7, 0.75, 0.74], 'greedy': [0.7, 0.76]})
    np.testing.assert_allclose(axes.lines[0].get_xydata(), [[1, 70], [2, 75], [3, 74]])
    np.testing.assert_allclose(axes.lines[1].get_xydata(), [[1, 70], [2, 76]])
    assert not curve_figures.by_members(axes, {})
    plt.close(figure)


def test_the_page_explains_the_papers_figures():
    grid = grids.make(SETTINGS, ROWS)
    shared = {'experiment': 'e', 'rows': [], 'timings': [], 'costs': {}, 'command': '', 'date': ''}
    page = tables.page({**shared, 'machine': '', 'grid': grid}, [])
    assert '65.00 (65.80)' in page and "The paper's figures are in brackets." in page
    assert 'in brackets' not in tables.page({**shared, 'machine': ''}, [])


def test_a_gap_between_rows_that_are_not_there_is_one_line():
    settings = tiny_digits()
    settings.report = {'gaps': {'gap': {'label': 'gap', 'low': ('nonesuch',), 'high': ('x',)}}}
    with pytest.raises(UserError, match=r"config\.report\.gaps\.gap names 'nonesuch'"):
        experiments.read(settings)


def test_a_gap_is_between_rows_that_are_shown():
    settings = tiny_digits()
    rows = {name: {'source': f'students.{name}'} for name in ('labels', 'mimic')}
    gap = {'label': 'gap', 'low': ('labels',), 'high': ('mimic',)}
    settings.report = {'rows': rows, 'gaps': {'gap': gap}}
    experiments.read(settings)
    settings.report.order = ('mimic',)
    with pytest.raises(UserError, match=r"config\.report\.gaps\.gap names 'labels'"):
        experiments.read(settings)
