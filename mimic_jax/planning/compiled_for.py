"""What a net's calls take on chips that need not be here, and the least time that they need."""

import dataclasses
import math
import re
from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence

import jax

from mimic_jax.data.placement import Placement
from mimic_jax.mimic.plan import Plan
from mimic_jax.planning import programs
from mimic_jax.runtime import backend
from mimic_jax.runtime.targets import GIB, Target
from mimic_jax.training.plan import NetPlan

KINDS = 'all-reduce|all-gather|reduce-scatter|all-to-all|collective-permute'
_COLLECTIVE = re.compile(rf'= (.+?) ({KINDS})(?:-start)?\(')
_ARRAY = re.compile(r'\b([a-z]+)(\d+)\[([\d,]*)\]')
_USED = re.compile(r'Used ([\d.]+)([KMGT]) of')


@dataclasses.dataclass(frozen=True)
class Cost:
    """A net's call on a target; figures are of a chip.

    program: 'train' (of a step), 'label' or 'evaluate' (of a batch).  calls: how many there are,
    of all nets of its task.
    memory: bytes held at once.  flops, traffic: of memory, bytes.  exchanged: bytes of results of
    collective operations, by kind.  compiled: whether XLA's compiler gave the figures; otherwise the
    program is lowered only, and memory and traffic are the least that its arrays take.
    seconds: of a call, the largest of what products, traffic and exchange take at the chip's rates.
    advice: what to do where the memory does not suffice, '' where it does.
    """

    net: str
    program: str
    calls: int
    memory: float
    flops: float
    traffic: float
    exchanged: Mapping[str, int]
    compiled: bool
    seconds: float
    advice: str


def costs(
    plan: Plan, placement: Placement, target: Target, unknown: Collection[str] = ()
) -> Iterator[Cost]:
    """The costs of each different net's calls; nets that differ in their seeds count together.

    placement: of the data on the target's mesh; on an abstract one programs are only lowered.
    unknown: members that are left out.
    """
    left_out = {plan.members[name].recipe.name for name in unknown}
    alike = defaultdict(dict)
    for net in plan.nets():
        if net.recipe.name not in left_out:
            alike[net.task].setdefault(net.recipe.name, net)
    for nets in alike.values():
        yield from costs_of(list(nets.values()), plan, placement, target)


def costs_of(
    nets: Sequence[NetPlan], plan: Plan, placement: Placement, target: Target
) -> Iterator[Cost]:
    """The costs of training steps, and of labelling for each cache that the nets are members of.

    Nets that are in no cache have the costs of evaluation in place of labelling.  nets: of one task.
    """
    net, names = nets[0], {each.recipe.name for each in nets}
    yield _cost(net, 'train', len(nets) * net.task.steps, placement, target)
    size, data, asked = placement.run.evaluation_batch_size, placement.data, False
    for cache in plan.caches.values():
        members = sum(member.recipe.name in names for member in cache.members)
        if members:
            calls = members * -(-len(cache.examples) // size) * cache.settings.views
            yield _cost(net, 'label', calls, placement, target, cache.views, cache.settings.tta)
            asked = True
    if not asked:
        splits = (data.splits[name] for name in net.evaluation.config['splits'])
        calls = len(nets) * sum(-(-len(split) // size) for split in splits)
        yield _cost(net, 'evaluate', calls, placement, target)


def _cost(
    net: NetPlan, program: str, calls: int, placement: Placement, target: Target, *arguments
) -> Cost:
    with backend.compiling_for(target.backend):
        traced = getattr(programs, program)(net, placement, *arguments)
    lowered = traced.lower(lowering_platforms=(target.chip.platform,))
    compiled = not isinstance(placement.mesh, jax.sharding.AbstractMesh)
    arrays, state = _held(placement, target), _bytes_a_chip(programs.state(net, placement))
    exchanged = {}
    if compiled:
        memory, flops, traffic, exchanged = _by_compiler(lowered)
    else:
        # Everything is held, gradients too while training; a step reads and writes its state.
        training = program == 'train'
        parameters = _bytes_a_chip(programs.state(net, placement).variables)
        memory = arrays + (state + parameters if training else parameters)
        flops = lowered.cost_analysis()['flops'] / target.chips
        traffic = 2 * state if training else parameters
    chip = target.chip
    seconds = max(
        flops / chip.products[net.task.train.dtype],
        traffic / chip.bandwidth,
        sum(exchanged.values()) / chip.links,
    )
    advice = ''
    if memory > chip.memory:
        advice = _advice(net, program, arrays, state, chip.memory)
    return Cost(
        *(net.name, program, calls, memory, flops, traffic, exchanged, compiled, seconds, advice)
    )


def _by_compiler(lowered) -> tuple[float, float, float, dict[str, int]]:
    """(memory, FLOPs, traffic, exchange) by XLA's compiler; memory alone if that does not suffice."""
    try:
        program = lowered.compile()
    except jax.errors.JaxRuntimeError as error:
        used = _USED.search(str(error))
        if 'RESOURCE_EXHAUSTED' not in str(error) or not used:
            raise
        return float(used[1]) * 1024 ** ('KMGT'.index(used[2]) + 1), math.nan, math.nan, {}
    held, cost = program.memory_analysis(), program.cost_analysis()
    memory = (
        held.argument_size_in_bytes
        + held.temp_size_in_bytes
        + held.output_size_in_bytes
        - held.alias_size_in_bytes
    )
    exchanged = collectives(program.as_text())
    return float(memory), cost['flops'], cost['bytes accessed'], exchanged


def collectives(program: str) -> dict[str, int]:
    """Bytes of results by kind of collective operation, from a compiled program's text."""
    found = defaultdict(int)
    for shapes, kind in _COLLECTIVE.findall(program):
        found[kind] += sum(
            math.prod(map(int, filter(None, sizes.split(',')))) * -(-int(bits) // 8)
            for _, bits, sizes in _ARRAY.findall(shapes)
        )
    return dict(found)


def _held(placement: Placement, target: Target) -> int:
    """Bytes a chip of the data's arrays, where they lie on the device."""
    with backend.compiling_for(target.backend):
        return _bytes_a_chip(getattr(placement.batch_shapes(), 'arrays', {}))


def _bytes_a_chip(tree) -> int:
    return sum(
        math.prod(leaf.sharding.shard_shape(leaf.shape)) * leaf.dtype.itemsize
        for leaf in jax.tree.leaves(tree)
    )


def _advice(net: NetPlan, program: str, arrays: int, state: int, memory: float) -> str:
    """Which setting makes the largest part smaller."""
    if arrays > memory / 2:
        return f'the data take {arrays / GIB:.1f} GiB of it: set config.run.placement=host'
    if state > memory / 4:
        return (
            f'parameters and optimiser take {state / GIB:.1f} GiB of it: set config.run.model_axis '
            'to the number of chips that share a wide layer'
        )
    if program == 'train':
        return f'a batch takes most of it: lower train.batch_size, now {net.task.train.batch_size}'
    return 'a batch takes most of it: lower config.run.evaluation_batch_size'
