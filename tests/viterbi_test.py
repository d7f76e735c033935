"""Decoding and alignment against every path there is, scored one by one."""

import itertools

import jax
import numpy as np
import pytest

from mimic_jax.ops import padding
from mimic_jax.speech import viterbi


def every_path(phones, frames):
    """All state paths of the loop: start in a first state, end in a last one."""

    def grow(path):
        if len(path) == frames:
            if path[-1] % 3 == 2:
                yield path
            return
        state = path[-1]
        after = [state + 1] if state % 3 < 2 else [3 * phone for phone in range(phones)]
        for follower in [state, *after]:
            yield from grow([*path, follower])

    for phone in range(phones):
        yield from grow([3 * phone])


def path_score(path, log_likelihoods, bigram, start, end, stay, advance, lm_scale, penalty):
    """The score of one path, by the formula and in double precision."""
    score = sum(log_likelihoods[t, state] for t, state in enumerate(path))
    score += lm_scale * start[path[0] // 3] - penalty
    for before, after in itertools.pairwise(path):
        if before == after:
            score += stay[before]
        else:
            score += advance[before]
            if after % 3 == 0:
                score += lm_scale * bigram[before // 3, after // 3] - penalty
    return score + advance[path[-1]] + lm_scale * end[path[-1] // 3]


def collapsed(path):
    """The phones of a path, in the plainest way."""
    phones = [path[0] // 3]
    for before, after in itertools.pairwise(path):
        if before % 3 == 2 and after % 3 == 0:
            phones.append(after // 3)
    return phones


def model(seed, phones):
    """Random language model and transitions."""
    random = np.random.default_rng(seed)
    table = np.log(random.dirichlet(np.ones(phones + 1), phones + 1))
    advance = random.uniform(0.1, 0.9, 3 * phones)
    return {
        'bigram': table[:-1, :-1],
        'start': table[-1, :-1],
        'end': table[:-1, -1],
        'stay': np.log(1 - advance),
        'advance': np.log(advance),
    }


def likelihoods(seed, *shape, spread=2.0):
    return np.random.default_rng(seed).normal(scale=spread, size=shape).astype(np.float32)


def decode(log_likelihoods, lengths, lm_scale=1.0, penalty=0.0, **parts):
    parts = [parts[name] for name in ('bigram', 'start', 'end', 'stay', 'advance')]
    path, score = viterbi.decode(log_likelihoods, lengths, *parts, lm_scale, penalty)
    return np.asarray(path), np.asarray(score)


@pytest.mark.parametrize(('phones', 'frames'), [(1, 5), (2, 3), (2, 7), (3, 4), (3, 7)])
def test_decoding_finds_the_best_of_all_paths(phones, frames):
    paths = list(every_path(phones, frames))
    for seed in range(15):
        parts = model(seed, phones)
        given = likelihoods(seed, 1, frames, 3 * phones)
        lm_scale, penalty = np.random.default_rng(seed).uniform([0, -3], [3, 3])
        scores = [path_score(path, given[0], *parts.values(), lm_scale, penalty) for path in paths]
        path, score = decode(given, np.array([frames]), lm_scale, penalty, **parts)
        assert path[0].tolist() == paths[int(np.argmax(scores))]
        assert score[0] == pytest.approx(max(scores), rel=1e-5, abs=1e-5)


def test_the_enumeration_itself():
    # One phone and T frames: the two inner boundaries and the returns; T = 6 has C(5, 2) + 1.
    assert len(list(every_path(1, 6))) == 11
    assert list(every_path(1, 3)) == [[0, 1, 2]]


@pytest.mark.parametrize('frames', [3, 4, 7])
def test_a_free_loop_is_no_language_model_at_any_scale(frames):
    parts = model(0, 2)
    free = {**parts, 'bigram': np.zeros((2, 2)), 'start': np.zeros(2), 'end': np.zeros(2)}
    for seed in range(10):
        given = likelihoods(seed, 1, frames, 6)
        scaled = decode(given, np.array([frames]), 5.0, 0.0, **free)
        ignored = decode(given, np.array([frames]), 0.0, 0.0, **parts)
        assert np.array_equal(scaled[0], ignored[0])
        assert scaled[1] == pytest.approx(ignored[1], rel=1e-6)


def test_a_batch_of_padded_utterances_equals_each_alone():
    parts = model(1, 3)
    lengths = np.array([7, 3, 12])
    given = likelihoods(1, 3, 14, 9)
    for row, length in zip(given, lengths, strict=True):
        row[length:] = np.nan  # what lies past an utterance is never read
    paths, scores = decode(given, lengths, 1.5, 0.5, **parts)
    for i, length in enumerate(lengths):
        path, score = decode(given[i : i + 1, :length], lengths[i : i + 1], 1.5, 0.5, **parts)
        assert paths[i, :length].tolist() == path[0].tolist()
        assert (paths[i, length:] == -1).all() and (paths[i, :length] >= 0).all()
        assert scores[i] == pytest.approx(score[0], rel=1e-6)


def test_scale_and_penalty_are_traced():
    """A search over them is one program: they can even be a batch axis."""
    parts = model(2, 3)
    given, lengths = likelihoods(2, 2, 8, 9), np.array([8, 6])
    scales, penalties = np.array([0.0, 1.0, 4.0]), np.array([-2.0, 0.5, 3.0])
    together, _ = jax.vmap(lambda s, p: viterbi.decode(given, lengths, *parts.values(), s, p))(
        scales, penalties
    )
    for i, (scale, penalty) in enumerate(zip(scales, penalties, strict=True)):
        assert np.array_equal(together[i], decode(given, lengths, scale, penalty, **parts)[0])


def test_a_penalty_makes_for_fewer_phones():
    parts = model(3, 3)
    given, lengths = likelihoods(3, 1, 60, 9), np.array([60])
    counts = [
        len(viterbi.segments(decode(given, lengths, 1.0, penalty, **parts)[0][0])[0])
        for penalty in (-20.0, 0.0, 3.0, 1000.0)
    ]
    assert counts[0] == 20 and counts[-1] == 1  # three frames a phone are the least
    assert counts == sorted(counts, reverse=True) and len(set(counts)) > 2


def test_what_has_no_path_scores_minus_infinity():
    parts = model(4, 2)
    given = likelihoods(4, 5, 6, 6)
    given[3] = -np.inf
    paths, scores = decode(given, np.array([0, 1, 2, 6, 3]), **parts)
    assert (scores[:4] == -np.inf).all() and np.isfinite(scores[4])
    assert (paths[:4] == -1).all() and (paths[4, :3] >= 0).all()


def test_one_number_serves_for_all_transitions():
    parts = model(5, 2)
    given, lengths = likelihoods(5, 1, 7, 6), np.array([7])
    half = np.full(6, np.log(0.5))
    scalar = decode(given, lengths, **{**parts, 'stay': np.log(0.5), 'advance': np.log(0.5)})
    full = decode(given, lengths, **{**parts, 'stay': half, 'advance': half})
    assert np.array_equal(scalar[0], full[0]) and scalar[1] == full[1]


@pytest.mark.parametrize('shapes', [(7, 2, 2), (6, 3, 2), (6, 2, 3)])
def test_shapes_that_do_not_agree_are_refused(shapes):
    states, bigram, start = shapes
    parts = {**model(0, 2), 'bigram': np.zeros((bigram, bigram)), 'start': np.zeros(start)}
    with pytest.raises(AssertionError):
        decode(likelihoods(0, 1, 5, states), np.array([5]), **parts)


def alignments(sequence, frames):
    """All paths through 3L states in a row, by where each of them but the first begins."""
    chain = [3 * phone + part for phone in sequence for part in range(3)]
    for cuts in itertools.combinations(range(1, frames), len(chain) - 1):
        counts = np.diff([0, *cuts, frames])
        yield np.repeat(chain, counts).tolist()


@pytest.mark.parametrize('sequence', [[1], [0, 2], [1, 1], [2, 0]])
def test_alignment_finds_the_best_of_all(sequence):
    nothing = (np.zeros((3, 3)), np.zeros(3), np.zeros(3))
    for seed, frames in itertools.product(range(8), (3 * len(sequence), 8)):
        parts = model(seed, 3)
        given = likelihoods(seed, 1, frames, 9)
        every = list(alignments(sequence, frames))
        moves = parts['stay'], parts['advance']
        scores = [path_score(path, given[0], *nothing, *moves, 0, 0) for path in every]
        aligned = viterbi.align(given, np.array([frames]), np.array([sequence]), *moves)
        path, score = map(np.asarray, aligned)
        assert path[0].tolist() == every[int(np.argmax(scores))]
        assert score[0] == pytest.approx(max(scores), rel=1e-5, abs=1e-5)
        assert viterbi.segments(path[0])[0].tolist() == sequence


def test_alignments_of_a_padded_batch_and_what_does_not_fit():
    parts = model(6, 3)
    moves = parts['stay'], parts['advance']
    given = likelihoods(6, 5, 12, 9)
    lengths = np.array([12, 7, 5, 9, 9])
    phones = np.array([[0, 1, 1], [2, 0, -1], [1, 2, -1], [-1, -1, -1], [2, -1, -1]])
    for row, length in zip(given, lengths, strict=True):
        row[length:] = np.nan
    paths, scores = map(np.asarray, viterbi.align(given, lengths, phones, *moves))
    # Five frames are too few for two phones, and a sequence without phones has no path.
    assert np.isfinite(scores).tolist() == [True, True, False, False, True]
    assert (scores[2:4] == -np.inf).all() and (paths[2:4] == -1).all()
    for i in (0, 1, 4):
        alone = (given[i : i + 1, : lengths[i]], lengths[i : i + 1], phones[i : i + 1])
        alone = (*alone[:2], alone[2][alone[2] >= 0][None])
        path, score = map(np.asarray, viterbi.align(*alone, *moves))
        assert paths[i, : lengths[i]].tolist() == path[0].tolist()
        assert (paths[i, lengths[i] :] == -1).all()
        assert scores[i] == pytest.approx(score[0], rel=1e-6)


def test_segments_by_hand():
    # Phone 1, then phone 1 again, then phone 0; a first state held for two frames is one entry.
    path = np.array([3, 3, 4, 5, 3, 4, 5, 5, 0, 1, 2, -1, -1])
    phones, starts, ends = viterbi.segments(path)
    assert phones.tolist() == [1, 1, 0]
    assert starts.tolist() == [0, 4, 8] and ends.tolist() == [4, 8, 11]
    assert [found.tolist() for found in viterbi.segments(np.full(13, -1))] == [[], [], []]


def test_segments_of_random_paths():
    for seed in range(20):
        path, _ = decode(likelihoods(seed, 1, 30, 9), np.array([30]), **model(seed, 3))
        phones, starts, ends = viterbi.segments(path[0])
        assert phones.tolist() == collapsed(path[0].tolist())
        assert starts[0] == 0 and ends[-1] == 30 and (starts[1:] == ends[:-1]).all()
        for phone, begin, end in zip(phones, starts, ends, strict=True):
            assert (path[0, begin:end] // 3 == phone).all()


def test_batches_hold_every_sequence_once():
    lengths = [310, 90, 200, 205, 100, 101, 95]
    batches = list(padding.batches_by_length(lengths, 3, 100))
    assert [(indices.tolist(), length) for indices, length in batches] == [
        ([1, 6, 4], 100),
        ([5, 2, 3], 300),
        ([0, -1, -1], 400),
    ]
    assert list(padding.batches_by_length([], 3)) == []
    with pytest.raises(ValueError, match='1 or more'):
        next(padding.batches_by_length([5], 0))


def test_padding_keeps_what_is_real():
    sequences = [np.full((length, 2), length, np.float32) for length in (2, 4, 3)]
    padded, lengths = padding.pad(sequences, np.array([2, 0, -1]), 4)
    assert lengths.tolist() == [3, 2, 0] and padded.dtype == np.float32
    assert padded[:, :, 0].tolist() == [[3, 3, 3, 0], [2, 2, 0, 0], [0, 0, 0, 0]]
    with pytest.raises(ValueError, match='does not fit'):
        padding.pad(sequences, np.array([1]), 3)
