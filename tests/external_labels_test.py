"""While logits are made they are held against known labels: one line in the run and in the manifest."""

import html
import io
import json
import sys

import ml_collections
import numpy as np
import pytest
from conftest import refusal

from mimic_jax import pipeline
from mimic_jax.artifacts import store
from mimic_jax.mimic import logits

COUNT, FEATURES, CLASSES = 240, 6, 12
RANDOM = np.random.default_rng(0)
INPUTS = RANDOM.normal(size=(COUNT, FEATURES)).astype(np.float32)
LABELS = RANDOM.permutation(np.arange(COUNT) % CLASSES)
RIGHT = RANDOM.normal(size=(COUNT, CLASSES)).astype(np.float32)
RIGHT[np.arange(COUNT), LABELS] += 8
BY_TEXT = np.array(sorted(range(CLASSES), key=str))


@pytest.fixture
def settings(tmp_path):
    """A config with one cache, of a source still to be given."""
    np.savez(tmp_path / 'data.npz', features=INPUTS, labels=LABELS)
    config = ml_collections.ConfigDict()
    config.data = {
        'name': 'npz', 'root': str(tmp_path / 'data.npz'), 'train': 120, 'validation': 40,
        'test': 40, 'preprocess': 'feature',
    }  # fmt: skip
    config.logits = {'own': {'dtype': 'float32'}}
    return config


def saved(tmp_path, array, name='logits.npy'):
    np.save(tmp_path / name, array)
    return str(tmp_path / name)


def said(make_session, settings, path, kind='logits', **changes):
    """(lines that the logits phase says, the cache's manifest)."""
    settings.logits.own.source = {'kind': kind, 'path': path, **changes}
    session, plan = make_session(settings)
    stream = session.progress._stream = io.StringIO()
    folder = logits.run(session, plan.caches['own'])
    lines = [line for line in stream.getvalue().splitlines() if line.startswith('warning')]
    return lines, store.manifest(folder)


def test_a_right_teacher_is_checked_and_nothing_said(tmp_path, make_session, settings):
    lines, facts = said(make_session, settings, saved(tmp_path, RIGHT))
    assert lines == facts['warnings'] == []
    train, validation = facts['checked']
    assert (train['split'], train['examples']) == ('train', 120)
    assert (validation['split'], validation['examples']) == ('validation', 40)
    assert train['accuracy'] == validation['accuracy'] == 1.0


def test_columns_in_the_order_of_text_are_a_line_that_says_what_to_check(
    tmp_path, make_session, settings
):
    path = saved(tmp_path, RIGHT[:, BY_TEXT])
    lines, facts = said(make_session, settings, path)
    assert lines == facts['warnings'] and len(lines) == 2
    assert '120 labelled training examples' in lines[0] and '40 labelled validation' in lines[1]
    for line in lines:
        assert 'logits.npy' in line and 'it would be 100.0% with the columns' in line
        assert 'class numbers as text' in line and 'check that its columns' in line
    again, _ = said(make_session, settings, path)
    assert again == lines, 'a complete cache is warned of again'


def test_labels_of_the_test_split_are_held_against_nothing(tmp_path, make_session, settings):
    session, _ = make_session({**settings, 'logits': {}})
    wrong = RIGHT.copy()
    wrong[session.data.splits['test']] = np.roll(wrong[session.data.splits['test']], 1, axis=1)
    wrong[session.data.splits['unlabelled']] = 0
    lines, facts = said(make_session, settings, saved(tmp_path, wrong))
    assert lines == [] and {each['split'] for each in facts['checked']} == {'train', 'validation'}


@pytest.mark.parametrize(
    ('mix', 'words'),
    [
        (lambda a: a[::-1], 'rows in reverse order'),
        (lambda a: np.roll(a, 3, axis=0), 'rows moved by +3'),
        (lambda a: a[np.argsort(LABELS, kind='stable')], 'class after class'),
        (lambda a: np.tile(a[:1], (COUNT, 1)), 'the same for all'),
        (lambda a: np.random.default_rng(1).normal(size=a.shape), 'no better than chance'),
    ],
)
def test_other_mistakes_in_files_are_lines(tmp_path, make_session, settings, mix, words):
    lines, _ = said(make_session, settings, saved(tmp_path, mix(RIGHT)))
    assert words in lines[0], lines


def test_the_transfer_sets_rows_in_the_sources_order(tmp_path, make_session, settings):
    session, _ = make_session({**settings, 'logits': {}})
    examples = session.data.examples(('train', 'unlabelled'), '')
    lines, _ = said(make_session, settings, saved(tmp_path, RIGHT[examples], 'right.npy'))
    assert lines == []
    lines, _ = said(make_session, settings, saved(tmp_path, RIGHT[np.sort(examples)]))
    assert "rows in the source's own order" in lines[0]


