"""The learning rate by step against its formula in words."""

import numpy as np
import pytest

from mimic_jax.training.schedules import learning_rate
from mimic_jax.training.settings import Train

STEPS = 100


def rates(**settings):
    schedule = learning_rate(Train(learning_rate=0.4, **settings), STEPS)
    return np.array([float(schedule(step)) for step in range(STEPS)])


@pytest.mark.parametrize(
    'schedule', ['constant', 'cosine', 'linear', 'plateau', 'step', 'trapezoid']
)
@pytest.mark.parametrize('start', [0.0, 0.25])
def test_warm_up_is_a_line(schedule, start):
    found = rates(schedule=schedule, warmup=0.1, warmup_from=start)
    expected = 0.4 * (start + (1 - start) * np.arange(10) / 10)
    np.testing.assert_allclose(found[:10], expected, rtol=1e-5, atol=1e-8)
    np.testing.assert_allclose(found[10], 0.4, rtol=1e-6)


@pytest.mark.parametrize('warmup', [0.0, 0.23])
@pytest.mark.parametrize('final', [0.0, 0.07])
def test_linear(warmup, final):
    found, rise = rates(schedule='linear', warmup=warmup, final_rate=final), round(100 * warmup)
    for step in range(rise, STEPS):
        part = (step - rise) / (STEPS - rise)
        np.testing.assert_allclose(found[step], 0.4 * (1 - part + final * part), rtol=1e-5)


def test_linear_ends_at_0_after_the_last_step():
    schedule = learning_rate(Train(learning_rate=0.4, schedule='linear'), STEPS)
    assert float(schedule(STEPS)) == 0
    np.testing.assert_allclose(float(schedule(STEPS - 1)), 0.4 / 95, rtol=1e-5)


@pytest.mark.parametrize('final', [0.0, 0.5])
def test_trapezoid(final):
    found = rates(schedule='trapezoid', warmup=0.1, cooldown=0.3, final_rate=final)
    np.testing.assert_allclose(found[10:71], 0.4, rtol=1e-6)
    fall = np.arange(30) / 30
    np.testing.assert_allclose(found[70:], 0.4 * (1 - fall * (1 - final)), rtol=1e-5)


def test_a_trapezoids_sides_may_meet_and_may_be_missing():
    found = rates(schedule='trapezoid', warmup=0.6, cooldown=0.8)
    np.testing.assert_allclose(found[60:], 0.4 * (1 - np.arange(40) / 40), rtol=1e-5)
    np.testing.assert_allclose(rates(schedule='trapezoid', warmup=0.0, cooldown=0.0), 0.4)


def test_step():
    found = rates(schedule='step', warmup=0.1, cuts=(0.5, 0.75), cut_factor=0.1)
    np.testing.assert_allclose(found[10:50], 0.4, rtol=1e-6)
    np.testing.assert_allclose(found[50:75], 0.04, rtol=1e-5)
    np.testing.assert_allclose(found[75:], 0.004, rtol=1e-5)


def test_two_cuts_at_one_step_of_a_short_run_are_both_made():
    train = Train(schedule='step', warmup=0.0, learning_rate=1.0, cuts=(0.5, 0.6), cut_factor=0.5)
    schedule = learning_rate(train, 4)
    np.testing.assert_allclose([float(schedule(step)) for step in range(4)], [1, 1, 0.25, 0.25])
