import itertools
import os
import signal

import jax
import numpy as np
import pytest

from mimic_jax.artifacts import store
from mimic_jax.mimic import students
from mimic_jax.runtime import interrupt
from mimic_jax.training import checkpoint, loop, metrics_log, plateau, window


def history(errors):
    """The scale after each epoch, up to the one that ends the run."""
    state, scales = plateau.start(), []
    for error in errors:
        state = plateau.update(state, error)
        scales.append(float(state.scale))
        if plateau.stopped(state):
            break
    return scales


def by_hand(errors):
    """The rule in words of Urban et al., written out over lists of epochs."""
    scale, cuts, scales = 1.0, [], []
    for epoch in range(len(errors)):
        lowest = min(errors[: epoch + 1])
        since = epoch - errors.index(lowest)
        if since >= 10 and (not cuts or epoch - cuts[-1] >= 8):
            scale, cuts = scale / 2, [*cuts, epoch]
        scales.append(scale)
        if since >= 30 or scale < 1 / 2000:
            break
    return scales


def test_a_hand_worked_history():
    # Falls up to epoch 3 (from 0), then nothing: cuts at 13, 21 and 29, the end at 33.
    scales = history([0.9, 0.8, 0.7, 0.6] + [0.6] * 50)
    assert scales[12] == 1 and scales[13] == 0.5
    assert scales[20] == 0.5 and scales[21] == 0.25
    assert scales[28] == 0.25 and scales[29] == 0.125
    assert len(scales) == 34


def test_a_fall_after_a_cut_gives_ten_more_epochs():
    # Lowest at 0, cut at 10; a fall at 12; cut at 22, not at 18.
    scales = history([0.5] + [0.6] * 11 + [0.4] + [0.5] * 12)
    assert scales[9:12] == [1, 0.5, 0.5]
    assert scales[21:24] == [0.5, 0.25, 0.25]


def test_a_rate_fallen_by_more_than_2000_times_ends_the_run():
    # A fall every 11 epochs: one cut each time, 1/2048 after the eleventh.
    errors = list(itertools.chain.from_iterable([1 - k / 100] + [1.0] * 10 for k in range(20)))
    scales = history(errors)
    assert scales[-1] == 2**-11 and scales[-2] == 2**-10
    assert len(scales) == 11 * 11


@pytest.mark.parametrize('seed', range(6))
def test_random_histories_follow_the_rule_in_words(seed):
    random = np.random.default_rng(seed)
    errors = (0.5 + 0.4 * 0.97 ** np.arange(150) + random.normal(0, 0.02, 150)).round(3).tolist()
    assert history(errors) == by_hand(errors)


@pytest.fixture
def slow_to_learn(config):
    """A student on labels that stops learning early: 4 steps an epoch, at most 80 epochs."""
    train_settings = config.students.labels.train
    train_settings.update(
        {'schedule': 'plateau', 'epochs': 80, 'learning_rate': 0.3, 'warmup': 0.0}
    )
    config.students.labels.seeds = (0,)
    config.run.evaluation_steps = 1000  # which the schedule overrules
    config.run.checkpoint_steps = 40
    return config


def stopping_point(folder):
    """(validation errors, rates by epoch, last step) of a run's records."""
    records = metrics_log.read(folder)
    errors = [1 - r['validation_accuracy'] for r in records if 'validation_accuracy' in r]
    rates = {r['step']: r['learning_rate'] for r in records if 'learning_rate' in r}
    return errors, rates, records[-1]['step']


def test_training_follows_its_validation_errors_and_resumes_exactly(
    slow_to_learn, make_session, tmp_path, monkeypatch
):
    session, plan = make_session(slow_to_learn)
    net = plan.students['labels'][0]
    students.make(session, net)
    folder = session.workdir / net.recipe.name
    errors, rates, last = stopping_point(folder)
    expected = by_hand(np.float32(errors).tolist())
    assert len(expected) == len(errors) and last == 4 * len(errors)
    assert 0.25 in expected and len(expected) < 80, 'the run is to see cuts and an early end'
    before = [1.0, *expected[:-1]]  # an epoch runs at the rate that the one before it left
    for epoch, scale in enumerate(before):
        np.testing.assert_allclose(rates[4 * (epoch + 1)], 0.3 * scale, rtol=1e-6)
    facts = store.manifest(folder)
    assert facts['steps'] == last

    other, plan = make_session(slow_to_learn, tmp_path / 'other')
    net = plan.students['labels'][0]
    stops = iter((2, 4 * len(errors) - 30))  # steps of a sitting; the second ends after a cut
    for steps in stops:
        with monkeypatch.context() as patch:
            stop_after(patch, steps)
            with pytest.raises(interrupt.Interrupted):
                students.make(other, net)
        interrupt._Request.pending = False
    students.make(other, net)
    folder = other.workdir / net.recipe.name
    again = store.manifest(folder)
    assert again['variables_sha256'] == facts['variables_sha256']
    assert again['steps'] == last

    # Killed after the last checkpoint, before the artifact was sealed.
    (folder / 'COMPLETE').unlink()
    store._verified_manifest.cache_clear()
    students.make(other, net)
    assert store.manifest(folder)['variables_sha256'] == facts['variables_sha256']


def stop_after(monkeypatch, steps):
    """A SIGTERM after so many steps, at the end of an epoch or inside one."""
    interrupt.install()
    calls, original = [], window.Window.add

    def add(self, count, sums):
        calls.append(count)
        if len(calls) == steps:
            os.kill(os.getpid(), signal.SIGTERM)
        return original(self, count, sums)

    monkeypatch.setattr(window.Window, 'add', add)


def test_the_best_weights_are_kept_and_survive_a_stop(
    slow_to_learn, make_session, tmp_path, monkeypatch
):
    """Those of the first of the lowest validation errors, averaged weights among them."""
    slow_to_learn.students.labels.train.update({'keep': 'best', 'average': 'ema', 'epochs': 24})
    slow_to_learn.students.labels.train.ema_decay = 0.5
    seen, original = [], loop._Loop._adapt

    def adapt(self, state, error):
        seen.append((error, checkpoint.digest(jax.device_get(state.averaged))))
        return original(self, state, error)

    monkeypatch.setattr(loop._Loop, '_adapt', adapt)
    session, plan = make_session(slow_to_learn)
    net = plan.students['labels'][0]
    students.make(session, net)
    facts = store.manifest(session.workdir / net.recipe.name)
    errors = [error for error, _ in seen]
    best = errors.index(min(errors))
    assert 0 < best < len(errors) - 1, 'the best is to be neither the first nor the last'
    assert facts['variables_sha256'] == seen[best][1]

    other, plan = make_session(slow_to_learn, tmp_path / 'other')
    net = plan.students['labels'][0]
    for steps in (2, 4 * (len(errors) - 1) - 3):  # in the first epoch, and after the best
        with monkeypatch.context() as patch:
            stop_after(patch, steps)
            with pytest.raises(interrupt.Interrupted):
                students.make(other, net)
        interrupt._Request.pending = False
    students.make(other, net)
    folder = other.workdir / net.recipe.name
    assert store.manifest(folder)['variables_sha256'] == facts['variables_sha256']
    (folder / 'COMPLETE').unlink()  # killed before the artifact was sealed
    store._verified_manifest.cache_clear()
    students.make(other, net)
    assert store.manifest(folder)['variables_sha256'] == facts['variables_sha256']
