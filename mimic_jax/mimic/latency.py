"""How long an answer takes: one example's, and a batch's (Ba & Caruana 2014, section 5.3)."""

import statistics
import time
from collections.abc import Callable, Sequence

import jax
import numpy as np

from mimic_jax.data import batches
from mimic_jax.mimic import ensemble
from mimic_jax.training.plan import NetPlan
from mimic_jax.training.session import Session

BATCH_SIZES = (1, 128)
REPETITIONS = 20


def measure(session: Session, nets: Sequence[NetPlan]) -> dict[str, float]:
    """Milliseconds for the logits of a batch, by its size; several nets answer one after another.

    Preprocessing and forward pass are timed, compiled and with inputs on the device. A net's time is the
    median of 20.
    """
    calls = [ensemble.on_inputs(session, net) for net in nets]
    return {
        str(size): round(sum(_milliseconds(session, call, size) for call in calls), 3)
        for size in BATCH_SIZES
    }


def measure_absorbed(session: Session, net: NetPlan) -> dict[str, float]:
    """`measure` of a net whose bottleneck is multiplied into the layer after it."""
    return measure_call(
        session, ensemble.forward_on_inputs(session, *ensemble.absorbed(session, net))
    )


def measure_call(session: Session, call: Callable[[jax.Array], jax.Array]) -> dict[str, float]:
    """`measure` of a function of raw inputs [B, ...]."""
    return {str(size): round(_milliseconds(session, call, size), 3) for size in BATCH_SIZES}


def _milliseconds(session: Session, call: Callable[[jax.Array], jax.Array], size: int) -> float:
    examples = np.arange(size) % len(session.data.inputs)
    first = batches.gather(session.data.arrays, {'index': examples})
    inputs = jax.device_put(np.asarray(first['inputs']))

    def answer() -> float:
        start = time.perf_counter()
        jax.block_until_ready(call(inputs))
        return time.perf_counter() - start

    answer()  # compiles
    return 1000 * statistics.median(answer() for _ in range(REPETITIONS))
