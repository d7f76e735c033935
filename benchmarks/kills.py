"""Kills a run over and over, starts it again with the same command, and compares what comes out.

    python benchmarks/kills.py --kills=100 --json=results/kills.json
    python benchmarks/kills.py --kills=100 --config=experiments/cifar_student.py:smoke

The command first runs once from beginning to end. Then, in workdirs of their own, it is killed by
SIGKILL at random moments and started again until it ends; every workdir's parameters, logits, answers
and report rows must equal the uninterrupted one's. Half of the moments are drawn evenly over
--longest seconds, or over what the whole run takes; that span grows by half after a kill that came
before a further checkpoint, view or artifact. The other kills wait for a temporary file (of a
checkpoint, a view, a manifest, a report, or a study's journal) and follow within milliseconds.
Seeds are printed and kept in the --json with every kill and where it fell; the same command resumes
after the last workdir that ended.

A process starts as a copy of one that has imported the libraries, so that most of its time goes into
work. Everything behind `--` goes to the run itself: -- --config.run.checkpoint_steps=1
"""

import argparse
import collections
import datetime
import json
import multiprocessing
import os
import platform
import random
import runpy
import shlex
import shutil
import sys
import time
from pathlib import Path

import outcomes

ROOT = Path(__file__).parent.parent
FORK = multiprocessing.get_context('forkserver')
LIBRARIES = ['jax', 'flax', 'optax', 'orbax.checkpoint', 'sklearn.datasets', 'matplotlib.pyplot']
LIBRARIES += ['tensorboardX', 'optuna', 'scipy.stats', 'tensorflow_datasets', 'absl.app']
POLL = 0.0005  # seconds between looks for what a kill waits for
STUDY = 'studies.sqlite'
# In a workdir, while a report, or into a search's study, is written.
WRITTEN = {'report': '*/.report*.tmp', 'study': f'{STUDY}-journal'}
# What lies in an artifact's folder for a moment, while something is written.
MOMENTS = {
    'checkpoint': 'checkpoints/*tmp*',
    'cache': 'views/*tmp*',
    'completion': 'manifest.json',
    'file': '.*.tmp',
}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--kills', type=int, default=100)
    parser.add_argument('--config', default='experiments/digits_student.py')
    parser.add_argument('--folder', type=Path, default=Path('runs') / 'kills')
    parser.add_argument('--seed', type=int, default=0)
    parser.add_argument('--longest', type=float, help='seconds until a kill, at most')
    parser.add_argument('--json', type=Path)
    parser.add_argument('rest', nargs='*', help='flags of the run itself, behind --')
    arguments = parser.parse_args()
    FORK.set_forkserver_preload(LIBRARIES)
    command = [f'--config={arguments.config}', *arguments.rest]
    expected, seconds = uninterrupted(command, arguments.folder / 'whole', arguments.config)
    seconds = min(seconds, arguments.longest or seconds)
    rounds = known(arguments.json)
    while sum(len(done['kills']) for done in rounds) < arguments.kills:
        left = arguments.kills - sum(len(done['kills']) for done in rounds)
        seed = arguments.seed + len(rounds)
        workdir = arguments.folder / f'killed-{seed}'
        shutil.rmtree(workdir, ignore_errors=True)
        kills = killed(command, workdir, random.Random(seed), seconds, len(expected) - 1, left)
        found = outcomes.of(workdir, experiment(arguments.config))
        different = outcomes.difference(expected, found)
        rounds.append({'seed': seed, 'kills': kills, 'different': different})
        print(f'seed {seed}: {len(kills)} kills, differs in {different or "nothing"}', flush=True)
        write(arguments, rounds, len(expected))
        if not different:
            shutil.rmtree(workdir)
    print(json.dumps(summary(rounds), indent=1))
    sys.exit(0 if summary(rounds)['equal'] else 1)


def uninterrupted(command: list[str], workdir: Path, config: str) -> tuple[dict, float]:
    """What comes out without a kill, and the seconds it takes, Python's start included."""
    record = workdir / 'seconds.json'
    if not record.exists():
        shutil.rmtree(workdir, ignore_errors=True)
        began = time.monotonic()
        wait(start(command, workdir), workdir)
        record.write_text(json.dumps(time.monotonic() - began))
    return outcomes.of(workdir, experiment(config)), json.loads(record.read_text())


def killed(
    command: list[str], workdir: Path, draw: random.Random, seconds: float, whole: int, most: int
) -> list[dict]:
    """Kills the run at most so often, then lets it end; returns where every kill fell.

    seconds: what the whole run takes, or the longest wait for a kill. whole: how many artifacts it
    makes.
    """
    kills, patience, seen = [], seconds, set()
    while True:
        since, began = time.time(), time.monotonic()
        process = start(command, workdir)
        if len(kills) == most:
            wait(process, workdir)
            return kills
        moments = ['report', *MOMENTS, *(['study'] if (workdir / STUDY).exists() else [])]
        moment = draw.choice(moments) if draw.random() < 0.5 else None
        after = draw.uniform(0, patience)
        hit = watch(process, workdir, moment, since, after, patience, draw.uniform(0, 0.02))
        if not process.is_alive():
            wait(process, workdir)
            return kills
        process.kill()
        process.join()
        kills.append({'phase': where(workdir, whole, since), 'waited_for': moment if hit else None})
        kills[-1]['seconds'] = round(time.monotonic() - began, 3)
        print(f'kill {len(kills)} {json.dumps(kills[-1])}', flush=True)
        patience = seconds if made(workdir) - seen else 1.5 * patience
        seen |= made(workdir)