def test_one_view_of_many_is_found_and_a_validation_file_of_its_own(
    tmp_path, make_session, settings
):
    session, _ = make_session({**settings, 'logits': {}})
    validation = session.data.splits['validation']
    settings.logits.own.views = 3
    paths = [saved(tmp_path, a, f'{i}.npy') for i, a in enumerate((RIGHT, RIGHT[::-1], RIGHT))]
    own = saved(tmp_path, RIGHT[validation][::-1], 'validation.npy')
    lines, facts = said(make_session, settings, tuple(paths), validation=own)
    assert '(view 1)' in lines[0] and 'reverse' in lines[0]
    assert 'validation examples' in lines[1] and 'reverse' in lines[1]
    assert [each['view'] for each in facts['checked']] == [0, 1, 2, 0]


def test_files_of_probabilities_are_refused_and_declared_ones_are_checked(
    tmp_path, make_session, settings
):
    chances = np.exp(RIGHT) / np.exp(RIGHT).sum(1, keepdims=True)
    for wrong in (chances, 100 * chances, np.eye(CLASSES)[LABELS]):
        path = saved(tmp_path, wrong)
        settings.logits.own.source = {'kind': 'logits', 'path': path}
        assert 'set probabilities=True' in refusal(make_session, settings), 'ahead of any work'
        lines, facts = said(make_session, settings, path, probabilities=True)
        assert lines == [] and facts['checked'][0]['accuracy'] == 1.0
    lines, _ = said(make_session, settings, saved(tmp_path, chances[::-1]), probabilities=True)
    assert 'reverse' in lines[0]


@pytest.fixture
def module(tmp_path, monkeypatch):
    """A module of functions that know the answer by the first feature; its name."""
    name = f'labelled_{tmp_path.name}'.replace('-', '_')
    np.save(tmp_path / 'right.npy', RIGHT)
    np.save(tmp_path / 'first.npy', INPUTS[:, 0])
    (tmp_path / f'{name}.py').write_text(
        f"""
import numpy as np
RIGHT, FIRST = (np.load({str(tmp_path)!r} + '/' + name) for name in ('right.npy', 'first.npy'))
ASKED = []
def right(inputs):
    ASKED.append(len(inputs))
    return RIGHT[[int(np.argmin(abs(FIRST - first))) for first in inputs[:, 0]]]
def reversed(inputs):
    return right(inputs)[:, ::-1]
def softmax(inputs):
    values = np.exp(right(inputs))
    return values / values.sum(1, keepdims=True)
"""
    )
    monkeypatch.syspath_prepend(tmp_path)
    yield name
    sys.modules.pop(name, None)


def test_a_function_is_held_against_the_labelled_transfer_examples(make_session, settings, module):
    lines, facts = said(make_session, settings, f'{module}:right', 'callable')
    assert lines == [] and [each['split'] for each in facts['checked']] == ['train']
    assert sum(sys.modules[module].ASKED) == 160, 'it is asked nothing twice'
    lines, _ = said(make_session, settings, f'{module}:reversed', 'callable')
    assert 'reverse order' in lines[0] and 'source.inputs' in lines[0]
    message = refusal(said, make_session, settings, f'{module}:softmax', 'callable')
    assert f'{module}:softmax, view 0, gives no logits' in message


def test_without_labels_of_its_own_a_function_is_asked_about_validation(
    make_session, settings, module
):
    settings.logits.own.transfer = ('unlabelled',)
    lines, facts = said(make_session, settings, f'{module}:reversed', 'callable')
    assert [each['split'] for each in facts['checked']] == ['validation']
    assert 'validation examples' in lines[0]


def test_trained_teachers_have_no_such_facts(make_session, config):
    from mimic_jax.mimic import teachers

    session, plan = make_session(config)
    for member in plan.members.values():
        teachers.make(session, member)
    facts = store.manifest(logits.run(session, plan.caches['ensemble']))
    assert 'checked' not in facts and 'warnings' not in facts


def test_the_report_repeats_what_the_run_warned_of(tmp_path, settings):
    source = {'kind': 'logits', 'path': (saved(tmp_path, RIGHT[:, BY_TEXT]),)}
    settings.logits.own.source = source
    settings.report = {'rows': {'teacher': {'source': 'logits.own'}}}
    pipeline.run(settings, workdir=tmp_path / 'runs', experiment='mixed')
    folder = tmp_path / 'runs' / 'mixed'
    warnings = json.loads((folder / 'report.json').read_text())['warnings']
    assert len(warnings) == 2 and 'class numbers as text' in warnings[0]
    for name in ('report.md', 'report.html'):
        text = html.unescape((folder / name).read_text())
        assert all(line in text for line in warnings), name
