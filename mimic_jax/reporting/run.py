"""The report of an experiment: rows, table, figures."""

import datetime
import functools
import hashlib
import json
import os
import platform
from pathlib import Path

import jax

from mimic_jax.artifacts import store
from mimic_jax.data import sources
from mimic_jax.data.dataset import Dataset
from mimic_jax.mimic import latency
from mimic_jax.mimic.plan import Plan
from mimic_jax.reporting import (
    caches,
    costs,
    figures,
    grids,
    html_provenance,
    html_report,
    tables,
    work,
)
from mimic_jax.reporting.answers import Answers
from mimic_jax.reporting.part import PLAIN, Part, Searched
from mimic_jax.reporting.settings import Report, Row
from mimic_jax.runtime import files, interrupt
from mimic_jax.training import boards, metrics_log
from mimic_jax.training.session import Session

PAGES = ('report.html', 'report.md')  # what a run names at its end
DRAWN = 'drawn'  # of report.json: what was written beside it, and by which code


def run(
    session: Session,
    plan: Plan,
    settings: Report,
    experiment: str,
    command: str,
    config: object,
    searched: Searched | None = None,
    part: Part | None = None,
    anew: bool = True,
) -> dict:
    """Writes report.json, .md and .html and figures to `<workdir>/<experiment>/`; returns the report.

    config: a dataclass of all settings, to be printed.  searched: what a search adds.  part: what the
    kind of data adds to the report.  anew: False leaves the pages and figures that an earlier run of the
    same code drew from the same report.
    """
    part = part or PLAIN
    _check(session, plan, part)
    answers = Answers(session, plan, settings, part)
    folder = session.workdir / experiment
    folder.mkdir(parents=True, exist_ok=True)
    result = {'experiment': experiment, 'command': command}
    result |= _content(answers, config, searched)
    result = json.loads(json.dumps(result))  # as a reader of the file has it
    before = None if anew else _drawn(folder, result)
    if before:
        return before
    watch = functools.partial(session.progress.count, 'writing the report')
    watch(0, 3)
    _measure(answers, result['timings'])
    watch(1, 3)
    result = json.loads(json.dumps(result))  # JSON turns batch sizes, which are keys, into text
    files.write_atomically(folder / 'report.json', json.dumps(result, indent=1))
    for net in plan.nets() if session.boards else ():
        artifact = session.workdir / net.recipe.name
        boards.copy(session.boards, net, artifact, metrics_log.read(artifact))
    names = figures.draw(answers, result, folder, searched)
    watch(2, 3)
    files.write_atomically(folder / 'report.md', tables.page(result, names))
    page = html_report.page(answers, result, [folder / name for name in names], config, searched)
    files.write_atomically(folder / 'report.html', page)
    drawn = {DRAWN: {'files': [*names, *PAGES], 'code': _code()}}
    files.write_atomically(folder / 'report.json', json.dumps(result | drawn, indent=1))
    watch(3, 3)
    return result


def _content(answers: Answers, config: object, searched: Searched | None) -> dict:
    """The content of report.json, without answering times, which are measured later."""
    session, plan, settings, part = answers.session, answers.plan, answers.settings, answers.part
    rows = [made for name, row in answers.chosen for made in answers.rows(name, row)]
    spent = costs.by_phase(session.workdir, plan, part, searched and searched.artifacts)
    return {
        'rows': rows,
        'timings': [_timings(answers, row) for _, row in answers.chosen],
        **({'grid': grids.make(settings, rows)} if settings.grid else {}),
        **({'by_members': answers.by_members()} if settings.by_members else {}),
        'machine': machine(),
        'seconds': round(sum(cost['seconds'] for cost in spent.values()), 1),
        'date': datetime.date.today().isoformat(),
        'costs': spent,
        'caches': caches.facts(session, plan),
        **({'search': {'trials': searched.count, 'best': searched.best}} if searched else {}),
        'warnings': _warnings(session, plan),
        'artifacts': _artifacts(session.workdir, plan, part),
        'settings': html_provenance.flat(config),
        'students': {
            name: {'artifacts': [net.recipe.name for net in seeds]}
            for name, seeds in plan.students.items()
        },
        'data': _data(session.data, config),
    }


