"""Figures of merit: sums with a denominator on the device, statistics over seeds on the host."""

import math
from collections.abc import Mapping, Sequence

import chex
import jax
import jax.numpy as jnp
import numpy as np


def sums(
    logits: jax.Array, labels: jax.Array, losses: jax.Array, mask: jax.Array
) -> dict[str, jax.Array]:
    """What a batch adds to the metrics of a split.

    logits: [B, K].  labels: [B] int, −1 where there is none.  losses: [B].
    mask: [B], 0 for padding, otherwise 1.
    Returns scalars: loss_sum float32 over `count` examples, correct_sum over `labelled_count`;
    the counts are int32, so that they stay exact beyond float32's 2²⁴.
    """
    chex.assert_rank([logits, labels, losses, mask], [2, 1, 1, 1])
    chex.assert_type([logits, labels, losses], [float, int, float])
    chex.assert_equal_shape_prefix([logits, labels, losses, mask], 1)
    real = mask > 0
    labelled = real & (labels >= 0)
    correct = labelled & (jnp.argmax(logits, axis=1) == labels)
    # A selection, not a product: padding's loss may be infinite, and ∞ · 0 is NaN.
    return {
        'loss_sum': jnp.sum(jnp.where(real, losses.astype(jnp.float32), 0.0)),
        'count': jnp.sum(real, dtype=jnp.int32),
        'correct_sum': jnp.sum(correct, dtype=jnp.int32),
        'labelled_count': jnp.sum(labelled, dtype=jnp.int32),
    }


def value_sums(
    outputs: jax.Array, values: jax.Array, losses: jax.Array, mask: jax.Array
) -> dict[str, jax.Array]:
    """`sums` of real-valued targets.

    outputs, values: [B, K]; an example with a value that is NaN has no label.  losses: [B].
    Returns loss_sum and the counts as `sums` does and, over the labelled examples, [K] float32 each:
    error_sum and value_square_sum of squares, and value_sum.
    """
    chex.assert_rank([outputs, values, losses, mask], [2, 2, 1, 1])
    chex.assert_type([outputs, values, losses], float)
    chex.assert_equal_shape([outputs, values])
    real = mask > 0
    labelled = real & jnp.all(jnp.isfinite(values), axis=1)
    # Selections, not products: what is not counted may be NaN.
    values = jnp.where(labelled[:, None], values.astype(jnp.float32), 0.0)
    errors = jnp.where(labelled[:, None], outputs.astype(jnp.float32) - values, 0.0)
    return {
        'loss_sum': jnp.sum(jnp.where(real, losses.astype(jnp.float32), 0.0)),
        'count': jnp.sum(real, dtype=jnp.int32),
        'labelled_count': jnp.sum(labelled, dtype=jnp.int32),
        'error_sum': jnp.sum(errors**2, axis=0),
        'value_sum': jnp.sum(values, axis=0),
        'value_square_sum': jnp.sum(values**2, axis=0),
    }


def merge(a: Mapping, b: Mapping) -> dict:
    """The sums of two batches, or of two runs of batches, together."""
    return jax.tree.map(jnp.add, dict(a), dict(b))


def summarise(totals: Mapping) -> dict[str, float | None]:
    """Mean loss and accuracy (a fraction) of merged `sums`, or R² of merged `value_sums`.

    None where nothing was counted. Reading the sums waits for the device.
    """
    totals = {key: value.tolist() for key, value in jax.device_get(dict(totals)).items()}
    found = {'loss': _ratio(totals['loss_sum'], totals['count'])}
    count = totals['labelled_count']
    if 'correct_sum' in totals:
        return {**found, 'accuracy': _ratio(totals['correct_sum'], count)}
    if not count:
        return {**found, 'r2': None}
    squares, summed = np.array(totals['value_square_sum']), np.array(totals['value_sum'])
    return {**found, 'r2': _r2(np.array(totals['error_sum']), squares - summed**2 / count)}


def accuracy(logits: np.ndarray, labels: np.ndarray) -> float:
    """The fraction of labelled examples whose largest logit is the label's. Host arrays.

    logits: [N, K].  labels: [N] int, −1 where there is none.

    Raises:
      ValueError: shapes that do not agree, or no labelled example.
    """
    logits, labels = np.asarray(logits), np.asarray(labels)
    if logits.ndim != 2 or labels.shape != logits.shape[:1]:
        raise ValueError(f'logits {logits.shape} and labels {labels.shape} must be [N, K] and [N]')
    labelled = labels >= 0
    if not labelled.any():
        raise ValueError('accuracy needs at least one labelled example')
    return float(np.mean(logits[labelled].argmax(axis=1) == labels[labelled]))


