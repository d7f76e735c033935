"""Reports of folds put together, beside counts by hand."""

import pytest
from conftest import load_benchmark

from mimic_jax.reporting import tables
from mimic_jax.speech import per


@pytest.fixture(scope='module')
def folds():
    return load_benchmark('timit_folds')


def report(speakers, frames, agreement, scale):
    """A fold's report on one student with two seeds; {speaker: (tokens, errors a seed)}."""
    common = {
        'name': 'mimic', 'model': '3L-6', 'parameters': 9, 'target': 'logits', 'paper': None,
        'units': 9, 'note': None,
    }  # fmt: skip
    errors = [sum(counts[1][seed] for counts in speakers.values()) for seed in (0, 1)]
    counts = {
        'insertions': 1.0, 'deletions': 0.5, 'substitutions': sum(errors) / 2 - 1.5,
        'tokens': sum(tokens for tokens, _ in speakers.values()),
    }  # fmt: skip

    def by(entries):
        return {
            name: {'tokens': tokens, 'errors': each} for name, (tokens, each) in entries.items()
        }

    rate = {
        **common, 'metric': 'per', 'agreement': None, **counts, 'sclite': counts,
        'lm_scales': [scale, scale], 'insertion_penalties': [0.0, 1.0], 'speakers': by(speakers),
        'validation': {'values': [scale / 10] * 2, 'mean': scale / 10, 'std': 0.0},
    }  # fmt: skip
    accuracy = {**common, 'metric': 'accuracy', 'agreement': agreement, 'speakers': by(frames)}
    timing = {'training_seconds': 2.0, 'milliseconds': None, 'real_time_factor': scale}
    return {'rows': [rate, accuracy], 'timings': [timing], 'seconds': 10.0}


FIRST = report({'faaa0': (10, [2, 4]), 'mbbb0': (30, [3, 3])}, {'faaa0': (100, [10, 30])}, 0.5, 1.0)
SECOND = report({'fccc0': (20, [4, 6])}, {'fccc0': (300, [30, 10])}, 0.9, 3.0)


def test_errors_are_counted_over_all_speakers(folds):
    result = folds.together([FIRST, SECOND], 'sample')
    assert result['title'] == 'TIMIT sample, 3 speakers' and result['seconds'] == 20.0
    rate, accuracy = result['rows']
    assert rate['values'] == pytest.approx([9 / 60, 13 / 60])
    assert rate['mean'] == pytest.approx(11 / 60) and rate['n'] == 2
    assert rate['interval'] == pytest.approx(per.speaker_interval([6, 6, 10], [20, 60, 40]))
    counts = [rate[kind] for kind in ('insertions', 'deletions', 'substitutions', 'tokens')]
    assert counts == [2.0, 1.0, 8.0, 60] and sum(counts[:3]) / 60 == pytest.approx(rate['mean'])
    assert rate['lm_scales'] == [[1.0, 1.0], [3.0, 3.0]] and rate['agreement'] is None
    assert [fold['mean'] for fold in rate['validation']] == [0.1, 0.3]
    assert accuracy['values'] == pytest.approx([1 - 40 / 400, 1 - 40 / 400])
    assert accuracy['agreement'] == pytest.approx((100 * 0.5 + 300 * 0.9) / 400)
    assert result['timings'] == [
        {'training_seconds': 4.0, 'milliseconds': None, 'real_time_factor': 2.0}
    ]
    assert '18.33 ± 4.71' in tables.table(result['rows'])


def test_rows_differ_by_their_errors_on_the_same_speakers(folds):
    """A second net with an error less on each speaker, in both seeds."""

    def both(fold):
        rate, accuracy = fold['rows']
        fewer = {
            name: {**counts, 'errors': [errors - 1 for errors in counts['errors']]}
            for name, counts in rate['speakers'].items()
        }
        better = {**rate, 'name': 'better', 'speakers': fewer}
        return {**fold, 'rows': [rate, accuracy, better], 'timings': fold['timings'] * 2}

    [pair] = folds.together([both(FIRST), both(SECOND)], 'sample')['differences']
    assert (pair['one'], pair['other']) == ('mimic', 'better')
    expected = per.speaker_difference([3, 3, 5], [2, 2, 4], [10, 30, 20])
    assert (pair['difference'], pair['half']) == pytest.approx(expected)
    head, line = folds.difference_cells([pair])
    assert head == ['', 'better'] and line[0] == 'mimic'
    assert line[1].startswith('+5.00 ± ')


def test_a_speaker_is_tested_once(folds):
    with pytest.raises(SystemExit, match='faaa0 is tested in two folds'):
        folds.together([FIRST, FIRST], 'sample')


def test_settings_are_those_of_the_preset(folds, tmp_path):
    config = folds.settings('sample', tmp_path)
    assert config.data.split == 'fold' and config.data.folds == 4
    assert config.data.root == str(tmp_path)
