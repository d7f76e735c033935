"""A report's rows as Markdown: for the terminal, for report.md, and for the README."""

import re
from collections.abc import Sequence

from mimic_jax.ops import metrics

COLUMNS = ('', 'model', 'trained on', 'parameters', 'accuracy, %', 'n', 'agreement, %', 'paper, %')


def table(rows: Sequence[dict]) -> str:
    """The table of a report's rows, its columns aligned so that it reads as plain text too."""
    cells = [COLUMNS, *(_cells(row) for row in rows)]
    widths = [max(len(line[column]) for line in cells) for column in range(len(COLUMNS))]
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
    parts.append(table(report['rows']))
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


def _cells(row: dict) -> tuple[str, ...]:
    accuracy = _percent(row['mean'])
    if row['std'] is not None:
        accuracy += f' ± {_percent(row["std"])}'
    return (
        row['name'],
        row['model'],
        row['target'] or '–',
        f'{row["parameters"]:,}',
        accuracy,
        str(row['n']),
        _percent(row['agreement']),
        _percent(row['paper']),
    )


def _percent(fraction: float | None) -> str:
    return '–' if fraction is None else f'{100 * fraction:.2f}'
