"""Decoding of made-up posteriors: what must come out is known."""

import itertools

import numpy as np
import pytest

from mimic_jax.speech import decoding, per, phones, viterbi
from mimic_jax.speech.decoding import Decoded

P = len(phones.PHONES)


def corpus(seed, number, frames_a_state=3):
    """Paths [T] and sequences [L] of random phones that never repeat, each state held as long."""
    random = np.random.default_rng(seed)
    sequences = []
    for _ in range(number):
        steps = random.integers(1, P, random.integers(4, 9))
        sequences.append(((random.integers(P) + np.cumsum(steps)) % P).astype(np.int32))
    paths = [
        (3 * sequence[:, None] + np.arange(3)).ravel().repeat(frames_a_state)
        for sequence in sequences
    ]
    return paths, sequences


def sure_logits(path, margin=8.0, noise=0.0, seed=0):
    logits = noise * np.random.default_rng(seed).normal(size=(len(path), 3 * P))
    logits[np.arange(len(path)), path] += margin
    return logits.astype(np.float32)


def decoder(logits, model, batch_size=4):
    return decoding.Decoder(
        [decoding.scaled_likelihoods(each, model.log_priors) for each in logits], model, batch_size
    )


def folded(sequences):
    return [phones.fold_numbers(sequence) for sequence in sequences]


def total(references, found):
    return sum(decoding.score(folded(references), found), per.EditCounts())


def test_sure_posteriors_give_the_very_phones_and_their_frames():
    paths, sequences = corpus(0, 7)
    model = decoding.estimate(paths, sequences, P)
    found = decoder([sure_logits(path) for path in paths], model)(1.0, 0.0)
    for utterance, sequence in zip(found, sequences, strict=True):
        assert utterance.phones.tolist() == sequence.tolist()
        assert utterance.starts.tolist() == (9 * np.arange(len(sequence))).tolist()
    counts = total(sequences, found)
    assert counts.errors == 0 and counts.reference == sum(map(len, folded(sequences)))


def test_an_utterance_too_short_for_a_phone_is_all_deletions():
    paths, sequences = corpus(1, 3)
    model = decoding.estimate(paths, sequences, P)
    found = decoder([sure_logits(paths[0], 20.0), sure_logits(paths[1][:2])], model)(1.0, 0.0)
    assert [len(utterance.phones) for utterance in found] == [len(sequences[0]), 0]
    counts = total(sequences[:2], found)
    assert counts.deletions == counts.errors == len(folded(sequences)[1])


def test_likelihoods_are_posteriors_over_priors():
    random = np.random.default_rng(0)
    logits, log_priors = random.normal(scale=30, size=(5, 6)), np.log(random.dirichlet(np.ones(6)))
    posteriors = np.exp(logits - logits.max(axis=1, keepdims=True))
    posteriors /= posteriors.sum(axis=1, keepdims=True)
    found = decoding.scaled_likelihoods(logits, log_priors)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, np.log(posteriors) - log_priors, rtol=1e-5, atol=1e-4)


def test_priors_turn_a_decision_that_posteriors_alone_would_lose():
    """Phone 1 is a hundred times as common as phone 0; frames that favour it by less are phone 0's."""
    common, rare = np.repeat(np.arange(3, 6), 100), np.repeat(np.arange(3), 1)
    model = decoding.estimate([common, rare], [np.array([1]), np.array([0])], 2, 'none')
    half = np.full(6, np.log(0.5), np.float32)
    model = model._replace(stay=half, advance=half)  # so that nothing but the priors tells
    logits = np.zeros((6, 6), np.float32)
    logits[:, 3:] = 2.0  # e² = 7 times as likely, far less than a hundred
    assert decoder([logits], model)(1.0, 0.0)[0].phones.tolist() == [0]
    flat = model._replace(log_priors=np.zeros(6, np.float32))
    assert decoder([logits], flat)(1.0, 0.0)[0].phones.tolist() == [1]


