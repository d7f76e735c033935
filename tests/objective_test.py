"""Mixes of losses, schedules of temperature and weight, and a person's own loss."""

import dataclasses
import sys

import jax
import jax.numpy as jnp
import ml_collections
import numpy as np
import pytest
from conftest import refusal
from train_step_test import make_batch, make_state, make_task

from mimic_jax.artifacts import source
from mimic_jax.config import experiment as experiments
from mimic_jax.config import passed
from mimic_jax.config.fields import Entries, differing
from mimic_jax.training import losses, objective
from mimic_jax.training.loss_settings import Loss, NamedLoss, Term
from mimic_jax.training.train_step import train_step

BATCH = {
    'labels': jnp.array([0, 2, -1]),
    'mask': jnp.array([1.0, 1.0, 0.0]),
    'teacher_logits': jnp.array([[2.0, -1.0, 1.5], [1.0, 1.0, -1.0], [-0.5, 4.5, 2.0]]),
}
LOGITS = jnp.array([[1.0, -2.0, 0.5], [0.0, 3.0, 3.0], [-1.0, 4.0, 2.5]])
OWN = """
import jax
import jax.numpy as jnp

def absolute(logits, teacher_logits, labels, mask):
    return jnp.abs(logits - teacher_logits).sum(1)

def on_labels(logits, teacher_logits, labels, mask):
    assert teacher_logits is None
    return -logits[jnp.arange(len(labels)), labels]

def whole(logits, teacher_logits, labels, mask):
    return jnp.abs(logits - teacher_logits).mean()

def failing(logits, teacher_logits, labels, mask):
    return logits @ teacher_logits
"""


@pytest.fixture
def my_losses(tmp_path, monkeypatch):
    path = tmp_path / 'my_losses.py'
    path.write_text(OWN)
    monkeypatch.syspath_prepend(str(tmp_path))
    yield path
    sys.modules.pop('my_losses', None)


def of(loss, progress=0.0, smoothing=0.0):
    return objective.example_losses(loss, LOGITS, BATCH, {}, smoothing, progress)


def test_a_mix_is_the_weighted_sum_of_its_terms():
    terms = Entries(
        soft=Term('z_scores', temperature=2.0, weight=9.0),
        hard=Term('cross_entropy', weight=0.1),
        shape=Term('dist', weight=0.5, example_weight=2.0),
    )
    expected = (
        9 * losses.kl_of_z_scores(LOGITS, BATCH['teacher_logits'], 2.0)
        + 0.1 * losses.cross_entropy(LOGITS, BATCH['labels'], 0.2)
        + 0.5
        * losses.correlation_distance(LOGITS, BATCH['teacher_logits'], BATCH['mask'], 1.0, 1.0, 2.0)
    )
    found = of(Loss('mix', terms=terms), smoothing=0.2)
    np.testing.assert_allclose(found, expected, rtol=1e-6)


def test_the_classes_that_a_teacher_chooses_are_labels_of_every_example():
    """They are 0, 0 (the first of equals) and 1, whatever the labels; by hand."""
    found = of(Loss('teacher_labels'))
    by_hand = [
        -np.log(np.exp(row[own]) / np.exp(row).sum())
        for row, own in zip(np.float64(LOGITS), (0, 0, 1), strict=True)
    ]
    np.testing.assert_allclose(found, by_hand, rtol=1e-5)


def test_hinton_is_a_mix_of_two_terms():
    terms = Entries(
        soft=Term('kl', temperature=3.0, weight=0.7), hard=Term('cross_entropy', weight=0.3)
    )
    hinton = Loss('hinton', temperature=3.0, soft_weight=0.7)
    np.testing.assert_allclose(of(Loss('mix', terms=terms)), of(hinton), rtol=1e-5)


@pytest.mark.parametrize('progress', [0.0, 0.25, 1.0])
def test_temperature_and_weight_go_from_start_to_end_on_a_line(progress):
    temperature = 4 - 3 * progress
    found = of(Loss('kl', temperature=4.0, temperature_end=1.0), progress)
    np.testing.assert_allclose(found, of(Loss('kl', temperature=temperature)), rtol=1e-5)
    terms = Entries(soft=Term('kl', weight=0.0, weight_end=2.0), hard=Term('cross_entropy'))
    expected = 2 * progress * of(Loss('kl')) + of(Loss('cross_entropy'))
    np.testing.assert_allclose(of(Loss('mix', terms=terms), progress), expected, rtol=1e-5)


def test_training_goes_through_a_schedule_from_its_first_step_to_its_last():
    task = make_task('16', 'kl')
    loss = Loss('kl', temperature=4.0, temperature_end=1.0)
    task = dataclasses.replace(task, loss=loss, steps=7)
    step_call = jax.jit(train_step)
    for step, temperature in ((2, 3.0), (6, 1.0)):
        state = make_state(task).replace(step=jnp.int32(step))
        fixed = dataclasses.replace(task, loss=Loss('kl', temperature=temperature))
        expected = step_call(state.replace(task=fixed), make_batch())[1]['loss_sum']
        found = step_call(state, make_batch())[1]['loss_sum']
        np.testing.assert_allclose(found, expected, rtol=1e-5)


