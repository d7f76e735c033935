"""The report's page: whole, escaped, and loading nothing."""

import base64
import dataclasses
import functools
import html
import io
import json
import re
import types

import numpy as np
import pytest
from html_reader import Page, assert_alone
from PIL import Image

from mimic_jax.artifacts import store
from mimic_jax.config import experiment as experiments
from mimic_jax.data import prepare
from mimic_jax.data.dataset import Dataset
from mimic_jax.ops import metrics
from mimic_jax.planning import collect as plans
from mimic_jax.reporting import comparisons, html_page, html_plots, html_provenance, plots
from mimic_jax.reporting import run as report
from mimic_jax.reporting.answers import Answers
from mimic_jax.reporting.plots import Plot, Series
from mimic_jax.reporting.settings import Report, Row
from mimic_jax.runtime import sharding
from mimic_jax.runtime.progress import Progress
from mimic_jax.training.session import Session

SPITEFUL = '<script>alert("&")</script>'


@pytest.fixture(scope='module')
def reported(tmp_path_factory, device):
    """(session, plan, checked config) of an experiment that has a report; some names are spiteful.

    Its artifacts are made up, because training takes longer: random answers, more often right than wrong.
    """
    from conftest import tiny_digits

    settings = tiny_digits()
    settings.report.rows.mimic.label = SPITEFUL
    settings.presets = (f'smoke a preset {SPITEFUL}',)
    checked = experiments.read(settings)
    workdir, progress = tmp_path_factory.mktemp('runs'), Progress(stream=io.StringIO())
    data = prepare.run(checked.data, workdir, progress)
    session = Session(workdir, data, checked.run, progress, sharding.make_mesh(1, device))
    plan = plans.make(checked, data)
    random = np.random.default_rng(0)

    def trained(folder, net):
        record = {'step': 3, 'seconds': 0.5, 'validation_accuracy': random.uniform(0.5, 1)}
        (folder / 'metrics.jsonl').write_text(json.dumps(record))
        return {'seconds': 0.5, 'steps': net.task.steps}

    def evaluated(folder):
        for split in ('validation', 'test'):
            right = np.eye(10)[data.labels[data.splits[split]]]
            np.save(folder / f'{split}.npy', random.normal(3 * right).astype(np.float32))
        return {'seconds': 0.25}

    for net in plan.nets():
        store.make(workdir, net.recipe, functools.partial(trained, net=net))
        store.make(workdir, net.evaluation, evaluated)
    for cache in plan.caches.values():
        store.make(workdir, cache.recipe, lambda folder: {'seconds': 2.0})
    report.run(session, plan, checked.report, 'tiny', 'run https://example.org/<b>', checked)
    return session, plan, checked


@pytest.fixture(scope='module')
def finished(reported):
    """The report's workdir, report.json and page."""
    workdir = reported[0].workdir
    found = json.loads((workdir / 'tiny' / 'report.json').read_text())
    return workdir, found, (workdir / 'tiny' / 'report.html').read_text()


def test_the_page_loads_nothing_and_is_well_formed(finished):
    *_, text = finished
    page = assert_alone(text)
    assert ('meta', {'charset': 'utf-8'}) in page.tags
    policy = [
        a['content'] for t, a in page.tags if a.get('http-equiv') == 'Content-Security-Policy'
    ]
    assert policy and "default-src 'none'" in policy[0]
    pictures = [attributes for tag, attributes in page.tags if tag == 'img']
    assert pictures and all(attributes['alt'] for attributes in pictures)
    assert all(a['aria-label'] for t, a in page.tags if t == 'svg' and a.get('role') == 'img')


def test_what_a_config_says_is_text_and_no_markup(finished):
    *_, text = finished
    page = Page(text)
    assert SPITEFUL not in text and html.escape(SPITEFUL) in text
    assert SPITEFUL in page.text, 'a reader sees it as it was written'
    assert f'config.presets = {json.dumps(["smoke a preset " + SPITEFUL])}' in page.text
    assert 'run https://example.org/<b>' in page.text


def test_the_page_has_every_row_and_number(finished):
    _, found, text = finished
    page = Page(text)
    head, *body = page.tables[0]
    assert head[:5] == ['', 'model', 'trained on', 'parameters', 'accuracy, %']
    assert len(body) == len(found['rows'])
    for row, cells in zip(found['rows'], body, strict=True):
        named = dict(zip(head, cells, strict=True))
        assert named[''] == row['name'] and named['model'] == row['model']
        assert named['parameters'] == f'{row["parameters"]:,}'
        deviation = '' if row['std'] is None else f' ± {100 * row["std"]:.2f}'
        assert named['accuracy, %'] == f'{100 * row["mean"]:.2f}{deviation}'
        share = row['agreement']
        assert named['agreement, %'] == ('–' if share is None else f'{100 * share:.2f}')
    for sizes in found['data']['examples'].values():
        assert f'{sizes:,}' in page.text


