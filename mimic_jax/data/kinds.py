"""Kinds of targets: classes, or real values; and how each kind is counted, scored and compared.

The shape of labels shows their kind: [N] int32 are classes, −1 where there is none; [N, K]
float32 are real values of K targets, NaN where there is none.
"""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from mimic_jax.ops import metrics


class Kind(NamedTuple):
    """What depends on the kind of targets, apart from losses.

    metric: the score's name in reports and logs; higher is better, 1 is perfect.
    sums: what a batch adds to the metrics of a split, as `metrics.sums`.
    score: of outputs [N, K] and labels, on the host.
    agreement: of outputs [N, K] with those of another model, on the host.
    unknown: (N, K) to labels of N examples that have none.
    known: which examples have a label, [N] bool, on the host.
    mixed: labels, other labels and the first's share [B] to the labels that a mixed example has.
    """

    metric: str
    sums: Callable[[jax.Array, jax.Array, jax.Array, jax.Array], dict]
    score: Callable[[np.ndarray, np.ndarray], float]
    agreement: Callable[[np.ndarray, np.ndarray], float]
    unknown: Callable[[int, int], np.ndarray]
    known: Callable[[np.ndarray], np.ndarray]
    mixed: Callable[[jax.Array, jax.Array, jax.Array], jax.Array]


CLASSES = Kind(
    metric='accuracy',
    sums=metrics.sums,
    score=metrics.accuracy,
    agreement=metrics.agreement,
    unknown=lambda count, _: np.full(count, -1, np.int32),
    known=lambda labels: labels >= 0,
    mixed=lambda labels, others, own: jnp.where(own >= 0.5, labels, others),
)
VALUES = Kind(
    metric='r2',
    sums=metrics.value_sums,
    score=metrics.r2,
    agreement=metrics.r2,
    unknown=lambda count, targets: np.full((count, targets), np.nan),
    known=lambda values: np.isfinite(values).all(axis=1),
    mixed=lambda labels, others, own: own[:, None] * labels + (1 - own[:, None]) * others,
)


def of(labels) -> Kind:
    """The kind of labels [N] or [N, K], of NumPy or JAX."""
    return CLASSES if labels.ndim == 1 else VALUES