def test_a_loss_of_ones_own(my_losses):
    loss = objective.named(Loss('own', own='my_losses:absolute'), 'config.loss', 3, taught=True)
    expected = np.abs(np.asarray(LOGITS) - np.asarray(BATCH['teacher_logits'])).sum(1)
    np.testing.assert_allclose(of(loss), expected, rtol=1e-6)
    digest = source.identity('my_losses:absolute', '')['sha256']
    assert differing(loss) == {'kind': 'own', 'own': 'my_losses:absolute', 'own_sha256': digest}
    mixed = Loss('mix', terms=Entries(mine=Term('own', own='my_losses:absolute', weight=2.0)))
    mixed = objective.named(mixed, 'config.loss', 3, taught=True)
    np.testing.assert_allclose(of(mixed), 2 * expected, rtol=1e-6)
    assert isinstance(mixed, NamedLoss) and mixed.own_sha256 == digest
    on_labels = Loss('own', own='my_losses:on_labels')
    assert objective.named(on_labels, 'config.loss', 3, taught=False).own_sha256 == digest


def test_a_function_that_is_passed_from_python_is_a_loss(my_losses):
    function = source.load('my_losses:absolute', '')
    path = passed.named({'loss': {'own': function}})['loss']['own']
    assert path.startswith('object:absolute-')
    loss = objective.named(Loss('own', own=path), 'config.loss', 3, taught=True)
    np.testing.assert_array_equal(of(loss), of(Loss('own', own='my_losses:absolute')))
    assert differing(loss) == {'kind': 'own', 'own': path}
    unknown = Loss('own', own='object:absolute-0123456789ab')
    message = refusal(objective.named, unknown, 'config.loss', 3, True)
    assert message.startswith('config.loss.own is') and 'pass it to run again' in message


def test_an_edited_loss_is_another_and_is_refused_in_a_run_that_knew_the_old(my_losses):
    loss = objective.named(Loss('own', own='my_losses:absolute'), 'config.loss', 3, taught=True)
    my_losses.write_text(OWN.replace('.sum(1)', '.max(1)'))
    assert 'edited while the run went on' in refusal(of, loss)
    again = objective.named(Loss('own', own='my_losses:absolute'), 'config.loss', 3, taught=True)
    assert again != loss and hash(again) != hash(loss)
    expected = np.abs(np.asarray(LOGITS) - np.asarray(BATCH['teacher_logits'])).max(1)
    np.testing.assert_allclose(of(again), expected, rtol=1e-6)


def test_other_losses_are_named_as_they_were():
    loss = Loss('kl', temperature=4.0)
    assert objective.named(loss, 'config.loss', 3, taught=True) is loss


@pytest.mark.parametrize(
    ('path', 'taught', 'words'),
    [
        ('my_losses:nothing', True, "my_losses has no 'nothing'"),
        ('my_loss:absolute', True, 'there is no module my_loss'),
        ('my_losses.py', True, 'write package.module:name'),
        (
            'my_losses:whole',
            True,
            'gives shape [] for 4 examples; it must give one number an example',
        ),
        ('my_losses:failing', True, 'config.loss has a function of its own that fails ('),
        ('my_losses:absolute', False, 'config.loss has a function of its own that fails ('),
    ],
)
def test_an_own_loss_that_does_not_work_is_refused_ahead_of_the_run(my_losses, path, taught, words):
    assert words in refusal(objective.named, Loss('own', own=path), 'config.loss', 3, taught)


@pytest.mark.parametrize(
    ('target', 'loss', 'words'),
    [
        ('logits', {'kind': 'mix'}, "students.mimic.loss.kind is 'mix', but there are no terms"),
        ('logits', {'kind': 'own'}, 'students.mimic.loss.own is empty'),
        (
            'logits',
            {'kind': 'mix', 'terms': {'a': {'kind': 'own'}}},
            'students.mimic.loss.terms.a.own is empty',
        ),
        (
            'logits',
            {'kind': 'mix', 'terms': {'a': {}}},
            "target 'logits' and loss.kind 'mix' of cross_entropy",
        ),
        (
            'labels',
            {'kind': 'mix', 'terms': {'a': {}, 'b': {'kind': 'dkd'}}},
            "target 'labels' and loss.kind 'mix' of cross_entropy, dkd",
        ),
        (
            'logits',
            {'kind': 'mix', 'terms': {'a': {'kind': 'kl', 'weight': -1.0}}},
            'config.students.mimic.loss.terms.a.weight is -1.0',
        ),
        ('labels', {'kind': 'own', 'own': 'a:b'}, ''),
        ('logits', {'kind': 'mix', 'terms': {'a': {}, 'b': {'kind': 'dkd'}}}, ''),
    ],
)
def test_losses_that_do_not_fit_are_refused(config, target, loss, words):
    student = config.students.mimic.to_dict()
    student.update(target=target, loss={})
    mapping = {**config.to_dict(), 'students': {'mimic': {**student, 'loss': loss}}}
    mapping['report'] = {}
    if words:
        assert words in refusal(experiments.read, ml_collections.ConfigDict(mapping))
    else:
        experiments.read(mapping)


def test_every_loss_of_the_settings_is_in_the_table():
    kinds = Term.__dataclass_fields__['kind'].metadata['choices']
    assert set(objective.TABLE) == set(kinds)
    for kind in sorted(set(kinds) - {'own', 'squared_error'}):
        constants = {'logit_mean': jnp.zeros(3), 'logit_deviation': jnp.ones(3)}
        each = objective.example_losses(Loss(kind), LOGITS, BATCH, constants)
        assert each.shape == (3,) and each.dtype == jnp.float32
    values = {**BATCH, 'labels': LOGITS + 2}
    each = objective.example_losses(Loss('squared_error'), LOGITS, values, {})
    np.testing.assert_allclose(each, 0.5 * 4 * LOGITS.shape[1], rtol=1e-6)
