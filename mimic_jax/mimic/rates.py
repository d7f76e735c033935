"""The largest learning rate at which each net is stable at its start, and short trials around it."""

import dataclasses
import json
import tempfile
from collections.abc import Iterable
from pathlib import Path

import jax
import jax.numpy as jnp

from mimic_jax.artifacts import store
from mimic_jax.data import batches, kinds, mixing
from mimic_jax.data.dataset import drawn_part
from mimic_jax.errors import NotFinite, UserError
from mimic_jax.mimic import students
from mimic_jax.mimic.plan import Plan
from mimic_jax.ops import text
from mimic_jax.runtime import console, files, hosts
from mimic_jax.training import curvature, fitting, loop, metrics_log
from mimic_jax.training.plan import NetPlan, Targets
from mimic_jax.training.session import Session
from mimic_jax.training.train_step import create_train_state

STEPS = 200  # of a trial; fewer than an epoch's where an epoch is longer
AROUND = (0.1, 0.3, 1.0)  # the trials' rates over the largest stable one


def check() -> None:
    """UserError where several processes were started."""
    if hosts.count() > 1:
        raise UserError('--phase=rates is for one process; leave --distributed out')


def run(session: Session, plan: Plan, folder: Path) -> Path:
    """Prints a line a net and writes them to `rates.json` in `folder`, whose path is returned.

    A line has the largest eigenvalue of the net's Gauss–Newton matrix at its start, on its first batch;
    the largest learning rate at which its optimiser is stable there; and for three rates around that one
    its validation accuracy, or R², after about 200 steps with its own settings. Nets that differ only in
    their seed are tried once. A student without its logit cache is not tried. Nor are nets without such
    a bound: those of other optimisers than SGD, and those with groups that have rates of their own. What
    the file holds already is not computed again.
    """
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / 'rates.json'
    known = {row['trial']: row for row in _read(path)}
    rows = []
    for net in _different(plan.nets()):
        trial = f'{net.recipe.name}, {STEPS} steps'
        ready = net.cache is None or store.is_complete(session.workdir / net.cache.recipe.name)
        row = known.get(trial)
        if row is None or (ready and not row.get('ready')):
            row = {'trial': trial, 'ready': ready, **_row(session, net, ready)}
        rows.append(row)
        kept = [other for name, other in known.items() if name not in {r['trial'] for r in rows}]
        files.write_atomically(path, json.dumps([*rows, *kept], indent=1) + '\n')
    print(_table(rows))
    return path


def _different(nets: Iterable[NetPlan]) -> list[NetPlan]:
    """The first of the nets that differ only in their seed."""
    found = {}
    for net in nets:
        found.setdefault((net.task, net.cache), net)
    return list(found.values())


def _row(session: Session, net: NetPlan, ready: bool) -> dict:
    train, trials, eigenvalue = net.task.train, [], None
    short = _shortened(net)
    targets = _targets(session, net, ready)
    loss = net.task.loss
    if ready or 'standardised_logits' not in {loss.kind, *(t.kind for t in loss.terms.values())}:
        eigenvalue = _eigenvalue(session, net, targets)
    metric = f'validation_{kinds.of(session.data.labels).metric}'
    limit = curvature.limit(train.momentum, train.nesterov)
    # Other optimisers have no such bound: their steps do not grow with the gradient. Nor have groups
    # with rates of their own: the eigenvalue is for one rate of all parameters.
    bounded = train.optimizer == 'sgd' and all(group.rate == 1 for group in train.groups.values())
    largest = limit / eigenvalue if eigenvalue and bounded else None
    if ready and largest:
        for factor in AROUND:
            rate = float(f'{factor * largest:.2g}')
            score = _trial(session, short, rate, targets)
            trials.append({'learning_rate': rate, metric: score})
    return {
        'name': net.name,
        'model': net.model,
        'target': 'logits' if net.cache else 'labels',
        'learning_rate': train.learning_rate,
        'clip_norm': train.clip_norm,
        'eigenvalue': eigenvalue,
        'largest_stable_rate': largest,
        'steps': short.task.steps,
        'trials': trials,
    }


def _targets(session: Session, net: NetPlan, ready: bool) -> Targets:
    if ready:
        return students.targets(session, net)
    return Targets(view_seed=net.cache.views.seed)


def _eigenvalue(session: Session, net: NetPlan, targets: Targets) -> float:
    constants = jax.tree.map(jnp.array, {**session.constants, **targets.constants})
    state = create_train_state(
        net.task, session.data.input_shape, net.seed, targets.view_seed, constants
    )
    state = fitting.fitted(state, session.data, net.examples)
    size = net.task.train.batch_size
    ids = [next(batches.epoch(net.examples, size, net.seed, 0))]
    (ids,) = mixing.with_partners(ids, net.task.views, targets.view_seed, 0, net.partners)
    batch = batches.gather(session.data.arrays, {**ids, 'view': jnp.int32(0)})
    return curvature.largest_eigenvalue(state, batch)


def _shortened(net: NetPlan) -> NetPlan:
    """The net with a training of about 200 steps, on as many of its examples as these read."""
    size = net.task.train.batch_size
    part = min(1.0, STEPS * size / len(net.examples))
    examples = drawn_part(net.examples, part, net.seed)
    whole = batches.steps(len(examples), size)
    epochs = -(-STEPS // whole)
    train = dataclasses.replace(net.task.train, epochs=epochs)
    task = dataclasses.replace(net.task, train=train, steps=epochs * whole)
    return dataclasses.replace(net, task=task, examples=examples)


def _trial(session: Session, net: NetPlan, rate: float, targets: Targets) -> float | None:
    """Validation score of the net that a short training at this rate keeps; None: it diverged."""
    train = dataclasses.replace(net.task.train, learning_rate=rate)
    net = dataclasses.replace(
        net, name=f'{net.name} at {rate:g}', task=dataclasses.replace(net.task, train=train)
    )
    session = dataclasses.replace(session, boards=None)  # a trial is none of the experiment's runs
    with tempfile.TemporaryDirectory(dir=session.workdir) as folder:
        try:
            loop.run(Path(folder), net, targets, session)
        except NotFinite:
            return None
        records = metrics_log.read(Path(folder))
    return metrics_log.score(metrics_log.of_kept(records, train))


def _read(path: Path) -> list[dict]:
    if not path.is_file():
        return []
    try:
        return json.loads(path.read_text())
    except ValueError:
        raise UserError(f'{path} is no JSON; remove it and run again') from None


def _table(rows: list[dict]) -> str:
    head = ['net', 'its rate', 'largest stable']
    head += [f'at {factor:g} of it, %' for factor in AROUND]
    return text.fitted([head, *map(_cells, rows)], console.width())


def _cells(row: dict) -> list[str]:
    found = [
        f'{trial["learning_rate"]:g}: '
        + ('diverged' if (part := metrics_log.score(trial)) is None else f'{100 * part:.1f}')
        for trial in row['trials']
    ]
    stable = row['largest_stable_rate']
    return [
        f'{row["name"].partition(",")[0]}, {row["model"]}, on {row["target"]}',
        f'{row["learning_rate"]:g}' + (', clipped' if row['clip_norm'] else ''),
        f'{stable:.2g}' if stable else '–',
        *(found or ['–'] * len(AROUND)),
    ]
