import io
import json

import pytest

from mimic_jax.runtime.progress import ASKING, Progress, duration


class Clock:
    """Seconds that pass only when a test says so."""

    def __init__(self):
        self.now = 1000.0

    def __call__(self):
        return self.now


class Terminal(io.StringIO):
    def isatty(self):
        return True


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def stream():
    return io.StringIO()


def records(stream):
    """The lines of JSON among what was said."""
    return [json.loads(line) for line in stream.getvalue().splitlines() if line[0] == '{']


def work(bar, clock, calls, seconds, steps=1, metrics=None):
    """`calls` calls of `steps` steps that take `seconds` each."""
    for _ in range(calls):
        clock.now += seconds
        bar.advance(steps, metrics)


def test_nothing_is_estimated_before_anything_was_measured(clock, stream):
    progress = Progress(stream=stream, clock=clock)
    progress.plan('train', 1e6)
    assert progress.seconds_left() is None
    with progress.task('net', 'train', steps=10, work_per_step=1e5) as bar:
        work(bar, clock, calls=1, seconds=60)  # compiles
        assert progress.seconds_left() is None


def test_estimate_is_exact_at_a_constant_rate(clock, stream):
    progress = Progress(stream=stream, clock=clock)
    progress.plan('train', 100 * 7.0)
    with progress.task('net', 'train', steps=100, work_per_step=7.0) as bar:
        work(bar, clock, calls=1, seconds=60)
        for done in range(2, 101):
            work(bar, clock, calls=1, seconds=0.5)
            assert progress.seconds_left() == pytest.approx((100 - done) * 0.5)


def test_estimate_counts_several_steps_a_call(clock, stream):
    progress = Progress(stream=stream, clock=clock)
    progress.plan('train', 64.0)
    with progress.task('net', 'train', steps=64, work_per_step=1.0) as bar:
        work(bar, clock, calls=3, seconds=8, steps=16)
        assert progress.seconds_left() == pytest.approx(16 * 8 / 16)


def test_estimate_keeps_a_rate_for_each_kind_of_task(clock, stream):
    """One net runs at 10 FLOPs a second, one at 100; a kind that was not measured gets the mean."""
    progress = Progress(stream=stream, clock=clock)
    for kind, planned in (('slow', 400.0), ('fast', 4000.0), ('new', 1100.0)):
        progress.plan(kind, planned)
    with progress.task('a', 'slow', steps=41, work_per_step=10.0) as bar:
        work(bar, clock, calls=11, seconds=1)
    with progress.task('b', 'fast', steps=41, work_per_step=100.0) as bar:
        work(bar, clock, calls=11, seconds=1)
    # The first call of each is no measurement: 10 calls of 10 and 10 of 100 in 20 s, 55 a second. The
    # first calls took 1 s each, and so will that of the third.
    left = (400 - 110) / 10 + (4000 - 1100) / 100 + 1100 / 55 + 1
    assert progress.seconds_left() == pytest.approx(left)


def test_estimate_counts_the_compilation_of_nets_to_come(clock, stream):
    """Nets of two kinds: each kind's first net compiles for 40 s, the others begin in 2 s."""
    progress = Progress(stream=stream, clock=clock)
    for _ in range(3):
        progress.plan('train a', 100.0)
        progress.plan('train b', 100.0)
    with progress.task('a 1', 'train a', steps=100, work_per_step=1.0) as bar:
        work(bar, clock, calls=1, seconds=40)
        work(bar, clock, calls=99, seconds=1)
        # Nets to come still count as slow as a kind's first net.
        assert progress.seconds_left() == pytest.approx(5 * 100 + 5 * 40)
    with progress.task('a 2', 'train a', steps=100, work_per_step=1.0) as bar:
        assert progress.seconds_left() == pytest.approx(5 * 100 + 5 * 40), 'not begun'
        work(bar, clock, calls=1, seconds=2)
        assert progress.seconds_left() == pytest.approx(99 + 4 * 100 + 2 + 40 + 2 * 2)
        work(bar, clock, calls=99, seconds=1)
    progress.plan('train b', -100.0, -1)
    assert progress.seconds_left() == pytest.approx(3 * 100 + 2 + 40 + 2)


def test_a_task_of_one_step_says_nothing_of_how_long_others_take_to_begin(clock, stream):
    progress = Progress(stream=stream, clock=clock)
    for kind in ('once', 'train', 'train'):
        progress.plan(kind, 10.0)
    with progress.task('k-means', 'once', steps=1, work_per_step=10.0) as bar:
        work(bar, clock, calls=1, seconds=500)
    with progress.task('net', 'train', steps=10, work_per_step=1.0) as bar:
        work(bar, clock, calls=2, seconds=3)
        assert progress.seconds_left() == pytest.approx(18 * 3 + 3)


