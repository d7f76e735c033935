import os
import subprocess
import sys
from pathlib import Path

import pytest

from mimic_jax.artifacts import recipes, store, verify
from mimic_jax.artifacts.recipes import Recipe
from mimic_jax.errors import UserError

ROOT = Path(__file__).parent.parent
TEACHER = Recipe('teacher', {'model': '8c3'}, data='d' * 64)
LOGITS = Recipe('logits', {'views': 2}, reads=(TEACHER.name,))


def build(folder):
    (folder / 'deep').mkdir()
    (folder / 'deep' / 'numbers').write_bytes(bytes(range(256)) * 4)
    (folder / 'empty').write_bytes(b'')
    return {}


@pytest.fixture
def workdir(tmp_path):
    for recipe in (TEACHER, LOGITS):
        store.make(tmp_path, recipe, build)
    (tmp_path / 'experiment').mkdir()
    (tmp_path / 'experiment' / 'report.json').write_text('{}')
    return tmp_path


def verified(workdir):
    """Whether all is well, the lines but the last, and the last."""
    said = []
    well = verify.run(workdir, said.append)
    assert all('\n' not in line for line in said)
    return well, said[:-1], said[-1]


def test_a_whole_workdir_has_nothing_to_tell(workdir):
    before = sorted((path, path.stat().st_mtime_ns) for path in workdir.rglob('*'))
    well, lines, last = verified(workdir)
    assert well and lines == []
    assert last == (
        '2 artifacts checked, 0 at fault; 6 files are as they were written; 0 artifacts not complete'
    )
    assert sorted((path, path.stat().st_mtime_ns) for path in workdir.rglob('*')) == before


def test_every_fault_is_told_not_the_first_alone(workdir):
    teacher = workdir / TEACHER.name
    (teacher / 'deep' / 'numbers').write_bytes(b'short')
    (teacher / 'empty').unlink()
    (workdir / LOGITS.name / 'manifest.json').write_text('{}')
    well, lines, last = verified(workdir)
    assert not well
    mend = f'delete {teacher} and run the same command to make it again'
    assert sorted(lines) == sorted(
        [
            f'{teacher / "deep" / "numbers"} has changed since it was written; {mend}',
            f'{teacher / "empty"} is missing; {mend}',
            f'{workdir / LOGITS.name / "manifest.json"} is not the one that COMPLETE names; '
            f'{mend.replace(TEACHER.name, LOGITS.name)}',
        ]
    )
    assert last.startswith('2 artifacts checked, 2 at fault; 0 files')


def test_an_artifact_under_another_ones_name_is_found_here_and_by_its_readers(workdir):
    (workdir / LOGITS.name).rename(workdir / 'logits-0123456789ab')
    well, lines, _ = verified(workdir)
    assert not well and len(lines) == 1
    assert f'the recipe of {LOGITS.name}' in lines[0] and 'rename' in lines[0]
    with pytest.raises(UserError, match=f'the recipe of {LOGITS.name}'):
        store.manifest(workdir / 'logits-0123456789ab')


def test_what_is_gone_or_unfinished_is_told_and_no_fault(workdir):
    (workdir / TEACHER.name).rename(workdir / 'kept elsewhere')
    (workdir / 'student-0123456789ab').mkdir()
    well, lines, last = verified(workdir)
    assert well
    assert lines == [
        f'note: {workdir / LOGITS.name} was made from {TEACHER.name}, which is not there',
        f'note: {workdir / "student-0123456789ab"} is not complete; run the command that makes it '
        'to resume it',
    ]
    assert last.startswith('1 artifacts checked, 0 at fault; 3 files')
    assert last.endswith('; 1 artifacts not complete')


def test_a_folder_without_artifacts_is_named(tmp_path):
    said = []
    assert verify.run(tmp_path, said.append)
    assert said == [f'{tmp_path} holds no artifacts; give the --workdir of a run']


def test_no_folder_is_a_mistake(tmp_path):
    with pytest.raises(UserError, match='no folder'):
        verify.run(tmp_path / 'nowhere')


def test_files_are_read_in_blocks(workdir, monkeypatch):
    """Only small files are read whole."""
    read = []
    original = Path.read_bytes
    monkeypatch.setattr(Path, 'read_bytes', lambda path: read.append(path) or original(path))
    assert verified(workdir)[0]
    assert read == []


@pytest.mark.parametrize('bad', [False, True])
def test_the_command_needs_no_config_and_ends_with_a_status(workdir, bad):
    if bad:
        (workdir / TEACHER.name / 'empty').write_text('no longer')
    process = subprocess.run(
        [sys.executable, '-m', 'mimic_jax.main', '--phase=verify', f'--workdir={workdir}'],
        capture_output=True,
        text=True,
        cwd=ROOT,
        env={**os.environ, 'PYTHONPATH': str(ROOT)},
        timeout=120,
    )
    assert process.stderr == ''
    assert process.returncode == int(bad), process.stdout
    lines = process.stdout.splitlines()
    assert lines[-1].startswith(f'2 artifacts checked, {int(bad)} at fault')
    assert len(lines) == 1 + bad


def test_artifacts_of_the_first_format_are_named_once_as_of_no_more_use(workdir, monkeypatch):
    monkeypatch.setattr(recipes, 'FORMAT', 1)
    old = store.make(workdir, TEACHER, build).name
    half = workdir / Recipe('student', {}).name
    half.mkdir()
    (half / 'config.json').write_text('{"versions": {"format": 1}}')
    monkeypatch.undo()
    well, lines, last = verified(workdir)
    assert well and lines == [
        'note: 2 artifacts of an earlier version are not used any more and may be deleted: '
        f'{half.name} {old}'
    ]
    assert last.startswith('3 artifacts checked, 0 at fault;')