def test_the_page_names_every_artifact_and_what_it_was_made_from(finished):
    workdir, found, text = finished
    (made,) = [table for table in Page(text).tables if table[0][0] == 'artifact']
    lines = {name: (what, sources.split(', ')) for name, what, sources in made[1:]}
    listed = {name for cost in found['costs'].values() for name in cost['artifacts']}
    assert set(lines) == listed
    for name, (_, sources) in lines.items():
        recipe = json.loads((workdir / name / 'config.json').read_text())
        assert sources == [*recipe['reads'], f'data {recipe["data"][:12]}']


def test_cost_of_each_phase(finished, reported):
    _, found, text = finished
    (table,) = [table for table in Page(text).tables if table[0][0] == 'phase']
    assert [line[0] for line in table[1:]] == list(found['costs'])
    for name, count, seconds, size, _ in table[1:]:
        cost = found['costs'][name]
        assert (int(count), float(seconds)) == (len(cost['artifacts']), cost['seconds'])
        assert float(size) == pytest.approx(cost['bytes'] / 2**20, abs=0.05)
    session, plan, checked = reported
    # 200 examples in batches of 50, 2 epochs, 2 members; 3 passes a step.  A member is 4 filters of 3×3
    # on 8×8, pooled to 4×4×4 = 64 features, 16 units, 10 classes.
    member = 2 * (8 * 8 * 4 * 9 + 64 * 16 + 16 * 10)
    counted = html_provenance.flops(Answers(session, plan, checked.report))
    assert counted['teacher'] == 2 * 2 * 4 * 3 * 50 * member
    assert counted['logits'] == 2 * (200 + 997) * 2 * member
    shallow = 2 * (64 * 8 + 8 * 32 + 32 * 10)
    # Two seeds, 3 epochs: 4 batches of 50 an epoch on labels, 10 of 128 on 1,197 examples' logits.
    assert counted['student'] == 2 * 3 * 3 * shallow * (4 * 50 + 10 * 128)
    assert counted['evaluate'] == (100 + 500) * (2 * member + 4 * shallow)


def test_agreement_matrix_by_hand():
    one = np.array([[0, 1, 2, 3]])
    two = np.array([[0, 1, 0, 0], [0, 1, 2, 0]])
    assert metrics.agreement_matrix([one, two]) == [
        [None, pytest.approx((2 / 4 + 3 / 4) / 2)],
        [pytest.approx((2 / 4 + 3 / 4) / 2), pytest.approx(3 / 4)],
    ]
    assert metrics.agreement_matrix([]) == []
    with pytest.raises(ValueError, match='choices'):
        metrics.agreement_matrix([one, two[:, :3]])


def test_matrix_in_the_page_is_that_of_the_evaluations(finished, reported):
    workdir, _, text = finished
    _, plan, _ = reported
    (table,) = [table for table in Page(text).tables if table[0][:2] == ['', '1']]
    logits = {net.name: np.load(workdir / net.evaluation.name / 'test.npy') for net in plan.nets()}
    members = [logits['teacher cnn_1'], logits['teacher cnn_2']]
    seeds = [logits[f'student mimic, seed {seed}'] for seed in (0, 1)]
    ensemble = np.mean(members, axis=0).argmax(axis=1)
    shares = [np.mean(each.argmax(axis=1) == ensemble) for each in seeds]
    names = [line[0].split('\u2002')[1] for line in table[1:]]
    assert names == ['one teacher', 'ensemble', 'student on labels', SPITEFUL, 'teacher cnn_2']
    assert table[2][4] == table[4][2] == f'{100 * np.mean(shares):.1f}'
    assert table[4][4] == f'{100 * np.mean(seeds[0].argmax(1) == seeds[1].argmax(1)):.1f}'
    assert table[1][1] == table[2][2] == '–'
    assert table[1][5] == f'{100 * np.mean(members[0].argmax(1) == members[1].argmax(1)):.1f}'


def small_data(count=6, shape=(2, 2, 1)):
    return Dataset(
        inputs=np.arange(count * np.prod(shape)).reshape(count, *shape).astype(np.uint8),
        labels=np.array([0, 1, 2, 0, 1, 2], np.int32)[:count],
        splits={'test': np.array([5, 3, 1, 0], np.int32)},
        num_classes=3,
        fingerprint='',
        preprocess='scale',
    )


