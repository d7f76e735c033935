import json

import jax
import matplotlib.pyplot as plt
import numpy as np
import pytest

from mimic_jax import pipeline
from mimic_jax.artifacts import store
from mimic_jax.config import experiment as experiments
from mimic_jax.errors import UserError
from mimic_jax.mimic import ensemble, latency
from mimic_jax.reporting import curves, figures, part
from mimic_jax.reporting import run as report_phase
from mimic_jax.reporting.answers import Answers
from mimic_jax.training import metrics_log


@pytest.fixture(scope='module')
def finished(tmp_path_factory, device):
    """A tiny run whose report asks for all that a report can show."""
    from conftest import tiny_digits

    config = tiny_digits()
    config.students.mimic.update({'model': '?L-32', 'budget': 917.0})
    config.report = {
        'ensemble': 'ensemble',
        'order': ('labels', 'mimic', 'absorbed', 'ensemble'),
        'x_label': 'hidden units',
        'latency': True,
        'by_time': True,
        'rows': {
            'labels': {'source': 'students.labels', 'curve': 'on labels', 'x': 4.0},
            'mimic': {'source': 'students.mimic', 'curve': 'mimicking', 'x': 40.0},
            'absorbed': {
                'source': 'students.mimic',
                'absorbed': True,
                'paper': 0.9,
                'paper_parameters': '~70M',
                'paper_units': '~190k',
                'note': 'section 2.3',
            },
            'ensemble': {'source': 'logits.ensemble'},
        },
    }
    workdir = tmp_path_factory.mktemp('runs')
    pipeline.run(config, workdir=workdir, experiment='tiny', devices=[device])
    report = json.loads((workdir / 'tiny' / 'report.json').read_text())
    return config, workdir, report


def test_the_absorbed_net_is_larger_and_answers_alike(finished):
    _, _, report = finished
    _, mimic, absorbed, _ = report['rows']
    assert absorbed['model'] == '32'
    # 64 pixels, 32 units, 10 classes
    assert absorbed['parameters'] == 64 * 32 + 32 + 32 * 10 + 10
    np.testing.assert_allclose(absorbed['values'], mimic['values'], atol=0.004)
    assert absorbed['note'].startswith('section 2.3; its logits lie within ')
    assert 0 < float(absorbed['note'].split('within ')[1].split()[0]) < 1e-3
    assert (absorbed['paper_parameters'], absorbed['paper_units']) == ('~70M', '~190k')


def test_absorbed_logits_are_the_products(finished, make_session):
    config, workdir, _ = finished
    session, plan = make_session(config, workdir)
    net = plan.students['mimic'][0]
    params = ensemble.variables(session, net)['params']
    inputs = session.data.inputs[session.data.splits['test']].reshape(500, -1) / 255
    first, second, last = (
        {key: np.asarray(value, np.float64) for key, value in params[name].items()}
        for name in sorted(params, key=lambda name: name.split('_')[1])
    )
    kernel = first['kernel'] @ second['kernel']
    bias = first['bias'] @ second['kernel'] + second['bias']
    expected = np.maximum(inputs @ kernel + bias, 0) @ last['kernel'] + last['bias']
    ids = [{'index': session.data.splits['test'], 'mask': np.ones(len(inputs), np.float32)}]
    found = ensemble.load_absorbed(session, net)(ids)
    np.testing.assert_allclose(found, expected, atol=2e-4)


def test_timings_stand_beside_the_rows(finished):
    _, workdir, report = finished
    labels, mimic, absorbed, teachers = report['timings']
    for timing in (labels, mimic, absorbed, teachers):
        assert set(timing['milliseconds']) == {'1', '128'}
        assert all(value > 0 for value in timing['milliseconds'].values())
    assert absorbed['training_seconds'] == mimic['training_seconds'] > 0
    layers = [each['sequential_layers'] for each in (labels, mimic, absorbed, teachers)]
    assert layers == [
        3,
        3,
        2,
        3,
    ]  # a linear layer, a hidden one, the output; the teachers' are 4c3-16
    assert '| sequential layers |' in (workdir / 'tiny' / 'report.md').read_text()
    costs = report['costs']['teacher']['artifacts']
    seconds = sum(store.manifest(workdir / name)['seconds'] for name in costs)
    assert teachers['training_seconds'] == pytest.approx(seconds, abs=0.06)
    page = (workdir / 'tiny' / 'report.md').read_text()
    assert '128 at a time, ms' in page and 'section 2.3' in page and '~190k' in page


def test_flops_of_a_row_are_those_of_its_training_and_of_its_teachers(finished):
    _, workdir, report = finished
    # 200 labelled examples and 997 others. Teachers: 4 filters of 3×3 on 8×8, pooled to 4×4×4 = 64
    # features, 16 units, 10 classes; 4 batches of 50 in each of 2 epochs, 3 passes a step.
    teacher = 2 * (8 * 8 * 4 * 9 + 64 * 16 + 16 * 10)
    teachers = 2 * 2 * 4 * 3 * 50 * teacher
    cache = 2 * 2 * (200 + 997) * teacher  # two views, two teachers
    labels, mimic, absorbed, ensemble = report['timings']
    on_labels = 3 * 3 * 4 * 50 * 2 * (64 * 8 + 8 * 32 + 32 * 10)  # 3 epochs
    assert labels['training_flops'] == labels['whole_flops'] == on_labels
    # A bottleneck of 5 is the widest within 917 parameters; 10 batches of 128 an epoch.
    on_logits = 3 * 3 * 10 * 128 * 2 * (64 * 5 + 5 * 32 + 32 * 10)
    assert mimic['training_flops'] == absorbed['training_flops'] == on_logits
    assert mimic['whole_flops'] == absorbed['whole_flops'] == on_logits + teachers + cache
    assert ensemble['training_flops'] == ensemble['whole_flops'] == teachers
    page = (workdir / 'tiny' / 'report.md').read_text()
    assert f'{on_labels / 1e6:.3g} M' in page and 'with its teachers, FLOP' in page


