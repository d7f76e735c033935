"""Many experiments' reports in one table, one plot and one page."""

import csv
import json
import re

import pytest
from conftest import refusal
from html_reader import Page, assert_alone

from mimic_jax.errors import UserError
from mimic_jax.reporting import gather, sweeps


def row(name, target, mean, **changes):
    return {
        'name': name, 'model': '8L-9', 'parameters': 999, 'target': target, 'metric': 'accuracy',
        'values': [mean], 'mean': mean, 'std': None, 'n': 1, 'agreement': None, 'paper': None,
        'units': 17, 'paper_parameters': None, 'paper_units': None, 'note': None, **changes,
    }  # fmt: skip


TEACHERS = row('ensemble', None, 0.95, parameters=5000)


def write(workdir, name, rows, made=(), **more):
    """A finished experiment's report.json, and manifests of its artifacts {name: seconds}."""
    made = dict(made)
    for artifact, seconds in made.items():
        (workdir / artifact).mkdir(exist_ok=True)
        (workdir / artifact / 'manifest.json').write_text(json.dumps({'seconds': seconds}))
    report = {
        'experiment': name,
        'rows': rows,
        'seconds': sum(made.values()),
        'date': '2024-02-03',
        'costs': {'student': {'artifacts': list(made), 'seconds': 0, 'bytes': 0}},
        **more,
    }
    (workdir / name).mkdir()
    (workdir / name / 'report.json').write_text(json.dumps(report))


@pytest.fixture
def workdir(tmp_path):
    write(tmp_path, 'a', [TEACHERS, row('mimic', 'logits', 0.9)], {'shared': 10.0, 'one': 1.0})
    write(tmp_path, 'b', [TEACHERS, row('mimic', 'logits', 0.925)], {'shared': 10.0, 'two': 2.5})
    sized = row('<b>', 'labels', 0.8, paper=0.7, paper_parameters='~70M', paper_units='~1k')
    write(tmp_path, 'c', [sized])
    return tmp_path


def test_all_rows_come_in_one_table_with_their_experiment(workdir):
    text = gather.run(workdir, ['b', 'a'], 'a command')
    lines = [line.strip('|').split('|') for line in text.splitlines() if line.startswith('|')]
    cells = [[cell.strip() for cell in line] for line in lines]
    assert cells[0][:4] == ['experiment', '', 'model', 'trained on']
    named = [dict(zip(cells[0], line, strict=True)) for line in cells[2:]]
    assert [(line['experiment'], line[''], line['accuracy, %']) for line in named] == [
        ('all', 'ensemble', '95.00'),
        ('b', 'mimic', '92.50'),
        ('a', 'mimic', '90.00'),
    ]
    assert (workdir / 'report.md').read_text().endswith('`a command`\n')
    assert text in (workdir / 'report.md').read_text()
    found = json.loads((workdir / 'report.json').read_text())
    assert found['experiments'] == ['b', 'a']
    assert [line['experiment'] for line in found['rows']] == ['b', 'b', 'a', 'a']
    assert found['rows'][1]['mean'] == 0.925


def test_what_experiments_share_is_counted_once(workdir):
    text = gather.run(workdir, ['a', 'b'], '')
    assert '2 experiments, 4 rows; 13.5 s in all' in text
    assert 'Students on logits: 90.00% to 92.50% accuracy on test.' in text
    (workdir / 'one' / 'manifest.json').unlink()
    assert 's in all' not in gather.run(workdir, ['a', 'b'], '')


def test_the_page_holds_the_table_and_one_point_for_what_is_shared(workdir):
    gather.run(workdir, ['a', 'b'], 'a <command>')
    page = assert_alone((workdir / 'report.html').read_text())
    head, *body = page.tables[0]
    assert head[0] == 'experiment' and len(body) == 3
    assert 'a <command>' in page.text
    key = [text for text in page.texts if text in ('ensemble', 'a: mimic', 'b: mimic')]
    assert [key.count(text) for text in ('a: mimic', 'b: mimic')] == [1, 1]
    titles = [text for text in page.texts if text.startswith('ensemble: ')]
    assert len(titles) == 1, 'one mark'


def test_tables_with_and_without_the_papers_sizes_join(workdir):
    gather.run(workdir, ['a', 'c'], '')
    page = Page((workdir / 'report.html').read_text())
    head, *body = page.tables[0]
    named = [dict(zip(head, line, strict=True)) for line in body]
    assert [line['paper’s'] for line in named] == ['–', '–', '~70M']
    assert [line['units'] for line in named] == ['–', '–', '17']
    assert named[2][''] == '<b>' and named[2]['paper, %'] == '70.00'


