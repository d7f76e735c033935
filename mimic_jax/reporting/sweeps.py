"""Finished experiments side by side: in what settings they differ, and which rows they share."""

import csv
import io
import json
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from mimic_jax.reporting import tables
from mimic_jax.reporting.rows import by_source

MOST = 6  # settings with a column of their own; the page and the CSV file have all
# Settings that change no row, or say what a report shows.
_ASIDE = ('run.', 'report.', 'presets')
_ROW = ('name', 'model', 'parameters', 'target', 'metric', 'mean', 'std', 'n', 'agreement', 'paper')


class Line(NamedTuple):
    """A source of rows, once for all experiments that have the very same rows of it.

    rows: by metric.  cells: by the names of the table's columns.
    """

    experiments: tuple[str, ...]
    rows: dict[str, dict]
    cells: dict[str, str]


def differing(reports: Mapping[str, dict]) -> dict[str, dict[str, object]]:
    """The settings in which experiments differ: {setting: {experiment: value}}.

    reports: report.json by experiment. A setting that an experiment lacks, such as one of a student
    that only another one has, is None there. Reports of an earlier version hold no settings.
    """
    settings = {name: report.get('settings') for name, report in reports.items()}
    if not all(settings.values()):
        return {}
    found = {}
    for key in dict.fromkeys(key for each in settings.values() for key in each):
        values = {name: each.get(key) for name, each in settings.items()}
        if len(set(map(json.dumps, values.values()))) > 1 and not key.startswith(_ASIDE):
            found[key] = values
    return found


def short_names(names: Sequence[str]) -> dict[str, str]:
    """The last parts of each setting's name, as few as tell it from the others."""
    short = {}
    for name in names:
        parts = name.split('.')
        for count in range(1, len(parts) + 1):
            end = '.'.join(parts[-count:])
            if sum(f'.{other}'.endswith(f'.{end}') for other in names) == 1:
                break
        short[name] = end
    return short


def lines(reports: Mapping[str, dict]) -> list[Line]:
    """The sources of all experiments in order, each once for all that share it."""
    found: dict[str, Line] = {}
    for name, report in reports.items():
        rows = report['rows']
        for source, cells in zip(by_source(rows), tables.cells(rows) if rows else (), strict=True):
            key = json.dumps(source, sort_keys=True)
            before = found[key].experiments if key in found else ()
            found[key] = Line((*before, name), source, cells)
    # What all share comes first; the others in the experiments' order.
    return sorted(found.values(), key=lambda line: len(line.experiments) < len(reports))


def cells(reports: Mapping[str, dict]) -> list[list[str]]:
    """A table's lines of cells, the head first: experiment, row, settings that differ, other columns."""
    settings = differing(reports)
    short = short_names(list(settings)) if len(settings) <= MOST else {}
    found = lines(reports)
    columns = _columns([line.cells for line in found])
    first, *others = columns or ['']
    head = ['experiment', first, *short.values(), *others]
    body = [
        [
            _named(line.experiments, reports),
            line.cells[first],
            *(_value(settings[name], line.experiments) for name in short),
            *(line.cells.get(column, '–') for column in others),
        ]
        for line in found
    ]
    return [head, *body]


def differences(reports: Mapping[str, dict]) -> list[list[str]]:
    """A table of the settings that differ, a line a setting and a column an experiment."""
    settings = differing(reports)
    if not settings:
        return []
    body = [[name, *map(_shown, values.values())] for name, values in settings.items()]
    return [['setting', *reports], *body]


def as_csv(reports: Mapping[str, dict]) -> str:
    """All rows as CSV: experiments, each setting that differs, the figures as fractions of 1."""
    settings = differing(reports)
    file = io.StringIO()
    writer = csv.writer(file, lineterminator='\n')
    writer.writerow(['experiment', *settings, *_ROW, 'values'])
    for line in lines(reports):
        for row in line.rows.values():
            writer.writerow(
                [
                    ' '.join(line.experiments),
                    *(_value(values, line.experiments, '') for values in settings.values()),
                    *('' if row.get(key) is None else row[key] for key in _ROW),
                    ' '.join(map(str, row['values'])),
                ]
            )
    return file.getvalue()


def _named(experiments: Sequence[str], reports: Mapping[str, dict]) -> str:
    return 'all' if len(experiments) == len(reports) > 1 else ', '.join(experiments)


def _value(values: Mapping[str, object], experiments: Sequence[str], none: str = '–') -> str:
    """A setting's value of some experiments; none where it differs among them."""
    found = {_shown(values[name]) for name in experiments}
    return found.pop() if len(found) == 1 else none


def _shown(value: object) -> str:
    if value is None:
        return '–'
    return value if isinstance(value, str) else json.dumps(value)


def _columns(found: Sequence[Mapping[str, str]]) -> list[str]:
    """All columns of all lines; each new one stands after the column before it in its line."""
    columns = []
    for line in found:
        for place, column in enumerate(line):
            if column not in columns:
                before = list(line)[place - 1] if place else None
                columns.insert(columns.index(before) + 1 if place else 0, column)
    return columns
