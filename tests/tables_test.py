import math

import pytest

from mimic_jax.reporting import remarks, rows, tables

TEACHERS = {
    'name': 'ECNN', 'model': '2 × 8c3', 'parameters': 1234567, 'target': None, 'mean': 0.9,
    'std': None, 'n': 1, 'agreement': None, 'paper': 0.89,
}  # fmt: skip
LABELS = {
    'name': 'SNN', 'model': '8L-9', 'parameters': 999, 'target': 'labels', 'mean': 0.8,
    'std': 0.01, 'n': 4, 'agreement': 0.85, 'paper': None,
}  # fmt: skip
MIMIC = {
    'name': 'mimic', 'model': '8L-9', 'parameters': 999, 'target': 'logits', 'mean': 0.88345,
    'std': 0.0204, 'n': 4, 'agreement': 0.95, 'paper': 0.858,
}  # fmt: skip
ROWS = [TEACHERS, LABELS, MIMIC]


def cells(line):
    assert line.startswith('| ') and line.endswith(' |')
    return [cell.strip() for cell in line[1:-1].split('|')]


def test_table_gives_every_row_in_order():
    head, rule, *body = tables.table(ROWS).splitlines()
    assert cells(head) == [
        '', 'model', 'trained on', 'parameters', 'accuracy, %', 'n', 'agreement, %', 'paper, %',
    ]  # fmt: skip
    assert set(rule) == set('|-') and rule.count('|') == head.count('|')
    assert [cells(line) for line in body] == [
        ['ECNN', '2 × 8c3', '–', '1,234,567', '90.00', '1', '–', '89.00'],
        ['SNN', '8L-9', 'labels', '999', '80.00 ± 1.00', '4', '85.00', '–'],
        ['mimic', '8L-9', 'logits', '999', '88.34 ± 2.04', '4', '95.00', '85.80'],
    ]


def test_sizes_stand_beside_what_the_paper_prints():
    sized = {**LABELS, 'units': 190000, 'paper_parameters': '~70M', 'paper_units': '~190k'}
    plain = {**MIMIC, 'units': 8}
    head, _, *body = tables.table([sized, plain]).splitlines()
    chosen = [dict(zip(cells(head), cells(line), strict=True)) for line in body]
    assert [
        (row['parameters'], row['paper’s'], row['units'], row['paper’s units']) for row in chosen
    ] == [('999', '~70M', '190,000', '~190k'), ('999', '–', '8', '–')]


def test_what_a_net_lies_below_its_budget_has_a_column_where_there_is_one():
    head, _, *body = tables.table([TEACHERS, {**MIMIC, 'shortfall': 1234}]).splitlines()
    place = cells(head).index('below budget')
    assert [cells(line)[place] for line in body] == ['–', '1,234']


def test_notes_name_their_rows():
    assert tables.notes([LABELS, {**MIMIC, 'note': 'not as printed'}]) == '- mimic: not as printed'


def test_table_is_aligned():
    lines = tables.table(ROWS).splitlines()
    bars = [[place for place, letter in enumerate(line) if letter == '|'] for line in lines]
    assert all(places == bars[0] for places in bars)


def test_headline_says_what_mimicking_brought():
    # √(.01²/4 + .0204²/4) = .01136, and the means lie .08345 apart; the teachers lie .1 ahead.
    assert math.sqrt((0.01**2 + 0.0204**2) / 4) * 2 < 0.08345
    text = tables.headline(ROWS)
    assert '8L-9' in text
    for words in ('80.00% to 88.34%', '+8.3', 'more than two standard errors', '83% of the gap'):
        assert words in text, text


def test_headline_says_when_the_difference_may_be_chance():
    text = tables.headline([TEACHERS, {**LABELS, 'std': 0.2}, MIMIC])
    assert 'within two standard errors' in text


def test_headline_says_when_there_is_no_error_estimate():
    text = tables.headline([LABELS, {**MIMIC, 'std': None, 'n': 1}])
    assert 'one seed' in text
    assert 'gap' not in text, 'no ensemble, no gap'


def test_headline_names_no_gap_where_the_teachers_are_no_better():
    assert 'gap' not in tables.headline([{**TEACHERS, 'mean': 0.7}, LABELS, MIMIC])


def test_headline_names_no_gap_where_mimicking_lost():
    text = tables.headline([TEACHERS, LABELS, {**MIMIC, 'mean': 0.7}])
    assert '-10.00 points' in text and 'gap' not in text