def test_tables_with_different_further_columns_have_all_of_them_in_order(workdir):
    write(workdir, 'd', [row('solved', 'logits', 0.9, shortfall=12)])
    gather.run(workdir, ['d', 'c'], '')
    head, *body = Page((workdir / 'report.html').read_text()).tables[0]
    assert head.index('parameters') < head.index('below budget') < head.index('accuracy, %')
    named = [dict(zip(head, line, strict=True)) for line in body]
    assert [line['below budget'] for line in named] == ['12', '–']
    assert [line['paper’s units'] for line in named] == ['–', '~1k']


def test_a_repeated_name_counts_once(workdir):
    assert gather.run(workdir, ['a', ' a', ''], '').startswith('1 experiment, 2 rows')


@pytest.mark.parametrize('names', [['a', 'd'], ['../a'], ['shared'], [''], []])
def test_a_name_without_a_report_lists_those_that_are_there(workdir, names):
    with pytest.raises(UserError, match='--experiments names') as caught:
        gather.run(workdir, names, '')
    assert str(caught.value).endswith('has a, b, c') and '\n' not in str(caught.value)
    assert not (workdir / 'report.json').exists()


def test_a_workdir_without_reports_says_so(tmp_path):
    with pytest.raises(UserError, match='has none; run one first'):
        gather.run(tmp_path / 'nowhere', ['a'], '')


@pytest.mark.parametrize('text', ['{', '{}', '[]'])
def test_a_damaged_report_is_named(workdir, text):
    (workdir / 'a' / 'report.json').write_text(text)
    with pytest.raises(UserError, match='cannot be read') as caught:
        gather.run(workdir, ['a'], '')
    assert str(workdir / 'a' / 'report.json') in str(caught.value)


def curve(workdir, artifact, *accuracies):
    """The metrics of a student's artifact."""
    (workdir / artifact).mkdir(exist_ok=True)
    lines = [
        json.dumps({'step': step, 'seconds': step, 'validation_accuracy': value})
        for step, value in enumerate(accuracies, 1)
    ]
    (workdir / artifact / 'metrics.jsonl').write_text('\n'.join(lines) + '\n')


@pytest.fixture
def sweep(tmp_path):
    """Two experiments that differ in the mimic's rate; their students on labels are one artifact."""
    for number, rate, mean in ((1, 0.01, 0.9), (2, 0.1, 0.925)):
        rows = [TEACHERS, row('labels', 'labels', 0.8), row('mimic', 'logits', mean)]
        settings = {
            'students.mimic.train.learning_rate': rate,
            'students.mimic.seeds': [0, 1],
            'run.log_steps': number,
            'report.x_label': str(number),
        }
        students = {
            'labels': {'artifacts': ['student-l']},
            'mimic': {'artifacts': [f'student-m{number}']},
        }
        write(tmp_path, f'rate_{rate}', rows, settings=settings, students=students)
        curve(tmp_path, f'student-m{number}', 0.5, mean)
    curve(tmp_path, 'student-l', 0.4, 0.8)
    return tmp_path


def test_a_sweep_has_a_column_for_what_differs_and_shared_rows_once(sweep):
    text = gather.run(sweep, ['rate_*'], '')
    lines = [line.strip('|').split('|') for line in text.splitlines() if line.startswith('|')]
    head, _, *body = [[cell.strip() for cell in line] for line in lines]
    assert head[:3] == ['experiment', '', 'learning_rate']
    assert [line[:3] for line in body] == [
        ['all', 'ensemble', '–'],
        ['all', 'labels', '–'],
        ['rate_0.01', 'mimic', '0.01'],
        ['rate_0.1', 'mimic', '0.1'],
    ]
    assert text.startswith('2 experiments, 6 rows')


def test_the_csv_has_every_row_once_with_whole_names_and_numbers(sweep):
    gather.run(sweep, ['rate_*'], '')
    found = list(csv.DictReader((sweep / 'report.csv').open()))
    setting = 'students.mimic.train.learning_rate'
    assert [(line['experiment'], line['name'], line[setting], line['mean']) for line in found] == [
        ('rate_0.01 rate_0.1', 'ensemble', '', '0.95'),
        ('rate_0.01 rate_0.1', 'labels', '', '0.8'),
        ('rate_0.01', 'mimic', '0.01', '0.9'),
        ('rate_0.1', 'mimic', '0.1', '0.925'),
    ]
    assert found[2]['values'] == '0.9' and found[2]['paper'] == ''


