"""Artifacts: folders named by what made them, complete or resumable, checked by digest.

An artifact's folder is `<workdir>/<phase>-<id>`. It holds `config.json` (the recipe that its id is
the hash of), what its phase writes, `manifest.json` (facts, and the SHA-256 of every file) and, last,
`COMPLETE`, which holds the manifest's own SHA-256. A folder without `COMPLETE` is work that stopped
half-way and that the same recipe resumes.
"""

import contextlib
import functools
import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path

from mimic_jax.artifacts import locks, recipes
from mimic_jax.artifacts.recipes import Recipe
from mimic_jax.errors import UserError
from mimic_jax.runtime import files, hosts, interrupt
from mimic_jax.runtime.progress import Say

CONFIG, MANIFEST, MARKER = 'config.json', 'manifest.json', 'COMPLETE'

_NAME = re.compile('[a-z]+-[0-9a-f]{12}')
opened: set[Path] = set()  # folders that this process made or read since a run began


def make(
    workdir: Path,
    recipe: Recipe,
    build: Callable[[Path], dict],
    say: Say = print,
    together: bool = False,
) -> Path:
    """The folder of the recipe's artifact, which `build(folder)` makes where it is not complete yet.

    `build` resumes whatever it finds in the folder and returns facts for the manifest. Where several
    processes want the artifact, one builds it and the others wait.
    together: all processes of one run on several hosts build; otherwise process 0 does.

    Raises:
      OSError: a full or forbidden disk, with the file's name or the folder's.
      UserError: what `build` raises, another recipe in the folder, a folder that vanished or that
        another process took over.
      Interrupted: a signal came before, even where a library swallowed the exception.
    """
    interrupt.check()
    folder = workdir / recipe.name
    opened.add(folder.resolve())
    if hosts.count() > 1 and not together:
        name = hosts.first(lambda: make(workdir, recipe, build, say).name)
        _check_same(recipe, name)
        return folder
    is_ours = None
    with contextlib.ExitStack() as held:

        def begin() -> dict:
            """Whether it is complete. Process 0 holds the lock for all."""
            nonlocal is_ours
            if not is_complete(folder):
                is_ours = held.enter_context(locks.hold(folder, say))
            complete = is_complete(folder)  # perhaps made while this process waited
            if not complete:
                folder.mkdir(exist_ok=True)
                _write_recipe(folder, recipe)
            return {'name': recipe.name, 'complete': complete}

        def end() -> None:
            if not (folder / CONFIG).is_file():
                raise UserError(f'{folder} vanished while it was being made; run again')
            seal(folder, facts, check)

        def check() -> None:
            if not is_ours():
                raise UserError(
                    f'another process took {folder} over while this one was suspended; run again'
                )

        try:
            state = hosts.first(begin)
            _check_same(recipe, state['name'])
            if not state['complete']:
                facts = build(folder)
                hosts.first(end)
        except OSError as error:
            raise files.placed(error, folder) from None
    return folder


def free_first(workdir: Path, plans: Iterable) -> Iterator:
    """The plans in order, but with those last whose artifact (`plan.recipe`) another process makes.

    So two processes with the same command share the work. Processes of one run on several hosts must
    do the same things: for them the order stays.
    """
    taken = []
    for plan in plans:
        folder = workdir / plan.recipe.name
        if hosts.count() == 1 and not is_complete(folder) and locks.is_held(folder):
            taken.append(plan)
        else:
            yield plan
    yield from taken


def _check_same(recipe: Recipe, name: str) -> None:
    if recipe.name != name:
        raise UserError(
            f'process {hosts.process()} is about to make {recipe.name} where process 0 makes {name}; '
            'start every process with the same code, config and flags'
        )


def folders(workdir: Path) -> list[Path]:
    """The folders of a workdir that have an artifact's name, in the names' order."""
    return sorted(path for path in workdir.iterdir() if _NAME.fullmatch(path.name))


def is_complete(folder: Path) -> bool:
    return (folder / MARKER).is_file()


def require(workdir: Path, recipe: Recipe, what: str, phase: str) -> Path:
    """The folder of a complete artifact; UserError that names the phase to run when there is none."""
    folder = workdir / recipe.name
    if not hosts.first(lambda: is_complete(folder)):
        raise UserError(
            f'{what} is not there yet: {folder} is not complete; run --phase={phase} or --phase=all'
        )
    return folder


