"""Watches a process's memory and open files over runs that are long in steps, views or nets.

    python benchmarks/long_runs.py --json=runs/reliability/long_runs.json

steps: one net, 2,000 steps, with a checkpoint every 20.  views: a cache of 500.  nets: 30 students of
30 different widths, each compiled anew.  Each part runs in a process of its own, on digits, with tiny
nets. Memory (resident) and open files are looked at after every checkpoint, block of views, or net.
The first fifth of the looks is warming up; growth is from the median of the second fifth to that of
the last. Fails where memory grew by more than 3%, or open files by more than 2.
"""

import argparse
import contextlib
import datetime
import json
import multiprocessing
import os
import shlex
import statistics
import sys
import time
from pathlib import Path

TRAIN = {'batch_size': 50, 'learning_rate': 0.05, 'clip_norm': 1.0}
CHECKPOINT_STEPS = 20
GROWTH, FILES = 0.03, 2  # of the memory, and open files: more than these is growth


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--steps', type=int, default=2000)
    parser.add_argument('--views', type=int, default=500)
    parser.add_argument('--nets', type=int, default=30)
    parser.add_argument('--workdir', type=Path, default=Path('runs') / 'long_runs')
    parser.add_argument('--json', type=Path)
    arguments = parser.parse_args()
    found = []
    for name in ('steps', 'views', 'nets'):
        found.append(in_a_process(name, getattr(arguments, name), arguments.workdir / name))
        print(json.dumps({key: value for key, value in found[-1].items() if key != 'looks'}))
    if arguments.json:
        write(arguments.json, found)
    grown = [part['name'] for part in found if has_grown(part)]
    sys.exit(f'memory or open files grew over {", ".join(grown)}' if grown else 0)


def has_grown(part: dict) -> bool:
    return part['megabytes_growth'] > GROWTH * part['megabytes'] or part['files_growth'] > FILES


def in_a_process(name: str, count: int, workdir: Path) -> dict:
    spawn = multiprocessing.get_context('spawn')
    queue = spawn.Queue()
    process = spawn.Process(target=watch, args=(name, count, workdir, queue))
    process.start()
    try:
        while True:
            with contextlib.suppress(multiprocessing.queues.Empty):
                return queue.get(timeout=5)
            if not process.is_alive():
                sys.exit(f'the run of {name} failed')
    finally:
        process.join()


def watch(name: str, count: int, workdir: Path, queue) -> None:
    """Runs a part and sends what was seen."""
    from mimic_jax import pipeline

    looks, began = [], time.monotonic()

    def look(*_) -> None:
        looks.append({'megabytes': round(resident(), 1), 'files': len(os.listdir('/proc/self/fd'))})

    look_after(name, look)
    pipeline.run(config(name, count), workdir=workdir, experiment='long_runs')
    queue.put(
        {
            'name': name,
            'count': count,
            **growth(looks),
            'seconds': round(time.monotonic() - began, 1),
            'looks': looks,
        }
    )


def look_after(name: str, look) -> None:
    """Has `look` called after every checkpoint, block of views, or net."""
    from mimic_jax.mimic import cache_writer
    from mimic_jax.training import checkpoint, loop

    of, function = {
        'steps': (checkpoint.Checkpoints, 'save'),
        'views': (cache_writer, '_save'),
        'nets': (loop, 'run'),
    }[name]
    original = getattr(of, function)

    def looked_after(*arguments, **settings):
        result = original(*arguments, **settings)
        look()
        return result

    setattr(of, function, looked_after)


def resident() -> float:
    """Megabytes of this process in memory."""
    pages = int(Path('/proc/self/statm').read_text().split()[1])
    return pages * os.sysconf('SC_PAGE_SIZE') / 1e6


def growth(looks: list[dict]) -> dict:
    """From the median of the second fifth of the looks to that of the last."""
    fifth = max(1, len(looks) // 5)
    found = {'looks_taken': len(looks)}
    for what in ('megabytes', 'files'):
        values = [look[what] for look in looks]
        before = statistics.median(values[fifth : 2 * fifth])
        after = statistics.median(values[-fifth:])
        found |= {what: round(after, 1), f'{what}_growth': round(after - before, 1)}
    return found


def config(name: str, count: int):
    import ml_collections

    settings = {
        'data': {'train': 200, 'validation': 100, 'test': 100, 'unlabelled': 100},
        'views': {'shift': 1},
        'run': {'checkpoint_steps': CHECKPOINT_STEPS, 'evaluation_steps': 200},
    }
    teacher = {'model': '4c3-bn-p2-8', 'train': {**TRAIN, 'epochs': 2}}
    if name == 'steps':
        teacher['train']['epochs'] = count // 4  # of 200 examples in batches of 50
    if name in ('steps', 'views'):
        settings['members'] = {'one': teacher}
    if name == 'views':
        settings['logits'] = {'one': {'members': ('one',), 'views': count}}
    if name == 'nets':
        settings['students'] = {
            f'width_{width}': {'model': f'8L-{width}', 'train': {**TRAIN, 'epochs': 5}}
            for width in range(20, 20 + count)
        }
    return ml_collections.ConfigDict(settings)


def write(path: Path, found: list[dict]) -> None:
    from mimic_jax.reporting.run import machine

    result = {
        'experiment': 'long_runs',
        'parts': found,
        'command': shlex.join(['python', *sys.argv]),
        'machine': machine(),
        'date': datetime.date.today().isoformat(),
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(result, indent=1) + '\n')


if __name__ == '__main__':
    main()
