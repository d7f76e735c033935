"""Tables of what a command will make: what is there already, and what the rest takes."""

import dataclasses
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from pathlib import Path

from mimic_jax.artifacts import store
from mimic_jax.data.placement import Placement
from mimic_jax.mimic.plan import Plan
from mimic_jax.ops.text import fitted, with_prefix
from mimic_jax.planning import artifacts, compiled_for, machine
from mimic_jax.planning.artifacts import Work
from mimic_jax.planning.compiled_for import Cost
from mimic_jax.planning.machine import Machine
from mimic_jax.runtime import targets
from mimic_jax.search.stand_ins import StandIn
from mimic_jax.training.plan import NetPlan
from mimic_jax.training.session import Session


def of_artifacts(
    session: Session,
    plan: Plan,
    trials: tuple[int, NetPlan] | None,
    standing: Mapping[str, StandIn] | None = None,
    searched: Mapping[str, StandIn] | None = None,
    columns: int | None = None,
) -> str:
    """A table of the plan's artifacts and, below it, what the missing ones take together.

    trials: of a search, how many there will be at most, and the net in the middle of its space.
    standing: members of the plan that stand for nets that a study has yet to find. Their nets and
    answers are left out; what reads them has no name yet.
    searched: students that a study has yet to find. Those in the plan stand for nets of the search,
    which trains them; their answers are counted.  columns: of text, at most.
    """
    here = machine.measure()
    works, unnamed = _counted(plan, session.placement, standing or {}, searched or {})
    there = {work.recipe.name: _there(session.workdir, work) for work in works}
    table = [['artifact', 'what', '', 'FLOP', 'on disk', 'device memory', 'time here']]
    for work in works:
        done = there[work.recipe.name]
        table.append(
            [
                *('–' if work.recipe.name in unnamed else work.recipe.name, work.what),
                'there' if done else 'to make',
                with_prefix(work.flops),
                _size(_on_disk(session.workdir, work) if done else work.disk),
                _size(work.memory),
                '' if done else _time(_seconds(work, here)),
            ]
        )
    missing = [work for work in works if not there[work.recipe.name]]
    text = [fitted(table, columns, below='artifact'), '', _total(missing, len(works), here)]
    unplanned = {name: each for name, each in (searched or {}).items() if not each.typical}
    text += [*_left_out(standing or {}), *_left_out(unplanned)]
    if trials:
        text.append(_of_search(*trials, session.placement, here))
    return '\n'.join(text)


def of_calls(
    session: Session,
    plan: Plan,
    name: str,
    columns: int | None = None,
    unknown: Collection[str] = (),
) -> str:
    """A table of what each net's calls take on a target, a chip's share of it.

    name: of the target, as --compile_for has it.  columns: of text, at most.
    unknown: members that are left out.

    Raises:
      UserError: no such target, or libtpu is not installed.
    """
    target = targets.parse(name)
    placement = Placement(session.data, session.run, target.mesh(session.run.model_axis))
    found = []
    for cost in compiled_for.costs(plan, placement, target, unknown):
        session.progress.say(f'{cost.program} {cost.net}: {_size(cost.memory)}')
        found.append(cost)
    return table_for(found, target, columns)


def table_for(costs: Sequence[Cost], target: targets.Target, columns: int | None = None) -> str:
    how = 'compiled' if costs and costs[0].compiled else 'lowered, the least that arrays take'
    lines = [
        f'{target.name}: {target.chips} chips of {_size(target.chip.memory)}; {how}; planned, not measured',
        '',
    ]
    table = [
        ['call', 'net', 'memory', 'fits', 'FLOP', 'traffic', 'exchanged', 'a call at least', 'all']
    ]
    for cost in costs:
        table.append(
            [
                *(cost.program, cost.net, _size(cost.memory), 'no' if cost.advice else 'yes'),
                *(
                    with_prefix(cost.flops),
                    _size(cost.traffic),
                    _size(sum(cost.exchanged.values())),
                ),
                *(f'{1e3 * cost.seconds:.3g} ms', _time(cost.seconds * cost.calls)),
            ]
        )
    lines.append(fitted(table, columns, below='net'))
    lines += [
        f'{cost.program} {cost.net} does not fit: {cost.advice}' for cost in costs if cost.advice
    ]
    return '\n'.join(lines)


