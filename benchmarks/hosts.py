"""One experiment by one, two and four processes of one machine, compared; and what a kill does to them.

    python benchmarks/hosts.py --json=runs/reliability/hosts.json

Tiny nets on digits: three teachers, a cache of four views, a student on labels and one that mimics.
Each count of processes (jax.distributed, CPU, gloo) has a workdir of its own, compared with that of one
process: the largest difference of a teacher's, the cache's and a student's logits. Training is
short, because rounding can decide on which side of 0 a ReLU's input falls: from there on two runs
differ by more, as do two runs of one process whose first weights differ by 1e-7. Then processes are
killed while a net is trained: one of four, one of two that resume, and the first of two. One
process finishes each time. Prints how long the others took to stop, their last line, and the
differences again. Fails where logits differ by more than 1% of the largest, or where the others did
not stop with a line within a minute.
"""

import argparse
import datetime
import importlib.util
import json
import os
import shlex
import shutil
import socket
import subprocess
import sys
import time
from pathlib import Path

import numpy as np

ROOT = Path(__file__).parent.parent
COUNTS = (2, 4)
TOLERANCE = 0.01  # of the largest logit
STOPPED = 60  # seconds within which the others of a killed process have stopped
PATIENCE = 1800  # seconds that a run may take on a busy machine


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--workdir', type=Path, default=Path('runs') / 'hosts')
    parser.add_argument('--json', type=Path)
    arguments = parser.parse_args()
    shutil.rmtree(arguments.workdir, ignore_errors=True)
    whole = arguments.workdir / '1'
    finish(start(whole, 1))
    runs = []
    for count in COUNTS:
        workdir = arguments.workdir / str(count)
        finish(start(workdir, count))
        runs.append({'processes': count, **differences(whole, workdir)})
        print(json.dumps(runs[-1]), flush=True)
    workdir = arguments.workdir / 'killed'
    kills = [kill_one(workdir, 4), kill_one(workdir, 2), kill_one(workdir, 2, first=True)]
    finish(start(workdir, 1))
    kills_found = {'kills': kills, **differences(whole, workdir)}
    print(json.dumps(kills_found), flush=True)
    if arguments.json:
        write(arguments.json, runs, kills_found)
    faults = [*map(apart, [*runs, kills_found]), *map(slow, kills)]
    sys.exit('\n'.join(filter(None, faults)) or 0)


def apart(found: dict) -> str:
    """What differs by more than the tolerance, in words; '' where nothing does."""
    far = [
        f'the logits of a {phase} differ by {number:g}, of {found["largest_logits"][phase]:g}'
        for phase, number in found['differences'].items()
        if number > TOLERANCE * found['largest_logits'][phase]
    ]
    return '; '.join(far)


def slow(kill: dict) -> str:
    """What is wrong with how the others stopped, in words; '' where nothing is."""
    others = kill['processes'] - 1
    if kill['seconds'] < STOPPED and kill['said'] == others:
        return ''
    return f'{kill["said"]} of {others} others said why they stopped, after {kill["seconds"]} s'


def get_config():
    """The experiment: this file is a config of its own."""
    spec = importlib.util.spec_from_file_location('digits', ROOT / 'experiments/digits_student.py')
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    config = module.get_config()
    config.logits.ensemble.views = 4
    for member in config.members.values():
        member.model = '8c3-p2-16c3-p2-32-d.5'
        member.train.epochs = 10
    for student in config.students.values():
        student.model, student.seeds = '16L-128', (0,)
        student.train.epochs = 10
    config.run.checkpoint_steps = config.run.evaluation_steps = 8
    return config


def start(workdir: Path, count: int) -> list[subprocess.Popen]:
    with socket.socket() as free:
        free.bind(('localhost', 0))
        port = free.getsockname()[1]
    workdir.mkdir(parents=True, exist_ok=True)
    command = [sys.executable, '-m', 'mimic_jax.main', f'--config={Path(__file__)}']
    command.append(f'--workdir={workdir}')
    processes = []
    for number in range(count):
        several = [f'--distributed=localhost:{port},{count},{number}'] if count > 1 else []
        with (workdir / f'process_{number}.log').open('wb') as log:
            environment = {**os.environ, 'PYTHONPATH': str(ROOT), 'JAX_PLATFORMS': 'cpu'}
            processes.append(
                subprocess.Popen([*command, *several], stdout=log, stderr=log, env=environment)
            )
    return processes


def finish(processes: list[subprocess.Popen]) -> None:
    for number, process in enumerate(processes):
        if process.wait(PATIENCE) != 0:
            sys.exit(f'process {number} failed; see its log in the workdir')


def kill_one(workdir: Path, count: int, first: bool = False) -> dict:
    """Kills one of some processes at the next checkpoint; what became of the others.

    The last, or the first, through which the others know of each other.
    """
    before = checkpoints(workdir)
    processes = start(workdir, count)
    while checkpoints(workdir) <= before:
        time.sleep(0.01)
        if any(process.poll() is not None for process in processes):
            sys.exit(f'a process ended before it could be killed; see {workdir}')
    killed = 0 if first else count - 1
    processes[killed].kill()
    began = time.monotonic()
    for process in processes:
        process.wait(PATIENCE)
    lines = [
        (workdir / f'process_{number}.log').read_text().splitlines()[-1]
        for number in range(count)
        if number != killed
    ]
    return {
        'processes': count,
        'seconds': round(time.monotonic() - began, 1),
        'said': sum('another process of this run has ended' in line for line in lines),
        'line': lines[0],
    }


def checkpoints(workdir: Path) -> set[Path]:
    """The checkpoints that are whole, of every net."""
    found = workdir.glob('*-*/checkpoints/*')
    return {path for path in found if path.name.isdigit()}


def differences(whole: Path, other: Path) -> dict[str, float]:
    """The largest difference of any logit, and the largest logit, of each kind of artifact."""
    import orbax.checkpoint as ocp

    found = {}
    for folder in sorted(whole.glob('*-*')):
        phase, recipe = folder.name.partition('-')[0], folder / 'config.json'
        pairs = []
        if phase == 'evaluate':
            (reads,) = json.loads(recipe.read_text())['reads']
            phase = reads.partition('-')[0]
            names = [f'{split}.npy' for split in ('validation', 'test')]
            pairs = [[np.load(at / folder.name / name) for at in (whole, other)] for name in names]
        elif phase == 'logits':
            with ocp.StandardCheckpointer() as checkpointer:
                views = sorted((folder / 'views').iterdir())
                pairs = [
                    [
                        checkpointer.restore(at.resolve() / folder.name / 'views' / view.name)
                        for at in (whole, other)
                    ]
                    for view in views
                ]
            pairs = [[tree['logits'].astype(np.float32) for tree in pair] for pair in pairs]
        for one, two in pairs:
            difference, largest = found.get(phase, (0.0, 0.0))
            found[phase] = (
                max(difference, float(np.abs(one - two).max())),
                max(largest, float(np.abs(one).max())),
            )
    return {
        'differences': {phase: float(f'{value:.3g}') for phase, (value, _) in found.items()},
        'largest_logits': {phase: float(f'{value:.3g}') for phase, (_, value) in found.items()},
    }


def write(path: Path, runs: list[dict], killed: dict) -> None:
    from mimic_jax.reporting.run import machine

    result = {
        'experiment': 'hosts',
        'runs': runs,
        'killed': killed,
        'command': shlex.join(['python', *sys.argv]),
        'machine': machine(),
        'date': datetime.date.today().isoformat(),
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(result, indent=1) + '\n')


if __name__ == '__main__':
    main()
