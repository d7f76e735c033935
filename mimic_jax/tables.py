"""A report's rows as Markdown: for the terminal, for report.md, and for the README."""

import re
from collections.abc import Sequence

from mimic_jax.ops import metrics


def table(rows: Sequence[dict]) -> str:
    """The table of a report's rows, its columns aligned so that it reads as plain text too.

    Units, and what the paper prints of sizes, have columns where any row has a paper's figure.
    """
    if not rows:
        return 'The config names nothing to report.'
    sizes = any(row.get('paper_units') or row.get('paper_parameters') for row in rows)
    named = [_cells(row, sizes) for row in rows]
    cells = [tuple(named[0]), *(tuple(line.values()) for line in named)]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    lines = [
        '| '
        + ' | '.join(cell.ljust(width) for cell, width in zip(line, widths, strict=True))
        + ' |'
        for line in cells
    ]
    lines.insert(1, '|' + '|'.join('-' * (width + 2) for width in widths) + '|')
    return '\n'.join(lines)


def headline(rows: Sequence[dict]) -> str | None:
    """A sentence on what mimicking brought: the first student on logits beside its twin on labels.

    None when the rows hold no such pair.
    """
    mimic = next((row for row in rows if row['target'] == 'logits'), None)
    ensemble = next((row for row in rows if row['target'] is None), None)
    if mimic is None:
        return None
    shape = _without_dropout(mimic['model'])
    twins = [
        row for row in rows if row['target'] == 'labels' and _without_dropout(row['model']) == shape
    ]
    if not twins:
        return None
    twin = twins[0]
    gain = mimic['mean'] - twin['mean']
    sure = metrics.differs(
        mimic['mean'], mimic['std'], mimic['n'], twin['mean'], twin['std'], twin['n']
    )
    verdict = {
        True: 'more than two standard errors',
        False: 'within two standard errors',
        None: 'one seed a side, so no error estimate',
    }[sure]
    text = (
        f'Mimicking takes {mimic["model"]} from {100 * twin["mean"]:.2f}% to '
        f'{100 * mimic["mean"]:.2f}% ({100 * gain:+.2f} points; {verdict})'
    )
    if ensemble is not None and ensemble['mean'] > twin['mean']:
        share = gain / (ensemble['mean'] - twin['mean'])
        text += f', {100 * share:.0f}% of the gap to its teachers'
    return text + '.'


def page(report: dict, pictures: Sequence[str]) -> str:
    """report.md."""
    lead = headline(report['rows'])
    parts = [f'# {report["experiment"]}']
    if lead:
        parts.append(lead)
    parts.extend(filter(None, (table(report['rows']), notes(report['rows']))))
    removed = report.get('data', {}).get('unlabelled_removed')
    if removed:
        parts.append(
            f'{removed:,} unlabelled images equal a validation or test image and were left out.'
        )
    parts.append(timings(report))
    parts.extend(f'![{name}]({name})' for name in pictures)
    costs = ['| phase | artifacts | seconds | MiB |', '|---|---|---|---|']
    for phase, cost in report['costs'].items():
        names = ', '.join(cost['artifacts'])
        costs.append(f'| {phase} | {names} | {cost["seconds"]:g} | {cost["bytes"] / 2**20:.1f} |')
    parts.append('\n'.join(costs))
    parts.append(f'`{report["command"]}`, {report["machine"]}, {report["date"]}.')
    return '\n\n'.join(parts) + '\n'


def _without_dropout(model: str) -> str:
    """The model without its `d` tokens: regularisation aside, twins are one net."""
    return '-'.join(token for token in model.split('-') if not re.fullmatch(r'd[\d.]+', token))


def timings(report: dict) -> str:
    """What each row took to train and, where that was measured, takes to answer."""
    measured = [timing['milliseconds'] or {} for timing in report['timings']]
    sizes = list(dict.fromkeys(size for found in measured for size in found))
    head = ['', 'training, s', *(f'{size} at a time, ms' for size in sizes)]
    lines = ['| ' + ' | '.join(head) + ' |', '|' + '---|' * len(head)]
    for row, timing, found in zip(report['rows'], report['timings'], measured, strict=True):
        seconds = timing['training_seconds']
        cells = ['–' if seconds is None else f'{seconds:g}']
        cells += [f'{found[size]:g}' if size in found else '–' for size in sizes]
        lines.append(f'| {row["name"]} | ' + ' | '.join(cells) + ' |')
    return '\n'.join(lines)


def notes(rows: Sequence[dict]) -> str:
    """What the rows' notes say, a line each; empty without notes."""
    return '\n'.join(f'- {row["name"]}: {row["note"]}' for row in rows if row.get('note'))


def _cells(row: dict, sizes: bool) -> dict[str, str]:
    """A row's cells by the names of their columns."""
    accuracy = _percent(row['mean'])
    if row['std'] is not None:
        accuracy += f' ± {_percent(row["std"])}'
    cells = {
        '': row['name'],
        'model': row['model'],
        'trained on': row['target'] or '–',
        'parameters': f'{row["parameters"]:,}',
    }
    if sizes:
        cells |= {
            'paper’s': row.get('paper_parameters') or '–',
            'units': f'{row["units"]:,}',
            'paper’s units': row.get('paper_units') or '–',
        }
    return cells | {
        'accuracy, %': accuracy,
        'n': str(row['n']),
        'agreement, %': _percent(row['agreement']),
        'paper, %': _percent(row['paper']),
    }


def _percent(fraction: float | None) -> str:
    return '–' if fraction is None else f'{100 * fraction:.2f}'
