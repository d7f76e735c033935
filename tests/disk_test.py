"""Disks that are full, forbidden or gone, and too many open files: a line, and nothing lost."""

import errno
import json
import os
import resource
import shutil
import subprocess
import sys

import pytest
from conftest import ROOT
from hard_disk import one_net, told

from mimic_jax import pipeline
from mimic_jax.artifacts import store, verify
from mimic_jax.artifacts.recipes import Recipe
from mimic_jax.data import mapped
from mimic_jax.errors import UserError
from mimic_jax.mimic import ensemble, teachers
from mimic_jax.runtime import files
from mimic_jax.training import window

RECIPE = Recipe('teacher', {'model': '8c3'})


def run(config, workdir, device):
    store._verified_manifest.cache_clear()
    ensemble.open_checked.cache_clear()
    pipeline.run(config, workdir=workdir, experiment='tiny', devices=device)


@pytest.fixture(autouse=True)
def no_waiting(monkeypatch):
    """Orbax's threads wait five minutes for a folder that could not be made, and Python for them."""
    name = 'orbax.checkpoint._src.multihost.multihost._DEFAULT_BARRIER_TIMEOUT'
    monkeypatch.setattr(name, 1, raising=False)


@pytest.fixture
def disk(tmp_path):
    """`disk(name, options)`: a file system in memory, mounted or mounted again with these options."""
    mounted = []

    def mount(name, options):
        place = tmp_path / name
        place.mkdir(exist_ok=True)
        command = ['mount', '-t', 'tmpfs', 'tmpfs', str(place), '-o']
        if place in mounted:
            options = f'remount,{options}'
        subprocess.run([*command, options], check=True, capture_output=True)
        mounted.append(place)
        return place

    try:
        mount('disk', 'size=64k')
    except (OSError, subprocess.CalledProcessError):
        pytest.skip('only root, on Linux, can mount a small file system')
    yield mount
    for place in set(mounted):
        subprocess.run(['umount', '-l', str(place)], check=True)


def refused(*arguments):
    """What tests/hard_disk.py found, in a process of its own."""
    command = [sys.executable, str(ROOT / 'tests' / 'hard_disk.py'), *map(str, arguments)]
    environment = {**os.environ, 'PYTHONPATH': os.pathsep.join([str(ROOT), str(ROOT / 'tests')])}
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-2000:]
    return json.loads(done.stdout.splitlines()[-1])


def net_of(workdir):
    """The digest of the one net that a workdir holds."""
    (folder,) = workdir.glob('teacher-*')
    return store.manifest(folder)['variables_sha256']


def test_a_full_disk_is_a_line_and_with_more_room_the_same_command_goes_on(disk, tmp_path):
    place, whole = disk('full', 'size=64k'), tmp_path / 'whole'
    found = refused('full', place, whole)
    lines = [entry['line'] for entry in found if entry['line']]
    assert 2 <= len(lines) < len(found) and not found[-1]['line'], lines
    for line in lines:
        assert '\n' not in line and 'No space left' in line and 'make room' in line, lines
        assert str(place / 'work') in line
    assert all(entry['verified'] for entry in found)
    assert net_of(place / 'work') == net_of(whole)


def test_a_workdir_that_may_only_be_read_is_refused_in_a_line_and_can_be_checked(disk, device):
    workdir = disk('other', 'size=10m') / 'work'
    workdir.mkdir()
    store.make(workdir, RECIPE, lambda folder: {})
    disk('other', 'ro')
    with pytest.raises(UserError, match='cannot be written to') as caught:
        run(one_net(), workdir, device)
    assert f'--workdir={workdir}' in str(caught.value) and '\n' not in str(caught.value)
    assert verify.run(workdir, lambda _: None)