def test_answers_of_an_own_teacher_say_nothing_of_flops(clock, stream):
    progress = Progress(stream=stream, clock=clock)
    for kind, planned in ((f'{ASKING}forest', 50.0), ('train', 1e12)):
        progress.plan(kind, planned)
    with progress.task('logits', f'{ASKING}forest', steps=50, work_per_step=1.0) as bar:
        work(bar, clock, calls=21, seconds=1)
        assert progress.seconds_left() is None, 'nothing of the training was measured'
        assert announcements(stream) == []
        work(bar, clock, calls=29, seconds=1)
    with progress.task('net', 'train', steps=100, work_per_step=1e10) as bar:
        work(bar, clock, calls=2, seconds=3)
        assert progress.seconds_left() == pytest.approx(98 * 3)
    assert announcements(stream) == ['The whole run needs about 5 min more on this machine.']


def test_steps_of_an_earlier_sitting_are_not_left_to_do(clock, stream):
    progress = Progress(stream=stream, clock=clock)
    progress.plan('train', 100.0)
    with progress.task('net', 'train', steps=100, work_per_step=1.0, done=60) as bar:
        work(bar, clock, calls=11, seconds=6)
        assert progress.seconds_left() == pytest.approx((100 - 71) * 6)
    first = records(stream)[0]
    assert (first['done'], first['total']) == (65, 100)
    assert first['rate'] == 0.1667 and first['seconds_left'] == 35 * 6


def announcements(stream):
    return [line for line in stream.getvalue().splitlines() if line.startswith('The whole run')]


def test_whole_run_is_announced_once_with_the_presets_when_it_is_long(clock, stream):
    progress = Progress('Take :smoke.', stream=stream, clock=clock)
    progress.plan('train', 2000.0)
    with progress.task('net', 'train', steps=2000, work_per_step=1.0) as bar:
        work(bar, clock, calls=15, seconds=1)
        assert announcements(stream) == [], '14 s measured so far'
        work(bar, clock, calls=1, seconds=1)
        expected = ['The whole run needs about 33 min more on this machine. Take :smoke.']
        assert announcements(stream) == expected  # 1984 s
        work(bar, clock, calls=300, seconds=1)
    with progress.task('other', 'train', steps=100, work_per_step=1.0) as bar:
        work(bar, clock, calls=100, seconds=1)
    assert announcements(stream) == expected


def test_a_short_run_is_announced_without_advice(clock, stream):
    progress = Progress('Take :smoke.', stream=stream, clock=clock)
    progress.plan('train', 900.0)
    with progress.task('net', 'train', steps=900, work_per_step=1.0) as bar:
        work(bar, clock, calls=16, seconds=1)
    assert announcements(stream) == ['The whole run needs about 15 min more on this machine.']


def test_work_that_nothing_planned_is_not_announced(clock, stream):
    progress = Progress(stream=stream, clock=clock)
    with progress.task('net', 'train', steps=100, work_per_step=1.0) as bar:
        work(bar, clock, calls=60, seconds=1)
    assert announcements(stream) == []


def test_a_run_that_is_over_at_once_announces_nothing(clock, stream):
    progress = Progress('Take :smoke.', stream=stream, clock=clock)
    progress.plan('train', 9.0)
    with progress.task('net', 'train', steps=9, work_per_step=1.0) as bar:
        work(bar, clock, calls=9, seconds=1)
    assert stream.getvalue() == 'net: done in 9 s\n'


def test_lines_come_every_half_minute_where_there_is_no_terminal(clock, stream):
    progress = Progress(stream=stream, clock=clock)
    progress.plan('train', 100.0)
    progress.plan('label', 50.0)
    with progress.task('net', 'train', steps=100, work_per_step=1.0) as bar:
        clock.now += 10  # the first call compiles, which is no part of the rate
        bar.advance(1)
        work(bar, clock, calls=30, seconds=1.5, metrics={'loss': 1.5})  # 45 s
    # 15 of 100 steps in 31 s; then 85 steps and 50 of another kind remain at 1.5 s each, and the other
    # kind's first call, which may take 10 s too.
    assert records(stream) == [
        {
            'task': 'net', 'done': 15, 'total': 100, 'rate': 0.6667, 'seconds_left': 127.5,
            'run_seconds_left': 212.5, 'loss': 1.5,
        }
    ]  # fmt: skip


def test_a_first_call_of_more_than_half_a_minute_gives_no_rate(clock, stream):
    progress = Progress(stream=stream, clock=clock)
    with progress.task('net', 'train', steps=100, work_per_step=1.0) as bar:
        work(bar, clock, calls=1, seconds=40)
    assert records(stream) == [{'task': 'net', 'done': 1, 'total': 100}]


def test_two_lines_are_at_least_half_a_minute_apart(clock, stream):
    progress = Progress(stream=stream, clock=clock)
    progress.plan('train', 1000.0)
    times = []
    with progress.task('net', 'train', steps=1000, work_per_step=1.0) as bar:
        for _ in range(21):
            before = len(records(stream))
            work(bar, clock, calls=1, seconds=7)
            if len(records(stream)) > before:
                times.append(clock.now - 1000)
    assert times == [35 * line for line in range(1, 5)]


