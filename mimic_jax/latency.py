"""How long an answer takes: one example's, and a batch's (Ba & Caruana 2014, section 5.3)."""

import statistics
import time
from collections.abc import Sequence

import jax
import numpy as np

from mimic_jax import ensemble
from mimic_jax.data import batches
from mimic_jax.plan import NetPlan
from mimic_jax.session import Session

BATCH_SIZES = (1, 128)
REPETITIONS = 20


def measure(session: Session, nets: Sequence[NetPlan]) -> dict[str, float]:
    """Milliseconds for the logits of a batch, by its size; of several nets one after another.

    Preprocessing and forward pass, inputs on the device already, compiled before; each net's is the
    median of 20.
    """
    return {
        str(size): round(sum(_milliseconds(session, net, size) for net in nets), 3)
        for size in BATCH_SIZES
    }


def _milliseconds(session: Session, net: NetPlan, size: int) -> float:
    variables = ensemble.variables(session, net)
    call = jax.jit(ensemble.plain_forward, static_argnums=(0, 1))
    first = batches.gather(session.data.arrays, {'index': np.arange(size)})
    inputs = jax.device_put(np.asarray(first['inputs']))

    def answer() -> float:
        start = time.perf_counter()
        logits = call(net.task.net, net.task.preprocess, variables, session.constants, inputs)
        jax.block_until_ready(logits)
        return time.perf_counter() - start

    answer()  # compiles
    return 1000 * statistics.median(answer() for _ in range(REPETITIONS))