def _data(data: Dataset, config: object) -> dict:
    return {
        'examples': {name: len(rows) for name, rows in data.splits.items()},
        'unlabelled_removed': data.removed,  # equal to a validation or test image
        'inputs': data.described(),
        'scaled': sources.SCALED.get(config.data.name, ''),
        **data.facts(),
    }


def _drawn(folder: Path, result: dict) -> dict | None:
    """The report that an earlier run wrote, where its pages and figures are there and all else is equal.

    The date and the measured milliseconds, which `result` lacks, are the earlier run's.
    """
    try:
        before = json.loads((folder / 'report.json').read_text())
        drawn = before.pop(DRAWN)
        timings = [{**timing, 'milliseconds': None} for timing in before['timings']]
        same = {**before, 'date': result['date'], 'timings': timings} == result
        there = all((folder / name).is_file() for name in drawn['files'])
        return before if same and there and drawn['code'] == _code() else None
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None  # such as a report of an earlier version


@functools.cache
def _code() -> str:
    """A digest of the package's source: other code may draw another page."""
    total = hashlib.sha256()
    for path in sorted(Path(__file__).parents[1].rglob('*.py')):
        total.update(path.read_bytes())
    return total.hexdigest()


def _artifacts(workdir: Path, plan: Plan, part: Part) -> dict[str, str]:
    """All artifacts that the experiment was made of, and what each is; '' for data."""
    here = workdir.resolve()
    used = {folder.name: '' for folder in store.opened if folder.parent == here}
    groups = costs.made(plan, part).values()
    return used | {recipe.name: what for group in groups for what, recipe in group}


def _check(session: Session, plan: Plan, part: Part) -> None:
    """Raises UserError where an artifact that the report reads is not there."""
    for net in plan.asked():
        store.require(session.workdir, net.evaluation, f'the evaluation of {net.name}', 'evaluate')
    for teacher in plan.external_teachers():
        store.require(
            session.workdir, teacher.evaluation, f'the evaluation of {teacher.name}', 'evaluate'
        )
    for baseline in plan.baselines.values():
        store.require(session.workdir, baseline.recipe, baseline.name, 'baseline')
    part.check()


def _warnings(session: Session, plan: Plan) -> list[str]:
    """The caches' warnings, from comparing a teacher's answers with known labels."""
    folders = [session.workdir / cache.recipe.name for cache in plan.caches.values()]
    # An ensemble's row needs no cache, which may not be made yet.
    complete = [folder for folder in folders if store.is_complete(folder)]
    return [line for folder in complete for line in store.manifest(folder).get('warnings', ())]


def _timings(answers: Answers, row: Row) -> dict:
    """What a row's nets or baseline cost: seconds and FLOPs of training, and layers in sequence.

    How long they take to answer is measured later.
    """
    seconds = answers.training_seconds(row)
    layers = answers.sequential_layers(row)
    return {
        'training_seconds': None if seconds is None else round(seconds, 1),
        'milliseconds': None,
        **({} if layers is None else {'sequential_layers': layers}),
        **work.of_row(answers, row),
        **answers.part.timing(row),
    }


def _measure(answers: Answers, timings: list[dict]) -> None:
    """Fills in the milliseconds that each row's nets take to answer, where the report has them."""
    if not answers.settings.latency:
        return
    for number, (timing, (_, row)) in enumerate(zip(timings, answers.chosen, strict=True), 1):
        interrupt.check()
        timing['milliseconds'] = _milliseconds(answers, row)
        answers.session.progress.count('timing answers', number, len(timings))


def _milliseconds(answers: Answers, row: Row) -> dict | None:
    nets = answers.nets(row)
    if row.absorbed:
        return latency.measure_absorbed(answers.session, *nets)
    return latency.measure(answers.session, nets) if nets else None


def machine() -> str:
    """The hardware in words: devices, cores, Python and jax."""
    device = jax.devices()[0]
    return (
        f'{jax.device_count()} × {device.device_kind} ({device.platform}), '
        f'{os.cpu_count()} CPU cores ({platform.machine()}), Python {platform.python_version()}, '
        f'jax {jax.__version__}'
    )
