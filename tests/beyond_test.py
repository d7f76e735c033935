"""experiments/beyond.py: sides of a comparison differ in one thing, and bytes are those written."""

import json

import pytest
from conftest import ROOT, load_experiment

from mimic_jax.mimic.packing import Packing

beyond = load_experiment('beyond')
SIZES = ['', ',small']


@pytest.mark.parametrize('size', SIZES)
def test_students_of_a_comparison_take_equally_many_steps(size):
    for part in ('losses', 'views', 'bytes'):
        config = beyond.get_config(part + size)
        assert len({student.train.epochs for student in config.students.values()}) == 1, part
        assert len({(cache.transfer, cache.limit) for cache in config.logits.values()}) == 1, part


@pytest.mark.parametrize('size', SIZES)
def test_the_last_net_of_views_sees_none_twice(size):
    config = beyond.get_config('views' + size)
    names = config.report.order[1:]
    for name in names:
        views, student = config.report.rows[name].x, config.students[name]
        assert config.logits[student.logits].views == views <= student.train.epochs
    assert views == student.train.epochs


@pytest.mark.parametrize('size', SIZES)
def test_a_mimic_of_a_cost_sees_no_view_twice_save_on_the_least_cache(size):
    config = beyond.get_config('cost' + size)
    least = min(cache.views for cache in config.logits.values())
    for name, student in config.students.items():
        passes = student.train.epochs
        assert config.report.rows[name].x == passes
        if student.target == 'logits':
            cache = config.logits[student.logits]
            assert cache.views == (least if name.startswith('again') else passes), name
            assert len(cache.members) == (1 if name.startswith('one') else len(config.members))
    assert len({(student.model, student.budget) for student in config.students.values()}) == 1


def test_bytes_a_row_are_those_of_the_cache():
    config = beyond.get_config('bytes')
    for name, cache in config.logits.items():
        if name != 'ecnn':
            packing = Packing(cache.dtype, 10, cache.top if cache.dtype == 'topk' else 0)
            held = sum(array.nbytes for array in packing.empty(1).values())
            assert config.report.rows[name].x == held, name


@pytest.mark.parametrize(
    'preset', ['losses', 'losses,averaged', 'views', 'views,mixup', 'bytes', 'cost']
)
def test_the_small_teachers_are_those_of_cifar_student(preset):
    names = json.loads((ROOT / 'tests/artifact_names.json').read_text())
    teachers = {f'teacher cnn_{number}' for number in (1, 2, 3)}
    ours, theirs = names[f'beyond:{preset},small'], names['cifar_student:small']
    assert {ours[name] for name in teachers} == {theirs[name] for name in teachers}


def test_mixup_and_averages_are_the_caches_alone():
    plain, changed = (beyond.get_config(f'views{how},small') for how in ('', ',mixup,averaged'))
    assert changed.views == plain.views and changed.members == plain.members
    assert {cache.augmentation.mixup for cache in changed.logits.values()} == {1.0}
    assert {cache.tta for cache in changed.logits.values()} == {'mirror_shift'}
