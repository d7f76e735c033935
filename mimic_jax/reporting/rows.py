"""Rows of a report, one a metric: those of one source together, and error rates over speakers."""

import re
from collections.abc import Mapping, Sequence

import numpy as np

from mimic_jax.ops import metrics
from mimic_jax.speech import per


def by_source(rows: Sequence[dict]) -> list[dict[str, dict]]:
    """The rows of each source by metric: [{'accuracy': row}], of speech [{'per': …, 'accuracy': …}].

    A row joins the one before it that has its name, model and target, and another metric.
    """
    sources: list[dict[str, dict]] = []
    for row in rows:
        metric = row.get('metric', 'accuracy')
        if sources and metric not in sources[-1] and _same(next(iter(sources[-1].values())), row):
            sources[-1][metric] = row
        else:
            sources.append({metric: row})
    return sources


def of_speech(rows: Sequence[dict]) -> bool:
    return any(row.get('metric') == 'per' for row in rows)


def over_speakers(metric: str, speakers: Mapping[str, Mapping]) -> dict:
    """The figures of a row of speech: values, mean, std, n, interval and n_speakers.

    metric: 'per', errors over reference tokens, or 'accuracy', 1 minus wrong frames over frames.
    speakers: of each the number of `tokens` (or frames) and the `errors` in them, one a seed.
    `interval` is the 95% interval of the mean over a population of speakers, `per.speaker_interval` of
    their errors over all seeds; None for one speaker.
    """
    tokens = np.array([counts['tokens'] for counts in speakers.values()])
    errors = np.array([counts['errors'] for counts in speakers.values()])  # [speakers, seeds]
    seeds = errors.shape[1]
    values = (errors.sum(axis=0) / tokens.sum()).tolist()
    interval = per.speaker_interval(errors.sum(axis=1), seeds * tokens)
    if metric == 'accuracy':
        values = [1 - value for value in values]
        interval = interval and (1 - interval[1], 1 - interval[0])
    mean, std = metrics.mean_std(values)
    return {
        'values': values,
        'mean': mean,
        'std': std,
        'n': seeds,
        'interval': interval and list(interval),
        'n_speakers': len(tokens),
    }


LONGEST = 120  # characters of an ensemble's nets


def ensemble_model(models: Sequence[str]) -> str:
    """An ensemble's nets in a line: '3 × 8c3-16', '2 × 8c{3,5}-16', '2 × 8c3-16 + 4c3-8'.

    Nets that differ in one number share a spec with all of that number's values in braces; too many
    to tell apart in a line are counted: '16 different nets'.
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
