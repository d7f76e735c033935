"""The files of a decode artifact: `decoding.json` with the choice, and the phones of each split.

`decoding.json`: language_model, lm_scale, insertion_penalty; `grid`, every pair tried on validation
with its counts; `validation` and `test`: PER and counts, by `unit` costs and by `sclite`'s weights.
`validation.json`, `test.json`: a list of utterances in their split's order, each with its key and
speaker, the phones (of 61) of `reference` and `decoded`, the frames at which the decoded phones start,
and its counts.
"""

import json
from collections.abc import Sequence
from pathlib import Path

from mimic_jax.artifacts import store
from mimic_jax.runtime import files
from mimic_jax.speech import per, phones
from mimic_jax.speech.corpora import Spoken
from mimic_jax.speech.decoding import Decoded, Trial, score

ALIGNMENTS = {'unit': per.unit_alignment, 'sclite': per.sclite_alignment}


def write_split(
    folder: Path, split: str, spoken: Sequence[Spoken], decoded: Sequence[Decoded]
) -> dict:
    """Writes the split's utterances; returns the sums of their counts, {'unit', 'sclite'}."""
    references = [phones.fold_numbers(utterance.phones) for utterance in spoken]
    counted = {name: score(references, decoded, align) for name, align in ALIGNMENTS.items()}
    entries = [
        {
            'key': utterance.key,
            'speaker': utterance.speaker,
            'reference': _names(utterance.phones),
            'decoded': _names(found.phones),
            'starts': found.starts.tolist(),
            **{name: _as_json(counts[place]) for name, counts in counted.items()},
        }
        for place, (utterance, found) in enumerate(zip(spoken, decoded, strict=True))
    ]
    files.write_atomically(folder / f'{split}.json', json.dumps(entries, indent=1))
    return {
        name: {**_as_json(total), 'per': total.rate}
        for name, total in (
            (name, sum(counts, per.EditCounts())) for name, counts in counted.items()
        )
    }


def write_choice(
    folder: Path, language_model: str, trials: Sequence[Trial], counts: dict[str, dict]
) -> None:
    """Writes `decoding.json`.  trials: the best first.  counts: of both splits, as `write_split` gives."""
    best = trials[0]
    content = {
        'language_model': language_model,
        'lm_scale': best.lm_scale,
        'insertion_penalty': best.insertion_penalty,
        'grid': [
            {
                'lm_scale': trial.lm_scale,
                'insertion_penalty': trial.insertion_penalty,
                **_as_json(trial.counts),
                'per': trial.counts.rate,
            }
            for trial in sorted(trials, key=lambda trial: trial[:2])
        ],
        **counts,
    }
    files.write_atomically(folder / 'decoding.json', json.dumps(content, indent=1))


def read_choice(folder: Path) -> dict:
    """`decoding.json` of a complete artifact; checks its files first."""
    store.manifest(folder)
    return json.loads((folder / 'decoding.json').read_text())


def read_split(folder: Path, split: str) -> list[dict]:
    """A split's utterances in a complete artifact, their counts as `per.EditCounts`."""
    store.manifest(folder)
    entries = json.loads((folder / f'{split}.json').read_text())
    return [
        {**entry, **{name: per.EditCounts(**entry[name]) for name in ALIGNMENTS}}
        for entry in entries
    ]


def _as_json(counts: per.EditCounts) -> dict:
    return {
        'correct': counts.correct,
        'substitutions': counts.substitutions,
        'deletions': counts.deletions,
        'insertions': counts.insertions,
    }


def _names(numbers) -> str:
    return ' '.join(phones.PHONES[number] for number in numbers)
