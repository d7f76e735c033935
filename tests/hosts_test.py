"""Several processes that run an experiment together, on one machine and its CPU."""

import json
import os
import signal
import socket
import subprocess
import sys
import time

import numpy as np
import one_of_two
import orbax.checkpoint as ocp
import pytest
from conftest import ROOT, refusal, tiny_digits

from mimic_jax import pipeline
from mimic_jax.artifacts import store
from mimic_jax.data import batches
from mimic_jax.runtime import hosts

PATIENCE = 300  # seconds that a start, or a run, may take on a busy machine
ENDED = 'error: process 0: another process of this run has ended'


def start(command, count=2):
    """Processes of one run; each gets its --distributed value from the command."""
    with socket.socket() as free:
        free.bind(('localhost', 0))
        port = free.getsockname()[1]
    path = os.pathsep.join([str(ROOT), str(ROOT / 'tests')])
    return [
        subprocess.Popen(
            # faulthandler: SIGABRT prints what each thread is at.
            [sys.executable, '-X', 'faulthandler', *command(f'localhost:{port},{count},{number}')],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, 'PYTHONPATH': path},
        )
        for number in range(count)
    ]


def ends(processes, seconds=PATIENCE):
    """(status, output, errors) of each process; all end by themselves, or the test fails.

    Its message then has the stacks of all threads of the processes that still ran.
    """
    deadline = time.monotonic() + seconds
    found, late = [], False
    try:
        for process in processes:
            try:
                told = process.communicate(timeout=max(0, deadline - time.monotonic()))
            except subprocess.TimeoutExpired:
                late = True
                process.send_signal(signal.SIGABRT)
                told = process.communicate(timeout=30)
            found.append((process.returncode, *told))
    finally:
        for process in processes:
            process.kill()
    assert not late, f'not ended after {seconds} s\n' + '\n'.join(errors for _, _, errors in found)
    return found


def views(folder, count=2):
    with ocp.StandardCheckpointer() as checkpointer:
        return [
            checkpointer.restore((folder / 'views' / str(view)).resolve())['logits']
            for view in range(count)
        ]


@pytest.fixture(scope='module')
def alone(tmp_path_factory, device):
    """A workdir that one process made, and its report."""
    workdir = tmp_path_factory.mktemp('alone')
    pipeline.run(one_of_two.config(), workdir=workdir, experiment='tiny', devices=device)
    return workdir


@pytest.fixture(scope='module')
def together(tmp_path_factory):
    """A workdir that two processes made, and what each of them said."""
    workdir = tmp_path_factory.mktemp('together')
    script = str(ROOT / 'tests' / 'one_of_two.py')
    found = ends(start(lambda where: [script, where, str(workdir)]))
    for status, _, errors in found:
        assert status == 0, errors
    return workdir, [(output, errors) for _, output, errors in found]


@pytest.fixture(scope='module')
def said(together):
    return [json.loads(output.splitlines()[-1]) for output, _ in together[1]]


def test_two_processes_make_what_one_makes(alone, together):
    workdir, _ = together
    names = {path.name for path in alone.glob('*-*')}
    assert {path.name for path in workdir.glob('*-*')} == names
    for name in names:
        store.verify(workdir / name)
        for split in ('validation', 'test') if name.startswith('evaluate') else ():
            ours, theirs = (np.load(at / name / f'{split}.npy') for at in (workdir, alone))
            np.testing.assert_allclose(ours, theirs, rtol=1e-4, atol=1e-5)
        if name.startswith('logits'):
            for ours, theirs in zip(views(workdir / name), views(alone / name), strict=True):
                np.testing.assert_allclose(ours, theirs, rtol=1e-4, atol=1e-5)
    rows, expected = (
        json.loads((at / 'tiny' / 'report.json').read_text())['rows'] for at in (workdir, alone)
    )
    assert [row['name'] for row in rows] == [row['name'] for row in expected]


def test_each_process_reads_its_own_share(said, make_session):
    first, second = (each['read'] for each in said)
    assert len(first) == len(second) > 20
    _, plan = make_session(one_of_two.config())
    net = plan.members['cnn_1']
    batch = next(batches.epoch(net.examples, 50, net.seed, 0))
    assert first[0] == batch['index'][:25].tolist() and second[0] == batch['index'][25:].tolist()
    for ours, theirs in zip(first, second, strict=True):
        assert len(ours) == len(theirs)
        # Padding, of the last batch alone, repeats its first example.
        assert not {*ours} & {*theirs} - {ours[0]}


def test_the_first_process_does_alone_what_takes_one(said):
    for number, found in enumerate(said):
        assert found['counts'] == [2, 1]
        assert found['told'] == {'by': 0}
        assert found['built'] == ([0] if number == 0 else [])


