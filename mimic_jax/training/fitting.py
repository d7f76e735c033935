"""What a net fits to its training examples before the first step."""

import jax.numpy as jnp
import numpy as np

from mimic_jax.data import preprocess
from mimic_jax.data.dataset import Dataset
from mimic_jax.training import averages
from mimic_jax.training.train_step import TrainState

EXAMPLES = 5000  # at most, the first of a net's training examples in the data's order


def fitted(state: TrainState, data: Dataset, examples: np.ndarray) -> TrainState:
    """A state at step 0 whose net is fitted to its training inputs, where it has a fit (`Net.fit`).

    examples: the net's training examples [n].  The inputs are preprocessed and not augmented.
    """
    net = state.task.net
    if not net.fits:
        return state
    chosen = np.sort(examples)[:EXAMPLES]
    raw = jnp.asarray(data.inputs[chosen])
    inputs = preprocess.apply(state.task.preprocess, state.constants['inputs'], raw)
    variables = net.fit(state.variables, inputs)
    return state.replace(variables=variables, average=averages.start(state.task.train, variables))