def _counted(
    plan: Plan,
    placement: Placement,
    standing: Mapping[str, StandIn],
    searched: Mapping[str, StandIn],
) -> tuple[list[Work], set[str]]:
    """Each artifact once, without stand-ins, and the names that depend on what a study has to find."""
    found, unnamed = {}, {plan.members[name].recipe.name for name in standing}
    answers = {net.evaluation.name for net in plan.asked() if net.recipe.name in unnamed}
    students = [plan.students[name] for name in searched if name in plan.students]
    unnamed |= {net.recipe.name for seeds in students for net in seeds}
    left_out = set(unnamed)
    unknown = {name for name, each in standing.items() if not each.typical}
    nets = {plan.members[name].recipe.name for name in unknown}
    for work in artifacts.works(plan, placement):
        recipe = work.recipe
        if recipe.name in left_out | answers:
            continue
        if nets.intersection(recipe.reads):
            work = dataclasses.replace(work, flops=None, memory=None)
        if unnamed.intersection(recipe.reads):
            unnamed.add(recipe.name)
        # Stand-ins are equal, and the nets that they stand for are not.
        found.setdefault(work.what if recipe.name in unnamed else recipe.name, work)
    return list(found.values()), unnamed


def _left_out(standing: Mapping[str, StandIn]) -> list[str]:
    """A line for each reason that nets are not known."""
    reasons = defaultdict(list)
    for name, each in standing.items():
        reasons[each.why].append(name)
    return [
        f'not counted: {", ".join(names)}, from a study ({why})' for why, names in reasons.items()
    ]


def _there(workdir: Path, work: Work) -> bool:
    return store.is_complete(workdir / work.recipe.name)


def _on_disk(workdir: Path, work: Work) -> int:
    files = (workdir / work.recipe.name).rglob('*')
    return sum(path.stat().st_size for path in files if path.is_file())


def _seconds(work: Work, here: Machine) -> float | None:
    return None if work.flops is None else here.seconds(work.flops, work.traffic)


def _total(missing: Sequence[Work], count: int, here: Machine) -> str:
    known = [_seconds(work, here) for work in missing if work.flops is not None]
    unknown = len(missing) - len(known)
    beside = f', {unknown} of them of unknown time' if unknown else ''
    return (
        f'{len(missing)} of {count} artifacts are to be made{beside}: '
        f'{with_prefix(_sum(work.flops for work in missing))}FLOP, '
        f'{_size(_sum(work.disk for work in missing))} on disk, {_time(sum(known))} here, by '
        f'{with_prefix(here.products)}FLOP/s of a matrix product and '
        f'{with_prefix(here.memory)}B/s of memory, measured now'
    )


def _of_search(count: int, net: NetPlan, placement: Placement, here: Machine) -> str:
    work = artifacts.trained(net, placement)
    return (
        f'a search before it: at most {count} trials, each about as {net.model} '
        f'({with_prefix(work.flops)}FLOP), {_time(count * _seconds(work, here))} here'
    )


def _sum(values: Iterable[float | None]) -> float:
    return sum(value or 0 for value in values)


def _size(value: float | None) -> str:
    if value is None or value != value:
        return '?'
    for unit in ('B', 'KiB', 'MiB', 'GiB', 'TiB'):
        if value < 1024 or unit == 'TiB':
            return f'{value:,.0f} {unit}' if value >= 100 or unit == 'B' else f'{value:.3g} {unit}'
        value /= 1024


def _time(seconds: float | None) -> str:
    if seconds is None or seconds != seconds:
        return '?'
    if seconds < 60:
        return f'{seconds:.2g} s'
    minutes = round(seconds / 60)
    hours, rest = divmod(minutes, 60)
    days, left = divmod(hours, 24)
    return (
        f'{days} d {left} h' if days else f'{hours} h {rest:02d} min' if hours else f'{minutes} min'
    )
