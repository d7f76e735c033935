import functools
import os
import re
import shutil
import subprocess

import numpy as np
import pytest
from scipy import stats

from mimic_jax.speech import per

# Debian's package sctk keeps sclite off the PATH.
SCLITE = shutil.which('sclite', path=f'{os.environ.get("PATH", "")}:/usr/lib/sctk/bin')


def pairs_with_ties(seed, number):
    """Random pairs over alphabets of one to six, where alignments of equal cost abound."""
    random = np.random.default_rng(seed)
    for _ in range(number):
        alphabet = random.integers(1, 7)
        yield tuple(random.integers(0, alphabet, random.integers(0, 13)).tolist() for _ in range(2))


def decodings(seed, number):
    """Sequences as long as sentences, with a third of their tokens wrong, over 39 tokens."""
    random = np.random.default_rng(seed)
    for _ in range(number):
        reference = random.integers(0, 39, random.integers(20, 60)).tolist()
        hypothesis = []
        for token in reference:
            fate = random.uniform()
            hypothesis += [int(random.integers(39))] if fate < 0.2 else [token] * (fate < 0.9)
            hypothesis += random.integers(0, 39, int(random.uniform() < 0.1)).tolist()
        yield reference, hypothesis


def least_cost(reference, hypothesis, gap, substitution):
    @functools.cache
    def cost(i, j):
        if i == 0 or j == 0:
            return gap * (i + j)
        pair = 0 if reference[i - 1] == hypothesis[j - 1] else substitution
        return min(cost(i - 1, j - 1) + pair, cost(i - 1, j) + gap, cost(i, j - 1) + gap)

    return cost(len(reference), len(hypothesis))


def total(alignments):
    return sum(map(per.count, alignments), per.EditCounts())


def numbers(counts):
    return counts.correct, counts.substitutions, counts.deletions, counts.insertions


def test_an_alignment_by_hand():
    reference, hypothesis = ('sil', 'b', 'ae', 't', 'sil'), ('sil', 'p', 'ae', 'sil', 'sil', 't')
    alignment = per.unit_alignment(reference, hypothesis)
    counts = per.count(alignment)
    # b → p, t → sil, sil kept, t inserted.
    assert numbers(counts) == (3, 2, 0, 1)
    assert counts.reference == 5 and counts.errors == 3 and counts.rate == 0.6
    assert per.unit_alignment([], ['a']) == [(None, 'a')]
    assert per.unit_alignment(['a'], []) == [('a', None)]
    assert per.unit_alignment([], []) == per.sclite_alignment([], []) == []


def test_the_weights_of_sclite_can_cost_an_error_more():
    # Five substitutions weigh 20; three deletions, d and e kept, and three insertions weigh 18.
    assert numbers(per.count(per.unit_alignment('abcde', 'defgh'))) == (0, 5, 0, 0)
    assert numbers(per.count(per.sclite_alignment('abcde', 'defgh'))) == (2, 0, 3, 3)
    # Both weigh 12 here, and a pair at the end goes before an insertion.
    assert numbers(per.count(per.sclite_alignment('abc', 'cde'))) == (0, 3, 0, 0)


def test_no_rate_without_a_reference():
    assert per.count([(None, 1)]).rate is None
    assert per.EditCounts().rate is None


@pytest.mark.parametrize(
    ('align', 'gap', 'substitution'), [(per.unit_alignment, 1, 1), (per.sclite_alignment, 3, 4)]
)
def test_alignments_are_whole_and_of_the_least_cost(align, gap, substitution):
    for reference, hypothesis in [*pairs_with_ties(0, 200), *decodings(0, 10)]:
        alignment = align(reference, hypothesis)
        assert [a for a, _ in alignment if a is not None] == list(reference)
        assert [b for _, b in alignment if b is not None] == list(hypothesis)
        correct, substitutions, deletions, insertions = numbers(per.count(alignment))
        assert correct + substitutions + deletions + insertions == len(alignment)
        cost = gap * (deletions + insertions) + substitution * substitutions
        assert cost == least_cost(reference, hypothesis, gap, substitution)


def test_numpy_tokens_are_as_good_as_ints():
    for align in (per.unit_alignment, per.sclite_alignment):
        given = np.array([3, 1, 2], np.int32), np.array([3, 2, 2, 0], np.int64)
        assert align(*given) == align(*(array.tolist() for array in given))


def test_a_corpus_divides_once():
    pairs = [('ab', 'ab'), ('cdefgh', 'cdxfg')]
    for align in (per.unit_alignment, per.sclite_alignment):
        counts = total(align(*pair) for pair in pairs)
        assert numbers(counts) == (6, 1, 1, 0) and counts.rate == 2 / 8


