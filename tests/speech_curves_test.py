"""The figure of curves on speech: two panels, lines across, and students against their teachers."""

import matplotlib.pyplot as plt
import numpy as np
import pytest

from mimic_jax.config import experiment as experiments
from mimic_jax.errors import UserError
from mimic_jax.reporting import curve_figures
from mimic_jax.reporting.settings import Report, Row


def rows(name, test, validation, std=None):
    """A source's two rows, with phone error rates on test and validation."""
    same = {'name': name, 'model': '8', 'target': 'labels', 'n': 1}
    rate = {'mean': test, 'std': std, 'validation': {'mean': validation, 'std': std}}
    return [
        {**same, **rate, 'metric': 'per'},
        {**same, 'metric': 'accuracy', 'mean': 0.5, 'std': None},
    ]


SPOKEN = [
    *rows('teacher', 0.2, 0.25),
    *rows('small', 0.4, 0.35, std=0.01),
    *rows('large', 0.3, 0.28, std=0.01),
]


def drawn(settings, split):
    """The axes after drawing: the points of each curve, and the levels of lines across."""
    figure, axes = plt.subplots()
    assert curve_figures.curves(axes, settings, SPOKEN, split)
    points = {
        container.get_label(): np.array(container.lines[0].get_xydata())
        for container in axes.containers
    }
    across = {
        line.get_label(): line.get_ydata()[0]
        for line in axes.lines
        if list(line.get_xdata()) == [0, 1] and not line.get_label().startswith('_')
    }
    plt.close(figure)
    return axes, points, across


PARAMETERS = Report(
    rows={
        'teacher': Row(source='members.teacher', label='CNN', line=True),
        'small': Row(source='students.small', curve='SNN', x=1e6),
        'large': Row(source='students.large', curve='SNN', x=1e7),
    },
    order=('teacher', 'small', 'large'),
    x_label='parameters',
)


@pytest.mark.parametrize(
    ('split', 'level', 'accuracies'), [('test', 80, (60, 70)), ('validation', 75, (65, 72))]
)
def test_a_panel_has_its_splits_accuracies(split, level, accuracies):
    axes, points, across = drawn(PARAMETERS, split)
    np.testing.assert_allclose(points['SNN'], [(1e6, accuracies[0]), (1e7, accuracies[1])])
    assert across == {'CNN': pytest.approx(level)}
    assert axes.get_xscale() == 'log' and axes.get_xlabel() == 'parameters'
    assert split in axes.get_ylabel()


AGAINST = Report(
    rows={
        'teacher': Row(source='logits.teacher'),
        'small': Row(source='students.small', curve='8k', against='teacher'),
        'large': Row(source='students.large', curve='160k', against='teacher'),
    },
    order=('teacher', 'small', 'large'),
)


@pytest.mark.parametrize(('split', 'teacher', 'small'), [('test', 80, 60), ('validation', 75, 65)])
def test_a_student_stands_at_its_teachers_accuracy(split, teacher, small):
    axes, points, _ = drawn(AGAINST, split)
    np.testing.assert_allclose(points['8k'], [(teacher, small)])
    assert axes.get_xscale() == 'linear'
    assert 'no gap' in [line.get_label() for line in axes.lines]


def test_speech_has_two_panels_and_images_have_one(tmp_path, monkeypatch):
    panels = []
    real = plt.subplots

    def subplots(down, across, **options):
        panels.append(across)
        return real(down, across, **options)

    monkeypatch.setattr(plt, 'subplots', subplots)
    images = [row for row in SPOKEN if row['metric'] == 'accuracy']
    for made in (SPOKEN, images):
        assert curve_figures.draw_curves(plt, PARAMETERS, made, tmp_path / 'curves.png')
    assert panels == [2, 1] and (tmp_path / 'curves.png').stat().st_size > 5000
    assert not curve_figures.draw_curves(plt, Report(), [], tmp_path / 'none.png')
    assert not (tmp_path / 'none.png').exists()


def test_a_row_stands_against_one_that_is_shown():
    settings = {
        'members': {'cnn': {'model': '8'}},
        'report': {
            'rows': {
                'cnn': {'source': 'members.cnn'},
                'other': {'source': 'members.cnn', 'against': 'cmn'},
            }
        },
    }
    with pytest.raises(UserError, match=r"rows\.other\.against names 'cmn'.*did you mean 'cnn'"):
        experiments.read(settings)
    settings['report']['rows']['other']['against'] = 'cnn'
    settings['report']['order'] = ('other',)
    with pytest.raises(UserError, match=r'rows\.other\.against'):
        experiments.read(settings)