def test_what_stops_one_process_stops_all(said):
    assert [found['error'] for found in said] == ['the disk is full', 'process 0: the disk is full']
    first, second = (found['other recipe'] for found in said)
    assert first == '' and second.startswith('process 1 is about to make data-')
    assert 'same code, config and flags' in second


def test_a_save_of_one_process_leaves_the_saves_of_all_whole(said):
    assert [found['halves'] for found in said] == [[0, 1, 2, 3]] * 2


def test_processes_that_wait_for_each_other_end_with_their_stacks():
    both = start(lambda _: ['-c', 'import time; time.sleep(100)'])
    with pytest.raises(AssertionError, match='not ended after 1 s') as caught:
        ends(both, 1)
    assert str(caught.value).count('File "<string>", line 1 in <module>') == 2


def test_one_process_speaks(together):
    (output, errors), (others_output, others_errors) = together[1]
    assert 'report.md' in output and 'cnn_1: done' in errors
    assert 'report.md' not in others_output and 'done' not in others_errors


CONFIG = """
import jax
from hosts_test import one_net

def get_config():
    jax.config.update('jax_num_cpu_devices', 1)
    return one_net(model_axis=2)  # so that of its widest layer each process holds a half
"""


def one_net(model_axis=1):
    config = tiny_digits()
    for name in ('students', 'logits', 'report'):
        del config[name]
    del config.members.cnn_2
    config.members.cnn_1.model = '4c3-bn-p2-256-d.5'
    config.members.cnn_1.train.epochs = 100
    config.run.model_axis = model_axis
    config.run.checkpoint_steps = 20
    config.run.evaluation_steps = 400
    return config


def checkpoints(workdir):
    found = workdir.glob('teacher-*/checkpoints/*')
    return {int(path.name) for path in found if path.name.isdigit()}


def checkpoint_after(workdir, step, processes):
    deadline = time.monotonic() + PATIENCE
    while not any(found > step for found in checkpoints(workdir)):
        assert time.monotonic() < deadline
        assert all(process.poll() is None for process in processes)
        time.sleep(0.01)


def test_stopped_then_killed_then_finished_by_one(tmp_path, device):
    """SIGTERM to one process stops both; SIGKILL of one ends the other; one process does the rest."""
    (tmp_path / 'tiny.py').write_text(CONFIG)
    main = [
        *('-m', 'mimic_jax.main', f'--config={tmp_path / "tiny.py"}'),
        f'--workdir={tmp_path / "work"}',
    ]

    def both():
        return start(lambda where: [*main, f'--distributed={where}'])

    processes = both()
    checkpoint_after(tmp_path / 'work', 0, processes)
    processes[1].send_signal(signal.SIGTERM)
    for status, _, errors in ends(processes, 60):  # on a busy machine; alone it takes 3 s
        assert status == 130, errors
        assert errors.splitlines()[-1].startswith('stopped; nothing is lost. To go on: ')
    stopped = max(checkpoints(tmp_path / 'work'))

    processes = both()
    checkpoint_after(tmp_path / 'work', stopped, processes)
    processes[1].kill()
    ((status, _, errors),) = ends(processes[:1], 60)
    assert status != 0
    assert errors.splitlines()[-1].startswith(ENDED), errors
    assert 'Traceback' not in errors

    for workdir in ('work', 'whole'):
        pipeline.run(one_net(), workdir=tmp_path / workdir, experiment='tiny', devices=device)
    (teacher,) = (tmp_path / 'work').glob('teacher-*')
    (evaluation,) = (tmp_path / 'work').glob('evaluate-*')
    assert store.manifest(teacher)['steps'] == 400
    ours, theirs = (
        np.load(tmp_path / at / evaluation.name / 'test.npy') for at in ('work', 'whole')
    )
    np.testing.assert_allclose(ours, theirs, rtol=1e-2, atol=1e-2)


@pytest.mark.parametrize(
    'where',
    ['localhost', 'localhost:80', 'localhost:80,2,2', ':80,2,0', 'host:port,2,0', 'a:1,2,x'],
)
def test_an_address_that_cannot_be_read_is_one_line(where):
    assert refusal(hosts.initialize, where).startswith(f'--distributed={where} must be')


def test_a_process_by_itself_is_the_first_of_one(tmp_path):
    assert (hosts.count(), hosts.process(), hosts.is_first()) == (1, 0, True)
    assert hosts.first(lambda: tmp_path) == tmp_path
    hosts.share_folder(tmp_path)
    assert list(tmp_path.iterdir()) == []
