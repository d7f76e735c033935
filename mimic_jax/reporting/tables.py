"""A report's rows as Markdown: for the terminal, for report.md, and for the README."""

import re
from collections.abc import Sequence

from mimic_jax.ops import metrics
from mimic_jax.ops.text import aligned, with_prefix
from mimic_jax.reporting import caches, grids, measures, remarks
from mimic_jax.reporting.measures import Measure, percent
from mimic_jax.reporting.rows import by_source


def table(rows: Sequence[dict]) -> str:
    """The table of a report's rows, its columns aligned so that it reads as plain text too.

    Units and the paper's sizes have columns where any row has a paper's size. The parameters that a
    net lies below its budget have a column where any net was solved for a budget. A source with rows on
    several metrics has one line.
    """
    if not rows:
        return 'The config names nothing to report.'
    named = cells(rows)
    return aligned([tuple(named[0]), *(tuple(line.values()) for line in named)])


def cells(rows: Sequence[dict]) -> list[dict[str, str]]:
    """The table's lines: each source's cells, by the names of their columns, none of which is empty."""
    columns = set()
    if any(row.get('paper_units') or row.get('paper_parameters') for row in rows):
        columns.add('sizes')
    if any(row.get('shortfall') is not None for row in rows):
        columns.add('shortfall')
    measure = measures.of(rows)
    lines = [_cells(source, measure, columns) for source in by_source(rows)]
    filled = {name for line in lines for name, cell in line.items() if cell != '–'}
    return [{name: cell for name, cell in line.items() if name in filled} for line in lines]


def explanation(rows: Sequence[dict]) -> str:
    """The meaning of columns of `table` that their names do not give; '' where there are none."""
    several = any(row['std'] is not None for row in rows)
    compared = any(row['agreement'] is not None for row in rows)
    measure = measures.of(rows)
    parts = ['n: seeds; ±: the standard deviation over them'] * several
    parts += [*measure.more, *[f'agreement: {measure.agreement}'] * compared]
    return '; '.join(parts)


def headline(rows: Sequence[dict]) -> str | None:
    """A sentence on what mimicking gained, for the first student on logits that has a twin on labels.

    None when the rows hold no such pair.
    """
    measure = measures.of(rows)
    rows = [row for row in rows if row.get('metric', measure.shown) == measure.shown]
    pairs = (
        (mimic, twin)
        for mimic in rows
        for twin in rows
        if (mimic['target'], twin['target']) == ('logits', 'labels')
        and _without_dropout(mimic['model']) == _without_dropout(twin['model'])
    )
    mimic, twin = next(pairs, (None, None))
    if mimic is None:
        return None
    teachers = (
        row for row in rows if row['target'] is None and row.get('cache') == mimic.get('cache')
    )
    ensemble = next(teachers, None)
    gain = mimic['mean'] - twin['mean']
    sure = metrics.differs(
        mimic['mean'], mimic['std'], mimic['n'], twin['mean'], twin['std'], twin['n']
    )
    verdict = {
        True: 'more than two standard errors',
        False: 'within two standard errors',
        None: 'a side has one seed, so no error estimate',
    }[sure]
    text = (
        f'Mimicking takes {mimic["model"]} from {100 * twin["mean"]:.2f}% to '
        f'{100 * mimic["mean"]:.2f}%{measure.of} '
        f'({100 * gain:+.2f} points; {verdict})'
    )
    gap = ensemble['mean'] - twin['mean'] if ensemble is not None else 0.0
    share = gain / gap if ((gap < 0) if measure.lower else (gap > 0)) else 0.0
    if share > 0:
        text += f', {100 * share:.0f}% of the gap to its teachers'
    return text + '.'


def page(report: dict, pictures: Sequence[str]) -> str:
    """report.md."""
    lead = headline(report['rows'])
    parts = [f'# {report["experiment"]}']
    if lead:
        parts.append(lead)
    if 'grid' in report:
        brackets = any(
            cell and cell['paper'] for row in report['grid']['rows'] for cell in row['cells']
        )
        parts.append(grids.table(report['grid']))
        parts.extend(["The paper's figures are in brackets."] * brackets)
    rows = report['rows']
    parts.extend(filter(None, (table(rows), rows and explanation(rows), notes(rows))))
    parts.extend(remarks.sentences(report))
    parts.append(timings(report))
    if report.get('search', {}).get('best'):
        parts.append(f'{report["search"]["trials"]} trials of the search have finished; the best:')
        parts.append(aligned(report['search']['best']))
    parts.extend(f'![{name}]({name})' for name in pictures)
    costs = ['| phase | artifacts | seconds | MiB |', '|---|---|---|---|']
    for phase, cost in report['costs'].items():
        names = ', '.join(cost['artifacts'])
        costs.append(f'| {phase} | {names} | {cost["seconds"]:g} | {cost["bytes"] / 2**20:.1f} |')
    parts.append('\n'.join(costs))
    if report.get('caches'):
        lines = [caches.HEADER, tuple('---' for _ in caches.HEADER), *caches.cells(report)]
        parts.append('\n'.join(f'| {" | ".join(line)} |' for line in lines))
    parts.append(f'`{report["command"]}`, {report["machine"]}, {report["date"]}.')
    return '\n\n'.join(parts) + '\n'