def test_disagreements_by_hand():
    """Of examples 5, 3, 1, 0 with classes 2, 0, 1, 0."""
    data = small_data()
    p = np.array([[0.1, 0.1, 0.8], [0.6, 0.3, 0.1], [0.2, 0.7, 0.1], [0.05, 0.9, 0.05]])
    q = np.array([[0.2, 0.1, 0.7], [0.1, 0.8, 0.1], [0.1, 0.2, 0.7], [0.95, 0.04, 0.01]])
    found = comparisons.compare(('t', np.log(p) + 3), ('s', np.log(q) - 500), data)
    assert (found.total, found.count, found.teacher_right, found.student_right) == (4, 3, 2, 1)
    # The less sure of both is .6, .7 and .9 sure.
    assert [example.index for example in found.examples] == [0, 1, 3]
    first = found.examples[0]
    assert first.label == 0 and first.teacher[0] == 1 and first.student[0] == 0
    np.testing.assert_allclose((first.teacher[1], first.student[1]), (0.9, 0.95), rtol=1e-5)
    png = np.asarray(Image.open(io.BytesIO(first.picture)))
    np.testing.assert_array_equal(png, data.inputs[0, :, :, 0])


def test_a_picture_is_what_the_example_is():
    colours = small_data(2, (3, 5, 3))
    png = np.asarray(Image.open(io.BytesIO(comparisons.picture(colours, 1))))
    np.testing.assert_array_equal(png, colours.inputs[1])
    floats = dataclasses.replace(small_data(), inputs=np.linspace(-1, 3, 24).reshape(6, 2, 2, 1))
    png = np.asarray(Image.open(io.BytesIO(comparisons.picture(floats, 0))))
    assert png.min() == 0 and png.max() == 255
    assert comparisons.picture(small_data(6, (4,)), 0) is None
    assert comparisons.picture(small_data(6, (2, 2, 4)), 0) is None


def test_disagreements_stand_in_the_page_with_their_pictures(finished, reported):
    *_, text = finished
    session, plan, checked = reported
    answers = Answers(session, plan, checked.report)
    found = comparisons.disagreements(answers)
    (teacher,) = answers.on_test(checked.report.rows['ensemble'])
    pupil = answers.on_test(checked.report.rows['mimic'])[0]
    differ = teacher.argmax(axis=1) != pupil.argmax(axis=1)
    assert found.count == differ.sum() > 0 and found.total == 500
    page = Page(text)
    sources = [attributes['src'] for tag, attributes in page.tags if tag == 'img']
    for example in found.examples:
        assert f'{example.label} · no. {example.index}' in page.text
        encoded = base64.b64encode(example.picture).decode()
        assert f'data:image/png;base64,{encoded}' in sources


def test_disagreements_are_of_a_student_of_that_ensemble_where_there_is_one():
    def taught_by(name):
        return [types.SimpleNamespace(cache=types.SimpleNamespace(name=name, answered={'test'}))]

    caches = {name: taught_by(name)[0].cache for name in ('one', 'all')}
    plan = types.SimpleNamespace(
        students={'first': taught_by('one'), 'second': taught_by('all')},
        caches=caches, members={}, baselines={},
    )  # fmt: skip
    rows = {
        name: Row(source=source)
        for name, source in (
            ('all', 'logits.all'), ('first', 'students.first'), ('second', 'students.second')
        )
    }  # fmt: skip
    for ensemble, names in {'all': ('all', 'second'), 'one': ('ensemble one', 'first')}.items():
        session = types.SimpleNamespace(data=small_data())
        answers = Answers(session, plan, Report(ensemble=ensemble, rows=rows))
        answers.on_test = lambda row: [np.eye(4, 3, k=1 if row.source == 'students.second' else 0)]
        found = comparisons.disagreements(answers)
        assert (found.teacher, found.student) == names


def test_tables_align_numbers_and_escape():
    text = html_page.table([('a', 'b<', 'c'), ('1', '2.5 ± 0.1', 'x-1'), ('<i>', '–', '3')])
    page = Page(text)
    assert page.tables == [[['a', 'b<', 'c'], ['1', '2.5 ± 0.1', 'x-1'], ['<i>', '–', '3']]]
    sides = [a.get('class') for t, a in page.tags if t in ('th', 'td')]
    assert sides == [None, 'number', None] * 3


