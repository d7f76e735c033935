"""Tables on a terminal, read back line by line."""

import io
import json
import os
import re
import sys

import pytest
from conftest import ROOT

from mimic_jax.ops.text import fitted
from mimic_jax.reporting import tables, terminal
from mimic_jax.runtime import console

FILES = ('digits_student', 'cifar_table2_small', 'timit_table1_small', 'urban_students_small')


def rows_of(name):
    return json.loads((ROOT / 'results' / f'{name}.json').read_text())['rows']


@pytest.mark.parametrize('name', FILES)
@pytest.mark.parametrize('columns', [40, 60, 80, 100, 300])
def test_a_real_table_keeps_within_the_terminal_and_loses_no_row(name, columns):
    rows = rows_of(name)
    text = terminal.results(rows, columns)
    assert max(map(len, text.splitlines())) <= columns
    flat = ' '.join(text.split())
    for source in tables.cells(rows):
        (figure,) = (cell for key, cell in source.items() if key in ('accuracy, %', 'PER, %'))
        assert source[''] in flat and figure in flat
        # A net's notation may be broken over lines, after a hyphen too.
        assert re.sub(r'\s', '', source['model']) in re.sub(r'\s', '', text)


def test_a_table_that_fits_is_markdown_as_in_a_file():
    rows = rows_of('digits_student')
    assert terminal.table(rows, 200) == terminal.table(rows, None) == tables.table(rows)
    assert terminal.table([], 80) == tables.table([])


def test_a_narrower_table_has_each_net_beneath_its_row():
    lines = terminal.table(rows_of('digits_student'), 80).splitlines()
    assert lines[0].split('  ')[-1] == 'agreement, %'
    assert set(lines[1]) == {'-'}
    assert lines[2:4] == [
        'one teacher        labels          53,002         96.60  1         97.60',
        '  32c3-p2-64c3-p2-128-d.5',
    ]


def test_what_a_terminal_has_no_room_for_is_named():
    text = terminal.table(rows_of('timit_table1_small'), 80)
    assert 'frame accuracy, %' not in text.splitlines()[0]
    assert text.splitlines()[-1] == 'The report also has frame accuracy, %, 95% over speakers.'
    assert 'The report also has' not in terminal.table(rows_of('digits_student'), 80)


def test_words_stand_to_the_left_and_figures_to_the_right():
    cells = [
        ('', 'what', 'MiB', 'model'),
        ('one', 'held', '1.5', 'x' * 30),
        ('2', '8c3', '−12', 'y'),
    ]
    assert fitted(cells, 30, 'model').splitlines() == [
        '     what  MiB',
        '--------------',
        'one  held  1.5',
        f'  {"x" * 28}',
        '    xx',
        '2    8c3   −12',
        '  y',
    ]


def test_any_table_fits():
    cells = [('', 'a', 'model'), ('one', '1', 'x-' * 30), ('two', '22', 'y')]
    assert fitted(cells, 30, 'model').splitlines()[:3] == ['      a', '-------', 'one   1']
    assert fitted(cells, None) == fitted(cells, 500)


def test_signs_are_explained_where_they_stand():
    teacher, *students = rows_of('digits_student')
    text = tables.explanation([teacher, *students])
    assert 'n: seeds' in text and '±' in text and 'agreement' in text
    assert tables.explanation([teacher | {'agreement': None}]) == ''
    assert '±' not in tables.explanation([teacher])


def test_a_file_has_no_width_and_a_terminal_its_own(monkeypatch):
    assert console.width() is None
    stream = io.StringIO()
    stream.isatty = lambda: True
    monkeypatch.setattr(sys, 'stdout', stream)
    monkeypatch.setattr(os, 'environ', {**os.environ, 'COLUMNS': '77'})
    assert console.width() == 77


def test_a_column_of_dashes_goes():
    rows = rows_of('digits_student')
    assert all(row['paper'] is None for row in rows)
    assert 'paper, %' not in tables.cells(rows)[0]
    assert 'paper, %' in tables.cells([rows[0] | {'paper': 0.5}, *rows[1:]])[1]
