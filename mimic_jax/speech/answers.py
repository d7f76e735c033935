"""A report's rows on speech: phone error rate and frame accuracy, with each speaker's counts."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from mimic_jax.ops import metrics
from mimic_jax.speech import decoded_files, per
from mimic_jax.speech.dataset import SpeechDataset


def per_row(row: dict, folders: Sequence[Path]) -> dict:
    """The row of the phone error rate on test.

    row: the source's row on frame accuracy.  folders: its decode artifacts, one a seed.

    PER counts unit costs after folding to 39 classes. `insertions`, `deletions` and `substitutions`
    are means over the seeds, and `tokens` counts the reference, all over the whole split. `sclite` has
    the same by sclite's weights. `speakers` has each speaker's tokens, and its errors for each seed.
    `validation` has values, mean and std of the rate that decoding was tuned for.
    """
    seeds = [decoded_files.read_split(folder, 'test') for folder in folders]
    choices = [decoded_files.read_choice(folder) for folder in folders]
    speakers: dict[str, dict] = {}
    for seed, utterances in enumerate(seeds):
        for utterance in utterances:
            counts = utterance['unit']
            own = speakers.setdefault(
                utterance['speaker'], {'tokens': 0, 'errors': [0] * len(seeds)}
            )
            own['errors'][seed] += counts.errors
            own['tokens'] += counts.reference if seed == 0 else 0
    unit, sclite = (_mean_counts(seeds, name) for name in ('unit', 'sclite'))
    return {
        **row,
        'metric': 'per',
        **over_speakers('per', speakers),
        'agreement': None,
        **unit,
        'sclite': sclite,
        'lm_scales': [choice['lm_scale'] for choice in choices],
        'insertion_penalties': [choice['insertion_penalty'] for choice in choices],
        'validation': _mean_rate([choice['validation']['unit']['per'] for choice in choices]),
        'speakers': speakers,
    }


def frame_row(row: dict, outputs: Sequence[np.ndarray], data: SpeechDataset) -> dict:
    """The row of frame accuracy on test, with its interval over speakers and each speaker's counts.

    row: the source's row.  outputs: logits [n, K] of the test frames, one array a seed.
    """
    labels = data.labels[data.splits['test']]
    spoken = [data.speech.utterances[position] for position in data.utterances['test']]
    runs = data.speech.runs(data.utterances['test'])
    speaker = np.repeat([each.speaker for each in spoken], [stop - start for start, stop in runs])
    wrong = np.stack([logits.argmax(axis=1) != labels for logits in outputs])
    speakers = {
        str(name): {
            'tokens': int(np.sum(speaker == name)),
            'errors': wrong[:, speaker == name].sum(axis=1).tolist(),
        }
        for name in dict.fromkeys(speaker)
    }
    # The paper's figure is a PER, so it is left out here.
    return {**row, **over_speakers('accuracy', speakers), 'paper': None, 'speakers': speakers}


def over_speakers(metric: str, speakers: Mapping[str, Mapping]) -> dict:
    """The figures of a row of speech: values, mean, std, n, interval and n_speakers.

    metric: 'per', errors over reference tokens, or 'accuracy', 1 minus wrong frames over frames.
    speakers: each speaker's number of `tokens` (or frames), and the `errors` in them for each seed.
    `interval` is the 95% interval of the mean over a population of speakers, `per.speaker_interval` of
    the speakers' errors over all seeds; None for one speaker.
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


def _mean_rate(values: list[float]) -> dict:
    mean, std = metrics.mean_std(values)
    return {'values': values, 'mean': mean, 'std': std}


def _mean_counts(seeds: Sequence[list[dict]], alignment: str) -> dict:
    """The errors of a split, means over the seeds, and its reference tokens."""
    totals = [
        sum((utterance[alignment] for utterance in utterances), per.EditCounts())
        for utterances in seeds
    ]
    kinds = ('insertions', 'deletions', 'substitutions')
    return {
        **{kind: float(np.mean([getattr(total, kind) for total in totals])) for kind in kinds},
        'tokens': totals[0].reference,
    }
