"""Phone error rate: alignments of token sequences, their counts, and an interval over speakers.

Two alignments are in use. Unit costs (Levenshtein 1966) give the fewest errors; Kaldi scores by them.
NIST's sclite weighs an insertion and a deletion 3, a substitution 4 and a match 0. So sclite can prefer
three insertions, three deletions and two matches to five substitutions: one error more. Tokens are
anything hashable; everything is on the host.
"""

from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np

SCLITE_GAP = 3  # an insertion or a deletion
SCLITE_SUBSTITUTION = 4

# Pairs of a reference and a hypothesis token, in order; None stands for a missing partner.
Alignment = list[tuple[Hashable | None, Hashable | None]]


@dataclass(frozen=True)
class EditCounts:
    """Tokens of an alignment, or of many: counts add up with `+`."""

    correct: int = 0
    substitutions: int = 0
    deletions: int = 0
    insertions: int = 0

    def __add__(self, other: 'EditCounts') -> 'EditCounts':
        return EditCounts(
            self.correct + other.correct,
            self.substitutions + other.substitutions,
            self.deletions + other.deletions,
            self.insertions + other.insertions,
        )

    @property
    def reference(self) -> int:
        """The number of reference tokens."""
        return self.correct + self.substitutions + self.deletions

    @property
    def errors(self) -> int:
        return self.substitutions + self.deletions + self.insertions

    @property
    def rate(self) -> float | None:
        """Errors a reference token: the PER, a fraction; None without reference tokens."""
        return self.errors / self.reference if self.reference else None


def unit_alignment(reference: Sequence[Hashable], hypothesis: Sequence[Hashable]) -> Alignment:
    """An alignment with the fewest errors, by rapidfuzz.

    Several alignments can share the fewest errors and differ in the kinds of errors (a substitution,
    or an insertion and a deletion around one match more). rapidfuzz chooses the one returned.
    """
    from rapidfuzz.distance import Levenshtein

    reference, hypothesis = list(reference), list(hypothesis)
    pairs = []
    for code in Levenshtein.opcodes(reference, hypothesis):
        of_reference = reference[code.src_start : code.src_end]
        of_hypothesis = hypothesis[code.dest_start : code.dest_end]
        if code.tag == 'delete':
            pairs += [(token, None) for token in of_reference]
        elif code.tag == 'insert':
            pairs += [(None, token) for token in of_hypothesis]
        else:
            pairs += zip(of_reference, of_hypothesis, strict=True)
    return pairs


def sclite_alignment(reference: Sequence[Hashable], hypothesis: Sequence[Hashable]) -> Alignment:
    """An alignment with the counts of NIST sclite.

    Among alignments of equal cost it prefers, from the end backwards, a pair to an insertion and an
    insertion to a deletion. This order was found by comparing counts with sclite 2.10 on thousands of
    random sequences.
    """
    reference, hypothesis = list(reference), list(hypothesis)
    costs = _sclite_costs(reference, hypothesis)
    i, j = len(reference), len(hypothesis)
    pairs = []
    while i or j:
        if (
            i
            and j
            and costs[i, j] == costs[i - 1, j - 1] + _pair_cost(reference[i - 1], hypothesis[j - 1])
        ):
            i, j = i - 1, j - 1
            pairs.append((reference[i], hypothesis[j]))
        elif j and costs[i, j] == costs[i, j - 1] + SCLITE_GAP:
            j -= 1
            pairs.append((None, hypothesis[j]))
        else:
            i -= 1
            pairs.append((reference[i], None))
    return pairs[::-1]


def count(alignment: Alignment) -> EditCounts:
    """The counts of one alignment."""
    deletions = sum(hypothesis is None for _, hypothesis in alignment)
    insertions = sum(reference is None for reference, _ in alignment)
    correct = sum(reference == hypothesis for reference, hypothesis in alignment)
    substitutions = len(alignment) - deletions - insertions - correct
    return EditCounts(correct, substitutions, deletions, insertions)


