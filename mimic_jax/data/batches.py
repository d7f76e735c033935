"""Batches as indices: the same order and the same numbers wherever the arrays lie."""

import queue
import threading
from collections.abc import Iterable, Iterator, Mapping

import jax
import numpy as np

from mimic_jax.ops import context

PREFETCH = 3  # batches gathered ahead on the host


def epoch(
    examples: np.ndarray, batch_size: int, seed: int, number: int, rows: int | None = None
) -> Iterator[dict]:
    """The batches of epoch `number`, every example once, in an order drawn from (seed, number).

    examples: indices [n].  rows: length of a batch after padding (devices want equal shares).
    Yields {index [rows] int32, mask [rows] float32}; padding has mask 0 and index of a real example.
    """
    order = np.random.default_rng([seed, number]).permutation(len(examples))
    return in_order(examples[order], batch_size, rows)


def in_order(examples: np.ndarray, batch_size: int, rows: int | None = None) -> Iterator[dict]:
    """Batches of `examples` as they stand; the last is padded, none is dropped."""
    rows = rows or batch_size
    for start in range(0, len(examples), batch_size):
        part = examples[start : start + batch_size]
        index = np.full(rows, part[0], np.int32)
        index[: len(part)] = part
        mask = np.zeros(rows, np.float32)
        mask[: len(part)] = 1
        yield {'index': index, 'mask': mask}


def steps(count: int, batch_size: int) -> int:
    """Batches in one pass over `count` examples."""
    return -(-count // batch_size)


def gather(arrays: Mapping, ids: Mapping) -> dict:
    """The batch that `ids` name, from arrays on the device (inside jit) or on the host.

    On the device an array may be `device_rows.Rows`.

    arrays: inputs [N, ...], labels [N] and, for a student on logits, teacher_logits [M, K] with
    rows [N], the row of each example. For speech inputs are frames [N, 123], and first and last
    [N] the outermost rows of each frame's utterance.  ids: index [B], mask [B], view [] and, where
    views mix examples, partner [B].
    Returns inputs [B, ...], labels [B], index [B], mask [B], view [] and teacher_logits [B, K], or
    partner [B], partner_inputs [B, ...] and partner_labels [B]; for speech, inputs are frames in their
    context, [B, 15, 41, 3].
    """
    index = ids['index']
    batch = {**ids, 'inputs': _inputs(arrays, index), 'labels': arrays['labels'][index]}
    if 'teacher_logits' in arrays:
        batch['teacher_logits'] = arrays['teacher_logits'][arrays['rows'][index]]
    if 'partner' in ids:
        batch['partner_inputs'] = _inputs(arrays, ids['partner'])
        batch['partner_labels'] = arrays['labels'][ids['partner']]
    return batch


def _inputs(arrays: Mapping, index):
    if 'first' not in arrays:
        return arrays['inputs'][index]
    first, last = arrays['first'][index], arrays['last'][index]
    return context.windows(arrays['inputs'], first, last, index)


def at(epoch_ids: Mapping, step: jax.Array) -> dict:
    """The ids of one step, index [B], mask [B] and so on, from its epoch's, index [S, B], mask [S, B].

    step: counted from the first epoch's first; all epochs have S steps.
    """
    position = step % len(epoch_ids['index'])
    return {
        key: value
        if key == 'view'
        else jax.lax.dynamic_index_in_dim(value, position, keepdims=False)
        for key, value in epoch_ids.items()
    }


def rows_of(examples: np.ndarray, total: int) -> np.ndarray:
    """[total] int32: at an example's index its position in `examples`, elsewhere 0."""
    rows = np.zeros(total, np.int32)
    rows[examples] = np.arange(len(examples), dtype=np.int32)
    return rows


def prefetch(items: Iterable, prepare, depth: int = PREFETCH) -> Iterator:
    """`map(prepare, items)`, worked out by one thread up to `depth` items ahead."""
    end = object()
    ready: queue.Queue = queue.Queue(maxsize=depth)
    stop = threading.Event()

    def put(entry) -> bool:
        while not stop.is_set():
            try:
                ready.put(entry, timeout=0.1)
                return True
            except queue.Full:
                continue
        return False

    def work() -> None:
        try:
            for item in items:
                if not put((prepare(item), None)):
                    return
            put((None, end))
        except BaseException as error:  # handed to the reader, who raises it
            put((None, error))

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    try:
        while True:
            value, error = ready.get()
            if error is end:
                return
            if error is not None:
                raise error
            yield value
    finally:
        stop.set()
        thread.join()


def stack(group: list[dict]) -> dict:
    """Several batches' ids as one tree with a leading axis, for several steps a call."""
    return jax.tree.map(lambda *leaves: np.stack(leaves), *group)
