"""Every experiment and every preset of it locks, is valid, and its nets and splits can be made."""

from pathlib import Path

import ml_collections
import numpy as np
import pytest
from conftest import ROOT, load_experiment

from mimic_jax import config, trials
from mimic_jax.data import speech, splits, timit_source, timit_splits
from mimic_jax.errors import UserError
from mimic_jax.models import counts, notation

NAMES = sorted(path.stem for path in Path(ROOT, 'experiments').glob('*.py'))
# Of a data set: shape of an example, classes, labelled examples, examples of its own test split.
SOURCES = {
    'digits': ((8, 8, 1), 10, 1797, 0),
    'cifar10': ((32, 32, 3), 10, 50000, 10000),
    'timit': ((15, 41, 3), 183, None, None),  # see `corpus`
}


def corpus(split):
    """Frames of TIMIT's speakers for the official split, of 16 speakers for others, 8 sentences each."""
    official = split == 'official'
    test = (*timit_splits.DEV_SPEAKERS, *timit_splits.CORE_SPEAKERS) if official else ()
    train = [f'm{number:03d}0' for number in range(462 if official else 16)]
    utterances = [
        speech.Spoken(part, 'dr1', speaker, f'sx{number}', np.zeros(40, np.int32))
        for part, speakers in (('train', train), ('test', test))
        for speaker in speakers
        for number in range(8)
    ]
    bounds = np.arange(len(utterances) + 1) * 300
    frames = np.broadcast_to(np.float32(0), (bounds[-1], 123))
    return speech.Speech(frames, np.zeros(bounds[-1], np.int32), bounds, tuple(utterances), ())


def divided(data):
    """A data set of a config's size."""
    _, classes, pool, test = SOURCES[data.name]
    if data.name == 'timit':
        return timit_source.divide(corpus(data.split), '', data, lambda line: None)
    labels = np.zeros(pool + test, np.int32)
    regions = {'pool': pool, 'unlabelled': 0, 'test': test}
    return splits.divide(labels[:, None], labels, regions, classes, '', data)


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
    nets = checked.members and (checked.students or checked.search)
    assert nets or checked.baselines
    members = [member for member in checked.members.values() if member.from_study is None]
    if checked.search:
        members.append(trials.middle(checked.search))
    for member in members:
        assert counts.count(member.model, shape, classes).params > 0
    for student in checked.students.values():
        model = student.model
        if '?' in model:
            model = notation.solve(model, student.budget, shape, classes)
        assert counts.count(model, shape, classes).params > 0
        if student.budget:
            assert counts.count(model, shape, classes).params <= student.budget
    if checked.alignment.rounds:
        assert counts.count(checked.alignment.net.model, shape, classes).params > 0


def test_the_splits_can_be_made_and_batches_filled(settings):
    checked = config.experiment(settings)
    dataset = divided(checked.data)
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
    next(iter(first.students.values())).train.epochs = 99999
    assert second.data.seed != 99
    for student in second.students.values():
        assert student.train.epochs != 99999


def test_the_students_of_urban_et_al_are_taught_by_the_members_that_their_search_finds():
    """Same study, same ranks, same data: or the second experiment would refuse the first's trials."""
    for preset in ('', 'small', 'smoke'):
        search, table = (
            load_experiment(name).get_config(preset)
            for name in ('urban_teachers', 'urban_students')
        )
        assert search.logits.ensemble.members == table.logits.ensemble.members
        for name in table.logits.ensemble.members:
            assert table.members[name] == search.members[name]
        assert search.members.best_01.from_study.study == search.search.study
        assert search.data == table.data and search.views == table.views


def test_the_search_of_urban_et_al_has_their_18_hyperparameters():
    space = load_experiment('urban_teachers').get_config().search.space
    assert len(space) == 18
    ends = {name: (entry.low, entry.high) for name, entry in space.items()}
    assert ends['c3'] == (128, 384) and ends['momentum'] == (0.8, 0.91)
    assert {name for name, entry in space.items() if entry.get('log')} == {'rate', 'momentum'}
