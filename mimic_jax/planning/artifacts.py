"""What each artifact of a plan takes: FLOPs, bytes on disk, device memory."""

import dataclasses
import math
from collections.abc import Iterator

import jax
import numpy as np

from mimic_jax.artifacts.recipes import Recipe
from mimic_jax.data import tta
from mimic_jax.data.placement import Placement
from mimic_jax.mimic.cache_plan import CachePlan
from mimic_jax.mimic.plan import Plan
from mimic_jax.planning import programs
from mimic_jax.training.plan import FORWARD_AND_BACKWARD, NetPlan


@dataclasses.dataclass(frozen=True)
class Work:
    """An artifact and what it takes to make it.

    what: the artifact in words.  flops: of products.  traffic: the least bytes moved through memory.
    disk: bytes of its arrays.  memory: bytes held at once on the device.  None: not known ahead.
    """

    what: str
    recipe: Recipe
    flops: float | None = None
    traffic: float = 0.0
    disk: float | None = None
    memory: float | None = None


def works(plan: Plan, placement: Placement) -> Iterator[Work]:
    """Every artifact, in the order of the phases."""
    for alignment in plan.alignments:
        yield trained(alignment.net, placement)
        yield Work(alignment.name, alignment.recipe)
    for net in plan.members.values():
        yield trained(net, placement)
    for cache in plan.caches.values():
        yield _cache(cache, placement)
    for seeds in plan.students.values():
        for net in seeds:
            yield trained(net, placement)
    for baseline in plan.baselines.values():
        yield Work(baseline.name, baseline.recipe, sum(baseline.work.values()))
    for net in plan.asked():
        yield _answers(net, placement)
    for teacher in plan.external_teachers():
        yield Work(f'answers of {teacher.name}', teacher.evaluation)
    for decodings in plan.decodings.values():
        for decoding in decodings:
            yield Work(f'decoding of {decoding.name}', decoding.recipe)


def trained(net: NetPlan, placement: Placement) -> Work:
    state = programs.state(net, placement)
    variables, everything = _bytes(state.variables), _bytes(state)
    kept = activations(net, placement, net.task.train.batch_size)
    return Work(
        net.name,
        net.recipe,
        net.work,
        # A step reads and writes its state, and its activations in the forward and backward pass.
        net.task.steps * (2 * everything + variables + FORWARD_AND_BACKWARD * kept),
        variables,
        everything + variables + kept + _arrays(placement),
    )


def _cache(cache: CachePlan, placement: Placement) -> Work:
    rows, name = len(cache.examples) * cache.settings.views, f'logits {cache.name}'
    disk = rows * cache.layout(placement.data.num_classes, 1).packing.row_bytes
    if cache.external:
        return Work(name, cache.recipe, disk=disk)
    asked = [_asked(member, placement, rows) for member in cache.members]
    return Work(
        name, cache.recipe, cache.work, sum(t for t, _ in asked), disk, max(m for _, m in asked)
    )


def _answers(net: NetPlan, placement: Placement) -> Work:
    data = placement.data
    count = sum(len(data.splits[name]) for name in net.evaluation.config['splits'])
    traffic, memory = _asked(net, placement, count)
    disk = 4 * count * data.num_classes
    flops = net.flops * count * len(tta.TRANSFORMS[net.tta])
    return Work(f'answers of {net.name}', net.evaluation, flops, traffic, disk, memory)


def _asked(net: NetPlan, placement: Placement, count: int) -> tuple[float, float]:
    """(traffic, memory) of a net's answers for `count` examples."""
    size = placement.run.evaluation_batch_size
    kept = activations(net, placement, size)
    variables = _bytes(programs.state(net, placement).variables)
    return -(-count // size) * (variables + 2 * kept), variables + kept + _arrays(placement)


def activations(net: NetPlan, placement: Placement, size: int) -> int:
    """Bytes of what a training step on `size` examples keeps for its gradient, beside the parameters."""
    variables = programs.state(net, placement).variables
    inputs = jax.ShapeDtypeStruct((size, *placement.data.input_shape), np.float32)

    def kept(variables, inputs):
        params, rest = variables['params'], {**variables}
        del rest['params']
        return jax.vjp(
            lambda params: net.task.net.apply({**rest, 'params': params}, inputs), params
        )[1]

    residuals = jax.eval_shape(kept, variables, inputs)
    return max(0, _bytes(residuals) - _bytes(variables['params']))


def _arrays(placement: Placement) -> int:
    return _bytes(getattr(placement.batch_shapes(), 'arrays', {}))


def _bytes(tree) -> int:
    return sum(math.prod(leaf.shape) * leaf.dtype.itemsize for leaf in jax.tree.leaves(tree))
