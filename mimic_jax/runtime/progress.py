"""Progress and the time left: a bar on a terminal, elsewhere a line of JSON from time to time.

A line has `task`, `done` and `total` (null where it is unknown). Where they are known, it also has `rate`
(steps a second), `seconds_left` of the task, `run_seconds_left` of the whole run, and the task's latest
metrics.
"""

import io
import json
import shutil
import sys
import time
from collections import defaultdict
from collections.abc import Callable, Mapping

import tqdm

Say = Callable[[str], None]  # (line)
Watch = Callable[[int, int], None]  # (done, total)
Count = Callable[[str, int, int], None]  # (what, done, total), for several things in turn

LINE_SECONDS = 30.0  # between lines where the output is no terminal
SETTLED_SECONDS = 15.0  # of measured work before the whole run's time is announced
ASKING = (
    'ask '  # begins the kinds whose work is counted in an external teacher's answers, not in FLOPs
)
LONG_SECONDS = 15 * 60.0  # a longer run's announcement names the shorter presets
NARROW = 110  # columns of a terminal, below which a bar's line is short
SHORT_LINE = '{desc} {percentage:3.0f}%|{bar}| {remaining} left{postfix}'
# Metrics in a short line.
SHORT_NAMES = {'validation_accuracy': 'validation', 'validation_r2': 'validation R²'}


class Progress:
    """Counts a run's work, task by task, and estimates the time left from the rates measured so far.

    Work is in FLOPs. Each kind of task has its own rate, since a convolution and a wide matrix product
    reach different shares of a machine's speed. A kind that was not measured is estimated at the mean
    rate. A task also takes seconds until its first step is done, while programs are compiled. The first
    task of a kind takes more of them than the others, which run the same programs.
    """

    def __init__(self, advice: str = '', stream=None, clock=time.monotonic, quiet: bool = False):
        self._advice, self._clock = advice, clock
        self._stream = io.StringIO() if quiet else stream or sys.stderr
        self._terminal, self._quiet = _shows_bars(self._stream), quiet
        self._left = defaultdict(float)
        self._ahead = defaultdict(int)  # tasks of each kind that have yet to begin
        self._begun = set()  # kinds of which a task has begun
        self._starts = {True: [], False: []}  # seconds: of a kind's first task, of the others
        self._done = defaultdict(float)
        self._seconds = defaultdict(float)
        self._announced = False
        self._counting, self._counted, self._counter, self._line = '', 0, None, 0.0

    def plan(self, kind: str, work: float, tasks: int = 1) -> None:
        """Adds work ahead, in so many tasks. Negative numbers take work back."""
        self._left[kind] += work
        self._ahead[kind] += tasks

    def say(self, text: str) -> None:
        """Prints a line above the bar, unless another process prints for this one."""
        if self._quiet:
            return
        tqdm.tqdm.write(text, file=self._stream)
        self._stream.flush()

    def count(self, what: str, done: int, total: int) -> None:
        """Shows the progress of work outside the plan: bytes fetched, images decoded."""
        if self._counting != what:
            self._counting, self._counted, self._line = what, 0, self._clock()
            self._counter = self._bar(what, total)
        self._counter.update(done - self._counted)
        self._counted = done
        if not self._terminal and self._clock() - self._line >= LINE_SECONDS:
            self._line = self._clock()
            self._record(task=what, done=done, total=total or None)
        if done == total:
            self.end(what)

    def end(self, what: str) -> None:
        """Ends a count that may stop before its total."""
        if self._counting == what:
            self._counter.close()
            self._counting = ''

    def _record(self, **facts) -> None:
        self.say(json.dumps({key: _rounded(value) for key, value in facts.items()}))

    def _bar(self, name: str, total: int, done: int = 0, short: bool = False):
        return tqdm.tqdm(
            bar_format=SHORT_LINE if short else None,
            total=total or None,
            initial=done,
            desc=name,
            file=self._stream,
            disable=not self._terminal,
            leave=False,
            mininterval=0.2,
            dynamic_ncols=True,
        )

    def task(self, name: str, kind: str, steps: int, work_per_step: float, done: int = 0):
        """A context for one task of `steps` steps; an earlier run has done `done` of them."""
        self._left[kind] = max(0.0, self._left[kind] - done * work_per_step)
        return _Task(self, name, kind, steps, work_per_step, done)

    def seconds_left(self) -> float | None:
        """The estimate for all planned work; None before enough of it was measured."""
        counted = [kind for kind in self._done if not kind.startswith(ASKING)]
        done, seconds = (
            sum(amounts[kind] for kind in counted) for amounts in (self._done, self._seconds)
        )
        mean = done / seconds if seconds else 0.0
        total = 0.0
        for kind, work in self._left.items():
            if not work:
                continue
            measured = self._done[kind] and self._seconds[kind]
            rate = self._done[kind] / self._seconds[kind] if measured else mean
            if not rate or (not measured and kind.startswith(ASKING)):
                return None
            total += work / rate
        return total + self._starting() if self._seconds else None

    def _starting(self) -> float:
        """Seconds that the tasks ahead need before their first steps, by the means of those so far."""
        first, again = (
            sum(found) / len(found) if found else None for found in self._starts.values()
        )
        first = first or 0.0
        again = first if again is None else again
        return sum(
            count * again + (first - again) * (kind not in self._begun)
            for kind, count in self._ahead.items()
            if count > 0
        )

    def _begin(self, kind: str, steps: int, seconds: float) -> None:
        """Notes that a task's first step took `seconds`. In a task of one step that is no start alone."""
        if steps > 1:
            self._starts[kind not in self._begun].append(seconds)
        self._begun.add(kind)
        self._ahead[kind] -= 1

    def _advance(self, kind: str, work: float, seconds: float) -> None:
        self._left[kind] = max(0.0, self._left[kind] - work)
        self._done[kind] += work
        self._seconds[kind] += seconds
        if not self._announced and sum(self._seconds.values()) >= SETTLED_SECONDS:
            left = self.seconds_left()
            if left is None or round(left) == 0:
                return
            self._announced = True
            advice = f' {self._advice}' if self._advice and left > LONG_SECONDS else ''
            self.say(f'The whole run needs about {duration(left)} more on this machine.{advice}')


