"""The name of every artifact of every experiment and preset, on data sets that stand in for the real ones.

    python tests/artifact_names.py

records them anew in tests/artifact_names.json, after a change of an experiment's own settings. Whatever
else changes, names stay: artifacts that took days must be found again.
"""

import contextlib
import dataclasses
import json
import sys
from pathlib import Path

import numpy as np

from mimic_jax.artifacts.recipes import Recipe
from mimic_jax.config import experiment as experiments
from mimic_jax.data import sources, splits
from mimic_jax.mimic.plan import trial
from mimic_jax.mimic.settings import Member
from mimic_jax.planning import collect as plans
from mimic_jax.search import from_study, trials
from mimic_jax.speech import corpora, flite, timit_source, timit_splits

ROOT = Path(__file__).parent.parent
FILE = Path(__file__).parent / 'artifact_names.json'

# Of a data set: shape of an example, classes, labelled examples, examples of its own test split.
SOURCES = {
    'digits': ((8, 8, 1), 10, 1797, 0),
    'cifar10': ((32, 32, 3), 10, 50000, 10000),
    'sklearn:digits': ((64,), 10, 1797, 0),
    'sklearn:friedman1': ((10,), 1, 12000, 0),
    # A person's own data may have any size.
    'folder': ((32, 32, 3), 10, 5000, 0),
    'npz': ((32, 32, 3), 10, 5000, 0),
    'tfds:fashion_mnist': ((28, 28, 1), 10, 60000, 10000),
    'timit': ((15, 41, 3), 183, None, None),  # see `corpus`
    'flite': ((15, 41, 3), 183, None, None),
}


def corpus(split):
    """Frames of TIMIT's speakers for the official split, of 16 speakers for others, 8 sentences each."""
    official = split == 'official'
    test = (*timit_splits.DEV_SPEAKERS, *timit_splits.CORE_SPEAKERS) if official else ()
    train = [f'm{number:03d}0' for number in range(462 if official else 16)]
    utterances = [
        corpora.Spoken(part, 'dr1', speaker, f'sx{number}', np.zeros(40, np.int32))
        for part, speakers in (('train', train), ('test', test))
        for speaker in speakers
        for number in range(8)
    ]
    bounds = np.arange(len(utterances) + 1) * 300
    frames = np.broadcast_to(np.float32(0), (bounds[-1], 123))
    return corpora.Speech(frames, np.zeros(bounds[-1], np.int32), bounds, tuple(utterances), ())


def divided(data):
    """A data set of a config's size and shape."""
    shape, classes, pool, test = SOURCES[data.name]
    if data.name in ('timit', 'flite'):
        return timit_source.divide(corpus(data.split), '', data, lambda line: None)
    if data.preprocess == 'feature' and len(shape) > 1:  # a person's own table
        shape = (20,)
    others = data.transfer.limit if data.transfer.kind == 'npz' else 0
    labels = np.arange(pool + others + test, dtype=np.int32) % classes
    if data.task == 'regression':
        labels = np.arange(len(labels), dtype=np.float64)[:, None]
    inputs = np.broadcast_to(np.zeros(1, np.uint8), (pool + others + test, *shape))
    regions = {'pool': pool, 'unlabelled': others, 'test': test}
    return splits.divide(inputs, labels, regions, classes, '', data)


def of(settings) -> dict[str, str]:
    """What an experiment's config makes: names of artifacts by what they are."""
    checked = experiments.read(settings)
    data = divided(checked.data)
    found = {name: recipe.name for name, recipe in _data_recipes(checked.data)}
    students = from_study.known(checked.students)
    planned = dataclasses.replace(checked, members=_members(checked), students=students)
    plan = plans.make(planned, data)
    for number, alignment in enumerate(plan.alignments, 1):
        found[f'alignment {number}'] = alignment.recipe.name
        found[f'aligner {number}'] = alignment.net.recipe.name
    for net in plan.nets():
        found[net.name], found[f'evaluation of {net.name}'] = net.recipe.name, net.evaluation.name
    for name, cache in plan.caches.items():
        found[f'logits {name}'] = cache.recipe.name
    for baseline in plan.baselines.values():
        found[baseline.name] = baseline.recipe.name
    for source, decodings in plan.decodings.items():
        for number, decoding in enumerate(decodings):
            found[f'decoding {number} of {source}'] = decoding.recipe.name
    if checked.search.kind:
        aligned = plans.realigned(planned, data)
        middle = trials.middle(checked.search)
        net = trial('trial', middle, checked.views, aligned, plan.caches)
        found['trial'] = net.recipe.name
    return found


def _members(checked):
    """The members; for each that a study has to find, a stand-in of its rank."""
    return {
        name: Member('8c3-p2-10', seed=member.from_study.rank) if member.from_study.rank else member
        for name, member in checked.members.items()
    }


def _data_recipes(data):
    if data.name == 'flite':
        yield 'corpus', Recipe('corpus', flite.identity())
    elif data.name in ('digits', 'cifar10', 'sklearn:digits') and data.transfer.kind == 'none':
        yield 'data', Recipe('data', sources.identity(data))


def cases():
    """(experiment, preset) of all."""
    for path in sorted((ROOT / 'experiments').glob('*.py')):
        for preset in ('', *getattr(module(path.stem), 'PRESETS', {})):
            yield path.stem, preset


def module(name):
    from conftest import load_experiment

    return load_experiment(name)


def recorded() -> dict[str, dict[str, str]]:
    return json.loads(FILE.read_text())


def main() -> None:
    sys.path.insert(0, str(ROOT))  # where the teacher of tabular_student.py lies
    names = {
        ':'.join(filter(None, case)): of(module(case[0]).get_config(case[1])) for case in cases()
    }
    with contextlib.suppress(OSError):
        before = recorded()
        for case, found in names.items():
            changed = [name for name in found if before.get(case, {}).get(name) != found[name]]
            if changed:
                print(f'{case}: {", ".join(changed)}')
    FILE.write_text(json.dumps(names, indent=0, sort_keys=True) + '\n')


if __name__ == '__main__':
    main()
