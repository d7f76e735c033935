"""experiments/cifar_future.py: both sides of each comparison have equal steps, trials and teachers."""

import math

import artifact_names
import pytest
from conftest import load_experiment

from mimic_jax.config import experiment as experiments
from mimic_jax.planning import collect as plans
from mimic_jax.search import trials

future = load_experiment('cifar_future')


def planned(preset):
    checked = experiments.read(future.get_config(preset))
    return checked, plans.make(checked, artifact_names.divided(checked.data))


def test_dense_students_have_no_convolution_and_equal_steps():
    _, plan = planned('dense,small')
    nets = [seeds[0] for seeds in plan.students.values()]
    assert len(nets) == 10 and {net.model for net in nets} == {'200L-2000', '500-500'}
    steps = [net.task.steps for net in nets]
    assert max(steps) <= 1.03 * min(steps)  # as nearly as whole epochs allow
    sizes = {net.cache.name: len(net.examples) for net in nets if net.cache}
    assert sizes == {f'images_{size}': size for size in (5000, 10_000, 20_000)} | {'all': 40_000}


def test_the_ensemble_and_its_cache_are_cifar_students():
    ours, theirs = (
        artifact_names.of(load_experiment(name).get_config(preset))
        for name, preset in (('cifar_future', 'sizes,small'), ('cifar_student', 'small'))
    )
    for what in ('teacher cnn_1', 'teacher cnn_2', 'teacher cnn_3', 'logits ecnn'):
        assert ours[what] == theirs[what]


@pytest.mark.parametrize('preset', ['sizes', 'sizes,small'])
def test_students_of_each_depth_fill_their_budgets(preset):
    checked, plan = planned(preset)
    shape = (32, 32, 3)
    for name, (net, *_) in plan.students.items():
        layers, budget = int(name.split('_')[1]), checked.students[name].budget
        assert net.task.net.describe(shape).sequential_layers == layers + 1  # and the output
        assert 0.98 * budget <= net.parameters <= budget
    assert checked.report.latency


@pytest.mark.parametrize('size', ['', ',small'])
def test_both_sides_are_searched_with_equal_effort(size):
    sides = {
        side: experiments.read(future.get_config(f'direct,{side}{size}')) for side in future.SIDES
    }
    labels, mimic = (sides[side].search for side in ('labels', 'mimic'))
    assert labels.trials == mimic.trials and labels.startup == mimic.startup
    assert {labels.objective, mimic.objective} == {'validation_accuracy'}
    for search in (labels, mimic):
        first, most = search.space['epochs'].low, search.space['epochs'].high
        assert most == 3 * first == 3 * search.student.train.epochs
        net = trials.largest(search)
        assert net.train.epochs == most and net.train.learning_rate == search.space['rate'].high
    assert (labels.student.target, mimic.student.target) == ('labels', 'logits')
    mixed = trials.largest(labels)
    assert math.isclose(mixed.views.mixup, 1.0) and mixed.train.label_smoothing == 0.2
    assert mixed.model == mimic.student.model + '-d0.400'
    final = experiments.read(future.get_config(f'direct{size}'))
    found = {
        name: net.from_study.study for name, net in final.students.items() if net.from_study.rank
    }
    assert set(found) == {f'{side}_{rank}' for side in future.SIDES for rank in (1, 2, 3)}
    assert {found['labels_1'], found['mimic_1']} == {labels.study, mimic.study}
