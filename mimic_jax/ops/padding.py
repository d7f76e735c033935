"""Sequences of unequal lengths as a few batches of equal ones."""

from collections.abc import Iterator, Sequence

import numpy as np


def batches_by_length(
    lengths: Sequence[int], batch_size: int, multiple: int = 100
) -> Iterator[tuple[np.ndarray, int]]:
    """Batches of sequences of similar length, the shortest first, so that little is padded.

    lengths: [N], in frames.
    multiple: padded lengths are rounded up to it, so that few shapes are compiled.

    Yields (indices [batch_size], padded length); an index of −1 fills the last batch up.

    Raises:
      ValueError: a batch size or a multiple below 1.
    """
    if batch_size < 1 or multiple < 1:
        raise ValueError(f'batch_size {batch_size} and multiple {multiple} must be 1 or more')
    lengths = np.asarray(lengths, np.int64)
    order = np.argsort(lengths, kind='stable')
    for begin in range(0, len(order), batch_size):
        indices = order[begin : begin + batch_size]
        longest = max(int(lengths[indices[-1]]), 1)
        fill = np.full(batch_size - len(indices), -1)
        yield np.concatenate([indices, fill]), -(-longest // multiple) * multiple


def pad(
    sequences: Sequence[np.ndarray], indices: np.ndarray, padded_length: int
) -> tuple[np.ndarray, np.ndarray]:
    """The sequences at `indices`, stacked and padded to one length.

    sequences: arrays [T_i, ...] that agree in all axes but the first and in type.

    Returns [B, padded_length, ...] with zeros past each length, and the lengths [B] int32, 0 for
    an index of −1.

    Raises:
      ValueError: a sequence longer than `padded_length`.
    """
    chosen = [sequences[i] if i >= 0 else sequences[0][:0] for i in indices]
    lengths = np.array([len(sequence) for sequence in chosen], np.int32)
    if lengths.max() > padded_length:
        raise ValueError(f'a sequence of {lengths.max()} does not fit in {padded_length}')
    shape = (len(chosen), padded_length, *np.shape(sequences[0])[1:])
    padded = np.zeros(shape, np.asarray(sequences[0]).dtype)
    for row, sequence in zip(padded, chosen, strict=True):
        row[: len(sequence)] = sequence
    return padded, lengths