def seal(folder: Path, facts: Mapping, check: Callable[[], None] = lambda: None) -> None:
    """Writes the manifest and then, atomically, the marker that makes the artifact complete.

    check: called once all files are read and before anything is written; what it raises stops it.
    """
    digests = {name: files.digest(folder / name) for name in _files(folder)}
    text = json.dumps({**facts, 'files': digests}, indent=1, sort_keys=True, allow_nan=False)
    check()
    files.write_atomically(folder / MANIFEST, text)
    files.write_atomically(
        folder / MARKER, json.dumps({'manifest_sha256': files.digest(folder / MANIFEST)})
    )


def manifest(folder: Path) -> dict:
    """A complete artifact's manifest. Each process checks all its files once, at the first call.

    In a run on several hosts process 0 alone checks them.

    Raises:
      UserError: a file is missing, cut or changed.
    """
    opened.add(folder.resolve())
    return json.loads(_verified_manifest(folder.resolve()))


@functools.cache
def _verified_manifest(folder: Path) -> str:
    if hosts.is_first():
        verify(folder)
    return (folder / MANIFEST).read_text()


def verify(folder: Path) -> None:
    """Checks every file of a complete artifact against its digest; UserError names the first bad one."""
    for fault in faults(folder):
        raise UserError(fault)


def faults(folder: Path) -> Iterator[str]:
    """What is wrong with a complete artifact: a line a fault, with the file and what to do.

    Where the marker or the manifest itself is bad, no other file is checked.
    """
    mend = f'delete {folder} and run the same command to make it again'
    try:
        expected = json.loads((folder / MARKER).read_text())['manifest_sha256']
    except (OSError, ValueError, KeyError, TypeError):
        yield f'{folder / MARKER} cannot be read; {mend}'
        return
    if not (folder / MANIFEST).is_file():
        yield f'{folder / MANIFEST} is missing; {mend}'
        return
    if files.digest(folder / MANIFEST) != expected:
        yield f'{folder / MANIFEST} is not the one that {MARKER} names; {mend}'
        return
    digests = json.loads((folder / MANIFEST).read_text())['files']
    whole = True
    for name, digest in digests.items():
        path = folder / name
        if not path.is_file():
            whole = False
            yield f'{path} is missing; {mend}'
        elif files.digest(path) != digest:
            whole = False
            yield f'{path} has changed since it was written; {mend}'
    if whole and CONFIG in digests:
        found = read_recipe(folder)
        name = f'{found["phase"]}-{recipes.identity(found)}'
        if name != folder.name:
            yield f'{folder / CONFIG} is the recipe of {name}; rename {folder} to that'


def count_files(folder: Path) -> int:
    """How many files a complete artifact's manifest lists."""
    return len(json.loads((folder / MANIFEST).read_text())['files'])


def read_recipe(folder: Path) -> dict:
    """The recipe that an artifact's folder holds, as `Recipe.as_json` gave it."""
    return json.loads((folder / CONFIG).read_text())


def is_outdated(folder: Path) -> bool:
    """Whether an artifact, complete or not, is of an earlier format: no recipe of today names it."""
    try:
        return recipes.is_outdated(read_recipe(folder))
    except (OSError, ValueError, KeyError, TypeError):
        return False  # a damaged recipe; `faults` reports it


def _files(folder: Path) -> list[str]:
    """The files that a manifest lists: all but itself, the marker and half-written temporary files."""
    names = (path.relative_to(folder) for path in folder.rglob('*') if path.is_file())
    return sorted(
        name.as_posix()
        for name in names
        if name.as_posix() not in (MANIFEST, MARKER) and not name.name.endswith('.tmp')
    )


def _write_recipe(folder: Path, recipe: Recipe) -> None:
    path = folder / CONFIG
    text = json.dumps(recipe.as_json(), indent=1, sort_keys=True)
    if not path.exists():
        files.write_atomically(path, text)
    elif path.read_text(errors='replace') != text:
        raise UserError(
            f'{path} is not the recipe that its folder is named by; delete {folder} and run again'
        )
