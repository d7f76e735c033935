"""Where a step's time goes, by operation, from JAX's profiler."""

import collections
import gzip
import json
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import jax

SHOWN = 15


def by_operation(step: Callable, steps: int) -> dict[str, float]:
    """Milliseconds a step of each of the device's operations, the longest first.

    step: makes one step and returns arrays to wait for. On CPU, an operation that hands its work to
    other threads, as convolutions do, counts for the handing over alone.
    """
    jax.block_until_ready(step())  # compiles
    with tempfile.TemporaryDirectory() as folder:
        with jax.profiler.trace(folder):
            for _ in range(steps):
                last = step()
            jax.block_until_ready(last)
        (file,) = Path(folder).rglob('*.trace.json.gz')
        events = json.loads(gzip.decompress(file.read_bytes()))['traceEvents']
    return summed(events, steps)


def summed(events: Sequence[Mapping], steps: int) -> dict[str, float]:
    """The same of a trace's events. Where a device has a line for operations, that of its kernels,
    which are named by them as well, is left out."""
    threads = {
        (event['pid'], event['tid']): event['args']['name']
        for event in events
        if event.get('name') == 'thread_name'
    }
    with_line = {pid for (pid, _), name in threads.items() if name == 'XLA Ops'}
    total = collections.Counter()
    for event in events:
        if event.get('ph') == 'X' and 'hlo_op' in event.get('args', {}):
            line = threads.get((event['pid'], event['tid']))
            if line == 'XLA Ops' or event['pid'] not in with_line:
                total[event['args']['hlo_op']] += event['dur'] / 1e3 / steps
    return dict(total.most_common())


def draw(found: Mapping[str, float], title: str, file: Path) -> None:
    """The longest operations as bars, the others as one."""
    from matplotlib.figure import Figure

    names = list(found)
    shown = {name: found[name] for name in names[:SHOWN]}
    rest = sum(found[name] for name in names[SHOWN:])
    if rest:
        shown[f'{len(names) - SHOWN} others'] = rest
    figure = Figure(figsize=(8, 0.3 * len(shown) + 1), layout='constrained')
    axes = figure.subplots()
    axes.barh(list(shown), list(shown.values()))
    axes.invert_yaxis()
    axes.set_xlabel('ms a step')
    axes.set_title(title)
    figure.savefig(file)
