"""Disks that are full, forbidden or gone, and too many open files: a line, and nothing lost."""

import errno
import os
import resource
import shutil
import subprocess

import pytest
from conftest import tiny_digits

from mimic_jax import artifacts, ensemble, pipeline, train
from mimic_jax.artifacts import Recipe
from mimic_jax.data import mapped
from mimic_jax.errors import UserError
from mimic_jax.phases import teacher, verify

RECIPE = Recipe('teacher', {'model': '8c3'})


def one_net():
    config = tiny_digits()
    for name in ('students', 'logits', 'report'):
        del config[name]
    del config.members.cnn_2
    config.members.cnn_1.model = '16-bn'
    return config


def run(config, workdir, device):
    artifacts._verified_manifest.cache_clear()
    ensemble.open_checked.cache_clear()
    pipeline.run(config, workdir=workdir, experiment='tiny', devices=device)


def told(error, workdir) -> str:
    """The line that `mimic_jax.main` prints of an error that it takes for a user's."""
    if isinstance(error, UserError):
        return str(error)
    where = error.filename or workdir
    return f'{where}: {error.strerror}; make room or access for it and run again'


def digest(session, net):
    artifacts._verified_manifest.cache_clear()
    return artifacts.manifest(session.workdir / net.recipe.name)['variables_sha256']


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


def test_a_full_disk_is_a_line_and_with_more_room_the_same_command_goes_on(disk, tmp_path, device):
    run(one_net(), tmp_path / 'elsewhere', device)
    lines = []
    for size in (100, 200, 300, 400, 600, 100_000):
        workdir = disk('disk', f'size={size}k') / 'work'
        try:
            run(one_net(), workdir, device)
        except (UserError, OSError) as error:
            lines.append(told(error, workdir))
            assert '\n' not in lines[-1] and 'No space left' in lines[-1], lines
            assert str(workdir) in lines[-1] and 'make room' in lines[-1]
        assert verify.run(workdir, lambda _: None)
    assert 2 <= len(lines) <= 5, lines
    names = {path.name for path in workdir.glob('*-*')}
    assert names == {path.name for path in (tmp_path / 'elsewhere').glob('*-*')}
    (name,) = (name for name in names if name.startswith('teacher-'))
    mine, whole = (artifacts.manifest(at / name) for at in (workdir, tmp_path / 'elsewhere'))
    assert mine['variables_sha256'] == whole['variables_sha256']


def test_a_workdir_that_may_only_be_read_is_refused_in_a_line_and_can_be_checked(disk, device):
    workdir = disk('other', 'size=10m') / 'work'
    workdir.mkdir()
    artifacts.make(workdir, RECIPE, lambda folder: {})
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
        artifacts.make(tmp_path, RECIPE, build)
    assert caught.value.errno == code
    assert told(caught.value, 'nowhere').startswith(
        f'{tmp_path / RECIPE.name}: {os.strerror(code)}; '
    )
    artifacts.make(tmp_path, RECIPE, lambda folder: {})
    assert 'half' in artifacts.manifest(tmp_path / RECIPE.name)['files']


def test_a_marker_that_finds_no_room_leaves_the_artifact_to_be_gone_on_with(tmp_path, monkeypatch):
    write = artifacts.write_atomically

    def full(path, text):
        if path.name == artifacts.MARKER:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        write(path, text)

    with monkeypatch.context() as patch:
        patch.setattr(artifacts, 'write_atomically', full)
        with pytest.raises(OSError):
            artifacts.make(tmp_path, RECIPE, lambda folder: {})
    assert not artifacts.is_complete(tmp_path / RECIPE.name)
    artifacts.make(tmp_path, RECIPE, lambda folder: {})
    artifacts.verify(tmp_path / RECIPE.name)


def test_mapped_files_take_their_room_before_they_are_written_to(tmp_path):
    """A page that finds none would be a signal, which ends the process."""
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
    taken, original = [], train._Window.add

    def add(self, count, sums):
        taken.append(count)
        if len(taken) == step:
            act()
        return original(self, count, sums)

    monkeypatch.setattr(train._Window, 'add', add)


def test_a_workdir_that_vanishes_in_the_middle_leaves_nothing_that_looks_whole(
    make_session, tmp_path, monkeypatch
):
    session, plan = make_session(one_net())
    net = plan.members['cnn_1']
    with monkeypatch.context() as patch:
        at_step(patch, 3, lambda: shutil.rmtree(session.workdir))
        with pytest.raises((UserError, OSError)) as caught:
            teacher.run(session, net)
    line = told(caught.value, 'nowhere')
    assert str(session.workdir) in line and '\n' not in line
    assert not list(session.workdir.glob('*/COMPLETE'))
    shutil.rmtree(session.workdir, ignore_errors=True)
    again, plan = make_session(one_net())
    teacher.run(again, plan.members['cnn_1'])
    artifacts.verify(again.workdir / net.recipe.name)


@pytest.mark.skipif(not os.path.isdir('/proc/self/fd'), reason='counts open files by Linux /proc')
def test_too_many_open_files_is_a_line_and_with_more_the_run_goes_on(make_session, tmp_path):
    session, plan = make_session(one_net())
    net = plan.members['cnn_1']
    teacher.run(session, net)
    other, _ = make_session(one_net(), tmp_path / 'other')
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    lines = []
    try:
        for spare in (1, 3, 6, 12):
            resource.setrlimit(
                resource.RLIMIT_NOFILE, (len(os.listdir('/proc/self/fd')) + spare, hard)
            )
            try:
                teacher.run(other, net)
            except (UserError, OSError) as error:
                lines.append(told(error, 'nowhere'))
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert lines and all('\n' not in line and 'open files' in line for line in lines), lines
    teacher.run(other, net)
    assert digest(other, net) == digest(session, net)
