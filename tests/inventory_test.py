"""What lies in a workdir, and what may go. Artifacts are made by the store, reports by hand."""

import contextlib
import json

import pytest
from conftest import refusal

from mimic_jax.artifacts import locks, store
from mimic_jax.artifacts.recipes import Recipe
from mimic_jax.reporting import inventory


def artifact(workdir, phase, data='d1', reads=(), **config):
    """A complete artifact of 1,000 bytes; returns its name."""
    recipe = Recipe(phase, config, data, tuple(reads))

    def build(folder):
        (folder / 'weights').write_bytes(b'x' * 1000)
        return {'seconds': 1.0}

    return store.make(workdir, recipe, build).name


def report(workdir, experiment, artifacts, **more):
    (workdir / experiment).mkdir()
    content = {'artifacts': artifacts, 'costs': {}, **more}
    (workdir / experiment / 'report.json').write_text(json.dumps(content))


@pytest.fixture
def made(tmp_path):
    """One experiment's data, teacher, cache and student, and two students that nobody reports."""
    data = artifact(tmp_path, 'data', None)
    teacher = artifact(tmp_path, 'teacher', model='8c3')
    logits = artifact(tmp_path, 'logits', reads=[teacher])
    student = artifact(tmp_path, 'student', reads=[logits], model='8L-9')
    spare = [artifact(tmp_path, 'student', reads=[logits], model=f'{size}L-9') for size in (4, 2)]
    report(tmp_path, 'first', {data: '', student: 'student mimic, seed 0'})
    return {
        'data': data, 'teacher': teacher, 'logits': logits, 'student': student, 'spare': spare
    }  # fmt: skip


def left(workdir):
    return {folder.name for folder in store.folders(workdir)}


def test_status_says_what_each_artifact_is_and_who_made_it(tmp_path, made):
    report(tmp_path, 'second', {made['student']: 'student mimic, seed 0'})
    text = inventory.status(tmp_path, None)
    lines = [
        [cell.strip() for cell in line.strip('|').split('|')]
        for line in text.splitlines()
        if line.startswith('| ')
    ]
    found = {line[0]: line[1:] for line in lines}
    assert found['artifact'] == ['what', 'made by', 'MiB', 'state']
    assert found[made['student']] == ['student mimic, seed 0', 'first, second', '0.001', 'complete']
    # The report names the student alone; what it was made from counts too.
    assert found[made['teacher']] == ['8c3', 'first, second', '0.001', 'complete']
    assert found[made['data']][1] == 'first'
    assert found[made['spare'][0]] == ['4L-9', '–', '0.001', 'complete']
    assert 'No report refers to 2 of them' in text
    for narrow in (60, 80):
        wide = max(map(len, inventory.status(tmp_path, narrow).splitlines()))
        assert wide <= max(narrow, 72), 'an unbroken sentence aside'


def test_clean_lists_first_and_deletes_when_told(tmp_path, made):
    before, said = left(tmp_path), []
    inventory.clean(tmp_path, False, said.append)
    assert left(tmp_path) == before
    assert sorted(line.split()[0] for line in said[:-1]) == sorted(made['spare'])
    assert said[-1].endswith('add --yes')
    inventory.clean(tmp_path, True, said.append)
    assert before - left(tmp_path) == set(made['spare'])
    assert said[-1].startswith('2 artifacts deleted')
    inventory.clean(tmp_path, True, said.append)
    assert said[-1].startswith('nothing to delete')


def test_what_is_held_is_not_deleted_nor_what_its_maker_may_read(tmp_path, made):
    """A process makes a student on the data d1; artifacts on other data may be deleted."""
    other = artifact(tmp_path, 'teacher', 'd2', model='other')
    unread = artifact(tmp_path, 'teacher', 'd1', model='not reported')
    corpus = artifact(tmp_path, 'corpus', None, kind='of no fingerprint')
    held = tmp_path / 'student-0123456789ab'
    held.mkdir()
    recipe = Recipe('student', {}, 'd1', (unread,)).as_json()
    (held / store.CONFIG).write_text(json.dumps(recipe))
    before = left(tmp_path)
    with locks.hold(held, print):
        (found,) = (each for each in inventory.read(tmp_path) if each.folder == held)
        assert found.state.startswith('held by process ')
        inventory.clean(tmp_path, True, lambda line: None)
        assert before - left(tmp_path) == {other}
    inventory.clean(tmp_path, True, lambda line: None)
    assert before - left(tmp_path) == {other, unread, corpus, held.name, *made['spare']}


def test_an_export_is_kept(tmp_path, made):
    export = artifact(tmp_path, 'export', reads=[made['spare'][0]])
    inventory.clean(tmp_path, True, lambda line: None)
    assert export in left(tmp_path)


def test_a_report_of_an_earlier_version_keeps_its_artifacts_and_all_data(tmp_path, made):
    costs = {'student': {'artifacts': [made['spare'][0]]}}
    (tmp_path / 'first' / 'report.json').write_text(json.dumps({'costs': costs}))
    inventory.clean(tmp_path, True, lambda line: None)
    kept = {made['data'], made['spare'][0], made['logits'], made['teacher']}
    assert left(tmp_path) == kept


def test_a_damaged_report_stops_it(tmp_path, made):
    (tmp_path / 'first' / 'report.json').write_text('{')
    before = left(tmp_path)
    message = refusal(inventory.clean, tmp_path, True)
    assert 'report.json cannot be read' in message and left(tmp_path) == before
    assert 'no folder' in refusal(inventory.status, tmp_path / 'none', None)
    (tmp_path / 'empty').mkdir()
    assert 'empty holds no artifacts; give' in inventory.status(tmp_path / 'empty', None)


def test_an_artifact_that_is_deleted_is_incomplete_first(tmp_path, made, monkeypatch):
    """A kill in the middle leaves no folder that a later run would take for whole."""
    (name, _) = made['spare']

    def killed(folder):
        raise KeyboardInterrupt

    monkeypatch.setattr(inventory.shutil, 'rmtree', killed)
    with contextlib.suppress(KeyboardInterrupt):
        inventory.clean(tmp_path, True, lambda line: None)
    states = {each.folder.name: each.complete for each in inventory.read(tmp_path)}
    assert not all(states[each] for each in made['spare'])
    assert states[made['student']]
    assert name in states


def test_what_a_study_found_is_kept_though_no_report_names_it(tmp_path, made):
    """A search may take hours, and its report comes last."""
    optuna = pytest.importorskip('optuna', reason="needs Optuna: pip install -e '.[search]'")
    found, spare = made['spare']
    study = optuna.create_study(
        study_name='nets', storage=f'sqlite:///{tmp_path / inventory.STUDIES}'
    )
    trial = study.ask()
    trial.set_user_attr('artifact', found)
    study.tell(trial, 0.5)
    by_name = {each.folder.name: each for each in inventory.read(tmp_path)}
    assert list(by_name[found].made_by) == ['study nets']
    assert 'study nets' in by_name[made['teacher']].made_by, 'what it was made from too'
    inventory.clean(tmp_path, True, lambda line: None)
    assert found in left(tmp_path) and spare not in left(tmp_path)
    (tmp_path / inventory.STUDIES).write_bytes(b'no database at all' * 100)
    assert 'the artifacts of its trials are not known' in refusal(inventory.read, tmp_path)
