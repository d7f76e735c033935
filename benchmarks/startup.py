"""How long a run takes to begin: --help, the quickstart, when all is there, and compiling.

    python benchmarks/startup.py --json=results/startup.json

`--help` and the digits run are processes of their own, Python's start included. Tracing and compiling are
the durations that JAX itself reports, summed over a short digits run in a fresh workdir (`peer`) and
over another in a second workdir that finds the first one's compiled programs (`ours`).
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).parent.parent
CONFIG = 'experiments/digits_student.py'
SHORT = [
    *(f'--config.members.cnn_{number}.train.epochs=4' for number in (1, 2, 3)),
    *(f'--config.students.{name}.train.epochs=4' for name in ('labels', 'mimic')),
]
# JAX's names of the durations of tracing, lowering and compiling, reading a kept program included.
DURATIONS = (
    '/jax/core/compile/jaxpr_trace_duration',
    '/jax/core/compile/jaxpr_to_mlir_module_duration',
    '/jax/core/compile/backend_compile_duration',
)
MEASURE = """
import atexit, collections, json, pathlib, sys
from absl import app
from jax import monitoring
from mimic_jax import main

told, sums = pathlib.Path(sys.argv.pop(1)), collections.Counter()
monitoring.register_event_duration_secs_listener(
    lambda name, seconds, **facts: sums.update({name: seconds}))
atexit.register(lambda: told.write_text(json.dumps(sums)))
app.run(main.main, flags_parser=main._parse)
"""


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--json', type=Path)
    arguments = parser.parse_args()
    import record

    start = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        folder = Path(folder)
        helped = statistics.median(seconds(['--help']) for _ in range(5))
        command = [f'--config={CONFIG}', f'--workdir={folder / "quickstart"}']
        quickstart = seconds(command)
        again = statistics.median(seconds(command) for _ in range(5))
        first = compiling(folder / 'first', folder)
        second = compiling(folder / 'second', folder)
    rows = [
        {'name': '--help, s', 'ours': round(helped, 2), 'peer': None, 'ratio': None},
        {'name': 'digits quickstart, s', 'ours': round(quickstart, 1), 'peer': None, 'ratio': None},
        {'name': 'the same command again, s', 'ours': round(again, 2), 'peer': None, 'ratio': None},
        record.cost('tracing and compiling, programs kept against none, s', second, first),
    ]
    for row in rows:
        print(row)
    if arguments.json:
        record.save(arguments.json, rows, seconds=round(time.monotonic() - start, 1))


def seconds(flags: list[str]) -> float:
    """Seconds of one run of the command line."""
    begin = time.monotonic()
    command = [sys.executable, '-m', 'mimic_jax.main', *flags]
    subprocess.run(command, cwd=ROOT, capture_output=True, check='--help' not in flags)
    return time.monotonic() - begin


def compiling(workdir: Path, folder: Path) -> float:
    """Seconds of tracing, lowering and compiling in a short run."""
    told = folder / 'durations.json'
    flags = [f'--config={CONFIG}', f'--workdir={workdir}', *SHORT]
    command = [sys.executable, '-c', MEASURE, str(told), *flags]
    kept = {**os.environ, 'XDG_CACHE_HOME': str(folder / 'cache')}
    kept.pop('JAX_COMPILATION_CACHE_DIR', None)
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True, env=kept)
    sums = json.loads(told.read_text())
    return sum(sums.get(name, 0.0) for name in DURATIONS)


if __name__ == '__main__':
    main()
