"""Rows of a report, one a metric: those of one source together, and error rates over speakers."""

from collections.abc import Mapping, Sequence

import numpy as np

from mimic_jax.ops import metrics, per


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


def _same(row: dict, other: dict) -> bool:
    return all(row[key] == other[key] for key in ('name', 'model', 'target'))
