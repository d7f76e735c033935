"""Ba & Caruana's Table 1 on a part of TIMIT, in folds of speakers: each speaker is tested once.

    python benchmarks/timit_folds.py --root=FOLDER --json=results/timit_table1_sample.json

FOLDER holds a corpus in TIMIT's layout. Runs `experiments/timit_table1.py:sample` (another with
`--preset`) once a fold and puts the folds together: a phone error rate is the errors on all speakers
over all of their reference tokens, a value a student's seed, and its interval is over all speakers; so
is frame accuracy. Differences between rows are paired by speaker. Insertions, deletions and
substitutions are sums over the folds of means over the seeds. Every fold tunes its own decoding on its
own validation speakers. What is finished stays: a run that was stopped goes on with the same command.
`--json=FILE` keeps the rows in a report's form.
"""

import argparse
import itertools
import json
import sys
from pathlib import Path

import config_files
import numpy as np
import record
from absl import logging

from mimic_jax import pipeline
from mimic_jax.ops.text import aligned
from mimic_jax.reporting import tables
from mimic_jax.runtime import allocator
from mimic_jax.speech import per
from mimic_jax.speech.answers import over_speakers

EXPERIMENT = config_files.EXPERIMENTS / 'timit_table1.py'
ERRORS = ('insertions', 'deletions', 'substitutions', 'tokens')


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--root', type=Path, required=True)
    parser.add_argument('--preset', default='sample')
    parser.add_argument('--workdir', type=Path, default=Path('runs') / 'timit_folds')
    parser.add_argument('--json', type=Path)
    arguments = parser.parse_args()
    logging.set_verbosity(logging.WARNING)
    allocator.keep_freed_memory()
    folds = settings(arguments.preset, arguments.root).data.folds
    reports = [
        report(arguments.preset, arguments.root, fold, arguments.workdir) for fold in range(folds)
    ]
    result = together(reports, arguments.preset)
    print(result['title'])
    print('\n'.join(filter(None, (tables.headline(result['rows']), tables.table(result['rows'])))))
    print('\nPER of the row minus PER of the column, points, ± 95% over speakers, paired')
    print(aligned(difference_cells(result['differences'])))
    if arguments.json:
        record.save(arguments.json, **result)


def settings(preset: str, root: Path):
    config = config_files.load(f'{EXPERIMENT}:{preset}')
    config.data.root = str(root)
    return config


def report(preset: str, root: Path, fold: int, workdir: Path) -> dict:
    """The report of one fold."""
    config = settings(preset, root)
    config.data.fold = fold
    name = f'timit_table1_{preset}_fold_{fold}'
    pipeline.run(config, workdir=workdir, experiment=name)
    return json.loads((workdir / name / 'report.json').read_text())


def together(reports: list[dict], preset: str) -> dict:
    """The folds' reports as one: title, rows, timings, seconds."""
    rows = [pooled(list(folds)) for folds in zip(*(r['rows'] for r in reports), strict=True)]
    timings = [timing(folds) for folds in zip(*(r['timings'] for r in reports), strict=True)]
    return {
        'title': f'TIMIT {preset}, {rows[0]["n_speakers"]} speakers',
        'rows': rows,
        'differences': differences(rows),
        'timings': timings,
        'seconds': round(sum(r['seconds'] for r in reports), 1),
    }


def pooled(rows: list[dict]) -> dict:
    """One row over the folds. A speaker that two folds test would count twice, and stops the run."""
    speakers: dict[str, dict] = {}
    for row in rows:
        twice = speakers.keys() & row['speakers'].keys()
        if twice:
            sys.exit(f'speaker {min(twice)} is tested in two folds')
        speakers |= row['speakers']
    result = {**rows[0], **over_speakers(rows[0]['metric'], speakers), 'speakers': speakers}
    if rows[0]['agreement'] is not None:  # of frames, of which the folds have unequal numbers
        frames = [sum(counts['tokens'] for counts in row['speakers'].values()) for row in rows]
        result['agreement'] = float(np.average([row['agreement'] for row in rows], weights=frames))
    if rows[0]['metric'] == 'per':
        result |= {kind: sum(row[kind] for row in rows) for kind in ERRORS}
        result['sclite'] = {kind: sum(row['sclite'][kind] for row in rows) for kind in ERRORS}
        for key in ('lm_scales', 'insertion_penalties', 'validation'):  # a list, one a fold
            result[key] = [row[key] for row in rows]
    return result


def differences(rows: list[dict]) -> list[dict]:
    """{'one', 'other', 'difference', 'half'} of each pair of rows: error rates of the same speakers."""
    rates = [row for row in rows if row['metric'] == 'per']
    found = []
    for one, other in itertools.combinations(rates, 2):
        names = list(one['speakers'])
        errors = [
            [np.mean(row['speakers'][name]['errors']) for name in names] for row in (one, other)
        ]
        tokens = [one['speakers'][name]['tokens'] for name in names]
        difference, half = per.speaker_difference(*errors, tokens)
        found.append(
            {'one': one['name'], 'other': other['name'], 'difference': difference, 'half': half}
        )
    return found


def difference_cells(found: list[dict]) -> list[list[str]]:
    """A table of them, the first row of a pair down, the other across; its head first."""
    down, across = (list(dict.fromkeys(pair[key] for pair in found)) for key in ('one', 'other'))
    texts = {
        (pair['one'], pair['other']): f'{100 * pair["difference"]:+.2f} ± {100 * pair["half"]:.2f}'
        for pair in found
    }
    return [['', *across], *([one, *(texts.get((one, o), '') for o in across)] for one in down)]


def timing(folds: tuple[dict, ...]) -> dict:
    """Training seconds of all folds together; means of the milliseconds and Viterbi's real-time factor."""
    measured = [fold['milliseconds'] for fold in folds]
    sizes = () if None in measured else measured[0]
    same = {key: folds[0][key] for key in ('sequential_layers',) if key in folds[0]}
    return {
        'training_seconds': round(sum(fold['training_seconds'] or 0.0 for fold in folds), 1),
        'milliseconds': {
            size: round(float(np.mean([found[size] for found in measured])), 3) for size in sizes
        }
        or None,
        **same,
        'real_time_factor': float(np.mean([fold['real_time_factor'] for fold in folds])),
    }


if __name__ == '__main__':
    main()