def test_a_terminal_gets_a_bar_with_the_latest_metrics_and_no_lines(clock, monkeypatch):
    monkeypatch.setenv('COLUMNS', '140')
    stream = Terminal()
    progress = Progress(stream=stream, clock=clock)
    with progress.task('net', 'train', steps=30, work_per_step=1.0) as bar:
        work(bar, clock, calls=29, seconds=1)
        bar._bar.mininterval = 0
        bar._bar.miniters = 0
        work(bar, clock, calls=1, seconds=1, metrics={'loss': 0.25, 'validation_accuracy': 0.9})
    text = stream.getvalue()
    assert '30/30' in text and 'loss 0.25, validation accuracy 0.9' in text
    assert '{' not in text


def test_on_a_narrow_terminal_the_bar_has_room(clock, monkeypatch):
    monkeypatch.setenv('COLUMNS', '80')
    progress = Progress(stream=Terminal(), clock=clock)
    with progress.task('student labels, seed 0', 'train', steps=1000, work_per_step=1.0) as bar:
        bar._bar.ncols = 80
        metrics = {'loss': 0.25123, 'validation_accuracy': 0.9512}
        work(bar, clock, calls=1, seconds=1, steps=500, metrics=metrics)
        line = bar._bar.format_meter(**{**bar._bar.format_dict, 'ncols': 80, 'rate': 10.0})
    assert line.startswith('student labels, seed 0  50%|')
    assert line.endswith('| 00:50 left, loss 0.2512, validation 0.9512')
    assert len(line) == 80
    drawn = line.split('|')[1]
    assert len(drawn) >= 4 and drawn.strip()


def test_a_notebook_gets_bars_and_no_lines(clock):
    class Cell(io.StringIO):
        """As the stderr of a notebook's kernel is known: by its module."""

        __module__ = 'ipykernel.iostream'

    stream = Cell()
    progress = Progress(stream=stream, clock=clock)
    with progress.task('net', 'train', steps=100, work_per_step=1.0) as bar:
        bar._bar.mininterval = bar._bar.miniters = 0
        work(bar, clock, calls=100, seconds=1)
    assert '100%' in stream.getvalue()
    assert '{' not in stream.getvalue()


def test_a_task_that_fails_is_not_called_done(clock, stream):
    progress = Progress(stream=stream, clock=clock)
    with (
        pytest.raises(RuntimeError),
        progress.task('net', 'train', steps=9, work_per_step=1.0),
    ):
        raise RuntimeError
    assert stream.getvalue() == ''


@pytest.mark.parametrize(
    ('seconds', 'text'),
    [
        (0, '0 s'),
        (44.6, '45 s'),
        (119.4, '119 s'),
        (119.6, '2 min'),
        (150, '2 min'),
        (151, '3 min'),
        (7169, '119 min'),
        (7171, '2 h'),
        (12000, '3 h 20 min'),
        (172799, '2 days'),
        (187200, '2 days 4 h'),
    ],
)
def test_durations_as_people_say_them(seconds, text):
    assert duration(seconds) == text


def test_counts_come_as_lines_where_there_is_no_terminal(clock, stream):
    progress = Progress(stream=stream, clock=clock)
    for done in range(0, 101, 20):
        progress.count('fetching', done, 100)
        clock.now += 12
    progress.count('decoding', 1, 0)
    clock.now += 31
    progress.count('decoding', 30, 0)
    assert records(stream) == [
        {'task': 'fetching', 'done': 60, 'total': 100},
        {'task': 'decoding', 'done': 30, 'total': None},
    ]


def test_counts_come_as_a_bar_on_a_terminal(clock):
    stream = Terminal()
    progress = Progress(stream=stream, clock=clock)
    progress.count('fetching', 1, 100)
    progress.count('decoding', 1, 7)
    text = stream.getvalue()
    assert 'fetching' in text and '/100' in text
    assert 'decoding' in text and '/7' in text


def test_a_count_may_end_early_and_begin_anew(clock):
    stream = Terminal()
    progress = Progress(stream=stream, clock=clock)
    progress.count('tuning', 3, 9)
    progress.end('something else')
    progress.count('tuning', 4, 9)
    assert stream.getvalue().count('0/9') == 1, 'one bar'
    progress.end('tuning')
    progress.count('tuning', 1, 9)
    assert stream.getvalue().count('0/9') == 2, 'a new one'


def test_where_another_process_speaks_nothing_is_said(clock, capsys):
    progress = Progress(clock=clock, quiet=True)
    progress.say('a line')
    progress.count('images', 1, 2)
    with progress.task('net', 'train', 2, 1.0) as bar:
        bar.advance(2)
    assert capsys.readouterr() == ('', '')
