"""What every experiment would take on accelerators, at its full size: planned without one, not measured.

    python benchmarks/accelerators_planned.py --json=results/accelerators_planned.json

Each experiment has its teacher and its student whose training takes the most FLOPs, on one v5e,
eight v5e, v5p-8 (four chips) and one H100. A row is a call of a net: a training step, or a batch of
labelling or evaluation. `memory`, `flops`, `traffic` and `exchanged` are those of one chip;
`milliseconds` is the least that the chip's rates allow, `hours` the least of all such calls.
`compiled` rows are figures of the TPU's compiler. The other rows are lowered only, with the least
memory and traffic that their arrays take. Compiling takes minutes a net: `--seconds` bounds it,
rows that were compiled before are kept, and `--experiments` names some. Data sets are stand-ins
with the real ones' shapes, as in tests/artifact_names.py.
"""

import argparse
import dataclasses
import json
import sys
import time
from pathlib import Path

import record

ROOT = Path(__file__).parent.parent
sys.path[:0] = [str(ROOT / 'tests'), str(ROOT)]

import artifact_names  # noqa: E402

from mimic_jax.config import experiment as experiments  # noqa: E402
from mimic_jax.data.placement import Placement  # noqa: E402
from mimic_jax.errors import UserError  # noqa: E402
from mimic_jax.ops.text import aligned  # noqa: E402
from mimic_jax.planning import collect as plans  # noqa: E402
from mimic_jax.planning import compiled_for  # noqa: E402
from mimic_jax.runtime import backend, targets  # noqa: E402
from mimic_jax.search import from_study, trials  # noqa: E402

TARGETS = {
    'v5e-1': 'tpu:v5e:1x1',
    'v5e-8': 'tpu:v5e:2x4',
    'v5p-8': 'tpu:v5p:2x2x1',
    'H100': 'cuda:h100',
}
EXPERIMENTS = sorted(path.stem for path in (ROOT / 'experiments').glob('*.py'))


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--seconds', type=float, default=0.0, help='to compile for at most')
    parser.add_argument('--experiments', nargs='*', default=EXPERIMENTS, choices=EXPERIMENTS)
    parser.add_argument('--json', type=Path)
    arguments = parser.parse_args()
    rows = {key(row): row for row in recorded(arguments.json)}
    end = time.monotonic() + arguments.seconds
    for compiling in (False, True):
        for target in TARGETS:
            for experiment in arguments.experiments:
                for row in planned(experiment, target, compiling, rows, end):
                    rows[key(row)] = row
                    if arguments.json:
                        save(arguments.json, rows)
    print(table(list(rows.values())))


def planned(experiment: str, name: str, compiling: bool, rows: dict, end: float):
    """The rows of an experiment on a target that are not among `rows` yet."""
    target = targets.parse(TARGETS[name])
    if compiling and target.chip.platform != 'tpu':
        return
    plan, data, run = of(experiment)
    for net in dearest(plan):
        there = [
            row for row in rows.values() if (row['experiment'], row['target']) == (experiment, name)
        ]
        there = [row for row in there if row['net'] == net.model]
        if there and (not compiling or all(row['compiled'] for row in there)):
            continue
        if compiling and time.monotonic() > end:
            return
        start = time.monotonic()
        try:
            with backend.compiling_for(target.backend):
                mesh = (target.mesh if compiling else target.abstract_mesh)(run.model_axis)
                costs = list(compiled_for.costs_of([net], plan, Placement(data, run, mesh), target))
        except UserError as error:
            sys.exit(str(error))
        print(f'{experiment}, {name}: {net.model}, {time.monotonic() - start:.0f} s', flush=True)
        for cost in costs:
            yield as_row(experiment, name, net.model, cost)


def of(experiment: str):
    """(plan, data, run) of an experiment at its full size."""
    checked = experiments.read(artifact_names.module(experiment).get_config(''))
    data = artifact_names.divided(checked.data)
    members = checked.members
    if any(member.from_study.rank for member in members.values()):
        search = checked.search
        members = (
            trials.with_stand_ins(members, search)
            if search.kind == 'member'
            else artifact_names._members(checked)
        )
    students = from_study.known(checked.students)
    checked = dataclasses.replace(checked, members=members, students=students)
    return plans.make(checked, data), data, checked.run


def dearest(plan) -> list:
    """The teacher and the student whose training takes most, and the student with most parameters."""
    students = [seeds[0] for seeds in plan.students.values()]
    members = list(plan.members.values())
    found = [max(group, key=lambda net: net.work) for group in (members, students) if group]
    if students:
        found.append(max(students, key=lambda net: net.parameters))
    return list({net.task: net for net in found}.values())


def as_row(experiment: str, target: str, model: str, cost) -> dict:
    return {
        'experiment': experiment,
        'target': target,
        'net': model,
        'call': cost.program,
        'compiled': cost.compiled,
        'memory': round(cost.memory),
        'fits': not cost.advice,
        'advice': cost.advice,
        'flops': figure(cost.flops),
        'traffic': figure(cost.traffic),
        'exchanged': sum(cost.exchanged.values()),
        'milliseconds': figure(1e3 * cost.seconds),
        'hours': figure(cost.seconds * cost.calls / 3600),
    }


def figure(value: float) -> float | None:
    return float(f'{value:.3g}') if value == value else None


def key(row: dict) -> tuple:
    return tuple(row[name] for name in ('experiment', 'target', 'net', 'call'))


def recorded(path: Path | None) -> list[dict]:
    return json.loads(path.read_text())['rows'] if path and path.exists() else []


def save(path: Path, rows: dict) -> None:
    record.save(path, sorted(rows.values(), key=key), planned='not measured')


def table(rows: list[dict]) -> str:
    """Hours at least of the training of each experiment's dearest nets, by target; * where compiled."""
    lines = [['experiment', 'net', *TARGETS]]
    for experiment, net in sorted({(row['experiment'], row['net']) for row in rows}):
        cells = []
        for target in TARGETS:
            found = [
                row
                for row in rows
                if (row['experiment'], row['net'], row['target']) == (experiment, net, target)
                and row['call'] == 'train'
            ]
            cells.append(cell(found[0]) if found else '')
        lines.append([experiment, net, *cells])
    return aligned(lines)


def cell(row: dict) -> str:
    mark = '\\*' if row['compiled'] else ''
    gib = row['memory'] / targets.GIB
    size = f'{gib:.2g} GiB' if gib >= 0.1 else f'{1024 * gib:.2g} MiB'
    if not row['fits'] or row['hours'] is None:
        return f'{size}, does not fit{mark}'
    seconds = 3600 * row['hours']
    if seconds < 60:
        return f'{size}, ' + (f'{seconds:.0f} s' if seconds >= 1 else '< 1 s') + mark
    return (
        f'{size}, '
        + (f'{seconds / 60:.2g} min' if seconds < 3600 else f'{row["hours"]:.1f} h')
        + mark
    )


if __name__ == '__main__':
    main()
