import random
import shutil

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mimic_jax.artifacts import digests
from mimic_jax.errors import UserError
from mimic_jax.training import checkpoint
from mimic_jax.training.checkpoint import Checkpoints

NAMES = ('variables', 'training')


def state(step):
    """Variables and optimiser state of a step, as a run has them."""
    draw = np.random.default_rng(step)
    kernel = draw.normal(size=(30, 20)).astype(np.float32)
    return {'params': {'kernel': kernel}}, {'step': jnp.int32(step), 'trace': kernel[0]}


def save(folder, *steps):
    folder.mkdir(exist_ok=True)
    with Checkpoints(folder) as checkpoints:
        for step in steps:
            checkpoints.save(step, *state(step))


def restored(folder):
    """What the newest checkpoint gives back, and its step."""
    variables, training = state(0)
    with Checkpoints(folder) as checkpoints:
        step = checkpoints.latest_step
        return checkpoints.restore(step, variables=variables, training=training), step


@pytest.fixture(scope='module')
def written(tmp_path_factory):
    folder = tmp_path_factory.mktemp('run')
    save(folder, 0, 1, 2, 3)
    return folder


def test_the_newest_of_two_steps_comes_back(written):
    items, step = restored(written)
    assert step == 3
    for expected, found in zip(state(3), (items['variables'], items['training']), strict=True):
        jax.tree.map(np.testing.assert_array_equal, expected, found)
    names = {f'checkpoints/{step}/{name}' for step in (1, 2, 3) for name in NAMES}
    assert set(digests.read(written)) == names, 'of steps that were gone by then there is none'


def test_any_damage_to_a_checkpoint_is_found_or_harmless(written, tmp_path):
    """A checkpoint that is not recognised is passed over: the run repeats the steps from the one before."""
    draw = random.Random(0)
    expected = {
        step: {name: checkpoint.digest(tree) for name, tree in zip(NAMES, state(step), strict=True)}
        for step in (2, 3)
    }
    found = 0
    for path in sorted(
        path for path in (written / 'checkpoints' / '3').rglob('*') if path.is_file()
    ):
        content = path.read_bytes()
        for how in ('flip', 'cut', 'delete'):
            copy = tmp_path / 'copy'
            shutil.rmtree(copy, ignore_errors=True)
            shutil.copytree(written, copy)
            bad = copy / path.relative_to(written)
            if how == 'delete':
                bad.unlink()
            elif content:
                flipped = bytearray(content)
                bit = draw.randrange(8 * len(content))
                flipped[bit // 8] ^= 1 << bit % 8
                bad.write_bytes(flipped if how == 'flip' else content[: len(content) // 2])
            try:
                items, step = restored(copy)
            except UserError as error:
                assert '\n' not in str(error) and str(copy) in str(error) and 'delete' in str(error)
                found += 1
            else:
                assert {name: checkpoint.digest(items[name]) for name in NAMES} == expected[step]
    assert found > 10


def test_a_step_that_has_lost_its_optimiser_state_is_not_a_runs_last(written, tmp_path):
    folder = shutil.copytree(written, tmp_path / 'run')
    with Checkpoints(folder) as checkpoints:
        assert not checkpoints.is_last(3)
        checkpoints.save(4, state(4)[0])
        checkpoints._manager.wait_until_finished()
        assert checkpoints.is_last(4)
    shutil.rmtree(folder / 'checkpoints' / '3' / 'training')
    shutil.rmtree(folder / 'checkpoints' / '4')
    with Checkpoints(folder) as checkpoints:
        assert not checkpoints.is_last(checkpoints.latest_step)
    with pytest.raises(UserError, match=r'3 cannot be read .* delete'):
        restored(folder)


def test_another_runs_checkpoint_is_refused_by_name(written, tmp_path):
    folder = tmp_path / 'run'
    save(folder, 1, 2)
    shutil.copytree(written / 'checkpoints' / '3', folder / 'checkpoints' / '3')
    digests.write(folder, {**digests.read(folder), 'checkpoints/3/variables': 'of its own'})
    with pytest.raises(UserError, match=r'3/variables is not what was written there; delete .*/3 '):
        restored(folder)
    shutil.rmtree(folder / 'checkpoints' / '3')
    assert restored(folder)[1] == 2


def test_checkpoints_of_older_versions_have_no_digests(written, tmp_path):
    folder = shutil.copytree(written, tmp_path / 'run')
    (folder / digests.FILE).unlink()
    assert restored(folder)[1] == 3


def test_steps_are_not_among_the_numbers_by_which_processes_agree_on_a_stop(tmp_path, monkeypatch):
    asked = []
    monkeypatch.setattr('orbax.checkpoint.utils.reached_preemption', asked.append)
    save(tmp_path, 1, 2)
    assert not asked
    with Checkpoints(tmp_path) as checkpoints:
        assert checkpoints.latest_step == 2


def test_what_a_library_says_at_length_becomes_a_line(tmp_path):
    with (
        pytest.raises(UserError) as caught,
        checkpoint.one_line(tmp_path, 'written', checkpoint.MAKE_ROOM),
    ):
        raise ValueError('RESOURCE_EXHAUSTED: Error\nwriting [No space left on device] to it\n')
    assert str(caught.value) == (
        f'{tmp_path} cannot be written (No space left on device); '
        'make room or access for it and run again'
    )
