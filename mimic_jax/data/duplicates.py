"""Examples that are equal byte for byte, found by digests of their own."""

import hashlib

import numpy as np

from mimic_jax.data import mapped
from mimic_jax.runtime.progress import Watch

BYTES = 16  # of a digest: among a billion images the chance of one false match is below 10⁻²⁰
_ROWS = 4096  # examples read at a time


def digests(inputs: np.ndarray, watch: Watch = lambda done, total: None) -> np.ndarray:
    """[N, 16] uint8: BLAKE2b over each example's bytes.  inputs: [N, ...], memory-mapped if need be.

    watch: called as `watch(done, total)` on the way.
    """
    result = np.empty((len(inputs), BYTES), np.uint8)
    for start in range(0, len(inputs), _ROWS):
        part = np.ascontiguousarray(inputs[start : start + _ROWS])
        for row, example in zip(result[start:], part, strict=False):
            digest = hashlib.blake2b(example, digest_size=BYTES).digest()
            row[:] = np.frombuffer(digest, np.uint8)
        mapped.release(inputs)
        watch(start + len(part), len(inputs))
    return result


def among(found: np.ndarray, others: np.ndarray) -> np.ndarray:
    """[N] bool: which of the digests `found` [N, 16] are among `others` [M, 16]."""
    return np.isin(_keys(found), _keys(others))


def _keys(rows: np.ndarray) -> np.ndarray:
    """[N], a row of bytes as one value, so that rows compare and sort whole."""
    return np.ascontiguousarray(rows).view(f'V{BYTES}').reshape(len(rows))
