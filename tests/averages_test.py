"""Averages of weights against NumPy, and what of them is evaluated."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from train_step_test import make_batch, make_state, make_task

from mimic_jax.training import averages
from mimic_jax.training.settings import Train
from mimic_jax.training.train_step import eval_step, train_step


def history(train, weights, steps=None):
    """(weights to train on, average) after each of the values that training leads to."""
    variables = {'params': jnp.float32([5.0]), 'count': jnp.int32([0])}
    average = averages.start(train, variables)
    found = []
    for number, value in enumerate(weights, 1):
        variables = {'params': variables['params'] + value, 'count': jnp.int32([number])}
        variables, average = averages.update(
            train, jnp.int32(number), steps or len(weights), variables, average
        )
        assert int(average['count'][0]) == number  # what is no float is copied
        found.append((float(variables['params'][0]), float(average['params'][0])))
    return found


def test_ema_by_hand():
    weight, average, expected = 5.0, 5.0, []
    changes = np.random.default_rng(0).normal(size=30)
    for step, change in enumerate(changes, 1):
        weight += change
        decay = min(0.6, (1 + step) / (10 + step))
        average = decay * average + (1 - decay) * weight
        expected.append((weight, average))
    found = history(Train(average='ema', ema_decay=0.6), changes)
    np.testing.assert_allclose(found, expected, rtol=1e-5)


@pytest.mark.parametrize('power', [0.0, 3.0])
def test_lookahead_by_hand(power):
    """Zhang et al. 2019, algorithm 1; airbench's weight of the slow net rises as (t/T)³."""
    fast, slow, expected = 5.0, 5.0, []
    changes = np.random.default_rng(1).normal(size=12)
    for step, change in enumerate(changes, 1):
        fast += change
        if step % 5 == 0:
            decay = 0.3 * (step / 20) ** power
            slow = decay * slow + (1 - decay) * fast
            fast = slow
        expected.append((fast, slow))
    train = Train(
        average='lookahead', lookahead_period=5, lookahead_decay=0.3, lookahead_power=power
    )
    np.testing.assert_allclose(history(train, changes, steps=20), expected, rtol=1e-5)


def test_the_average_is_of_what_the_steps_leave():
    """It averages parameters and running statistics; training goes on as if there were no average."""
    tasks = [make_task('6c3-bn-p2-16', 'cross_entropy', **how) for how in ({}, {'average': 'ema'})]
    plain, averaged = map(make_state, tasks)
    expected = jax.tree.map(np.asarray, plain.variables)
    jitted = jax.jit(train_step)
    for step in (1, 2, 3):
        plain, _ = jitted(plain, make_batch(seed=step))
        averaged, _ = jitted(averaged, make_batch(seed=step))
        decay = (1 + step) / (10 + step)
        expected = jax.tree.map(
            lambda a, v, d=decay: d * a + (1 - d) * np.asarray(v), expected, plain.variables
        )
    close = lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-6)  # noqa: E731
    jax.tree.map(close, averaged.variables, plain.variables)
    jax.tree.map(close, averaged.average, expected)
    assert averaged.averaged is averaged.average and plain.averaged is plain.variables


def test_the_average_is_evaluated():
    state = make_state(make_task('16', 'cross_entropy', average='lookahead'))
    other = make_state(make_task('16', 'cross_entropy'), seed=7)
    sums = eval_step(state.replace(average=other.variables), make_batch())
    assert sums['loss_sum'] == eval_step(other, make_batch())['loss_sum']
    assert sums['loss_sum'] != eval_step(state, make_batch())['loss_sum']
