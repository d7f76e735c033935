"""Gathers the reports of finished experiments, such as a sweep's, into one."""

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

from mimic_jax.artifacts import store
from mimic_jax.errors import UserError
from mimic_jax.ops.text import aligned
from mimic_jax.reporting import html_page, html_results, tables
from mimic_jax.reporting.rows import of_speech

KEYS = ('rows', 'seconds', 'date', 'costs')  # of a report.json that are read here


def run(workdir: Path, names: Sequence[str], command: str) -> str:
    """Writes report.json, .md and .html of several experiments to the workdir; returns the text.

    names: folders of the workdir that have a report.json. The report.json written here has
    `experiments`, `command`, `seconds` and `rows`, each row with its `experiment`. Speech has one
    table and plot, everything else another.

    Raises:
      UserError: no names, one without a report, or a report that cannot be read.
    """
    names = list(dict.fromkeys(name.strip() for name in names if name.strip()))
    if not names:
        raise UserError(f'--experiments names none; {_known(workdir)}')
    reports = {name: _read(workdir, name) for name in names}
    kinds = [
        {name: report for name, report in reports.items() if of_speech(report['rows']) == speech}
        for speech in (False, True)
    ]
    kinds = [kind for kind in kinds if any(report['rows'] for report in kind.values())]
    seconds = _seconds(workdir, reports)
    rows = [
        {'experiment': name, **row} for name, report in reports.items() for row in report['rows']
    ]
    result = {'experiments': names, 'rows': rows, 'command': command, 'seconds': seconds}
    text = '\n\n'.join([_lead(len(names), rows, seconds), *map(aligned, map(_cells, kinds))])
    store.write_atomically(workdir / 'report.json', json.dumps(result, indent=1))
    store.write_atomically(workdir / 'report.md', f'# {_title(names)}\n\n{text}\n\n`{command}`\n')
    page = _page(reports, kinds, _lead(len(names), rows, seconds), command)
    store.write_atomically(workdir / 'report.html', page)
    return text


def _read(workdir: Path, name: str) -> dict:
    path = workdir / name / 'report.json'
    if Path(name).name != name or not path.is_file():
        raise UserError(f'--experiments names {name!r}, which has no report; {_known(workdir)}')
    try:
        report = json.loads(path.read_text())
        return {key: report[key] for key in KEYS}
    except (ValueError, KeyError, TypeError):
        raise UserError(f'{path} cannot be read; run --phase=report of {name} again') from None


def _known(workdir: Path) -> str:
    found = sorted(path.parent.name for path in workdir.glob('*/report.json'))
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


def _lead(count: int, rows: Sequence[dict], seconds: float | None) -> str:
    """The number of experiments and rows, the seconds, and the range of the students on logits."""
    text = f'{count} experiment{"s" * (count > 1)}, {len(rows)} rows'
    if seconds is not None:
        text += f'; {seconds:,.1f} s in all, shared artifacts counted once'
    for metric, what in (('accuracy', 'accuracy'), ('per', 'phone error rate')):
        means = [
            row['mean']
            for row in rows
            if (row['metric'], row['target']) == (metric, 'logits')
            and ('speakers' in row) == (metric == 'per')  # not the accuracy of frames of speech
        ]
        if means:
            text += (
                f'. Students on logits: {100 * min(means):.2f}% to {100 * max(means):.2f}% '
                f'{what} on test'
            )
    return f'{text}.'


def _cells(reports: Mapping[str, dict]) -> list[list[str]]:
    """Lines of cells, the head first: the experiment, then the columns of its own table."""
    lines = [
        (name, line)
        for name, report in reports.items()
        if report['rows']
        for line in tables.cells(report['rows'])
    ]
    columns = _columns([line for _, line in lines])
    head = ['experiment', *columns]
    return [head, *([name, *(line.get(key, '–') for key in columns)] for name, line in lines)]


def _columns(lines: Sequence[Mapping[str, str]]) -> list[str]:
    """All columns of all lines; each new one stands after the column before it in its line."""
    columns = []
    for line in lines:
        for place, column in enumerate(line):
            if column not in columns:
                before = list(line)[place - 1] if place else None
                columns.insert(columns.index(before) + 1 if place else 0, column)
    return columns


def _page(reports: Mapping[str, dict], kinds: Sequence[dict], lead: str, command: str) -> str:
    parts = [
        html_page.heading(_title(list(reports))),
        html_page.paragraph(lead, 'lead'),
        html_page.preformatted(command),
    ]
    for kind in kinds:
        parts += [
            html_page.section('Results', html_page.table(_cells(kind))),
            html_page.section(
                'Accuracy and size', html_results.accuracy_by_parameters(_points(kind))
            ),
        ]
    lines = [('experiment', 'artifacts', 'seconds', 'date')]
    for name, report in reports.items():
        made = {artifact for cost in report['costs'].values() for artifact in cost['artifacts']}
        lines.append((name, str(len(made)), f'{report["seconds"]:,.1f}', report['date']))
    parts.append(html_page.section('Cost', html_page.table(lines)))
    return html_page.page(_title(list(reports)), [part for part in parts if part])


def _points(reports: Mapping[str, dict]) -> list[tuple[str, dict]]:
    """(name, row) to plot, named by experiment and row; a row that all experiments share stands once,
    named by the row alone."""
    found = [
        (name, row)
        for name, report in reports.items()
        for row in html_results.first_metric(report['rows'])
    ]
    counts = Counter(_identity(row) for _, row in found)
    points = {}
    for name, row in found:
        everywhere = counts[_identity(row)] == len(reports) > 1
        text = row['name'] if everywhere else f'{name}: {row["name"]}'
        points.setdefault(_identity(row) if everywhere else text, (text, row))
    return list(points.values())


def _identity(row: dict) -> tuple:
    return row['name'], row['model'], row['target'], tuple(row['values'])
