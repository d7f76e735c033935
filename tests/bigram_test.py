import numpy as np
import pytest

from mimic_jax.speech import bigram, state_statistics


def test_witten_bell_by_hand():
    # a b a | b a, of three phones: c is never seen. Events after each history:
    # start: a 1, b 1.  a: b 1, end 2.  b: a 2.  c: none.
    model = bigram.witten_bell([[0, 1, 0], [1, 0]], 3)
    # All events: a 3, b 2, end 2 of 7, three distinct; a quarter each before them.
    a, b, c, end = (np.array([3, 2, 0, 2]) + 3 / 4) / 10
    after_a = [2 * a / 5, (1 + 2 * b) / 5, 2 * c / 5]
    after_b = [(2 + a) / 3, b / 3, c / 3]
    np.testing.assert_allclose(np.exp(model.phones), [after_a, after_b, [a, b, c]], rtol=1e-6)
    np.testing.assert_allclose(np.exp(model.end), [(2 + 2 * end) / 5, end / 3, end], rtol=1e-6)
    first = np.array([a, b, c]) / (a + b + c)
    np.testing.assert_allclose(
        np.exp(model.start), (np.array([1, 1, 0]) + 2 * first) / 4, rtol=1e-6
    )


def test_probabilities_sum_to_one_and_none_is_zero():
    random = np.random.default_rng(0)
    sequences = [random.integers(0, 9, random.integers(1, 12)) for _ in range(30)]
    model = bigram.witten_bell(sequences, 10)
    total = np.exp(model.phones.astype(np.float64)).sum(axis=1) + np.exp(model.end)
    np.testing.assert_allclose(total, 1, rtol=1e-6)
    assert np.exp(model.start.astype(np.float64)).sum() == pytest.approx(1, rel=1e-6)
    assert all(np.isfinite(part).all() and part.dtype == np.float32 for part in model)


def test_many_events_outweigh_the_smoothing():
    model = bigram.witten_bell([[0, 1] * 500], 2)
    assert np.exp(model.phones[0, 1]) > 0.99 and np.exp(model.phones[1, 1]) < 0.01


def test_what_cannot_be_estimated_is_refused():
    with pytest.raises(ValueError, match='at least one'):
        bigram.witten_bell([], 3)
    with pytest.raises(ValueError, match='empty'):
        bigram.witten_bell([[0], []], 3)
    for phone in (-1, 3):
        with pytest.raises(ValueError, match='0 to 2'):
            bigram.witten_bell([[0, phone]], 3)


def test_the_free_loop_adds_nothing():
    free = bigram.free_loop(4)
    assert [part.shape for part in free] == [(4, 4), (4,), (4,)]
    assert not any(part.any() for part in free)


PATHS = [np.array([0, 0, 0, 1, 2, 0, 0, 1, -1]), np.array([2, 2, -1, 2, 0])]


def test_priors_by_hand():
    # 12 targets: 6 of state 0, 2 of 1, 4 of 2, none of 3.
    priors = state_statistics.log_priors(PATHS, 4, floor=0.2)
    np.testing.assert_allclose(np.exp(priors), [6 / 12, 0.2, 4 / 12, 0.2], rtol=1e-6)
    assert np.exp(state_statistics.log_priors(PATHS, 4)[3]) == pytest.approx(1e-5)


def test_transitions_by_hand():
    # Visits: state 0 three, 1 two, 2 three (a frame without target parts two of them).
    stay, advance = state_statistics.log_transitions(PATHS, 4)
    np.testing.assert_allclose(np.exp(advance), [4 / 8, 3 / 4, 4 / 6, 1 / 2], rtol=1e-6)
    np.testing.assert_allclose(np.exp(stay) + np.exp(advance), 1, rtol=1e-6)
    assert np.isfinite(stay).all()


def test_statistics_that_make_no_sense_are_refused():
    with pytest.raises(ValueError, match='above 0'):
        state_statistics.log_priors(PATHS, 4, floor=0)
    with pytest.raises(ValueError, match='at least one'):
        state_statistics.log_priors([np.array([-1])], 4)
    with pytest.raises(ValueError, match='0 to 1'):
        state_statistics.log_priors(PATHS, 2)
    with pytest.raises(ValueError, match='0 to 1'):
        state_statistics.log_transitions(PATHS, 2)
