"""Gathers the reports of finished experiments, such as a sweep's, into one."""

import fnmatch
import itertools
import json
import textwrap
from collections.abc import Mapping, Sequence
from pathlib import Path

from mimic_jax.artifacts import store
from mimic_jax.errors import UserError
from mimic_jax.ops.text import aligned, fitted
from mimic_jax.reporting import (
    curves,
    html_page,
    html_plots,
    html_results,
    measures,
    sweeps,
    tables,
)
from mimic_jax.reporting.measures import Measure
from mimic_jax.reporting.terminal import SPARED
from mimic_jax.runtime import files

CSV = 'report.csv'  # only a gathered report has one
PAGES = (CSV, 'report.html', 'report.md')  # what is named at the end
KEYS = ('rows', 'seconds', 'date', 'costs')  # of a report.json that are read here
MORE = ('settings', 'students')  # a report of an earlier version lacks them


def run(
    workdir: Path, names: Sequence[str], command: str, name: str = '', columns: int | None = None
) -> str:
    """Writes report.json, .md, .html and .csv of several experiments; returns the text.

    names: folders of the workdir that have a report.json, or patterns of them such as 'rate_*'.
    name: the folder of the workdir to write to; empty for the workdir itself.  columns: of the terminal
    that the text is for; None for any number.

    The report.json written here has `experiments`, `command`, `seconds` and `rows`, each row with its
    `experiment`. Each kind of score has a table and plot of its own.

    Raises:
      UserError: no names, one without a report, or a report that cannot be read.
    """
    names = _names(workdir, names)
    reports = {each: _read(workdir, each) for each in names}
    if name in _experiments(workdir):
        raise UserError(f'--name={name} is the report of an experiment; choose another name')
    kinds = _by_measure(reports)
    seconds = _seconds(workdir, reports)
    rows = [
        {'experiment': each, **row} for each, report in reports.items() for row in report['rows']
    ]
    folder = workdir / name
    folder.mkdir(parents=True, exist_ok=True)
    found = [sweeps.cells(kind) for kind in kinds.values()]
    lead = _lead(len(names), len(rows), kinds, seconds)
    signs = tables.explanation(rows)
    text = '\n\n'.join(filter(None, [lead, *map(aligned, found), signs]))
    result = {'experiments': names, 'rows': rows, 'command': command, 'seconds': seconds}
    files.write_atomically(folder / 'report.json', json.dumps(result, indent=1))
    files.write_atomically(folder / CSV, sweeps.as_csv(reports))
    files.write_atomically(folder / 'report.md', f'# {_title(names)}\n\n{text}\n\n`{command}`\n')
    page = _page(workdir, reports, kinds, lead, command)
    files.write_atomically(folder / 'report.html', page)
    above = [lead, *_many(list(kinds.values())), *filter(None, [signs])]
    return '\n\n'.join(
        [
            *(textwrap.fill(each, columns) if columns else each for each in above),
            *(fitted(cells, columns, 'model', names=2, spared=SPARED) for cells in found),
        ]
    )


def _by_measure(reports: Mapping[str, dict]) -> dict[Measure, dict[str, dict]]:
    """The reports by what their rows measure; measures without a row are left out."""
    found: dict[Measure, dict[str, dict]] = {measure: {} for measure in measures.ALL}
    for name, report in reports.items():
        found[measures.of(report['rows'])][name] = report
    return {
        measure: kind
        for measure, kind in found.items()
        if any(report['rows'] for report in kind.values())
    }


def _names(workdir: Path, given: Sequence[str]) -> list[str]:
    """The experiments that names and patterns stand for, each once."""
    known = _experiments(workdir)
    found = []
    for word in filter(None, (each.strip() for each in given)):
        matching = fnmatch.filter(known, word) if word not in known else [word]
        if not matching and any(sign in word for sign in '*?['):
            raise UserError(f'--experiments={word} fits no report; {_known(workdir)}')
        found += matching or [word]  # a name without a report; `_read` refuses it
    if not found:
        raise UserError(f'--experiments names none; {_known(workdir)}')
    return list(dict.fromkeys(found))


def _read(workdir: Path, name: str) -> dict:
    path = workdir / name / 'report.json'
    if Path(name).name != name or not path.is_file():
        raise UserError(f'--experiments names {name!r}, which has no report; {_known(workdir)}')
    try:
        report = json.loads(path.read_text())
        return {key: report[key] for key in KEYS} | {key: report.get(key, {}) for key in MORE}
    except (ValueError, KeyError, TypeError, AttributeError):
        raise UserError(f'{path} cannot be read; run --phase=report of {name} again') from None


def _experiments(workdir: Path) -> list[str]:
    """The experiments with a report; not the folders that this module wrote to."""
    found = (path.parent for path in workdir.glob('*/report.json'))
    return sorted(folder.name for folder in found if not (folder / CSV).exists())


def _known(workdir: Path) -> str:
    found = _experiments(workdir)
    return f'{workdir} has {", ".join(found)}' if found else f'{workdir} has none; run one first'


