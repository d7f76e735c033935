"""Damages every kind of file that artifacts hold, and checks what the next run does.

    python benchmarks/corruption.py --json=results/corruption.json

A case is a copy of a finished workdir in which one file is damaged: a random bit flipped, cut short,
emptied, deleted, or exchanged for the file of that name in another artifact. What was made from the
damaged artifact is taken away, and the same command is run. It must either stop with a line that names
the file (or its folder) and says what to do, or end with equal results: parameters, logits, answers and
the report's rows. The same is done to artifacts that are half made, as a kill leaves them.

Cases are drawn by --seed and kept in the --json as they end: the same command goes on. The experiment
is a tiny one on digits, with whitening and a baseline, or --config's; `--only` names phases whose
artifacts are damaged, 'export' among them if that is to be run at all.
"""

import argparse
import collections
import datetime
import functools
import io
import json
import random
import re
import shlex
import shutil
import sys
import tempfile
from contextlib import redirect_stdout
from pathlib import Path

import config_files
import ml_collections
import outcomes
from absl import logging

from mimic_jax import pipeline
from mimic_jax.artifacts import store
from mimic_jax.errors import UserError
from mimic_jax.mimic import ensemble
from mimic_jax.reporting.run import machine
from mimic_jax.runtime import files

DAMAGES = ('flip', 'truncate', 'empty', 'delete', 'swap')
PHASES = (
    *('corpus', 'data', 'preprocess', 'align', 'teacher', 'logits', 'student', 'evaluate'),
    *('baseline', 'decode', 'export'),
)
ROOT = Path(__file__).parent.parent
EXPERIMENT = 'corruption'


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--cases', type=int, default=500)
    parser.add_argument('--seed', type=int, default=0)
    parser.add_argument('--config', help='FILE.py or FILE.py:PRESETS, in the place of tiny digits')
    parser.add_argument(
        '--only', default='', help='phases whose artifacts are damaged, as in corpus,align,export'
    )
    parser.add_argument('--workdir', type=Path, default=Path('runs') / 'corruption')
    parser.add_argument('--json', type=Path)
    arguments = parser.parse_args()
    logging.set_verbosity(logging.WARNING)
    settings = config_files.load(arguments.config) if arguments.config else tiny()
    only = tuple(filter(None, arguments.only.split(',')))
    run = functools.partial(run_all, settings, export='export' in only)
    run(arguments.workdir)
    found = known(arguments.json)
    with tempfile.TemporaryDirectory() as scratch:
        # Twice as many as are wanted, for some files are not there when an artifact is half made.
        drawn = cases(arguments.workdir, 2 * arguments.cases, arguments.seed, only)
        for case in drawn[len(found) :]:
            if counted(found)['cases'] >= arguments.cases:
                break
            found.append(try_one(run, arguments.workdir, Path(scratch) / 'case', case))
            print(f'{len(found)}: {json.dumps(found[-1])}', flush=True)
            write(arguments, found)
    print(json.dumps(counted(found), indent=1))
    sys.exit(0 if counted(found)['silent'] == counted(found)['crashed'] == 0 else 1)


def tiny() -> ml_collections.ConfigDict:
    """Two teachers, a cache of two views, students of both kinds with two seeds, a baseline."""
    train = {'epochs': 2, 'batch_size': 50, 'learning_rate': 0.05, 'clip_norm': 1.0}
    return ml_collections.ConfigDict(
        {
            'data': {
                'train': 200,
                'validation': 100,
                'test': 100,
                'unlabelled': 100,
                'preprocess': 'gcn_zca',
            },
            'views': {'shift': 1},
            'members': {
                'one': {'model': '4c3-bn-p2-8', 'train': train},
                'two': {'model': '4c3-bn-p2-8', 'train': train, 'seed': 1},
            },
            'logits': {
                'ensemble': {'members': ('one', 'two'), 'views': 2},
                'one': {'members': ('one',), 'views': 2},
            },
            'students': {
                'labels': {'model': '4L-16', 'train': train},
                'mimic': {
                    'model': '4L-16',
                    'target': 'logits',
                    'logits': 'ensemble',
                    'loss': {'kind': 'logits'},
                    'train': train,
                    'seeds': (0, 1),
                },
            },
            'baselines': {
                name: {
                    'patches': 300,
                    'patch_size': 4,
                    'centroids': 4,
                    'iterations': 3,
                    'seed': seed,
                }
                for seed, name in enumerate(('coates', 'ng'))
            },
        }
    )


def run_all(settings, workdir: Path, export: bool) -> None:
    """Runs the pipeline as a new process would: nothing that was checked before counts as checked."""
    store._verified_manifest.cache_clear()
    ensemble.open_checked.cache_clear()
    with redirect_stdout(io.StringIO()):
        pipeline.run(settings, workdir=workdir, experiment=EXPERIMENT, command='a command')
        if export:
            pipeline.run(
                settings,
                workdir=workdir,
                experiment=EXPERIMENT,
                phase='export',
                student_name='mimic',
            )


def kinds(workdir: Path, only: tuple[str, ...] = ()) -> dict[str, list[Path]]:
    """The files of a workdir's artifacts by kind: 'teacher checkpoints/N/variables/d/HEX'.

    only: phases, unless it is empty.
    """
    found = collections.defaultdict(list)
    for folder in sorted(workdir.glob('*-*')):
        phase = folder.name.partition('-')[0]
        if only and phase not in only:
            continue
        for path in sorted(folder.rglob('*')):
            if path.is_file():
                name = re.sub('[0-9a-f]{20,}', 'HEX', path.relative_to(folder).as_posix())
                name = re.sub(r'tfevents.*', 'tfevents', re.sub('[0-9]+', 'N', name))
                found[f'{phase} {name}'].append(path.relative_to(workdir))
    return dict(found)


