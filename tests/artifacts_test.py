import dataclasses
import errno
import fcntl
import hashlib
import json
import multiprocessing
import os
import re
import signal
import socket
import time
from types import SimpleNamespace

import filelock
import pytest

from mimic_jax.artifacts import locks, recipes, store
from mimic_jax.artifacts.recipes import Recipe
from mimic_jax.errors import UserError
from mimic_jax.runtime import files, interrupt

RECIPE = Recipe(
    phase='teacher',
    config={'model': '8c3-p2', 'train': {'epochs': 2, 'learning_rate': 0.1}},
    data='d' * 64,
    reads=('data-0123456789ab',),
    versions={'view': 3},
)
# Canonical JSON written out by hand: keys in order, no spaces, the format's version 2.
CANONICAL = (
    '{"config":{"model":"8c3-p2","train":{"epochs":2,"learning_rate":0.1}},'
    f'"data":"{"d" * 64}","phase":"teacher","reads":["data-0123456789ab"],'
    '"versions":{"format":2,"view":3}}'
)
spawn = multiprocessing.get_context('spawn')


def write_two(folder):
    """A build that writes a file, and one in a folder."""
    (folder / 'one').write_bytes(bytes(range(256)))
    (folder / 'deep' / 'er').mkdir(parents=True, exist_ok=True)
    (folder / 'deep' / 'er' / 'two.json').write_text('{"two": 2}')
    return {'seconds': 1.5}


def content(folder):
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob('*')
        if path.is_file()
    }


def test_id_is_the_hash_of_canonical_json():
    expected = hashlib.sha256(CANONICAL.encode()).hexdigest()[:12]
    assert RECIPE.id == expected
    assert RECIPE.name == f'teacher-{expected}'
    assert re.fullmatch('[0-9a-f]{12}', RECIPE.id)


def test_id_does_not_depend_on_the_order_of_keys():
    turned = {'train': {'learning_rate': 0.1, 'epochs': 2}, 'model': '8c3-p2'}
    assert dataclasses.replace(RECIPE, config=turned).id == RECIPE.id


def test_every_ingredient_changes_the_id(monkeypatch):
    variants = [
        RECIPE,
        dataclasses.replace(RECIPE, phase='student'),
        dataclasses.replace(RECIPE, config={**RECIPE.config, 'model': '8c3-p3'}),
        dataclasses.replace(
            RECIPE, config={**RECIPE.config, 'train': {'epochs': 3, 'learning_rate': 0.1}}
        ),
        dataclasses.replace(RECIPE, data='e' * 64),
        dataclasses.replace(RECIPE, data=None),
        dataclasses.replace(RECIPE, reads=()),
        dataclasses.replace(RECIPE, reads=('data-0123456789ab', 'teacher-0123456789ab')),
        dataclasses.replace(RECIPE, reads=('teacher-0123456789ab', 'data-0123456789ab')),
        dataclasses.replace(RECIPE, versions={'view': 4}),
        dataclasses.replace(RECIPE, versions={'training': 3}),
        dataclasses.replace(RECIPE, versions={'training': 1, 'view': 3}),
        dataclasses.replace(RECIPE, versions={}),
    ]
    ids = [variant.id for variant in variants]
    monkeypatch.setattr(recipes, 'FORMAT', 3)
    ids.append(RECIPE.id)
    assert len(set(ids)) == len(ids)


def test_numbers_that_json_lacks_are_no_recipe():
    with pytest.raises(ValueError):
        _ = dataclasses.replace(RECIPE, config={'rate': float('nan')}).id


def test_make_builds_once(tmp_path):
    built = []

    def build(folder):
        built.append(folder)
        return write_two(folder)

    folder = store.make(tmp_path, RECIPE, build)
    assert folder == tmp_path / RECIPE.name
    before = content(folder)
    assert store.make(tmp_path, RECIPE, build) == folder
    assert built == [folder]
    assert content(folder) == before
    assert store.is_complete(folder)


def test_folder_holds_recipe_manifest_and_marker(tmp_path):
    folder = store.make(tmp_path, RECIPE, write_two)
    files = content(folder)
    assert set(files) == {'config.json', 'one', 'deep/er/two.json', 'manifest.json', 'COMPLETE'}
    assert json.loads(files['config.json']) == json.loads(CANONICAL)
    manifest = json.loads(files['manifest.json'])
    assert manifest['seconds'] == 1.5
    assert manifest['files'] == {
        name: hashlib.sha256(files[name]).hexdigest()
        for name in ('config.json', 'one', 'deep/er/two.json')
    }
    assert json.loads(files['COMPLETE']) == {
        'manifest_sha256': hashlib.sha256(files['manifest.json']).hexdigest()
    }
    assert store.manifest(folder) == manifest