def test_the_bigram_decides_between_phones_that_sound_alike():
    """Phone 1 follows phone 0 in training; frames that fit phones 1 and 2 alike are phone 1's."""
    path = np.repeat(np.arange(6), 2)
    sequences = [np.array([0, 1])] * 9 + [np.array([2])]
    model = decoding.estimate([path] * 9 + [np.repeat(np.arange(6, 9), 2)], sequences, 3)
    model = model._replace(log_priors=np.zeros(9, np.float32))
    logits = np.full((12, 9), -9.0, np.float32)
    logits[np.arange(6), path[:6]] = 0.0
    logits[np.arange(6, 12), path[6:]] = 0.0
    logits[np.arange(6, 12), path[6:] + 3] = 0.1
    assert decoder([logits], model)(1.0, 0.0)[0].phones.tolist() == [0, 1]
    free = model._replace(bigram=decoding.estimate([path], sequences, 3, 'none').bigram)
    assert decoder([logits], free)(1.0, 0.0)[0].phones.tolist() == [0, 2]


def planted(best):
    """A decoder whose errors grow with the distance from a pair; it notes the pairs it is asked."""
    asked = []

    def decode(lm_scale, penalty):
        asked.append((lm_scale, penalty))
        wrong = round(4 * (abs(lm_scale - best[0]) + abs(penalty - best[1])))
        return [Decoded(np.zeros(wrong + 1, np.int32), np.zeros(wrong + 1, np.int32))]

    return decode, asked


def test_tuning_finds_a_planted_pair_between_the_given_ones():
    decode, asked = planted((2.5, -1.0))
    ticks = []
    trials = decoding.tune(
        decode, [np.array([0])], (1.0, 2.0, 3.0), (-2.0, 0.0), lambda *tick: ticks.append(tick)
    )
    best, *others = trials
    assert best[:2] == (2.5, -1.0) and best.counts.errors == 0
    assert all(trial.counts.errors >= 1 for trial in others)
    coarse = list(itertools.product((1.0, 2.0, 3.0), (-2.0, 0.0)))
    assert asked[:6] == coarse
    # The best of those is (2, −2), the first of equals: ±½ and, beyond the end, ±1.
    finer = set(itertools.product((1.5, 2.0, 2.5), (-3.0, -2.0, -1.0))) - set(coarse)
    assert set(asked[6:]) == finer and len(asked) == 6 + len(finer)
    assert ticks == [(number, 14) for number in range(1, 15)]


def test_a_scale_stays_at_zero_or_more_and_one_value_is_kept():
    decode, asked = planted((0.0, 1.0))
    best = decoding.tune(decode, [np.array([0])], (0.0, 1.0), (1.0,))[0]
    assert best[:2] == (0.0, 1.0)
    assert asked == [(0.0, 1.0), (1.0, 1.0), (0.5, 1.0)]


def test_tuning_on_decodings_prefers_the_better_pair():
    """Noise adds phones that nobody spoke; a fair penalty keeps them out."""
    paths, sequences = corpus(2, 5)
    model = decoding.estimate(*corpus(3, 40), P)
    logits = [sure_logits(p, margin=8.0, noise=2.0, seed=n) for n, p in enumerate(paths)]
    decode = decoder(logits, model)
    trials = decoding.tune(decode, sequences, (1.0,), (-30.0, 0.0, 200.0))
    rates = {trial.insertion_penalty: trial.counts.rate for trial in trials}
    assert trials[0].counts.errors == total(sequences, decode(*trials[0][:2])).errors
    assert trials[0].counts.rate == min(rates.values())
    assert rates[0.0] < rates[-30.0] and rates[0.0] < rates[200.0]
    errors = {trial.insertion_penalty: trial.counts for trial in trials}
    assert errors[-30.0].insertions > errors[200.0].insertions
    assert errors[200.0].deletions > errors[0.0].deletions


def test_scores_are_of_the_folded_classes():
    """q is deleted and zh becomes sh: in q, zh, b against sh, pcl only b is wrong."""
    reference = phones.fold_numbers(phones.numbers(['q', 'zh', 'b']))
    found = Decoded(phones.numbers(['sh', 'q', 'pcl']), np.zeros(3, np.int32))
    (counts,) = decoding.score([reference], [found])
    assert (counts.correct, counts.substitutions, counts.errors) == (1, 1, 1)


def test_the_real_time_factor_is_the_median_of_trials():
    trials = [decoding.Trial(1, 0, per.EditCounts(), seconds) for seconds in (9.0, 0.5, 0.7)]
    assert decoding.real_time_factor(trials, 100) == pytest.approx(0.7)


def test_language_models_are_known_by_name():
    with pytest.raises(ValueError, match='trigram'):
        decoding.estimate([np.arange(3)], [np.array([0])], 1, 'trigram')
    assert viterbi.PARTS * P == phones.NUM_STATES