@pytest.mark.parametrize('code', [errno.ENOSPC, errno.EDQUOT, errno.EROFS])
def test_an_error_of_the_system_names_the_place_though_the_system_does_not(tmp_path, code):
    def build(folder):
        (folder / 'half').write_text('half')
        raise OSError(code, os.strerror(code))

    with pytest.raises(OSError) as caught:
        store.make(tmp_path, RECIPE, build)
    assert caught.value.errno == code
    assert told(caught.value, 'nowhere').startswith(
        f'{tmp_path / RECIPE.name}: {os.strerror(code)}; '
    )
    store.make(tmp_path, RECIPE, lambda folder: {})
    assert 'half' in store.manifest(tmp_path / RECIPE.name)['files']


def test_a_folder_that_vanished_and_came_back_is_not_sealed(tmp_path):
    """This happens when a workdir is deleted while a library makes folders in it."""

    def build(folder):
        shutil.rmtree(folder)
        (folder / 'checkpoints').mkdir(parents=True)
        return {}

    with pytest.raises(UserError, match=f'{RECIPE.name} vanished while it was being made'):
        store.make(tmp_path, RECIPE, build)
    assert not store.is_complete(tmp_path / RECIPE.name)


def test_a_marker_that_finds_no_room_leaves_the_artifact_to_be_gone_on_with(tmp_path, monkeypatch):
    write = files.write_atomically

    def full(path, text):
        if path.name == store.MARKER:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        write(path, text)

    with monkeypatch.context() as patch:
        patch.setattr(files, 'write_atomically', full)
        with pytest.raises(OSError):
            store.make(tmp_path, RECIPE, lambda folder: {})
    assert not store.is_complete(tmp_path / RECIPE.name)
    store.make(tmp_path, RECIPE, lambda folder: {})
    store.verify(tmp_path / RECIPE.name)


def test_mapped_files_take_their_room_before_they_are_written_to(tmp_path):
    """A page that finds no room would raise a signal, which ends the process."""
    array = mapped.create(tmp_path / 'frames.npy', (1000, 123))
    assert array.shape == (1000, 123) and not array.any()
    if hasattr(os, 'posix_fallocate'):
        assert (tmp_path / 'frames.npy').stat().st_blocks * 512 >= array.nbytes
        limit = resource.getrlimit(resource.RLIMIT_FSIZE)
        with pytest.raises(OSError):
            mapped.create(tmp_path / 'large.npy', (1 << 40, 1 << 10))
        assert resource.getrlimit(resource.RLIMIT_FSIZE) == limit


def at_step(monkeypatch, step, act):
    """Calls `act` once the training loop has taken so many steps."""
    taken, original = [], window.Window.add

    def add(self, count, sums):
        taken.append(count)
        if len(taken) == step:
            act()
        return original(self, count, sums)

    monkeypatch.setattr(window.Window, 'add', add)


def test_a_workdir_that_vanishes_in_the_middle_leaves_nothing_that_looks_whole(
    make_session, tmp_path, monkeypatch
):
    session, plan = make_session(one_net())
    net = plan.members['cnn_1']
    with monkeypatch.context() as patch:
        at_step(patch, 3, lambda: shutil.rmtree(session.workdir))
        with pytest.raises((UserError, OSError)) as caught:
            teachers.make(session, net)
    line = told(caught.value, 'nowhere')
    assert str(session.workdir) in line and '\n' not in line
    assert not list(session.workdir.glob('*/COMPLETE'))
    shutil.rmtree(session.workdir, ignore_errors=True)
    again, plan = make_session(one_net())
    teachers.make(again, plan.members['cnn_1'])
    store.verify(again.workdir / net.recipe.name)


@pytest.mark.skipif(not os.path.isdir('/proc/self/fd'), reason='counts open files by Linux /proc')
def test_too_many_open_files_is_a_line_and_with_more_the_run_goes_on(tmp_path):
    *limited, last = (entry['line'] for entry in refused('files', tmp_path))
    lines = [line for line in limited if line]
    assert lines and all('\n' not in line and 'open files' in line for line in lines), lines
    assert not last
    assert net_of(tmp_path / 'second') == net_of(tmp_path / 'first')
