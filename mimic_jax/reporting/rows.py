"""Rows of a report, grouped by source, and an ensemble's nets written in a line."""

import re
from collections.abc import Sequence

LONGEST = 120  # characters of an ensemble's nets


def by_source(rows: Sequence[dict]) -> list[dict[str, dict]]:
    """The rows of each source by metric: [{'accuracy': row}], or [{'r2': …, 'rmse': …}].

    A row joins the row before it when both have the same name, model and target, and other metrics.
    """
    sources: list[dict[str, dict]] = []
    for row in rows:
        metric = row.get('metric', 'accuracy')
        if sources and metric not in sources[-1] and _same(next(iter(sources[-1].values())), row):
            sources[-1][metric] = row
        else:
            sources.append({metric: row})
    return sources


def ensemble_model(models: Sequence[str]) -> str:
    """An ensemble's nets in a line: '3 × 8c3-16', '2 × 8c{3,5}-16', '2 × 8c3-16 + 4c3-8'.

    Nets that differ in one number share a spec with all of that number's values in braces. A line
    that would be too long gives their count: '16 different nets'.
    """
    different = list(dict.fromkeys(models))
    parts = [re.split(r'(\d+)', model) for model in different]
    columns = list(zip(*parts, strict=True)) if len({len(part) for part in parts}) == 1 else []
    varied = [column for column in columns if len(set(column)) > 1]
    if len(varied) == 1 and all(value.isdecimal() for value in varied[0]):
        values = '{' + ','.join(varied[0]) + '}'
        spec = ''.join(values if column == varied[0] else column[0] for column in columns)
    else:
        spec = ' + '.join(different)
        if len(spec) > LONGEST:
            return f'{len(different)} different nets'
    return f'{len(models)} × {spec}'


def _same(row: dict, other: dict) -> bool:
    return all(row[key] == other[key] for key in ('name', 'model', 'target'))
