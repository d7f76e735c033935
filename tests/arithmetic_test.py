"""What nets and training compute is what their version says: artifacts are named by that version."""

import dataclasses
import json

import arithmetic
import pytest

from mimic_jax.data import preprocess
from mimic_jax.data.view_settings import Views
from mimic_jax.models import grammar
from mimic_jax.training.loss_settings import LOSSES
from mimic_jax.training.settings import Train

RECORDED = json.loads(arithmetic.FILE.read_text())


@pytest.fixture(scope='module')
def outputs():
    return arithmetic.outputs()


@pytest.mark.parametrize('name', arithmetic.versions())
def test_the_record_is_of_this_version(name):
    assert RECORDED[name]['version'] == arithmetic.versions()[name], (
        f'the version of {name} changed: record its outputs anew, python tests/arithmetic.py'
    )


@pytest.mark.parametrize('name', arithmetic.versions())
def test_outputs_are_the_recorded_ones(outputs, name):
    changed = arithmetic.differences(outputs[name], RECORDED[name]['outputs'])
    assert not changed, (
        f'{name} computes something else for {changed}: raise its VERSION, so that no artifact made '
        'before is taken for one of the new arithmetic, then record, python tests/arithmetic.py'
    )


def test_every_token_loss_preprocessing_and_schedule_is_recorded():
    kinds = set()
    for spec in arithmetic.MODELS.values():
        for layer in grammar.parse(spec):
            kinds.add(layer.kind)
            kinds |= {'batch_norm'} if layer.batch_norm else set()
    assert kinds >= {*grammar.PARAMETER_KINDS, *grammar.MAP_KINDS, 'dropout', 'batch_norm'}
    recorded = RECORDED['training']['outputs']
    assert {f'loss {kind}' for kind in LOSSES} <= set(recorded)
    assert {f'preprocess {kind}' for kind in preprocess.KINDS} <= set(recorded)


def test_every_choice_of_settings_is_recorded():
    """A new schedule or view must be added to the cases, or it could change unseen."""
    schedule = next(f for f in dataclasses.fields(Train) if f.name == 'schedule')
    found = {settings.get('schedule', 'cosine') for settings in arithmetic.RATES.values()}
    assert found == set(schedule.metadata['choices'])
    not_drawn = {'seed', 'own', 'own_version'}  # a person's own is theirs
    turned_on = {name for settings in arithmetic.VIEWS.values() for name in settings}
    assert turned_on == {field.name for field in dataclasses.fields(Views)} - not_drawn
    # matmul_precision is of accelerators: tests/ahead_test.py reads it in their programs.
    not_arithmetic = {'epochs', 'batch_size', 'learning_rate', 'dtype', 'matmul_precision', 'keep'}
    cases = [*arithmetic.TRAINS.values(), *arithmetic.RATES.values(), {'label_smoothing': 'a loss'}]
    varied = {name for settings in cases for name in settings}
    assert varied == {field.name for field in dataclasses.fields(Train)} - not_arithmetic


@pytest.mark.parametrize('size', [1e-3, 1e-2])
def test_a_difference_beyond_rounding_is_seen(outputs, size):
    for name, cases in outputs.items():
        for case, numbers in cases.items():
            if not any(numbers):
                continue
            largest = max(range(len(numbers)), key=lambda index: abs(numbers[index]))
            other = list(numbers)
            other[largest] *= 1 + size
            assert arithmetic.differences({case: other}, {case: numbers}) == [case], (name, case)