def test_the_confusion_matrix_holds_all_tokens():
    alignments = [[(0, 0), (1, 2), (None, 2)], [(0, None), (1, 2), (2, 2)]]
    matrix = per.confusion_matrix(alignments, 3)
    assert matrix.tolist() == [[1, 0, 0, 1], [0, 0, 2, 0], [0, 0, 1, 0], [0, 0, 1, 0]]
    pairs = list(decodings(1, 20))
    alignments = [per.unit_alignment(*pair) for pair in pairs]
    matrix, counts = per.confusion_matrix(alignments, 39), total(alignments)
    assert np.trace(matrix) == counts.correct
    assert matrix[:, -1].sum() == counts.deletions and matrix[-1].sum() == counts.insertions
    spoken = np.bincount(np.concatenate([reference for reference, _ in pairs]), minlength=39)
    assert matrix[:-1].sum(axis=1).tolist() == spoken.tolist()


def test_the_interval_of_equal_speakers_is_students():
    random = np.random.default_rng(0)
    errors = random.integers(50, 150, 16)
    low, high = per.speaker_interval(errors, np.full(16, 400))
    rates = errors / 400
    expected = stats.t.interval(0.95, 15, rates.mean(), stats.sem(rates))
    assert (low, high) == pytest.approx(expected)


def test_the_interval_of_unequal_speakers_is_near_the_linearised_one():
    random = np.random.default_rng(1)
    tokens = random.integers(250, 450, 50)
    errors = random.binomial(tokens, random.uniform(0.15, 0.35, 50))
    low, high = per.speaker_interval(errors, tokens)
    rate = errors.sum() / tokens.sum()
    # Cochran 1977, equation 6.13: the deviation of the residuals over the mean of the tokens.
    residuals = errors - rate * tokens
    half = stats.t.ppf(0.975, 49) * residuals.std(ddof=1) / np.sqrt(50) / tokens.mean()
    assert (low + high) / 2 == pytest.approx(rate)
    assert (high - low) / 2 == pytest.approx(half, rel=0.03)


def test_intervals_at_the_edges():
    assert per.speaker_interval([3], [10]) is None
    assert per.speaker_interval([2, 2], [10, 10]) == (0.2, 0.2)
    assert per.speaker_interval([0, 10], [10, 10])[0] == 0.0
    for errors, tokens in (([], []), ([1, 2], [3]), ([1], [0])):
        with pytest.raises(ValueError):
            per.speaker_interval(errors, tokens)


def test_a_difference_over_speakers_is_students_paired_one():
    random = np.random.default_rng(2)
    errors, tokens = random.integers(50, 250, 16), np.full(16, 400)
    others = errors - random.integers(0, 9, 16)  # hard speakers are hard for both
    difference, half = per.speaker_difference(errors, others, tokens)
    paired = (errors - others) / 400
    low, high = stats.t.interval(0.95, 15, paired.mean(), stats.sem(paired))
    assert (difference - half, difference + half) == pytest.approx((low, high))
    assert per.speaker_difference(others, errors, tokens) == pytest.approx((-difference, half))
    assert low > 0  # though the two rates' own intervals overlap
    assert per.speaker_interval(others, tokens)[1] > per.speaker_interval(errors, tokens)[0]
    for bad in (([1], [1], [2]), ([1, 2], [1, 2], [2]), ([1, 2], [1], [2, 2])):
        with pytest.raises(ValueError, match='2 or more'):
            per.speaker_difference(*bad)


@pytest.mark.skipif(SCLITE is None, reason="NIST's sclite is missing: install Debian's sctk")
@pytest.mark.parametrize(('draw', 'number'), [(pairs_with_ties, 1500), (decodings, 200)])
def test_counts_are_those_of_sclite(draw, number, tmp_path):
    pairs = list(draw(2, number))
    for name, side in (('reference', 0), ('hypothesis', 1)):
        lines = [
            ' '.join([*(f't{token}' for token in pair[side]), f'(s-{number:04d})'])
            for number, pair in enumerate(pairs)
        ]
        (tmp_path / name).write_text('\n'.join(lines) + '\n')
    command = [SCLITE, '-i', 'spu_id', '-o', 'pralign', 'stdout']
    command += ['-r', tmp_path / 'reference', 'trn', '-h', tmp_path / 'hypothesis', 'trn']
    output = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    form = r'id: \(s-(\d+)\)\s+Scores: \(#C #S #D #I\) (\d+) (\d+) (\d+) (\d+)'
    theirs = {int(found[0]): tuple(map(int, found[1:])) for found in re.findall(form, output)}
    ours = [numbers(per.count(per.sclite_alignment(*pair))) for pair in pairs]
    assert theirs == dict(enumerate(ours))


def test_a_corpus_of_ties_tells_the_preferences_apart():
    """The comparison with sclite can fail: another order of preference gives other counts."""
    differing = 0
    for reference, hypothesis in pairs_with_ties(2, 1500):
        # Reversing both trades the preferences at the two ends of an alignment.
        reversed_alignment = per.sclite_alignment(reference[::-1], hypothesis[::-1])
        ours = per.count(per.sclite_alignment(reference, hypothesis))
        differing += numbers(ours) != numbers(per.count(reversed_alignment))
    assert differing > 5
