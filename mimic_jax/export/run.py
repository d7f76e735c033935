"""Writes a student as a file that runs without this package, checked against the trained net."""

import functools
import json
import time
from collections.abc import Callable
from pathlib import Path

import jax
import numpy as np

from mimic_jax.artifacts import store
from mimic_jax.data import batches
from mimic_jax.errors import UserError
from mimic_jax.export import differences, lasting
from mimic_jax.export import plan as exporting
from mimic_jax.export.plan import ExportPlan
from mimic_jax.mimic import ensemble, latency
from mimic_jax.models import absorb
from mimic_jax.ops.text import aligned
from mimic_jax.runtime import backend, files
from mimic_jax.training.session import Session

EXAMPLES = 1000  # the first test examples, at most so many, that the file is checked on
# Probabilities, or values over their deviation, may differ by this; ROUGH where factors are rounded.
EXACT, ROUGH = 1e-4, 1e-2


def run(session: Session, plan: ExportPlan) -> Path:
    """Writes the artifact `export-<id>`: the file of `exporting.FILES`, `export.json`, which describes it,
    and `weights.npz`, from which both are written anew (`lasting`).

    The file takes raw examples and gives probabilities or real values; see `exporting.serialize`. It is
    read back and run on test examples. It is refused where an answer lies further from the trained
    net's than the tolerance.

    Raises:
      UserError: the student is not trained yet, its file differs too much, or holds too much.
    """
    store.require(session.workdir, plan.net.recipe, plan.net.name, 'student')
    return store.make(
        session.workdir,
        plan.recipe,
        lambda folder: _write(folder, session, plan),
        session.progress.say,
    )


def summary(folder: Path) -> str:
    """What a finished export is, in lines for the terminal."""
    store.manifest(folder)
    facts = json.loads((folder / exporting.DESCRIPTION).read_text())
    parity = facts['parity']
    answers = 'values' if 'targets' in facts else 'probabilities'
    if 'targets' in facts:
        agree = 'in deviations of their target'
    else:
        same = parity['argmax_equal']
        agree = 'every answer is the same' if same else 'not every answer is the same'
    where = (
        f'ONNX of opset {facts["opset"]}'
        if facts['format'] == 'onnx'
        else f'for {", ".join(facts["platforms"])}'
    )
    lines = [
        f'{facts["student"]}, seed {facts["seed"]}: {facts["model"]}; {facts["bottleneck"]}',
        f'{parity["examples"]} test examples: {answers} within {parity["max_difference"]:.1e} of '
        f'the trained net, {agree} (tolerance {parity["tolerance"]:g})',
        '',
        _table(facts['latency']),
        '',
        f'{folder / exporting.FILES[facts["format"]]}, {facts["bytes"]:,} bytes, {where}: '
        f'{facts["input"]["dtype"]} [{", ".join(map(str, facts["input"]["shape"]))}] → '
        f'{answers} [b, {facts["num_classes"]}]',
        *([lasting.line(facts)] if facts['format'] == 'jax' else []),
    ]
    return '\n'.join(lines)


def _write(folder: Path, session: Session, plan: ExportPlan) -> dict:
    start = time.monotonic()
    data, task = session.data, plan.net.task
    counted = functools.partial(session.progress.count, f'exporting {plan.name}', total=3)
    variables = jax.device_get(ensemble.variables(session, plan.net))
    if plan.exported != task.net:
        variables = absorb.absorb_variables(variables)
    stats = jax.device_get(session.constants['inputs'])
    facts = {
        'student': plan.name,
        'seed': plan.net.seed,
        'model': plan.exported.name,
        'trained_model': plan.net.model,
        'bottleneck': plan.reason,
        'preprocess': task.preprocess,
        'num_classes': data.num_classes,
        'classes': plan.classes,
        **exporting.targets(data),
        'input': {
            'shape': ['b', *data.input_shape],
            'dtype': str(data.inputs.dtype),
            # (offset, scale) by column: features minus the offset, divided by the scale, are float32.
            **({'centre': data.centre.as_json()} if data.centre.columns else {}),
            **({'fit': data.fit} if data.fit != 'none' else {}),
        },
        'format': plan.format,
        **exporting.runs_on(plan.format),
        **lasting.facts(plan.exported),
    }
    content = exporting.serialize(
        *(plan.exported, task.preprocess, variables, stats, data.input_shape, data.inputs.dtype),
        *(plan.format, exporting.metadata(facts), data.scale),
    )
    path = folder / exporting.FILES[plan.format]
    path.write_bytes(content)
    call = exporting.load(path)
    counted(done=1)
    parity, inputs, answers = _parity(session, plan, call)
    lasting.write(folder, lasting.Kept(variables, stats, inputs, answers), data.scale)
    counted(done=2)
    latencies = _latency(session, plan, call)
    counted(done=3)
    facts |= {'parity': parity, 'latency': latencies, 'bytes': len(content)}
    text = json.dumps(facts, indent=1, allow_nan=False)
    files.write_atomically(folder / exporting.DESCRIPTION, text)
    return {'seconds': round(time.monotonic() - start, 3)}


def _parity(
    session: Session, plan: ExportPlan, call: Callable
) -> tuple[dict, np.ndarray, np.ndarray]:
    """How far the file's answers lie from those of the net's own evaluation.

    Returns that, the raw examples [n, ...] that were asked about, and the net's answers [n, K].
    """
    examples = session.data.splits['test'][:EXAMPLES]
    ids = session.placement.in_order(examples)
    import scipy.special  # slow to import, and most runs do without it

    expected, scale = ensemble.load(session, plan.net)(ids), session.data.scale
    expected = scipy.special.softmax(expected, axis=1) if scale is None else scale.restore(expected)
    inputs = batches.gather(session.data.arrays, {'index': examples})['inputs']
    found = exporting.ask(call, np.asarray(inputs))
    exact = plan.net.task.train.dtype == 'float32' and backend.is_cpu()
    tolerance = EXACT if exact else ROUGH
    parity = differences.measured(found, expected, tolerance, scale)
    difference, tolerance = parity['max_difference'], parity['tolerance']
    if not difference <= tolerance:  # NaN too
        answers = 'probabilities' if scale is None else 'values'
        raise UserError(
            f'the exported {plan.name} gives {answers} that differ from the trained net by '
            f'{difference:.1e}, more than {tolerance:g}; export it on a CPU, or report this'
        )
    return parity, inputs, expected


def _latency(session: Session, plan: ExportPlan, call: Callable) -> list[dict]:
    """Milliseconds a batch of the file, of one teacher and of all, where their folders are there."""
    rows = [('student, exported', plan.exported.name, latency.measure_call(session, call))]
    teachers = plan.teachers
    if teachers and all(store.is_complete(session.workdir / t.recipe.name) for t in teachers):
        rows.append(('one teacher', teachers[0].model, latency.measure(session, teachers[:1])))
        if len(teachers) > 1:
            name = f'ensemble of {len(teachers)}'
            rows.append((name, None, latency.measure(session, teachers)))
    return [
        {'name': name, 'model': model, 'milliseconds': measured} for name, model, measured in rows
    ]


def _table(rows: list[dict]) -> str:
    """The latencies as Markdown, its columns aligned."""
    sizes = list(rows[0]['milliseconds'])
    cells = [
        ['', *(f'batch {size}, ms' for size in sizes)],
        *([row['name'], *(f'{row["milliseconds"][size]:.2f}' for size in sizes)] for row in rows),
    ]
    return aligned(cells)