def test_a_build_that_stops_leaves_its_files_and_no_marker(tmp_path):
    folder = tmp_path / RECIPE.name

    def stops(folder):
        (folder / 'first half').write_text('kept')
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        store.make(tmp_path, RECIPE, stops)
    assert not store.is_complete(folder)
    assert set(content(folder)) == {'config.json', 'first half'}

    def goes_on(folder):
        assert (folder / 'first half').read_text() == 'kept'
        return write_two(folder)

    store.make(tmp_path, RECIPE, goes_on)
    assert 'first half' in store.manifest(folder)['files']


def test_marker_is_written_after_all_else(tmp_path, monkeypatch):
    written = []
    write = files.write_atomically

    def record(path, text):
        assert not store.is_complete(path.parent), f'{path.name} written after the marker'
        write(path, text)
        written.append(path.name)

    monkeypatch.setattr(files, 'write_atomically', record)
    store.make(tmp_path, RECIPE, write_two)
    assert written == ['config.json', 'manifest.json', 'COMPLETE']


def test_every_damage_to_every_file_is_found_and_named(tmp_path):
    folder = store.make(tmp_path, RECIPE, write_two)
    store.verify(folder)
    whole = content(folder)
    assert len(whole) == 5
    for name, data in whole.items():
        path = folder / name
        flipped = bytearray(data)
        flipped[len(data) // 2] ^= 1
        for damage in (bytes(flipped), data[:-1], b'', data + b'x', None):
            if damage is None:
                path.unlink()
            else:
                path.write_bytes(damage)
            with pytest.raises(UserError) as caught:
                store.verify(folder)
            message = str(caught.value)
            # A marker that is whole but names another digest cannot be told from a bad manifest.
            culprits = (path, folder / 'manifest.json') if name == 'COMPLETE' else (path,)
            assert message.startswith(tuple(f'{culprit} ' for culprit in culprits)), message
            assert '\n' not in message and f'delete {folder}' in message
            path.write_bytes(data)
    store.verify(folder)


def test_files_that_only_share_the_manifests_name_are_checked_too(tmp_path):
    def build(folder):
        (folder / 'views').mkdir()
        (folder / 'views' / 'manifest.json').write_text('{}')
        (folder / 'views' / 'COMPLETE').write_text('')
        return {}

    folder = store.make(tmp_path, RECIPE, build)
    names = {'config.json', 'views/manifest.json', 'views/COMPLETE'}
    assert set(store.manifest(folder)['files']) == names


def test_manifest_refuses_a_damaged_artifact(tmp_path):
    folder = store.make(tmp_path, RECIPE, write_two)
    (folder / 'one').write_bytes(b'')
    with pytest.raises(UserError, match='one has changed'):
        store.manifest(folder)


def test_another_recipe_in_the_folder_is_refused(tmp_path):
    folder = tmp_path / RECIPE.name
    folder.mkdir()
    (folder / 'config.json').write_text('{"phase": "teacher"}')
    with pytest.raises(UserError) as caught:
        store.make(tmp_path, RECIPE, write_two)
    assert str(folder / 'config.json') in str(caught.value)
    assert set(content(folder)) == {'config.json'}


def test_require_names_what_is_missing_and_the_phase_that_makes_it(tmp_path):
    with pytest.raises(UserError) as caught:
        store.require(tmp_path, RECIPE, 'teacher cnn', 'teacher')
    message = str(caught.value)
    assert 'teacher cnn' in message and RECIPE.name in message and '--phase=teacher' in message
    (tmp_path / RECIPE.name).mkdir()
    with pytest.raises(UserError):
        store.require(tmp_path, RECIPE, 'teacher cnn', 'teacher')
    folder = store.make(tmp_path, RECIPE, write_two)
    assert store.require(tmp_path, RECIPE, 'teacher cnn', 'teacher') == folder


def test_atomic_write_keeps_the_old_file_until_the_new_one_is_whole(tmp_path, monkeypatch):
    path = tmp_path / 'file'
    path.write_text('old')

    def killed(_):
        raise KeyboardInterrupt

    monkeypatch.setattr(os, 'fsync', killed)
    with pytest.raises(KeyboardInterrupt):
        files.write_atomically(path, 'new')
    assert path.read_text() == 'old'
    monkeypatch.undo()
    files.write_atomically(path, 'new')
    assert path.read_text() == 'new'


def test_what_a_killed_write_left_is_not_in_the_manifest(tmp_path):
    def build(folder):
        (folder / '.config.json.123.tmp').write_text('{"ph')
        return write_two(folder)

    folder = store.make(tmp_path, RECIPE, build)
    assert '.config.json.123.tmp' not in store.manifest(folder)['files']


def _make_slowly(workdir, started, go_on, queue):
    """Runs in its own process: builds until told to go on, then sends what was built and said."""
    built, said = [], []

    def build(folder):
        built.append(os.getpid())
        started.set()
        go_on.wait(60)
        return write_two(folder)

    def say(text):
        said.append(text)
        go_on.set()  # the other waits, so the builder may finish

    store.make(workdir, RECIPE, build, say)
    queue.put((os.getpid(), built, said))


def test_of_two_processes_one_builds_and_the_other_waits_for_it(tmp_path):
    started, go_on, queue = spawn.Event(), spawn.Event(), spawn.Queue()
    arguments = (tmp_path, started, go_on, queue)
    first, second = (spawn.Process(target=_make_slowly, args=arguments) for _ in range(2))
    first.start()
    second.start()
    results = {pid: (built, said) for pid, built, said in (queue.get(timeout=60) for _ in range(2))}
    for process in (first, second):
        process.join(60)
        assert process.exitcode == 0
    (builder, (built, said)), (_, (waiters_built, waiters_said)) = sorted(
        results.items(), key=lambda item: not item[1][0]
    )
    assert built == [builder] and said == []
    assert waiters_built == []
    who = f'process {builder} on {socket.gethostname()}'
    assert waiters_said == [f'{RECIPE.name} is being made by {who}; waiting for it']
    store.verify(tmp_path / RECIPE.name)


def _without_system_locks():
    """A file system whose locks are missing: `flock` says so."""

    def missing(*_):
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    fcntl.flock = missing


def _make_overlapping(workdir, number, locked, barrier, queue):
    """One of several processes: makes three of four store, beginning with the same as another."""
    if not locked:
        _without_system_locks()
    built, said = [], []

    def build(folder):
        built.append(folder.name)
        time.sleep(0.8)
        return write_two(folder)

    recipes = [Recipe('teacher', {'seed': number // 2 + more}) for more in range(3)]
    barrier.wait(120)
    for recipe in recipes:
        store.make(workdir, recipe, build, said.append)
    queue.put((built, said, [recipe.name for recipe in recipes]))


@pytest.mark.parametrize('locked', [True, False], ids=['locks', 'no locks'])
def test_of_four_processes_each_artifact_is_made_once(tmp_path, locked):
    barrier, queue = spawn.Barrier(4), spawn.Queue()
    arguments = [(tmp_path, number, locked, barrier, queue) for number in range(4)]
    processes = [spawn.Process(target=_make_overlapping, args=each) for each in arguments]
    for process in processes:
        process.start()
    results = [queue.get(timeout=120) for _ in processes]
    for process in processes:
        process.join(60)
        assert process.exitcode == 0
    every = [name for built, _, _ in results for name in built]
    assert len(every) == 4 and len(set(every)) == 4
    assert any('is being made by process' in line for _, said, _ in results for line in said)
    for _, _, names in results:
        for name in names:
            store.verify(tmp_path / name)
    assert not list((tmp_path / '.locks').glob('*.holder'))


def _build_until_killed(workdir, started, locked):
    if not locked:
        _without_system_locks()

    def build(folder):
        (folder / 'half').write_text('half')
        started.set()
        time.sleep(60)

    store.make(workdir, RECIPE, build)


@pytest.mark.parametrize('locked', [True, False], ids=['locks', 'no locks'])
def test_a_killed_builder_leaves_nothing_locked(tmp_path, locked):
    started = spawn.Event()
    process = spawn.Process(target=_build_until_killed, args=(tmp_path, started, locked))
    process.start()
    assert started.wait(60)
    os.kill(process.pid, signal.SIGKILL)
    process.join(60)
    folder = tmp_path / RECIPE.name
    assert not store.is_complete(folder)
    said = []
    store.make(tmp_path, RECIPE, write_two, said.append)
    assert said == []
    assert (folder / 'half').read_text() == 'half'
    store.verify(folder)


@pytest.mark.parametrize('locked', [True, False], ids=['locks', 'no locks'])
def test_what_another_process_makes_comes_last(tmp_path, locked):
    plans = [SimpleNamespace(recipe=Recipe('teacher', {'seed': seed})) for seed in range(2)]
    plans.insert(0, SimpleNamespace(recipe=RECIPE))
    store.make(tmp_path, plans[2].recipe, write_two)
    started = spawn.Event()
    process = spawn.Process(target=_build_until_killed, args=(tmp_path, started, locked))
    process.start()
    assert started.wait(60)
    assert list(store.free_first(tmp_path, plans)) == [*plans[1:], plans[0]]
    process.kill()
    process.join(60)
    assert list(store.free_first(tmp_path, plans)) == plans
    assert not list((tmp_path / '.locks').glob('*.holder'))


def test_a_dead_holder_on_another_machine_loses_its_artifact(tmp_path, monkeypatch):
    """Its lease stays behind and is not renewed."""
    monkeypatch.setattr(locks, 'LEASE_SECONDS', 1)
    folder = tmp_path / RECIPE.name
    (tmp_path / '.locks').mkdir()
    path = tmp_path / '.locks' / f'{RECIPE.name}.lease'
    elsewhere = filelock.SoftFileLease(path, lease_duration=1)
    elsewhere.acquire()
    content = path.read_text()
    assert socket.gethostname() in content
    elsewhere.release()
    path.write_text(content.replace(socket.gethostname(), 'elsewhere'))
    said = []
    store.make(tmp_path, RECIPE, write_two, said.append)
    assert said == [f'{RECIPE.name} is being made by another process; waiting for it']
    store.verify(folder)


def _suspended_while_it_makes(workdir, started, queue):
    _without_system_locks()
    locks.LEASE_SECONDS = 1

    def build(folder):
        started.set()
        os.kill(os.getpid(), signal.SIGSTOP)
        return write_two(folder)

    try:
        store.make(workdir, RECIPE, build)
    except UserError as error:
        queue.put(str(error))
    else:
        queue.put('sealed')


@pytest.mark.parametrize('wakes', ['while the other makes it', 'when the other has made it'])
def test_a_process_that_was_suspended_seals_nothing_that_another_took_over(
    tmp_path, monkeypatch, wakes
):
    monkeypatch.setattr(locks, 'LEASE_SECONDS', 1)
    started, queue = spawn.Event(), spawn.Queue()
    process = spawn.Process(target=_suspended_while_it_makes, args=(tmp_path, started, queue))
    process.start()
    assert started.wait(60)
    folder, said = tmp_path / RECIPE.name, []

    def wake():
        os.kill(process.pid, signal.SIGCONT)
        said.append(queue.get(timeout=60))
        process.join(60)

    def build(folder):
        if wakes.startswith('while'):
            wake()
            assert not store.is_complete(folder)
            (holder,) = (tmp_path / '.locks').glob('*.holder')
            assert str(os.getpid()) in holder.read_text()
        return write_two(folder)

    try:
        store.make(tmp_path, RECIPE, build, lambda _: None)
        if wakes.startswith('when'):
            wake()
    finally:
        process.kill()
    assert said == [f'another process took {folder} over while this one was suspended; run again']
    store.verify(folder)


def test_nothing_is_made_after_a_signal_that_a_library_swallowed(tmp_path, monkeypatch):
    monkeypatch.setattr(interrupt._Request, 'pending', True)
    with pytest.raises(interrupt.Interrupted):
        store.make(tmp_path, RECIPE, write_two)
    assert not (tmp_path / RECIPE.name).exists()


def test_a_lease_that_a_kill_left_empty_is_nobodys(tmp_path, monkeypatch):
    monkeypatch.setattr(locks, 'EMPTY_SECONDS', 0.3)
    (tmp_path / '.locks').mkdir()
    (tmp_path / '.locks' / f'{RECIPE.name}.lease').touch()
    said = []
    folder = store.make(tmp_path, RECIPE, write_two, said.append)
    assert said == [f'{RECIPE.name} is being made by another process; waiting for it']
    store.verify(folder)
    assert not list((tmp_path / '.locks').glob('*.lease'))