def _without_dropout(model: str) -> str:
    """The model without its `d` tokens: twins may differ in their dropout."""
    return '-'.join(token for token in model.split('-') if not re.fullmatch(r'd[\d.]+', token))


def timings(report: dict) -> str:
    """Memory, depth and training of each row, and its answering time where it was measured."""
    head, *body = timing_cells(report)
    lines = ['| ' + ' | '.join(head) + ' |', '|' + '---|' * len(head)]
    return '\n'.join(lines + ['| ' + ' | '.join(line) + ' |' for line in body])


def timing_cells(report: dict) -> list[list[str]]:
    """The cells of `timings`, line by line, the head first; a weight has four bytes."""
    rows = [next(iter(source.values())) for source in by_source(report['rows'])]
    measured = [timing['milliseconds'] or {} for timing in report['timings']]
    own = [
        (key, title)
        for key, title in measures.of(report['rows']).times
        if any(key in timing for timing in report['timings'])
    ]
    counted = any('sequential_layers' in timing for timing in report['timings'])
    sizes = list(dict.fromkeys(size for found in measured for size in found))
    head = ['', 'weights, MiB', *['sequential layers'] * counted, 'training, s']
    worked = any('whole_flops' in timing for timing in report['timings'])
    head += ['training, FLOP', 'with its teachers, FLOP'] * worked
    head += [f'{size} at a time, ms' for size in sizes]
    head += [title for _, title in own]
    lines = [head]
    for row, timing, found in zip(rows, report['timings'], measured, strict=True):
        seconds = timing['training_seconds']
        parameters = row['parameters']
        line = ['–' if parameters is None else f'{4 * parameters / 2**20:.2f}']
        if counted:
            line.append(str(timing.get('sequential_layers', '–')))
        line.append('–' if seconds is None else f'{seconds:g}')
        if worked:
            line += [_flops(timing, key) for key in ('training_flops', 'whole_flops')]
        line += [f'{found[size]:g}' if size in found else '–' for size in sizes]
        line += [f'{timing[key]:.4f}' if key in timing else '–' for key, _ in own]
        lines.append([row['name'], *line])
    return lines


def notes(rows: Sequence[dict]) -> str:
    """The rows' notes, a line each; empty without notes."""
    return '\n'.join(f'- {text}' for text in note_texts(rows))


def note_texts(rows: Sequence[dict]) -> list[str]:
    """The rows' notes, each with its row's name."""
    first = [next(iter(source.values())) for source in by_source(rows)]
    return [f'{row["name"]}: {row["note"]}' for row in first if row.get('note')]


def _cells(source: dict[str, dict], measure: Measure, columns: set[str]) -> dict[str, str]:
    """A source's cells by the names of their columns."""
    first = next(iter(source.values()))
    own = {
        title: cell(source[metric]) if metric in source else '–'
        for title, metric, cell in measure.columns
    }
    return (
        _size_cells(first, columns)
        | own
        | {
            'n': str(first['n']),
            'agreement, %': percent(source.get(measure.score, {}).get('agreement')),
            'paper, %': percent(source.get(measure.shown, {}).get('paper')),
        }
    )


def _size_cells(row: dict, columns: set[str]) -> dict[str, str]:
    cells = {
        '': row['name'],
        'model': row['model'],
        'trained on': row['target'] or '–',
        'parameters': _count(row['parameters']),
    }
    if 'shortfall' in columns:
        cells['below budget'] = _count(row.get('shortfall'))
    if 'sizes' in columns:
        cells |= {
            'paper’s': row.get('paper_parameters') or '–',
            'units': _count(row['units']),
            'paper’s units': row.get('paper_units') or '–',
        }
    return cells


def _flops(timing: dict, key: str) -> str:
    return '–' if timing.get(key) is None else with_prefix(timing[key])


def _count(number: int | None) -> str:
    return '–' if number is None else f'{number:,}'