def test_the_page_of_a_sweep_has_a_curve_for_each_student_once(sweep):
    gather.run(sweep, ['rate_*'], '')
    page = assert_alone((sweep / 'report.html').read_text())
    assert page.tables[1] == [
        ['setting', 'rate_0.01', 'rate_0.1'],
        ['students.mimic.train.learning_rate', '0.01', '0.1'],
    ]
    (training,) = (
        a['aria-label'] for _, a in page.tags if 'training step' in a.get('aria-label', '')
    )
    assert training.partition(': ')[2] == 'labels, rate_0.01: mimic, rate_0.1: mimic'


def test_a_student_has_one_name_and_one_colour_in_both_plots(sweep):
    """The name is the row's, which may differ from the student's."""
    path = sweep / 'rate_0.1' / 'report.json'
    report = json.loads(path.read_text())
    report['rows'][2]['name'] = 'net mimicking'
    report['settings'] |= {
        'report.rows.m.source': 'students.mimic', 'report.rows.m.label': 'net mimicking'
    }  # fmt: skip
    path.write_text(json.dumps(report))
    gather.run(sweep, ['rate_*'], '')
    key = re.findall(r'stroke="var\(--(c\d)\)"[^<]*/></svg>([^<]*)</li>', _html(sweep))
    assert [name for _, name in key].count('rate_0.1: net mimicking') == 2
    colours = dict(map(reversed, key))
    assert len(set(colours.values())) == len(colours) == 4
    assert all(colours[name] == colour for colour, name in key)


def test_signs_are_explained_on_the_page_and_in_the_text(sweep):
    path = sweep / 'rate_0.1' / 'report.json'
    report = json.loads(path.read_text())
    assert 'n: seeds' not in gather.run(sweep, ['rate_*'], '')
    report['rows'][2] |= {'std': 0.01, 'n': 2, 'agreement': 0.9}
    path.write_text(json.dumps(report))
    for columns in (None, 80):
        assert 'n: seeds; ±: the standard' in gather.run(sweep, ['rate_*'], '', columns=columns)
    assert 'agreement: test examples' in _html(sweep)
    assert 'n: seeds' in (sweep / 'report.md').read_text()


def _html(workdir):
    return (workdir / 'report.html').read_text()


def test_a_name_is_the_reports_folder(sweep):
    gather.run(sweep, ['rate_0.1', 'rate_*'], '', name='rates')
    names = {path.name for path in (sweep / 'rates').iterdir()}
    assert names == {'report.json', 'report.md', 'report.html', 'report.csv'}
    assert not (sweep / 'report.html').exists()
    found = json.loads((sweep / 'rates' / 'report.json').read_text())
    assert found['experiments'] == ['rate_0.1', 'rate_0.01'], 'a pattern repeats none'


def test_a_report_made_of_reports_is_no_experiment(sweep):
    gather.run(sweep, ['rate_*'], '', name='rate_all')
    assert gather.run(sweep, ['rate_*'], '').startswith('2 experiments')
    assert 'another name' in refusal(gather.run, sweep, ['rate_*'], '', name='rate_0.1')
    assert 'rows' in json.loads((sweep / 'rate_0.1' / 'report.json').read_text())


def test_a_pattern_that_fits_nothing_is_refused(sweep):
    message = refusal(gather.run, sweep, ['rats_*'], '')
    assert 'rats_*' in message and 'rate_0.01, rate_0.1' in message


def test_settings_have_the_shortest_names_that_tell_them_apart():
    names = ['students.a.train.epochs', 'students.b.train.epochs', 'views.shift', 'data.seed']
    assert list(sweeps.short_names(names).values()) == [
        'a.train.epochs', 'b.train.epochs', 'shift', 'seed',
    ]  # fmt: skip


def test_many_differing_settings_stand_in_page_and_csv_alone(workdir):
    for number in (1, 2):
        settings = {f'data.setting_{each}': number for each in range(9)}
        write(workdir, f's{number}', [row('mimic', 'logits', number / 10)], settings=settings)
    text = gather.run(workdir, ['s1', 's2'], '')
    assert 'They differ in 9 settings' in text and 'setting_0' not in text
    page = Page((workdir / 'report.html').read_text())
    assert len(page.tables[1]) == 10
    assert 'data.setting_8' in (workdir / 'report.csv').read_text().splitlines()[0]


def test_reports_of_an_earlier_version_have_no_settings_to_compare(workdir):
    write(workdir, 'new', [row('mimic', 'logits', 0.9)], settings={'data.seed': 3})
    gather.run(workdir, ['a', 'new'], '')
    assert 'seed' not in (workdir / 'report.csv').read_text()
