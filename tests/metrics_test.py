import statistics

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mimic_jax.ops import metrics

LOGITS = jnp.array([[3.0, 1.0, 0.0], [0.0, 1.0, 5.0], [2.0, 4.0, 1.0], [9.0, 0.0, 0.0]])


def test_sums_by_hand():
    # Right, wrong, unlabelled, and padding that would be right and has an infinite loss.
    totals = metrics.sums(
        LOGITS,
        jnp.array([0, 1, -1, 0]),
        jnp.array([0.5, 2.0, 0.25, jnp.inf]),
        jnp.array([1.0, 1.0, 1.0, 0.0]),
    )
    assert {key: value.item() for key, value in totals.items()} == {
        'loss_sum': 2.75,
        'count': 3,
        'correct_sum': 1,
        'labelled_count': 2,
    }
    assert metrics.summarise(totals) == {'loss': 2.75 / 3, 'accuracy': 0.5}
    assert totals['loss_sum'].dtype == jnp.float32
    assert {totals[key].dtype.name for key in totals if key != 'loss_sum'} == {'int32'}


def test_batches_of_any_size_merge_to_the_same_figures():
    random = np.random.default_rng(0)
    logits = random.normal(size=(50, 4)).astype(np.float32)
    labels = random.integers(-1, 4, 50)
    losses = random.uniform(size=50).astype(np.float32)
    known = labels >= 0
    expected = {
        'loss': losses.mean(dtype=np.float64),
        'accuracy': np.mean(logits[known].argmax(1) == labels[known]),
    }
    for size in (50, 16, 7):
        total = None
        for start in range(0, 50, size):
            rows = np.arange(start, start + size)
            mask = (rows < 50).astype(np.float32)
            rows = np.minimum(rows, 49)
            part = jax.jit(metrics.sums)(logits[rows], labels[rows], losses[rows], mask)
            total = part if total is None else metrics.merge(total, part)
        summary = metrics.summarise(total)
        assert summary['accuracy'] == expected['accuracy']
        assert summary['loss'] == pytest.approx(expected['loss'], rel=1e-6)


def test_nothing_counted_gives_none_and_not_a_number():
    empty = metrics.sums(LOGITS, jnp.full(4, -1), jnp.ones(4), jnp.zeros(4))
    assert metrics.summarise(empty) == {'loss': None, 'accuracy': None}


def test_counts_stay_exact_where_float32_does_not():
    one = metrics.sums(LOGITS, jnp.array([0, 2, 1, 0]), jnp.ones(4), jnp.array([1, 0, 0, 0]))
    many = {**one, 'count': jnp.int32(2**24), 'correct_sum': jnp.int32(2**24)}
    merged = metrics.merge(many, one)
    assert merged['count'] == merged['correct_sum'] == 2**24 + 1


def test_accuracy_on_the_host():
    logits = np.asarray(LOGITS)
    assert metrics.accuracy(logits, np.array([0, 2, 0, 0])) == 0.75
    assert metrics.accuracy(logits, np.array([0, 0, -1, -1])) == 0.5
    with pytest.raises(ValueError, match='labelled'):
        metrics.accuracy(logits, np.full(4, -1))
    with pytest.raises(ValueError, match='must be'):
        metrics.accuracy(logits, np.zeros((4, 1), int))


def test_agreement_reads_choices_and_not_sizes():
    logits = np.asarray(LOGITS)
    assert metrics.agreement(logits, 7 * logits - 3) == 1.0
    other = logits.copy()
    other[1] = [1, 0, 0]
    assert metrics.agreement(logits, other) == 0.75
    with pytest.raises(ValueError, match='must both'):
        metrics.agreement(logits, logits[:1])


def test_mean_and_deviation_over_seeds():
    values = [0.91, 0.93, 0.92, 0.97]
    mean, std = metrics.mean_std(values)
    assert mean == pytest.approx(statistics.mean(values))
    assert std == pytest.approx(statistics.stdev(values))
    assert metrics.mean_std([0.5]) == (0.5, None)
    with pytest.raises(ValueError, match='at least one'):
        metrics.mean_std([])


def test_a_difference_counts_above_two_standard_errors():
    # Deviations 3 and 4 over 9 and 16 seeds: standard errors 1 and 1, threshold 2√2 = 2.828.
    assert metrics.differs(10, 3, 9, 12.83, 4, 16) is True
    assert metrics.differs(12.83, 4, 16, 10, 3, 9) is True
    assert metrics.differs(10, 3, 9, 12.82, 4, 16) is False
    assert metrics.differs(1, 0.0, 2, 1, 0.0, 2) is False
    assert metrics.differs(10, None, 1, 20, 4, 16) is None
    assert metrics.differs(10, 4, 16, 20, None, 1) is None