def _seconds(workdir: Path, reports: Mapping[str, dict]) -> float | None:
    """Seconds that all artifacts took, shared ones counted once; None where an artifact is gone."""
    made = {
        name
        for report in reports.values()
        for cost in report['costs'].values()
        for name in cost['artifacts']
    }
    manifests = [workdir / name / store.MANIFEST for name in made]
    if not all(path.is_file() for path in manifests):
        return None
    return round(sum(json.loads(path.read_text())['seconds'] for path in manifests), 1)


def _title(names: Sequence[str]) -> str:
    return ', '.join(names) if len(names) <= 3 else f'{len(names)} experiments'


def _lead(
    count: int, rows: int, kinds: Mapping[Measure, dict[str, dict]], seconds: float | None
) -> str:
    """The number of experiments and rows, the seconds, and the range of the students on logits."""
    text = f'{count} experiment{"s" * (count > 1)}, {rows} rows'
    if seconds is not None:
        text += f'; {seconds:,.1f} s in all, shared artifacts counted once'
    for measure, kind in kinds.items():
        means = [
            row['mean']
            for report in kind.values()
            for row in report['rows']
            if (row['metric'], row['target']) == (measure.shown, 'logits')
        ]
        if means:
            text += (
                f'. Students on logits: {100 * min(means):.2f}% to {100 * max(means):.2f}% '
                f'{measure.title} on test'
            )
    return f'{text}.'


def _many(kinds: Sequence[Mapping[str, dict]]) -> list[str]:
    """A line where the tables have no room for all settings that differ."""
    count = max((len(sweeps.differing(kind)) for kind in kinds), default=0)
    if count <= sweeps.MOST:
        return []
    return [f'They differ in {count} settings, which report.html and report.csv have.']


def _page(
    workdir: Path,
    reports: Mapping[str, dict],
    kinds: Mapping[Measure, dict[str, dict]],
    lead: str,
    command: str,
) -> str:
    parts = [
        html_page.heading(_title(list(reports))),
        html_page.paragraph(lead, 'lead'),
        html_page.preformatted(command),
    ]
    for measure, kind in kinds.items():
        differences = sweeps.differences(kind)
        points = _points(kind)
        rows = [row for report in kind.values() for row in report['rows']]
        parts += [
            html_page.section(
                'Results',
                html_page.table(sweeps.cells(kind)),
                html_page.paragraph(tables.explanation(rows), 'soft'),
            ),
            html_page.section('What differs', html_page.table(differences) if differences else ''),
            html_page.section('Accuracy and size', html_results.accuracy_by_parameters(points)),
            html_page.section(
                'Training', _training(workdir, kind, measure, [name for name, _ in points])
            ),
        ]
    lines = [('experiment', 'artifacts', 'seconds', 'date')]
    for name, report in reports.items():
        made = {artifact for cost in report['costs'].values() for artifact in cost['artifacts']}
        lines.append((name, str(len(made)), f'{report["seconds"]:,.1f}', report['date']))
    parts.append(html_page.section('Cost', html_page.table(lines)))
    return html_page.page(_title(list(reports)), [part for part in parts if part])


def _points(reports: Mapping[str, dict]) -> list[tuple[str, dict]]:
    """(name, row) to plot, named by experiment and row; a shared row is named by the row alone."""
    found = []
    for line in sweeps.lines(reports):
        for row in html_results.first_metric(list(line.rows.values())):
            found.append((_label(line.experiments, row['name'], reports), row))
    return found


def _row_of(student: str, settings: Mapping[str, object]) -> str:
    """The name of a student's row in the report; its own where it has none."""
    for key, value in settings.items():
        if value == f'students.{student}' and key.startswith('report.rows.'):
            return str(settings.get(f'{key.removesuffix("source")}label') or student)
    return student


def _label(experiments: Sequence[str], name: str, reports: Mapping[str, dict]) -> str:
    everywhere = len(experiments) == len(reports) > 1
    return name if everywhere else f'{", ".join(experiments)}: {name}'


def _training(
    workdir: Path, reports: Mapping[str, dict], measure: Measure, points: Sequence[str]
) -> str:
    """Validation score of all students by training step, mean and range over seeds.

    points: the names of what the plot of accuracies shows, in the order of its colours.
    """
    found: dict[tuple, tuple[list[str], str]] = {}  # by artifacts: experiments, and the student
    for experiment, report in reports.items():
        for name, student in report['students'].items():
            key = tuple(student['artifacts'])
            found.setdefault(key, ([], _row_of(name, report['settings'])))[0].append(experiment)
    others = itertools.count(len(points))  # colours of students without a point
    series = []
    for artifacts, (experiments, name) in found.items():
        label = _label(experiments, name, reports)
        number = points.index(label) if label in points else next(others)
        series.append(curves.of_training(label, [workdir / each for each in artifacts], number))
    return html_plots.drawn(curves.by_step(series, measure.words))
