"""Every experiment and every preset of it locks, is valid, and its nets and splits can be made."""

from pathlib import Path

import ml_collections
import numpy as np
import pytest
from conftest import ROOT, load_experiment

from mimic_jax import config
from mimic_jax.data import splits
from mimic_jax.errors import UserError
from mimic_jax.models import counts, notation

NAMES = sorted(path.stem for path in Path(ROOT, 'experiments').glob('*.py'))
# Of a data set: shape of an example, classes, labelled examples, examples of its own test split.
SOURCES = {
    'digits': ((8, 8, 1), 10, 1797, 0),
    'cifar10': ((32, 32, 3), 10, 50000, 10000),
}


def presets(name):
    return getattr(load_experiment(name), 'PRESETS', {})


CASES = [(name, preset) for name in NAMES for preset in ('', *presets(name))]


@pytest.fixture(params=CASES, ids=lambda case: ':'.join(filter(None, case)))
def settings(request):
    name, preset = request.param
    return load_experiment(name).get_config(preset)


def test_there_are_experiments():
    assert 'digits_student' in NAMES


def test_the_config_locks(settings):
    assert isinstance(settings, ml_collections.ConfigDict)
    settings.lock()
    with pytest.raises(AttributeError):
        settings.data.trian = 3
    with pytest.raises(AttributeError):
        settings.studnets = {}


def test_the_config_is_valid_and_its_nets_can_be_made(settings):
    checked = config.experiment(settings)
    shape, classes, *_ = SOURCES[checked.data.name]
    assert checked.members and checked.students
    for member in checked.members.values():
        assert counts.count(member.model, shape, classes).params > 0
    for student in checked.students.values():
        model = student.model
        if '?' in model:
            model = notation.solve(model, student.budget, shape, classes)
        assert counts.count(model, shape, classes).params > 0
        if student.budget:
            assert counts.count(model, shape, classes).params <= student.budget


def test_the_splits_can_be_made_and_batches_filled(settings):
    checked = config.experiment(settings)
    _, classes, pool, test = SOURCES[checked.data.name]
    labels = np.zeros(pool + test, np.int32)
    regions = {'pool': pool, 'unlabelled': 0, 'test': test}
    dataset = splits.divide(labels[:, None], labels, regions, classes, '', checked.data)
    train = len(dataset.splits['train'])
    for member in checked.members.values():
        assert member.train.batch_size <= round(member.subset * train)
    for cache in checked.logits.values():
        assert len(dataset.examples(cache.transfer, 'here')) >= train
    for student in checked.students.values():
        assert student.train.batch_size <= train


def test_every_net_is_in_the_report(settings):
    """What is trained is also shown; members may stand in it as their ensemble."""
    checked = config.experiment(settings)
    if not checked.report.rows:
        return  # all are shown
    shown = {checked.report.rows[name].source for name in checked.report.order}
    for name in checked.students:
        assert f'students.{name}' in shown
    mimicked = {student.logits for student in checked.students.values()}
    for name in checked.logits:
        assert f'logits.{name}' in shown or name in mimicked


@pytest.mark.parametrize('name', NAMES)
def test_an_unknown_preset_is_an_error_that_names_it(name):
    for arg in ('nonesuch', ','.join([*presets(name), 'nonesuch'][-2:])):
        with pytest.raises((ValueError, UserError), match="unknown preset 'nonesuch'") as caught:
            load_experiment(name).get_config(arg)
        words = {word for preset in presets(name) for word in preset.split(',')}
        assert all(word in str(caught.value) for word in words)


@pytest.mark.parametrize('name', NAMES)
def test_presets_are_described_where_the_run_advises_them(name):
    described = load_experiment(name).get_config().get('presets', {})
    assert set(described) <= set(presets(name)), 'no preset is promised that is not there'
    assert bool(described) == bool(presets(name))


@pytest.mark.parametrize('name', NAMES)
def test_the_docstring_gives_the_commands(name):
    text = load_experiment(name).__doc__
    command = f'python -m mimic_jax.main --config=experiments/{name}.py'
    assert command in text
    for preset in presets(name):
        if ',' in preset:  # of presets that go together
            assert all(f':{word}`' in text for word in preset.split(','))
        elif f':{preset}`' not in text:
            assert f'{command}:{preset}' in text


@pytest.mark.parametrize('name', NAMES)
def test_configs_of_two_calls_share_nothing(name):
    first, second = (load_experiment(name).get_config() for _ in range(2))
    first.data.seed = 99
    next(iter(first.members.values())).train.epochs = 99999
    assert second.data.seed != 99
    for member in second.members.values():
        assert member.train.epochs != 99999
