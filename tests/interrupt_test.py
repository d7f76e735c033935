import json
import os
import shlex
import signal
import subprocess
import sys
import threading
import time

import pytest
from conftest import ROOT

from mimic_jax.errors import UserError
from mimic_jax.runtime import interrupt
from mimic_jax.runtime.interrupt import Interrupted

BOTH = (signal.SIGTERM, signal.SIGINT)


@pytest.fixture(autouse=True)
def installed(monkeypatch):
    """Handlers for one test, as a program has them at its start."""
    handlers = {number: signal.getsignal(number) for number in BOTH}
    monkeypatch.setattr(interrupt._Request, 'pending', False)
    monkeypatch.setattr(interrupt._Request, 'deferred', False)
    monkeypatch.setattr(sys, 'unraisablehook', sys.unraisablehook)
    interrupt.install()
    yield
    for number, handler in handlers.items():
        signal.signal(number, handler)


@pytest.mark.parametrize('number', BOTH)
def test_a_signal_interrupts_at_once(number):
    with pytest.raises(Interrupted):
        signal.raise_signal(number)


@pytest.mark.parametrize('number', BOTH)
def test_a_deferred_signal_waits_for_check(number):
    reached = []
    with pytest.raises(Interrupted), interrupt.deferred():
        interrupt.check()
        assert not interrupt.requested()
        signal.raise_signal(number)
        reached.append('unsafe part')
        assert interrupt.requested()
        interrupt.check()
        reached.append('past check')
    assert reached == ['unsafe part']


def test_a_signal_that_nothing_checked_interrupts_at_the_end_of_the_deferral():
    reached = []
    with pytest.raises(Interrupted):
        with interrupt.deferred():
            signal.raise_signal(signal.SIGTERM)
            reached.append('inside')
        reached.append('after')
    assert reached == ['inside']


def test_a_second_signal_does_not_wait():
    reached = []
    with pytest.raises(Interrupted), interrupt.deferred():
        signal.raise_signal(signal.SIGINT)
        reached.append('first')
        signal.raise_signal(signal.SIGINT)
        reached.append('second')
    assert reached == ['first']


def test_signals_are_deferred_no_longer_than_asked():
    with interrupt.deferred():
        pass
    with pytest.raises(Interrupted):
        signal.raise_signal(signal.SIGTERM)


def test_an_error_inside_a_deferral_is_not_replaced():
    with pytest.raises(ZeroDivisionError), interrupt.deferred():
        signal.raise_signal(signal.SIGTERM)
        raise ZeroDivisionError
    assert interrupt.requested()


def test_without_a_signal_nothing_is_raised():
    with interrupt.deferred():
        interrupt.check()
    interrupt.check()
    assert not interrupt.requested()


def test_of_several_processes_ctrl_c_becomes_the_signal_that_jax_shares():
    taken = []
    signal.signal(signal.SIGTERM, lambda *_: taken.append('once'))
    interrupt.install_for_many()
    with interrupt.deferred():
        signal.raise_signal(signal.SIGINT)
        assert taken == ['once'] and not interrupt.requested()
        with pytest.raises(Interrupted):
            signal.raise_signal(signal.SIGINT)
        interrupt._Request.pending = False


def test_code_can_ask_itself_to_stop():
    with pytest.raises(Interrupted), interrupt.deferred():
        interrupt.request()
        interrupt.check()


def test_a_block_has_its_own_handlers_and_gives_the_old_ones_back():
    """A notebook's kernel has a handler of its own."""
    taken = []
    for number in BOTH:
        signal.signal(number, lambda number, frame: taken.append(number))
    for _ in range(2):  # the second time nothing is left of the first
        with pytest.raises(Interrupted), interrupt.handled():
            signal.raise_signal(signal.SIGINT)
        assert taken == [] and not interrupt.requested()
    with interrupt.handled():
        interrupt.check()
    signal.raise_signal(signal.SIGINT)
    assert taken == [signal.SIGINT]


def test_outside_of_the_main_thread_a_block_changes_nothing():
    before, found = signal.getsignal(signal.SIGINT), []

    def work():
        with interrupt.handled():
            found.append(signal.getsignal(signal.SIGINT))

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert found == [before]


def test_a_notebook_shows_a_line():
    (said,) = Interrupted()._render_traceback_()
    assert said.startswith('stopped; nothing is lost') and '\n' not in said
    assert UserError('no such file')._render_traceback_() == ['error: no such file']


class Dying:
    """Raises when it is collected, where Python cannot pass an error on."""

    def __init__(self, error):
        self.error = error

    def __del__(self):
        raise self.error


def test_what_python_cannot_pass_on_of_a_signal_is_not_printed(capsys, monkeypatch):
    monkeypatch.setattr(sys, 'unraisablehook', interrupt._unraisable)
    dying = Dying(Interrupted())
    del dying
    assert capsys.readouterr().err == ''
    dying = Dying(ZeroDivisionError('seen'))
    del dying
    assert 'ZeroDivisionError: seen' in capsys.readouterr().err


# A real run, which would train for hours and write no checkpoint before its end.
LONG = """
from conftest import tiny_digits

def get_config():
    config = tiny_digits()
    config.members.cnn_1.train.epochs = 1_000_000
    config.run.checkpoint_steps = config.run.evaluation_steps = 1_000_000
    return config
"""


def appeared(workdir, pattern, process, seconds=300):
    """Waits for a file of the run; a start may take long on a busy machine."""
    deadline = time.monotonic() + seconds
    while not any(workdir.glob(pattern)):
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_a_run_that_trains_stops_at_a_checkpoint_and_says_how_to_go_on(tmp_path):
    (tmp_path / 'long.py').write_text(LONG)
    workdir = tmp_path / 'work'
    flags = [f'--config={tmp_path / "long.py"}', f'--workdir={workdir}']
    process = subprocess.Popen(
        [sys.executable, '-m', 'mimic_jax.main', *flags],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, 'PYTHONPATH': os.pathsep.join([str(ROOT), str(ROOT / 'tests')])},
    )
    try:
        appeared(workdir, 'teacher-*/metrics.jsonl', process)
        assert not checkpoints(workdir)
        process.send_signal(signal.SIGTERM)
        output, errors = process.communicate(timeout=60)  # on a busy machine
    finally:
        process.kill()
    assert process.returncode == 130, errors
    assert 'Traceback' not in output + errors
    said, _, command = errors.splitlines()[-1].partition(' To go on: ')
    assert said == 'stopped; nothing is lost.'
    assert shlex.split(command) == ['python', '-m', 'mimic_jax.main', *flags]
    (step,) = checkpoints(workdir)
    (log,) = workdir.glob('teacher-*/metrics.jsonl')
    assert json.loads(log.read_text().splitlines()[-1])['step'] == step
    assert not list(workdir.glob('teacher-*/COMPLETE'))


def checkpoints(workdir):
    found = workdir.glob('teacher-*/checkpoints/*')
    return [int(path.name) for path in found if path.name.isdigit()]
