"""The accelerator's program, tried on this machine at its small scale."""

import json

import jax
import jax.numpy as jnp
import pytest
from conftest import load_benchmark

from mimic_jax.models import counts
from mimic_jax.training import metrics_log


@pytest.fixture(scope='module')
def program():
    return load_benchmark('accelerator')


@pytest.fixture(scope='module')
def profiles():
    return load_benchmark('profiles')


def test_nets_of_the_whole_scale_are_right(program):
    whole = program.WHOLE
    assert counts.count(whole.student, program.IMAGE, program.CLASSES).params == 75_662_538
    assert whole.teacher == program.experiment(whole).members.cnn_1.model
    assert whole.members == len(program.experiment(whole).members)
    convolutions = sum(size * size * 9 for size in (64, 128, 256, 256, 512, 512))
    convolutions += 9 * (3 * 64 + 64 * 128 + 128 * 256 + 256 * 512)
    biases = 2 * 64 + 2 * 128 + 3 * 256 + 3 * 512
    output = 4 * 512 * 10 + 10
    recipe = counts.count(whole.recipe, program.IMAGE, program.CLASSES)
    assert recipe.params == convolutions + 2 * biases + output  # a shift and a scale


def test_utilisation_is_of_counted_flops(program, monkeypatch, tmp_path):
    monkeypatch.setattr(program, 'step_seconds', lambda *_: 0.5)
    monkeypatch.setattr(program, 'seconds_of', lambda *_: 0.25)
    step, peak, share = (row['value'] for row in program.utilisation(program.TINY, tmp_path))
    convolution, others = 2 * 75 * 8 * 1024, 2 * (8 * 64 * 16 + 16 * 64 + 64 * 10)
    assert step == pytest.approx(32 * (2 * convolution + 3 * others) / 0.5 / 1e12, rel=1e-3)
    assert peak == pytest.approx(2 * 256**3 / 0.25 / 1e12, rel=1e-3)
    assert share == pytest.approx(step / peak, rel=1e-3)


@pytest.mark.parametrize('name', ['calls', 'throughput', 'profile', 'recipe'])
def test_a_stage_is_measured_once(program, name, monkeypatch, tmp_path):
    rows = program.stage(name, program.TINY, tmp_path)
    assert rows and all(row['value'] > 0 for row in rows)
    monkeypatch.setitem(program.STAGES, name, None)
    assert program.stage(name, program.TINY, tmp_path) == rows
    assert len(program.table(rows).splitlines()) == len(rows) + 2
    pictures = list(tmp_path.glob('*.png'))
    assert len(pictures) == (2 if name == 'profile' else 0)


@pytest.mark.parametrize(('accuracies', 'expected'), [((0.5, 0.95, 0.94), 7.5), ((0.9, 0.5), None)])
def test_seconds_are_those_to_the_first_that_is_right_enough(
    program, tmp_path, accuracies, expected
):
    records = [{'step': 5, 'seconds': 1.0, 'loss': 0.99}] + [
        {'step': 10 * n, 'seconds': 7.5 * n - 7.5, 'validation_accuracy': accuracy}
        for n, accuracy in enumerate(accuracies, 1)
    ]
    (tmp_path / metrics_log.FILE).write_text('\n'.join(map(json.dumps, records)))
    rows = program.validated('a net', tmp_path)
    assert rows[-1]['value'] == pytest.approx(100 * max(accuracies))
    assert [row['value'] for row in rows[:-1]] == ([] if expected is None else [expected])


def test_a_profile_names_the_operations_of_a_step(profiles):
    matrix = jnp.ones((512, 512))
    step = jax.jit(lambda matrix: jnp.sort(matrix @ matrix))
    found = profiles.by_operation(lambda: step(matrix), 3)
    assert any('sort' in name for name in found)
    assert list(found.values()) == sorted(found.values(), reverse=True)


def test_a_devices_kernels_do_not_count_beside_its_operations(profiles):
    def event(pid, tid, op, microseconds):
        return {'ph': 'X', 'pid': pid, 'tid': tid, 'dur': microseconds, 'args': {'hlo_op': op}}

    def thread(pid, tid, name):
        return {'name': 'thread_name', 'pid': pid, 'tid': tid, 'args': {'name': name}}

    events = [
        *(thread(1, 1, 'XLA Ops'), thread(1, 2, 'Stream #1'), thread(2, 1, 'Stream #1')),
        *(event(1, 1, 'dot', 4000), event(1, 2, 'dot', 3000), event(2, 1, 'add', 1000)),
        *(event(2, 1, 'add', 2000), {'ph': 'X', 'pid': 2, 'tid': 1, 'dur': 9, 'args': {}}),
    ]
    assert profiles.summed(events, 2) == {'dot': 2.0, 'add': 1.5}
