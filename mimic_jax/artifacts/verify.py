"""Checks every artifact of a workdir, whatever made it."""

from pathlib import Path

from mimic_jax.artifacts import store
from mimic_jax.errors import UserError
from mimic_jax.runtime.progress import Say, Watch


def run(
    workdir: Path,
    say: Say = print,
    watch: Watch = lambda done, total: None,
) -> bool:
    """Prints a line for each fault, with the file and what to do, and last the number of artifacts.

    An artifact is at fault when its marker, manifest or a file is not as it was written, or its folder
    is not named by its recipe. Reported, not counted as faults: unfinished artifacts, which the same
    command resumes; artifacts that another one was made from and that are gone; and artifacts of an
    earlier format, which no command reads any more.

    watch: called as `watch(done, total)` after every artifact.

    Returns True when there was no fault.  Nothing is written.

    Raises:
      UserError: no such folder.
    """
    if not workdir.is_dir():
        raise UserError(f'--workdir={workdir} is no folder; give the one that holds the artifacts')
    folders = store.folders(workdir)
    if not folders:
        say(f'{workdir} holds no artifacts; give the --workdir of a run')
        return True
    bad = unfinished = files = 0
    outdated = []
    for number, folder in enumerate(folders, 1):
        watch(number, len(folders))
        if store.is_outdated(folder):
            outdated.append(folder.name)
        if not store.is_complete(folder):
            unfinished += 1
            if not store.is_outdated(folder):
                say(f'note: {folder} is not complete; run the command that makes it to resume it')
            continue
        found = _faults(folder)
        for fault in found:
            say(fault)
        if found:
            bad += 1
            continue
        files += store.count_files(folder)
        for name in store.read_recipe(folder)['reads']:
            if not store.is_complete(workdir / name):
                say(f'note: {folder} was made from {name}, which is not there')
    complete = len(folders) - unfinished
    if outdated:
        say(
            f'note: {len(outdated)} artifacts of an earlier version are not used any more and may be '
            f'deleted: {" ".join(outdated)}'
        )
    say(
        f'{complete} artifacts checked, {bad} at fault; {files} files are as they were written; '
        f'{unfinished} artifacts not complete'
    )
    return not bad


def _faults(folder: Path) -> list[str]:
    try:
        return list(store.faults(folder))
    except OSError as error:
        return [f'{error.filename} cannot be read ({error.strerror}); make it readable']
