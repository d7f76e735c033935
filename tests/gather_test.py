"""Many experiments' reports in one table, one plot and one page."""

import json

import pytest
from html_reader import Page, assert_alone

from mimic_jax.errors import UserError
from mimic_jax.reporting import gather


def row(name, target, mean, **changes):
    return {
        'name': name, 'model': '8L-9', 'parameters': 999, 'target': target, 'metric': 'accuracy',
        'values': [mean], 'mean': mean, 'std': None, 'n': 1, 'agreement': None, 'paper': None,
        'units': 17, 'paper_parameters': None, 'paper_units': None, 'note': None, **changes,
    }  # fmt: skip


TEACHERS = row('ensemble', None, 0.95, parameters=5000)


def write(workdir, name, rows, made=()):
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
        ('b', 'ensemble', '95.00'),
        ('b', 'mimic', '92.50'),
        ('a', 'ensemble', '95.00'),
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
    assert head[0] == 'experiment' and len(body) == 4
    assert 'a <command>' in page.text
    key = [text for text in page.texts if text in ('ensemble', 'a: mimic', 'b: mimic')]
    assert [key.count(text) for text in ('a: mimic', 'b: mimic')] == [1, 1]
    marks = [a for t, a in page.tags if t == 'rect']
    assert len(marks) == 2, 'one square in the plot, one in the key'


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
