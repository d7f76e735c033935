"""Puts the numbers of an experiment together: rows, table, figures."""

import datetime
import json
import os
import platform
from collections.abc import Sequence
from pathlib import Path

import jax

from mimic_jax.artifacts import store
from mimic_jax.config.experiment import Experiment
from mimic_jax.mimic import latency
from mimic_jax.mimic.plan import Plan
from mimic_jax.reporting import figures, grids, html_report, tables
from mimic_jax.reporting.answers import Answers, chosen_rows
from mimic_jax.reporting.settings import Report, Row
from mimic_jax.runtime import interrupt
from mimic_jax.search import trials
from mimic_jax.search.settings import Search
from mimic_jax.speech import timit_splits
from mimic_jax.speech.decode_plan import DecodePlan
from mimic_jax.training.session import Session


def run(session: Session, plan: Plan, checked: Experiment, experiment: str, command: str) -> dict:
    """Writes report.json, .md and .html and figures to `<workdir>/<experiment>/`; returns the report."""
    report = checked.report
    for net in plan.nets():
        store.require(session.workdir, net.evaluation, f'the evaluation of {net.name}', 'evaluate')
    for own in plan.own_teachers():
        store.require(session.workdir, own.evaluation, f'what {own.name} says', 'evaluate')
    for baseline in plan.baselines.values():
        store.require(session.workdir, baseline.recipe, baseline.name, 'baseline')
    for decoding in _decodings(plan):
        store.require(
            session.workdir, decoding.recipe, f'the decoding of {decoding.name}', 'decode'
        )
    answers = Answers(session, plan, report)
    chosen = list(chosen_rows(plan, report))
    rows = [made for name, row in chosen for made in answers.rows(name, row)]
    timings = []
    for number, (_, row) in enumerate(chosen, 1):
        interrupt.check()
        decodings = plan.decodings.get(row.source, ())
        timings.append(_timings(session, report, answers, row, decodings))
        session.progress.count('timing answers', number, len(chosen))
    folder = session.workdir / experiment
    folder.mkdir(parents=True, exist_ok=True)
    costs = _costs(session, plan, checked.search)
    result = {
        'experiment': experiment,
        'rows': rows,
        'timings': timings,
        **({'grid': grids.make(report, rows)} if report.grid else {}),
        **({'by_members': answers.by_members()} if report.by_members else {}),
        'command': command,
        'machine': machine(),
        'seconds': round(sum(cost['seconds'] for cost in costs.values()), 1),
        'date': datetime.date.today().isoformat(),
        'costs': costs,
        'data': {
            'examples': {name: len(rows) for name, rows in session.data.splits.items()},
            'unlabelled_removed': session.data.removed,  # equal to a validation or test image
            **_spoken(session, checked.data.split),
        },
    }
    store.write_atomically(folder / 'report.json', json.dumps(result, indent=1))
    names = figures.draw(
        session, plan, report, result, answers.ensemble_accuracy('validation'), folder
    )
    store.write_atomically(folder / 'report.md', tables.page(result, names))
    pictures = [folder / name for name in names]
    page = html_report.page(session, plan, checked, result, answers, pictures)
    store.write_atomically(folder / 'report.html', page)
    return result


def _decodings(plan: Plan) -> list[DecodePlan]:
    return [decoding for seeds in plan.decodings.values() for decoding in seeds]


def _timings(
    session: Session, report: Report, answers: Answers, row: Row, decodings: Sequence[DecodePlan]
) -> dict:
    """What a row's nets or baseline took to train, in seconds, and nets to answer, in milliseconds.

    Of speech, Viterbi's real-time factor too, the mean over the seeds.
    """
    factors = [
        store.manifest(session.workdir / decoding.recipe.name)['real_time_factor']
        for decoding in decodings
    ]
    speech = {'real_time_factor': sum(factors) / len(factors)} if factors else {}
    seconds, nets, milliseconds = answers.training_seconds(row), answers.nets(row), None
    if report.latency and row.absorbed:
        milliseconds = latency.measure_absorbed(session, *nets)
    elif report.latency and nets:
        milliseconds = latency.measure(session, nets)
    return {
        'training_seconds': None if seconds is None else round(seconds, 1),
        'milliseconds': milliseconds,
        **speech,
    }


def _costs(session: Session, plan: Plan, search: Search) -> dict:
    """Seconds and bytes of every phase's artifacts, however many sittings they took.

    Of a search they are its trials' that are in this workdir; those that it chose count there alone.
    """
    recipes = {
        'align': [each for a in plan.alignments for each in (a.net.recipe, a.recipe)],
        'teacher': [net.recipe for net in plan.members.values()],
        'logits': [cache.recipe for cache in plan.caches.values()],
        'student': [net.recipe for nets in plan.students.values() for net in nets],
        'baseline': [baseline.recipe for baseline in plan.baselines.values()],
        'evaluate': [each.evaluation for each in (*plan.nets(), *plan.own_teachers())],
        'decode': [decoding.recipe for decoding in _decodings(plan)],
    }
    for phase in ('align', 'baseline', 'decode'):  # that few experiments have
        if not recipes[phase]:
            del recipes[phase]
    named = {phase: {recipe.name for recipe in group} for phase, group in recipes.items()}
    if search.kind:
        here = {
            name
            for name in trials.trained(search, session.workdir)
            if store.is_complete(session.workdir / name)
        }
        named = {'search': here, **{phase: names - here for phase, names in named.items()}}
    return {phase: _cost(session.workdir, names) for phase, names in named.items()}


def _cost(workdir: Path, names: set[str]) -> dict:
    folders = [workdir / name for name in sorted(names)]
    return {
        'artifacts': [folder.name for folder in folders],
        'seconds': round(sum(store.manifest(folder)['seconds'] for folder in folders), 1),
        'bytes': sum(_size(folder) for folder in folders),
    }


def _spoken(session: Session, split: str) -> dict:
    """Of speech, its utterances and speakers by split, and the bad utterances left out.

    With the official split, `not_timits` has a line on each figure that is not the whole TIMIT's.
    """
    data = session.data
    if data.speech is None:
        return {}
    everything = data.speech.utterances
    speakers = {
        name: sorted({everything[position].speaker for position in chosen})
        for name, chosen in data.utterances.items()
    }
    mismatches: list[str] = []
    if split == 'official':
        sequences = [spoken.phones for spoken in everything]
        timit_splits.check_figures(data.utterances, everything, sequences, mismatches.append)
    return {
        'utterances': {name: len(chosen) for name, chosen in data.utterances.items()},
        'speakers': speakers,
        'bad_utterances': len(data.speech.bad),
        'not_timits': mismatches,
    }


def _size(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob('*') if path.is_file())


def machine() -> str:
    """The hardware in words: devices, cores, Python and jax."""
    device = jax.devices()[0]
    return (
        f'{jax.device_count()} × {device.device_kind} ({device.platform}), '
        f'{os.cpu_count()} CPU cores ({platform.machine()}), Python {platform.python_version()}, '
        f'jax {jax.__version__}'
    )
