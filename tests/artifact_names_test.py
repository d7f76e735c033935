"""Every artifact keeps its name: what was trained for days is found again by the same experiment."""

import dataclasses

import artifact_names
import pytest
from conftest import ROOT, load_experiment

from mimic_jax.artifacts import recipes
from mimic_jax.models import net

CASES = list(artifact_names.cases())


@pytest.fixture(autouse=True)
def examples_are_importable(monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT))


@pytest.mark.parametrize('case', CASES, ids=lambda case: ':'.join(filter(None, case)))
def test_names_are_the_recorded_ones(case):
    name, preset = case
    recorded = artifact_names.recorded()[':'.join(filter(None, case))]
    found = artifact_names.of(load_experiment(name).get_config(preset))
    changed = {what for what in {*found, *recorded} if found.get(what) != recorded.get(what)}
    assert not changed, (
        'these artifacts have other names now, and would be made anew. Where the settings of this '
        'experiment were changed on purpose, record them: python tests/artifact_names.py'
    )


def test_nothing_is_recorded_of_what_is_no_longer_there():
    assert set(artifact_names.recorded()) == {':'.join(filter(None, case)) for case in CASES}


def test_a_raised_version_renames_what_depends_on_it(monkeypatch):
    settings = load_experiment('digits_student').get_config()
    before = artifact_names.of(settings)
    monkeypatch.setattr(net, 'VERSION', net.VERSION + 1)
    after = artifact_names.of(settings)
    kept = {what for what in before if before[what] == after[what]}
    assert kept == {'data'}
    monkeypatch.setattr(recipes, 'FORMAT', recipes.FORMAT + 1)
    assert artifact_names.of(settings)['data'] != before['data']


def test_a_new_setting_at_its_default_renames_nothing(monkeypatch):
    """Taking one of today's settings away gives an earlier edition, which had the same names."""
    from mimic_jax.training.settings import Train

    settings = load_experiment('digits_student').get_config()
    before = artifact_names.of(settings)
    fields = {
        name: field for name, field in Train.__dataclass_fields__.items() if name != 'input_scale'
    }
    monkeypatch.setattr(Train, '__dataclass_fields__', fields)
    assert 'input_scale' not in {field.name for field in dataclasses.fields(Train)}
    for entry in (*settings.members.values(), *settings.students.values()):
        del entry.train['input_scale']
    for entry in (settings.search.member, settings.search.student, settings.alignment.net):
        del entry.train['input_scale']
    monkeypatch.setattr(Train, 'input_scale', 1.0, raising=False)
    assert artifact_names.of(settings) == before


def test_what_changes_no_content_is_in_no_name():
    settings = load_experiment('digits_student').get_config()
    before = artifact_names.of(settings)
    settings.run.update({'log_steps': 7, 'placement': 'host', 'evaluation_batch_size': 99})
    settings.report.rows.mimic.label = 'another'
    settings.decoding.batch_size = 7
    settings.students.mimic.loss.temperature = 3.0  # which squared error does not read
    settings.students.labels.logits = 'ensemble'
    assert artifact_names.of(settings) == before
    settings.students.mimic.loss.kind = 'kl'
    changed = artifact_names.of(settings)
    assert {what for what in before if before[what] != changed[what]} == {
        f'{prefix}student mimic, seed {seed}'
        for seed in (0, 1, 2)
        for prefix in ('', 'evaluation of ')
    }
