"""Synthetic examples that lie close to real ones: MUNGE (Buciluă, Caruana & Niculescu-Mizil 2006)."""

import numpy as np


def munge(examples: np.ndarray, count: int, swap: float, spread: float, seed: int) -> np.ndarray:
    """`count` examples without labels, made of real ones of continuous attributes.

    Algorithm 1 of "Model compression" (KDD 2006). A pass copies the examples and then takes each in
    turn, with the one nearest to it among the others as they now are. With probability `swap` an
    attribute of the two, e and e′, becomes Normal(e′, |e − e′|/`spread`) in the first and
    Normal(e, |e − e′|/`spread`) in the second. A pass gives as many examples as there are; the last
    one is cut off at `count`.

    Nearest is by Euclidean distance, every attribute scaled to its range among `examples`, as in the
    paper; the first where several are as near. A pass takes O(N²F) time.

    examples: [N, F] numbers, N at least 2.  swap: the paper's p, from 0 to 1.  spread: its s, above 0:
    the larger, the closer to a plain exchange of values.
    Returns [count, F] in the examples' floating-point type. The first rows do not depend on `count`.

    Raises:
      ValueError: fewer than two examples, or values that are not finite.
    """
    examples = np.asarray(examples)
    if examples.ndim != 2 or len(examples) < 2:
        raise ValueError(f'examples of shape {examples.shape}; at least 2 of [N, F] are needed')
    if not np.isfinite(examples).all():
        raise ValueError('examples hold values that are not finite')
    passes = -(-count // len(examples))
    made = [
        _one_pass(examples, swap, spread, np.random.default_rng([seed, number]))
        for number in range(passes)
    ]
    result = np.concatenate(made)[:count] if made else examples[:0]
    return result.astype(np.result_type(examples.dtype, np.float32))


def _one_pass(examples: np.ndarray, swap: float, spread: float, draw) -> np.ndarray:
    current = examples.astype(np.float64)
    low, high = current.min(axis=0), current.max(axis=0)
    scale = np.divide(1.0, high - low, out=np.zeros_like(low), where=high > low)
    scaled = current * scale
    for row in range(len(current)):
        difference = scaled - scaled[row]
        distances = np.einsum('nf,nf->n', difference, difference)
        distances[row] = np.inf
        pair = [row, int(np.argmin(distances))]
        swapped = draw.random(current.shape[1]) < swap
        noise = draw.standard_normal((2, current.shape[1]))
        values = current[pair]
        other = values[::-1] + noise * np.abs(values[0] - values[1]) / spread
        current[pair] = np.where(swapped, other, values)
        scaled[pair] = current[pair] * scale
    return current
