"""Choosing members one by one, against brute force."""

import numpy as np
import pytest

from mimic_jax.ops import selection


def brute_force(logits, labels, count):
    """The procedure in its own words: try each net that is left, keep the best, the first of equals."""
    chosen = []
    for _ in range(count):
        best, accuracy = None, -1.0
        for index in range(len(logits)):
            if index in chosen:
                continue
            mean = np.mean([logits[i] for i in (*chosen, index)], axis=0)
            right = float(np.mean(mean.argmax(axis=1) == labels))
            if right > accuracy:
                best, accuracy = index, right
        chosen.append(best)
    return chosen


@pytest.mark.parametrize('seed', range(5))
def test_the_greedy_choice_is_brute_forces(seed):
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, 4, 60)
    right = np.eye(4)[labels]
    logits = [rng.normal(0, 1, (60, 4)) + rng.uniform(0, 1) * right for _ in range(7)]
    assert selection.greedy(logits, labels, 7) == brute_force(logits, labels, 7)
    assert selection.greedy(logits, labels, 3) == brute_force(logits, labels, 3)


def test_a_net_that_mends_the_first_ones_mistakes_goes_before_a_better_net_like_it():
    labels = np.array([0, 0, 0, 0, 1, 1, 1, 1])
    margins = np.array(  # of class 0 over class 1; one, two and three mistakes
        [
            [1, 1, 1, 1, -1, 1, -1, -1],
            [1, 1, 1, 1, -1, 1, 1, -1],
            [-0.5, 1, -0.5, 1, -1, -3, -1, 0.5],
        ]
    )
    logits = [np.stack([margin, -margin], axis=1) for margin in margins]
    assert selection.greedy(logits, labels, 3) == [0, 2, 1]
    assert selection.greedy(logits[::-1], labels, 2) == [2, 0]


def test_accuracies_by_hand():
    labels = np.array([0, 1, 0])
    first = np.array([[2.0, 1.0], [2.0, 1.0], [0.0, 1.0]])
    second = np.array([[0.0, 0.5], [0.0, 3.0], [0.0, 0.0]])
    assert selection.scores([first, second], labels) == [1 / 3, 2 / 3]
    assert selection.scores([second, first], labels) == [2 / 3, 2 / 3]


@pytest.mark.parametrize(
    'logits, labels, count, words',
    [
        ([np.zeros((3, 2))], np.zeros(3), 2, '2 nets are to be chosen of 1'),
        ([np.zeros((3, 2)), np.zeros((4, 2))], np.zeros(3), 1, 'do not agree'),
        ([np.zeros((3, 2))], np.zeros(4), 1, 'do not agree'),
        ([], np.zeros(3), 1, 'do not agree'),
    ],
)
def test_what_does_not_fit_together_is_refused(logits, labels, count, words):
    with pytest.raises(ValueError, match=words):
        selection.greedy(logits, labels, count)