def confusion_matrix(alignments: Iterable[Alignment], num_tokens: int) -> np.ndarray:
    """How often each reference token (row) was aligned with each hypothesis token (column).

    Tokens are ints from 0 to num_tokens − 1. Returns [num_tokens + 1, num_tokens + 1] int64: the
    last column counts deletions, the last row insertions.
    """
    matrix = np.zeros((num_tokens + 1, num_tokens + 1), np.int64)
    for alignment in alignments:
        for reference, hypothesis in alignment:
            row = num_tokens if reference is None else reference
            column = num_tokens if hypothesis is None else hypothesis
            matrix[row, column] += 1
    return matrix


def speaker_interval(
    errors_by_speaker: Sequence[int], tokens_by_speaker: Sequence[int]
) -> tuple[float, float] | None:
    """The 95% interval of the error rate Σ errors / Σ tokens over a population of speakers.

    Tokens of one speaker are not independent, so speakers are the sampling unit. The rate is a ratio
    estimator. Its standard error is the delete-one jackknife's over the n speakers (Efron &
    Tibshirani 1993, chapter 11); the interval is Student's with n − 1 degrees of freedom, cut at 0.
    None for one speaker, who gives no estimate of the spread.

    errors_by_speaker, tokens_by_speaker: [n]; tokens are those of the reference, above 0.

    Raises:
      ValueError: no speakers, lists of two lengths, or a speaker without tokens.
    """
    errors = np.asarray(errors_by_speaker, np.float64)
    tokens = np.asarray(tokens_by_speaker, np.float64)
    if errors.ndim != 1 or errors.shape != tokens.shape or len(errors) == 0:
        raise ValueError(f'errors {errors.shape} and tokens {tokens.shape} must both be one [n]')
    if tokens.min() <= 0:
        raise ValueError('every speaker must have reference tokens')
    n = len(errors)
    if n == 1:
        return None
    rate, half = _jackknife(errors, tokens)
    return max(rate - half, 0.0), rate + half


def speaker_difference(
    errors: Sequence[float], others: Sequence[float], tokens_by_speaker: Sequence[int]
) -> tuple[float, float]:
    """The difference of two error rates on the same speakers, and half of its 95% interval.

    Speakers who are hard for one net are hard for the other. The differences vary less over speakers
    than the errors do, so this interval can separate nets whose intervals overlap. It uses the
    jackknife of `speaker_interval`.

    errors, others: [n] by speaker; the difference is the first's minus the second's.
    tokens_by_speaker: [n], of the reference, which both share.

    Raises:
      ValueError: fewer than two speakers, or lists of different lengths.
    """
    errors, others, tokens = (
        np.asarray(values, np.float64) for values in (errors, others, tokens_by_speaker)
    )
    if not errors.shape == others.shape == tokens.shape or errors.ndim != 1 or len(errors) < 2:
        shapes = f'{errors.shape}, {others.shape} and {tokens.shape}'
        raise ValueError(f'errors and tokens {shapes} must all be one [n] of 2 or more')
    return _jackknife(errors - others, tokens)


def _jackknife(errors: np.ndarray, tokens: np.ndarray) -> tuple[float, float]:
    """Σ errors / Σ tokens and half of its 95% interval, by leaving out each of n speakers in turn."""
    from scipy import special

    n = len(errors)
    without = (errors.sum() - errors) / (tokens.sum() - tokens)
    deviation = np.sqrt((n - 1) / n * np.sum((without - without.mean()) ** 2))
    half = special.stdtrit(n - 1, 0.975) * deviation
    return float(errors.sum() / tokens.sum()), float(half)


def _pair_cost(reference, hypothesis):
    return 0 if reference == hypothesis else SCLITE_SUBSTITUTION


def _sclite_costs(reference, hypothesis):
    """[R + 1, H + 1] int64: the least cost of aligning the first i tokens with the first j."""
    gaps = SCLITE_GAP * np.arange(len(hypothesis) + 1)
    costs = np.empty((len(reference) + 1, len(hypothesis) + 1), np.int64)
    costs[0] = gaps
    for i, token in enumerate(reference):
        row = costs[i] + SCLITE_GAP
        pairs = [_pair_cost(token, other) for other in hypothesis]
        row[1:] = np.minimum(row[1:], costs[i, :-1] + np.array(pairs, np.int64))
        # An insertion adds a gap to the cost on its left: a running minimum, the gaps subtracted first.
        costs[i + 1] = np.minimum.accumulate(row - gaps) + gaps
    return costs