def test_work_is_drawn_a_curve_for_an_entry_of_the_key(finished, make_session):
    config, workdir, report = finished
    session, plan = make_session(config, workdir)
    answers = Answers(session, plan, experiments.read(config).report)
    plot = curves.by_work(answers, report)
    names = ['on labels', 'mimicking', 'absorbed', 'ensemble']
    assert [each.name for each in plot.series] == names
    for series, row, timing in zip(plot.series, report['rows'], report['timings'], strict=True):
        assert series.points == [(timing['whole_flops'], 100 * row['mean'])]
    assert (workdir / 'tiny' / 'work.png').exists()
    for none in (None, 0):
        unknown = [{**each, 'whole_flops': none} for each in report['timings']]
        assert curves.by_work(answers, {**report, 'timings': unknown}).shown == []


def test_the_net_that_is_timed_as_absorbed_has_no_bottleneck(finished, make_session, monkeypatch):
    config, workdir, _ = finished
    session, plan = make_session(config, workdir)
    net = plan.students['mimic'][0]
    timed = []
    monkeypatch.setattr(ensemble.compiled, 'jit', jax.jit)  # calls of compiled.jit cannot be traced
    monkeypatch.setattr(latency, 'measure_call', lambda _, call: timed.append(call))
    settings = experiments.read(config).report
    answers = Answers(session, plan, settings)
    report_phase._milliseconds(answers, settings.rows['absorbed'])
    (call,) = timed
    test = session.data.splits['test']
    inputs = session.data.inputs[test]
    assert str(jax.make_jaxpr(call)(inputs)).count('dot_general') == 2
    ids = [{'index': test, 'mask': np.ones(len(test), np.float32)}]
    expected = ensemble.load_absorbed(session, net)(ids)
    np.testing.assert_allclose(call(inputs), expected, atol=2e-4)


def test_a_run_with_nothing_to_do_keeps_the_times_that_were_measured(finished, device, monkeypatch):
    config, workdir, report = finished
    assert all(timing['milliseconds'] for timing in report['timings'])
    path = workdir / 'tiny' / 'report.json'
    pipeline.run(config, workdir=workdir, experiment='tiny', devices=[device])
    before, old = path.read_bytes(), latency.measure
    monkeypatch.setattr(latency, 'measure', lambda *_: pytest.fail('measured anew'))
    pipeline.run(config, workdir=workdir, experiment='tiny', devices=[device])
    assert path.read_bytes() == before
    timed = []
    monkeypatch.setattr(latency, 'measure', lambda *args: timed.append(1) or old(*args))
    pipeline.run(config, workdir=workdir, experiment='tiny', phase='report', devices=[device])
    assert len(timed) == 3, 'it was asked for'


def test_what_a_solved_net_lies_below_its_budget_is_told(finished):
    _, workdir, report = finished
    labels, mimic, _, teachers = report['rows']
    # 64 × 5 + 5 + 5 × 32 + 32 + 32 × 10 + 10 = 847; with 6L it would be 944.
    assert mimic['model'] == '5L-32'
    assert [row['shortfall'] for row in (labels, mimic, teachers)] == [None, 917 - 847, None]
    assert 'below budget' in (workdir / 'tiny' / 'report.md').read_text()


def test_students_are_drawn_by_the_time_that_they_took(finished, make_session):
    config, workdir, _ = finished
    assert '![time.png](time.png)' in (workdir / 'tiny' / 'report.md').read_text()
    session, plan = make_session(config, workdir)
    _, axes = plt.subplots()
    checked = experiments.read(config)
    assert figures._by_time(axes, Answers(session, plan, checked.report, part.PLAIN))
    for line, nets in zip(axes.lines, plan.students.values(), strict=True):
        logs = [metrics_log.read(workdir / net.recipe.name) for net in nets]
        seen = [[r for r in log if 'validation_accuracy' in r] for log in logs]
        for key, found, factor in (
            ('seconds', line.get_xdata(), 1),
            ('validation_accuracy', line.get_ydata(), 100),
        ):
            means = np.mean([[record[key] for record in log] for log in seen], axis=0)
            np.testing.assert_allclose(found, factor * means)
    plt.close()


def test_curves_are_drawn_where_rows_have_one(finished, tmp_path):
    _, workdir, _ = finished
    assert (workdir / 'tiny' / 'curves.png').stat().st_size > 1000


def test_only_students_can_be_absorbed(finished):
    config, workdir, _ = finished
    config = config.copy_and_resolve_references()
    config.report.rows.ensemble = {'source': 'logits.ensemble', 'absorbed': True}
    with pytest.raises(UserError, match='absorbed goes with students'):
        pipeline.run(config, workdir=workdir, experiment='other')