def test_headline_takes_the_first_mimic_that_has_a_twin_and_its_own_teachers():
    others = {**TEACHERS, 'name': 'others', 'mean': 0.95, 'cache': 'others'}
    small = {**MIMIC, 'model': '3L-9', 'cache': 'others'}
    rows = [others, {**TEACHERS, 'cache': 'ecnn'}, small, {**MIMIC, 'cache': 'ecnn'}, LABELS]
    assert '8L-9' in tables.headline(rows) and '83% of the gap' in tables.headline(rows)
    alone = tables.headline([others, {**MIMIC, 'cache': 'ecnn'}, LABELS])
    assert 'gap' not in alone, 'others did not teach it'


@pytest.mark.parametrize('rows', [[], [TEACHERS], [TEACHERS, LABELS], [TEACHERS, MIMIC]])
def test_headline_needs_a_student_on_logits_and_one_on_labels(rows):
    assert tables.headline(rows) is None


def test_page_holds_table_pictures_and_costs():
    report = {
        'experiment': 'tiny',
        'rows': ROWS,
        'timings': [
            {'training_seconds': 61.5, 'milliseconds': {'1': 0.5, '128': 20.25}},
            {'training_seconds': None, 'milliseconds': None},
            {'training_seconds': 7.0, 'milliseconds': {'1': 0.25}},
        ],
        'costs': {
            'teacher': {'artifacts': ['teacher-1', 'teacher-2'], 'seconds': 61.5, 'bytes': 3 << 20},
            'logits': {'artifacts': ['logits-1'], 'seconds': 2.0, 'bytes': 1 << 19},
        },
        'command': 'python -m mimic_jax.main',
        'machine': 'one machine',
        'date': '2024-02-03',
    }
    page = tables.page(report, ['a.png', 'b.png'])
    assert page.startswith('# tiny\n') and page.endswith('\n')
    assert tables.table(ROWS) in page and tables.headline(ROWS) in page
    assert '![a.png](a.png)' in page and '![b.png](b.png)' in page
    lines = page.splitlines()
    assert '| teacher | teacher-1, teacher-2 | 61.5 | 3.0 |' in lines
    assert '| logits | logits-1 | 2 | 0.5 |' in lines
    head = '| | weights, MiB | training, s | 1 at a time, ms | 128 at a time, ms |'
    assert head in page.replace('|  |', '| |')
    assert '| ECNN | 4.71 | 61.5 | 0.5 | 20.25 |' in lines  # 4 × 1,234,567 bytes
    assert '| SNN | 0.00 | – | – | – |' in lines
    assert '| mimic | 0.00 | 7 | 0.25 | – |' in lines
    for words in ('`python -m mimic_jax.main`', 'one machine', '2024-02-03'):
        assert words in page


def test_page_without_a_pair_to_compare_has_no_headline():
    report = {
        'experiment': 'tiny', 'rows': [TEACHERS], 'timings': [
            {'training_seconds': 1.0, 'milliseconds': None}
        ], 'costs': {}, 'command': '', 'machine': '',
        'date': '',
    }  # fmt: skip
    assert 'Mimicking' not in tables.page(report, [])


@pytest.mark.parametrize(
    ('models', 'line'),
    [
        (['8c3-16'] * 3, '3 × 8c3-16'),
        (['8c15x8v-p1x6-2k', '8c15x7v-p1x6-2k', '8c15x10v-p1x6-2k'], '3 × 8c15x{8,7,10}v-p1x6-2k'),
        (['8c3-16', '8c5-16', '8c3-16'], '3 × 8c{3,5}-16'),
        (['8c3-16', '4c5-16'], '2 × 8c3-16 + 4c5-16'),
        (['8c3-16', '8c3-16-d.5'], '2 × 8c3-16 + 8c3-16-d.5'),
        (['8c3-bn', '8c3-lrn'], '2 × 8c3-bn + 8c3-lrn'),
        ([f'{number}c3^2-p2-d.{number}-{number}' for number in range(8)], '8 different nets'),
    ],
)
def test_an_ensembles_nets_in_a_line(models, line):
    assert rows.ensemble_model(models) == line


def test_a_report_says_what_inputs_and_classes_are():
    inputs = {
        'shape': [8, 8, 1], 'dtype': 'uint8', 'least': 0.0, 'largest': 240.0, 'looked_at': 200,
        'classes': [str(number) for number in range(30)],
    }  # fmt: skip
    raw, classes = remarks.sentences({'data': {'inputs': inputs, 'scaled': 'of 16'}})
    assert raw == (
        'Raw inputs: 8 × 8 × 1 uint8, from 0 to 240 in the first 200 training examples (of 16).'
    )
    assert classes.startswith('Classes in order: 0, 1, 2') and '10 more' in classes
    assert len(remarks.sentences({'data': {'inputs': {**inputs, 'classes': []}}})) == 1
    assert remarks.sentences({'data': {}}) == []
