"""A report's facts on a corpus of speech: its utterances and speakers by split, and what is missing."""

from collections.abc import Mapping

import numpy as np

from mimic_jax.speech import timit_splits
from mimic_jax.speech.corpora import Speech


def facts(found: Speech, utterances: Mapping[str, np.ndarray], split: str) -> dict:
    """`utterances` and `speakers` by split, `bad_utterances` that were left out, `not_timits`, `remarks`.

    utterances: positions in `found.utterances` by split.  split: config.data.split.  The official split
    has a line in `not_timits` on each figure that differs from the whole TIMIT's. `remarks` are the
    sentences on all this that a report's reader needs.
    """
    spoken = found.utterances
    mismatches: list[str] = []
    if split == 'official':
        sequences = [each.phones for each in spoken]
        timit_splits.check_figures(utterances, spoken, sequences, mismatches.append)
    bad = len(found.bad)
    return {
        'utterances': {name: len(chosen) for name, chosen in utterances.items()},
        'speakers': {
            name: sorted({spoken[position].speaker for position in chosen})
            for name, chosen in utterances.items()
        },
        'bad_utterances': bad,
        'not_timits': mismatches,
        'remarks': [*mismatches, *[f'Bad utterances left out: {bad:,}.'] * bool(bad)],
    }