def unfinished(folder: Path) -> bool:
    """Makes a complete artifact what a kill half-way would have left; False for what has no half."""
    phase = folder.name.partition('-')[0]
    if phase in ('teacher', 'student'):
        steps = sorted((folder / 'checkpoints').iterdir(), key=lambda path: int(path.name))
        if len(steps) < 2:
            return False
        shutil.rmtree(steps[-1])
    elif phase == 'logits':
        shutil.rmtree(sorted((folder / 'views').iterdir())[-1])
    elif phase == 'baseline':
        for path in [*folder.glob('*.npy'), *folder.glob('svm_*.npz')]:
            path.unlink()
    else:
        return False
    (folder / 'COMPLETE').unlink()
    (folder / 'manifest.json').unlink()
    return True


def cases(workdir: Path, count: int, seed: int, only: tuple[str, ...] = ()) -> list[dict]:
    """Every kind × every damage, whole and half made, then again with other files and bits."""
    draw, found = random.Random(seed), []
    by_kind = kinds(workdir, only)
    while len(found) < count:
        for half in (False, True):
            for kind, paths in by_kind.items():
                for how in DAMAGES:
                    path = draw.choice(paths)
                    case = {'kind': kind, 'half': half, 'how': how, 'path': str(path)}
                    case['seed'] = draw.randrange(2**32)
                    if _is_possible(workdir, by_kind, case):
                        found.append(case)
    return found[:count]


def _is_possible(workdir: Path, by_kind: dict[str, list[Path]], case: dict) -> bool:
    path = Path(case['path'])
    if case['half']:
        last = path.name in ('COMPLETE', 'manifest.json') or path.suffix == '.npy'
        resumed = case['kind'].split()[0] in ('teacher', 'student', 'logits', 'baseline')
        if not resumed or (last and path.name != 'examples.npy'):
            return False
    if case['how'] in ('flip', 'truncate', 'empty') and not (workdir / path).stat().st_size:
        return False
    return case['how'] != 'swap' or bool(others(workdir, path, by_kind[case['kind']]))


def others(workdir: Path, path: Path, alike: list[Path]) -> list[Path]:
    """Files of the same kind that lie in other artifacts and have another content."""
    content = (workdir / path).read_bytes()
    return [
        other
        for other in alike
        if other.parts[0] != path.parts[0] and (workdir / other).read_bytes() != content
    ]


def damage(path: Path, how: str, draw: random.Random, other: Path | None) -> str:
    """Damages a file; says how, in words."""
    content = path.read_bytes()
    match how:
        case 'flip':
            bit = draw.randrange(8 * len(content))
            flipped = bytearray(content)
            flipped[bit // 8] ^= 1 << bit % 8
            path.write_bytes(flipped)
            return f'bit {bit} flipped'
        case 'truncate':
            length = draw.randrange(len(content))
            path.write_bytes(content[:length])
            return f'cut to {length} of {len(content)} bytes'
        case 'empty':
            path.write_bytes(b'')
        case 'delete':
            path.unlink()
        case 'swap':
            path.write_bytes(other.read_bytes())
            return f'exchanged for {other}'
    return how


def try_one(run, workdir: Path, copy: Path, case: dict) -> dict:
    """A case and its outcome: found, harmless, silent or crashed; and the line, or what differs."""
    shutil.rmtree(copy, ignore_errors=True)
    shutil.copytree(workdir, copy)
    path, draw = Path(case['path']), random.Random(case['seed'])
    folder = copy / path.parts[0]
    if case['half'] and (not unfinished(folder) or not (copy / path).is_file()):
        return {**case, 'outcome': 'none', 'line': 'not there in a half-made artifact'}
    other = None
    if case['how'] == 'swap':
        other = workdir / draw.choice(others(workdir, path, kinds(workdir)[case['kind']]))
    what = damage(copy / path, case['how'], draw, other)
    after = PHASES.index(path.parts[0].partition('-')[0]) + 1
    for phase in PHASES[after:]:
        for made in copy.glob(f'{phase}-*'):
            shutil.rmtree(made)
    case = {**case, 'what': what}
    try:
        run(copy)
    except UserError as error:
        line = str(error).replace(str(copy), '')
        named = path.parts[0] in line and 'delete' in line and '\n' not in line
        return {**case, 'outcome': 'found' if named else 'crashed', 'line': line}
    except Exception as error:
        return {**case, 'outcome': 'crashed', 'line': f'{type(error).__name__}: {error}'}
    different = outcomes.difference(*(outcomes.of(at, EXPERIMENT) for at in (workdir, copy)))
    return {**case, 'outcome': 'silent' if different else 'harmless', 'line': str(different)}


def counted(found: list[dict]) -> dict:
    tried = [case for case in found if case['outcome'] != 'none']
    outcome = collections.Counter(case['outcome'] for case in tried)
    return {
        'cases': len(tried),
        'kinds': len({(case['kind'], case['half']) for case in tried}),
        **{name: outcome[name] for name in ('found', 'harmless', 'silent', 'crashed')},
    }


def known(path: Path | None) -> list[dict]:
    return json.loads(path.read_text())['outcomes'] if path and path.exists() else []


def write(arguments, found: list[dict]) -> None:
    if not arguments.json:
        return
    result = {
        'experiment': 'corruption',
        'config': arguments.config or 'tiny digits',
        'only': arguments.only,
        **counted(found),
        'seed': arguments.seed,
        'command': shlex.join(['python', *sys.argv]),
        'machine': machine(),
        'date': datetime.date.today().isoformat(),
        'outcomes': found,  # `found` counts those that were
    }
    files.write_atomically(arguments.json, json.dumps(result, indent=1) + '\n')


if __name__ == '__main__':
    main()
