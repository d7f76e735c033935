"""A net's compiled calls, lowered from shapes alone: for the devices here, or for others."""

from collections.abc import Mapping

import jax
import numpy as np

from mimic_jax.data import batches, mixing, preprocess
from mimic_jax.data.placement import Placement
from mimic_jax.data.view_settings import Views
from mimic_jax.runtime import sharding
from mimic_jax.training import calls
from mimic_jax.training.plan import NetPlan
from mimic_jax.training.train_step import TrainState, create_train_state


def train(net: NetPlan, placement: Placement):
    """The traced call of `placement.steps_per_call` training steps."""
    size = net.task.train.batch_size
    steps = batches.steps(len(net.examples), size)
    mixed = mixing.is_on(net.task.views)
    fed = placement.epoch_shapes(size, steps, _teacher(net, placement), mixed)
    count = min(placement.steps_per_call, steps)
    call = calls.train(placement.mesh, placement.run.norms)
    return call.trace(state(net, placement), fed, count)


def evaluate(net: NetPlan, placement: Placement):
    """The traced call that gives a net's logits of a batch, unaugmented."""
    return label(net, placement, None)


def label(net: NetPlan, placement: Placement, views: Views | None, average: str = 'none'):
    """The traced call that gives a net's logits of a batch's views.  average: as in `ensemble.load`."""
    shapes = state(net, placement)
    call = calls.forward(placement.mesh)
    seed = jax.ShapeDtypeStruct((), np.uint32)
    task, constants = net.task, {'inputs': shapes.constants['inputs']}
    mixed = views is not None and mixing.is_on(views)
    return call.trace(
        *(task.net, task.preprocess, views, shapes.variables),
        *(constants, seed, placement.batch_shapes(mixed), average),
    )


def state(net: NetPlan, placement: Placement) -> TrainState:
    """The shapes of a training state, laid out on the mesh as the loop does it."""
    data, mesh = placement.data, placement.mesh
    constants = {
        'inputs': _shapes(preprocess.shapes(net.task.preprocess, data.fitted_inputs.shape[1:]))
    }
    if net.cache:
        classes = (data.num_classes,)
        constants |= _shapes({'logit_mean': classes, 'logit_deviation': classes})
    shapes = jax.eval_shape(
        lambda constants: create_train_state(net.task, data.input_shape, 0, 0, constants), constants
    )
    return jax.tree.map(
        lambda leaf: jax.ShapeDtypeStruct(
            leaf.shape, leaf.dtype, sharding=sharding.parameter_sharding(mesh, leaf.shape)
        ),
        shapes,
    )


def _shapes(shapes: Mapping[str, tuple[int, ...]]) -> dict:
    return {key: jax.ShapeDtypeStruct(shape, np.float32) for key, shape in shapes.items()}


def _teacher(net: NetPlan, placement: Placement) -> dict:
    """The shapes of a view of the cache that a net learns from."""
    if not net.cache:
        return {}
    classes = placement.data.num_classes
    kept = net.cache.layout(classes, 1).packing.unpacked
    shape = (len(net.cache.examples), classes)
    return {
        'teacher_logits': jax.ShapeDtypeStruct(shape, kept),
        'rows': jax.ShapeDtypeStruct((len(placement.data.labels),), np.int32),
    }