class _Task:
    """One bar. `advance(steps, metrics)` is called after a step, with the latest metrics by name."""

    def __init__(self, progress, name, kind, steps, work_per_step, done):
        self._progress, self._name, self._kind = progress, name, kind
        self._steps, self._work, self._done = steps, work_per_step, done

    def __enter__(self):
        p = self._progress
        self._short = shutil.get_terminal_size().columns < NARROW
        self._bar = p._bar(self._name, self._steps, self._done, self._short)
        self._start = self._line = self._last = p._clock()
        self._warm = False
        return self

    def __exit__(self, kind, *_):
        self._bar.close()
        if kind is None:
            seconds = self._progress._clock() - self._start
            self._progress.say(f'{self._name}: done in {duration(seconds)}')

    def advance(self, steps: int = 1, metrics: Mapping[str, float] | None = None) -> None:
        p, now = self._progress, self._progress._clock()
        self._done += steps
        if self._warm:
            p._advance(self._kind, steps * self._work, now - self._last)
        else:  # the first call compiles, so its time is no measure of the rate
            p._begin(self._kind, self._steps, now - self._start)
            p._left[self._kind] = max(0.0, p._left[self._kind] - steps * self._work)
            self._warm, self._since, self._first = True, now, self._done
        self._last, metrics = now, metrics or {}
        self._bar.set_postfix_str(_words(metrics, self._short), refresh=False)
        self._bar.update(steps)
        if not p._terminal and now - self._line >= LINE_SECONDS:
            self._line = now
            measured, since = {}, self._done - self._first
            if since:
                rate = since / max(now - self._since, 1e-9)
                measured = {'rate': rate, 'seconds_left': (self._steps - self._done) / rate}
                measured['run_seconds_left'] = p.seconds_left()
            p._record(
                task=self._name,
                done=self._done,
                total=self._steps,
                **measured,
                **metrics,
            )


def _shows_bars(stream) -> bool:
    """Whether a line can be written over: on a terminal, and in a notebook's cell."""
    return stream.isatty() or type(stream).__module__.startswith('ipykernel')


def _words(metrics: Mapping[str, float], short: bool) -> str:
    names = SHORT_NAMES if short else {}
    return ', '.join(
        f'{names.get(name, name).replace("_", " ")} {value:.4g}' for name, value in metrics.items()
    )


def _rounded(value):
    return float(f'{value:.4g}') if isinstance(value, float) else value


def duration(seconds: float) -> str:
    """`seconds` in readable units: 45 s, 12 min, 3 h 20 min, 2 days 4 h."""
    seconds = round(seconds)
    if seconds < 120:
        return f'{seconds} s'
    minutes = round(seconds / 60)
    if minutes < 120:
        return f'{minutes} min'
    hours, minutes = divmod(minutes, 60)
    if hours < 48:
        return f'{hours} h {minutes} min' if minutes else f'{hours} h'
    days, hours = divmod(hours, 24)
    return f'{days} days {hours} h' if hours else f'{days} days'
