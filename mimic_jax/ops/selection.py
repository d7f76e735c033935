"""Which nets make an ensemble: chosen one by one on the validation split."""

from collections.abc import Callable, Sequence

import numpy as np

Score = Callable[[np.ndarray, np.ndarray], float]  # of logits [N, K], by labels: higher is better


def _accuracy(logits: np.ndarray, labels: np.ndarray) -> float:
    return np.sum(logits.argmax(axis=1) == labels) / len(labels)


def greedy(
    logits: Sequence[np.ndarray], labels: np.ndarray, count: int, score: Score = _accuracy
) -> list[int]:
    """The first `count` nets of a forward selection, as indices in the order of choice.

    Each step adds the net that makes the mean logits right most often, or raises their `score` most;
    the first net wins a tie.
    No net is chosen twice. This is the plain procedure of Caruana, Niculescu-Mizil, Crew & Ksikes
    2004 ("Ensemble selection from libraries of models", §2). Their variant with replacement, meant
    for libraries that hold many poor models, gives members weights; Urban et al.'s ensembles and a
    logit cache's mean have none.

    logits: [N, K] of each net, of the validation examples.  labels: [N], or [N, K] of real values.

    Raises:
      ValueError: fewer nets than `count`, or shapes that do not agree.
    """
    _check(logits, labels)
    if count > len(logits):
        raise ValueError(f'{count} nets are to be chosen of {len(logits)}')
    chosen: list[int] = []
    total = np.zeros(np.shape(logits[0]))
    for size in range(1, count + 1):
        left = [index for index in range(len(logits)) if index not in chosen]
        scores = [score((total + logits[index]) / size, labels) for index in left]
        chosen.append(left[int(np.argmax(scores))])
        total += logits[chosen[-1]]
    return chosen


def scores(
    logits: Sequence[np.ndarray], labels: np.ndarray, score: Score = _accuracy
) -> list[float]:
    """The accuracy, or `score`, of the mean logits of the first net, of the first two, and so on to all.

    logits: [N, K] of each net, in order.  labels: [N], or [N, K] of real values.

    Raises:
      ValueError: shapes that do not agree.
    """
    _check(logits, labels)
    total = np.zeros(np.shape(logits[0]))
    found = []
    for size, more in enumerate(logits, 1):
        total += more
        found.append(score(total / size, labels))
    return found


def _check(logits: Sequence[np.ndarray], labels: np.ndarray) -> None:
    shapes = sorted({np.shape(of_net) for of_net in logits})
    if len(shapes) != 1 or len(labels) == 0 or shapes[0][:1] != np.shape(labels)[:1]:
        raise ValueError(f'logits of shapes {shapes} and labels of {np.shape(labels)} do not agree')
