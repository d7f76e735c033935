import numpy as np
import pytest

from mimic_jax.data.munge import munge

EXAMPLES = np.random.default_rng(0).normal(size=(30, 4)) * [1, 10, 0.1, 5] + [0, 3, 0, -2]


def naive(examples, count, swap, spread, seed):
    """The paper's loops, one number at a time, with the same draws."""
    made = []
    low, high = examples.min(axis=0), examples.max(axis=0)
    number = 0
    while len(made) < count:
        draw = np.random.default_rng([seed, number])
        copy = [list(map(float, row)) for row in examples]
        for e in range(len(copy)):
            nearest, shortest = None, np.inf
            for other in range(len(copy)):
                scaled = [
                    ((a - b) / (h - lo)) ** 2 if h > lo else 0.0
                    for a, b, lo, h in zip(copy[e], copy[other], low, high, strict=True)
                ]
                if other != e and sum(scaled) < shortest:
                    nearest, shortest = other, sum(scaled)
            chosen = draw.random(examples.shape[1]) < swap
            noise = draw.standard_normal((2, examples.shape[1]))
            for a in range(examples.shape[1]):
                if chosen[a]:
                    mine, its = copy[e][a], copy[nearest][a]
                    deviation = abs(mine - its) / spread
                    copy[e][a] = its + deviation * noise[0][a]
                    copy[nearest][a] = mine + deviation * noise[1][a]
        made.extend(copy)
        number += 1
    return np.array(made[:count])


@pytest.mark.parametrize(('swap', 'spread'), [(0.5, 1.0), (0.2, 4.0), (1.0, 0.5)])
def test_it_is_the_papers_algorithm(swap, spread):
    found = munge(EXAMPLES, 75, swap, spread, seed=3)
    np.testing.assert_allclose(found, naive(EXAMPLES, 75, swap, spread, 3), rtol=1e-9)


def test_without_swaps_examples_stay_as_they_are():
    found = munge(EXAMPLES, 70, swap=0.0, spread=1.0, seed=0)
    np.testing.assert_array_equal(found, np.concatenate([EXAMPLES, EXAMPLES, EXAMPLES[:10]]))


def test_with_a_large_spread_attributes_are_exchanged_within_their_column():
    found = munge(EXAMPLES, 30, swap=0.5, spread=1e12, seed=0)
    assert not np.allclose(found, EXAMPLES)
    np.testing.assert_allclose(np.sort(found, axis=0), np.sort(EXAMPLES, axis=0), atol=1e-9)


def test_a_new_value_is_normal_about_the_neighbours():
    """With two examples and every attribute swapped, the last exchange has a known mean and deviation."""
    pair = np.array([[0.0, 10.0], [1.0, 30.0]])
    scale = np.array([1, 20])
    found = munge(pair, 4000, swap=1.0, spread=2.0, seed=0).reshape(-1, 2, 2) / scale
    # Both are visited in turn and exchange values twice, so that means return to where they were.
    np.testing.assert_allclose(found.mean(axis=0), pair / scale, atol=0.07)
    # First N(e′, d/2) and N(e, d/2); then, d₁ being |d + (z₁ − z₂)d/2|, about those with d₁/2.
    first = 0.25
    second = 0.25 * (1 + 2 * 0.25)
    np.testing.assert_allclose(found.std(axis=0), np.sqrt(first + second), rtol=0.08)


def test_the_scale_of_an_attribute_does_not_matter():
    scale = np.array([1e6, 1, 1e-6, 3])
    plain, scaled = (munge(examples, 60, 0.5, 2.0, 1) for examples in (EXAMPLES, EXAMPLES * scale))
    np.testing.assert_allclose(scaled, plain * scale, rtol=1e-9)


def test_the_seed_decides_and_the_first_rows_do_not_depend_on_how_many_are_made():
    few, many, other = (munge(EXAMPLES, n, 0.5, 1.0, s) for n, s in ((40, 0), (100, 0), (40, 1)))
    np.testing.assert_array_equal(few, many[:40])
    assert not np.allclose(few, other)
    assert munge(EXAMPLES, 0, 0.5, 1.0, 0).shape == (0, 4)


def test_constant_attributes_stay_constant_and_types_stay():
    examples = EXAMPLES.astype(np.float32)
    examples[:, 2] = 7
    found = munge(examples, 50, 0.5, 1.0, 0)
    assert found.dtype == np.float32 and (found[:, 2] == 7).all()


@pytest.mark.parametrize('bad', [EXAMPLES[:1], EXAMPLES[0], np.full((3, 2), np.nan)])
def test_what_cannot_be_munged_is_refused(bad):
    with pytest.raises(ValueError, match='examples'):
        munge(bad, 5, 0.5, 1.0, 0)