def test_a_wide_table_can_be_read_line_by_line():
    heads = [('', 'b<', *'cde'), ('', 'b', *'cd')]
    wide, narrow = (Page(html_page.table([head, ['1'] * len(head)])) for head in heads)
    classes = [[a.get('class') for t, a in page.tags if t == 'table'] for page in (wide, narrow)]
    assert classes == [['stacked'], [None]]
    labels = [a['data-label'] for t, a in wide.tags if t == 'td']
    assert labels == ['b<', *'cde']


def test_an_empty_section_is_left_out():
    assert html_page.section('title', '', '') == ''
    assert '<h2>a &amp; b</h2>' in html_page.section('a & b', 'x')


def test_a_plot_puts_points_where_they_belong():
    plot = Plot(
        [Series('<a>', [(1e3, 90.0), (1e5, 92.0)]), Series('b', [(1e4, 91.0)], [(90.5, 91.5)])],
        'x',
        'y',
        log_x=True,
    )
    text = html_plots.drawn(plot)
    page = Page(text)
    assert '<a>' in page.text
    groups = re.findall(r'<g><title>(.*?)</title>(.*?)</g>\s*</g>', text, re.DOTALL)
    assert [title.partition(':')[0] for title, _ in groups] == ['&lt;a&gt;', 'b']
    (x1, y1), (x2, y2), (x3, y3) = [
        (float(x), float(y))
        for _, group in groups
        for x, y in re.findall(r'<use [^>]*x="([\d.]+)" y="([\d.]+)"', group)
    ]
    assert x3 == pytest.approx((x1 + x2) / 2, abs=0.1) and x1 < x3 < x2
    assert y3 == pytest.approx((y1 + y2) / 2, abs=0.1) and y1 > y3 > y2, 'up is more'
    assert html_plots.drawn(Plot([Series('a', [])], 'x', 'y')) == ''


def test_a_plot_has_the_pages_colours_and_letters_alone():
    """It turns dark with the page, and loads nothing."""
    series = [Series(f'{number}', [(1, 2)], [(1, 3)], number=number) for number in range(9)]
    series.append(Series('line', [(1, 1.5), (2, 2)], shape='line', number=9))
    text = html_plots.drawn(Plot(series, 'x', 'y', level=('z', 1.7)))
    assert not re.search('#[0-9a-f]{6}', text) and 'font-' not in text and '<style' not in text
    assert set(re.findall(r'var\(--(\w+)\)', text)) == {
        *('ink', 'soft', 'line', 'ground'),
        *(f'c{number}' for number in range(8)),
    }
    assert text == html_plots.drawn(Plot(series, 'x', 'y', level=('z', 1.7))), 'the same each time'


@pytest.mark.parametrize('spread', [(), [(1.0, 3.0)]])
def test_a_curve_of_one_point_is_seen_too(spread):
    """A line through one point draws nothing: a run that was evaluated once had a key and no curve."""
    plot = Plot([Series('once', [(5.0, 2.0)], spread, shape='line')], 'x', 'y')
    (axes,) = plots.figure(plot).axes
    marked = [line for line in axes.lines if line.get_marker() == 'o']
    assert [line.get_xydata().tolist() for line in marked] == [[[5.0, 2.0]]]
    assert len(axes.containers) == len(spread), 'its error bar'
    assert html_plots.drawn(plot).count('<use') >= 1


def test_one_point_and_equal_points_have_an_axis():
    for points in ([(5, 0.0)], [(5, 3.0), (5, 3.0)]):
        for log in (False, True):
            text = html_plots.drawn(Plot([Series('a', points)], 'x', 'y', log_x=log))
            assert 'nan' not in text and 'inf' not in text
            assert len(re.findall('<text', text)) >= 4, 'both axes have a tick and a label'


@pytest.mark.parametrize(
    ('low', 'high', 'expected'),
    [
        (9e2, 2e6, ['1k', '10k', '100k', '1M']),
        (5e4, 8e5, ['50k', '100k', '200k', '500k']),
        (5.3e4, 1.6e5, ['60k', '80k', '100k', '150k']),
    ],
)
def test_log_ticks_are_round_and_few(low, high, expected):
    figure = plots.figure(Plot([Series('a', [(low, 1), (high, 2)])], 'x', 'y', log_x=True))
    (axes,) = figure.axes
    figure.draw_without_rendering()
    left, right = axes.get_xlim()
    shown = [
        label.get_text()
        for place, label in zip(axes.get_xticks(), axes.get_xticklabels(), strict=True)
        if left <= place <= right
    ]
    assert shown == expected