def r2(outputs: np.ndarray, values: np.ndarray) -> float:
    """R², 1 − Σ (y − ŷ)² / Σ (y − ȳ)², of each target, and the mean over targets. Host arrays.

    It is 0 for a target that does not vary and is not met, 1 where it is, as scikit-learn has it.

    outputs, values: ŷ and y, [N, K]; an example with a value that is NaN has no label.

    Raises:
      ValueError: shapes that differ, or no labelled example.
    """
    outputs, values = _labelled_values(outputs, values)
    spread = ((values - values.mean(axis=0)) ** 2).sum(axis=0)
    return _r2(((outputs - values) ** 2).sum(axis=0), spread)


def rmse(outputs: np.ndarray, values: np.ndarray) -> np.ndarray:
    """The root of the mean squared error of each target, [K], in the units of the values.

    Arguments and errors are those of `r2`.
    """
    outputs, values = _labelled_values(outputs, values)
    return np.sqrt(((outputs - values) ** 2).mean(axis=0))


def agreement(logits_a: np.ndarray, logits_b: np.ndarray) -> float:
    """The fraction of examples on which two nets choose the same class. Host arrays [N, K] each.

    Raises:
      ValueError: shapes that differ, or no examples.
    """
    logits_a, logits_b = np.asarray(logits_a), np.asarray(logits_b)
    if logits_a.ndim != 2 or logits_a.shape != logits_b.shape or len(logits_a) == 0:
        raise ValueError(f'logits {logits_a.shape} and {logits_b.shape} must both be one [N, K]')
    return float(np.mean(logits_a.argmax(axis=1) == logits_b.argmax(axis=1)))


def agreement_matrix(choices: Sequence[np.ndarray]) -> list[list[float | None]]:
    """The share of examples on which two models choose the same class, for every two. Host arrays.

    choices: the classes that each model chooses, [S, N], a line a seed; S may differ. The share of
    two models is the mean over all pairs of their seeds. The share of a model with itself is the
    mean over pairs of different seeds, None where the model has one seed.

    Raises:
      ValueError: numbers of examples that differ, or no examples.
    """
    if len({each.shape[1:] for each in choices}) > 1 or any(each.size == 0 for each in choices):
        raise ValueError(f'choices {[each.shape for each in choices]} must all be [S, N]')
    matrix = [[None] * len(choices) for _ in choices]
    for i, ours in enumerate(choices):
        for j, theirs in enumerate(choices[: i + 1]):
            pairs = [
                float(np.mean(one == other))
                for a, one in enumerate(ours)
                for b, other in enumerate(theirs)
                if i != j or a < b
            ]
            matrix[i][j] = matrix[j][i] = sum(pairs) / len(pairs) if pairs else None
    return matrix


def mean_std(values: Sequence[float]) -> tuple[float, float | None]:
    """Mean over seeds and the sample's standard deviation (ddof 1), which is None for one value.

    Raises:
      ValueError: no values.
    """
    if len(values) == 0:
        raise ValueError('a mean needs at least one value')
    values = np.asarray(values, np.float64)
    return float(values.mean()), float(values.std(ddof=1)) if len(values) > 1 else None


def differs(
    mean1: float, std1: float | None, n1: int, mean2: float, std2: float | None, n2: int
) -> bool | None:
    """Whether two means over seeds lie more than twice √(s₁²/n₁ + s₂²/n₂) apart.

    None where a side has one seed: it has no deviation, and the difference cannot be judged.
    """
    if std1 is None or std2 is None:
        return None
    return abs(mean1 - mean2) > 2 * math.sqrt(std1**2 / n1 + std2**2 / n2)


def _labelled_values(outputs, values) -> tuple[np.ndarray, np.ndarray]:
    outputs, values = np.asarray(outputs, np.float64), np.asarray(values, np.float64)
    if outputs.ndim != 2 or outputs.shape != values.shape:
        raise ValueError(
            f'outputs {outputs.shape} and values {values.shape} must both be one [N, K]'
        )
    labelled = np.isfinite(values).all(axis=1)
    if not labelled.any():
        raise ValueError('a score needs at least one labelled example')
    return outputs[labelled], values[labelled]


def _r2(errors: np.ndarray, spread: np.ndarray) -> float:
    """The mean over targets.  errors, spread: sums of squares [K]."""
    varies = spread > 0
    missed = np.where(varies, errors / np.where(varies, spread, 1), errors > 0)
    return float(np.mean(1 - missed))


def _ratio(total: float, count: int) -> float | None:
    return total / count if count else None