def made(workdir: Path) -> set[Path]:
    """The checkpoints, views and artifacts that are whole."""
    parts = ('checkpoints/*', 'views/*', 'COMPLETE')
    found = (path for part in parts for path in workdir.glob(f'*-*/{part}'))
    return {path for path in found if path.name == 'COMPLETE' or path.name.isdigit()}


def start(command: list[str], workdir: Path):
    workdir.mkdir(parents=True, exist_ok=True)
    process = FORK.Process(target=run, args=([*command, f'--workdir={workdir}'], workdir))
    process.start()
    return process


def run(flags: list[str], workdir: Path) -> None:
    """In a process of its own: `python -m mimic_jax.main` with these flags."""
    with (workdir / 'output.log').open('ab') as log:
        for descriptor in (1, 2):
            os.dup2(log.fileno(), descriptor)
    os.chdir(ROOT)
    sys.path.insert(0, str(ROOT))
    sys.argv = ['mimic_jax.main', *flags]
    runpy.run_module('mimic_jax.main', run_name='__main__', alter_sys=True)


def wait(process, workdir: Path) -> None:
    process.join()
    if process.exitcode != 0:
        sys.exit(f'the run failed; see {workdir / "output.log"}')


def watch(
    process,
    workdir: Path,
    moment: str | None,
    since: float,
    after: float,
    most: float,
    late: float,
) -> bool:
    """Waits `after` seconds, then up to `most` for the moment; whether it came before the run ended."""
    end = time.monotonic() + after
    while process.is_alive() and time.monotonic() < end:
        time.sleep(min(0.05, max(0.0, end - time.monotonic())))
    end = time.monotonic() + (most if moment else 0)
    while process.is_alive() and time.monotonic() < end:
        if is_now(workdir, moment, since):
            time.sleep(late)
            return True
        time.sleep(POLL)
    return False


def is_now(workdir: Path, moment: str, since: float) -> bool:
    """Whether an artifact that is being made, or a report, holds the file that marks the moment."""
    if moment in WRITTEN:
        return is_there(workdir, WRITTEN[moment], since)
    return any(is_there(folder, MOMENTS[moment], since) for folder in in_work(workdir))


def is_there(folder: Path, pattern: str, since: float) -> bool:
    """Whether something of that name is newer than what earlier kills left."""
    try:
        return any(path.stat().st_mtime >= since for path in folder.glob(pattern))
    except OSError:  # it has just been renamed
        return True


def in_work(workdir: Path) -> list[Path]:
    return [path for path in workdir.glob('*-*') if not (path / 'COMPLETE').exists()]


def where(workdir: Path, whole: int, since: float) -> str:
    """In which phase a kill fell, by the artifact that it left unfinished, and inside what.

    whole: how many artifacts a finished run has.  since: when the killed process started.
    """
    if is_there(workdir, WRITTEN['study'], since):
        return 'search, inside study'
    if is_there(workdir, WRITTEN['report'], since):
        return 'report, inside file'
    folders = [path for path in in_work(workdir) if path.is_dir()]
    if not folders:
        complete = len(list(workdir.glob('*-*/COMPLETE')))
        if complete == whole:
            return 'report'
        return 'between artifacts' if complete else 'start'
    newest = max(folders, key=lambda path: path.stat().st_mtime)
    phase = newest.name.partition('-')[0]
    if phase == 'teacher' and (workdir / STUDY).exists():
        phase = 'search'  # whose trials the teachers of such a run are
    for inside in ('completion', 'checkpoint', 'cache', 'file'):
        if is_there(newest, MOMENTS[inside], since):
            return f'{phase}, inside {inside}'
    return phase


def experiment(config: str) -> str:
    """The folder of the config's report."""
    path, _, presets = config.partition(':')
    return '_'.join([Path(path).stem, *filter(None, presets.split(','))])


def known(path: Path | None) -> list[dict]:
    return json.loads(path.read_text())['rounds'] if path and path.exists() else []


def summary(rounds: list[dict]) -> dict:
    kills = [kill for done in rounds for kill in done['kills']]
    return {
        'kills': len(kills),
        'by_phase': dict(sorted(collections.Counter(kill['phase'] for kill in kills).items())),
        'workdirs': len(rounds),
        'seeds': [done['seed'] for done in rounds],
        'equal': all(not done['different'] for done in rounds),
    }


def write(arguments, rounds: list[dict], compared: int) -> None:
    if not arguments.json:
        return
    result = {
        'experiment': 'kills',
        'config': arguments.config,
        **summary(rounds),
        'compared': compared,  # artifacts, and the report's rows
        'command': shlex.join(['python', *sys.argv]),
        'machine': f'{os.cpu_count()} CPU cores ({platform.machine()})',
        'date': datetime.date.today().isoformat(),
        'rounds': rounds,
    }
    temporary = arguments.json.with_suffix('.tmp')
    temporary.write_text(json.dumps(result, indent=1) + '\n')
    temporary.replace(arguments.json)


if __name__ == '__main__':
    main()
