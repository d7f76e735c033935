"""Artifacts: folders named by what made them, complete or resumable, checked by digest.

An artifact's folder is `<workdir>/<phase>-<id>`. It holds `config.json` (the recipe that its id is
the hash of), what its phase writes, `manifest.json` (facts, and the SHA-256 of every file) and, last,
`COMPLETE`, which holds the manifest's own SHA-256. A folder without `COMPLETE` is work that stopped
half-way and that the same recipe resumes.
"""

import contextlib
import dataclasses
import functools
import hashlib
import json
import os
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path

from mimic_jax.artifacts import locks
from mimic_jax.errors import UserError
from mimic_jax.runtime import hosts, interrupt

FORMAT = 2  # raise when the content of artifact folders, or of recipes, changes its meaning

CONFIG, MANIFEST, MARKER = 'config.json', 'manifest.json', 'COMPLETE'

_NAME = re.compile('[a-z]+-[0-9a-f]{12}')
opened: set[Path] = set()  # folders that this process made or read since a run began


@dataclasses.dataclass(frozen=True)
class Recipe:
    """Exactly what determines an artifact's content.

    config: the phase's part of the config, without what is left at its default (`fields.differing`).
    data: the data fingerprint.  reads: names of the artifacts it is made from.
    versions: by name, of the arithmetic that its content depends on; raised by whoever changes what it
    computes beyond rounding.
    """

    phase: str
    config: Mapping
    data: str | None = None
    reads: tuple[str, ...] = ()
    versions: Mapping[str, int] = dataclasses.field(default_factory=dict)

    def as_json(self) -> dict:
        return {
            'phase': self.phase,
            'config': self.config,
            'data': self.data,
            'reads': list(self.reads),
            'versions': {'format': FORMAT, **self.versions},
        }

    @property
    def id(self) -> str:
        """The first 12 hex digits of the SHA-256 of the recipe's canonical JSON."""
        return _id(self.as_json())

    @property
    def name(self) -> str:
        return f'{self.phase}-{self.id}'


def canonical_json(value) -> str:
    """JSON with sorted keys and no spaces: equal values give equal text."""
    return json.dumps(value, sort_keys=True, separators=(',', ':'), allow_nan=False)


def make(
    workdir: Path,
    recipe: Recipe,
    build: Callable[[Path], dict],
    say: Callable[[str], None] = print,
    together: bool = False,
) -> Path:
    """The folder of the recipe's artifact, which `build(folder)` makes where it is not complete yet.

    `build` resumes whatever it finds in the folder and returns facts for the manifest. Of several
    processes one builds and the others wait.

    together: of the processes of one run on several hosts all build; otherwise process 0 does.

    Raises:
      OSError: a full or forbidden disk, with the file's name or the folder's.
      UserError: what `build` raises, another recipe in the folder, a folder that vanished or that
        another process took over.
      Interrupted: a signal came before, though a library may have swallowed what it raised.
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
            raise _placed(error, folder) from None
    return folder


def free_first(workdir: Path, plans: Iterable) -> Iterator:
    """The plans in order, but last those whose artifact (`plan.recipe`) another process is making.

    So that two processes with the same command share the work. Those of one run on several hosts
    must do the same things: there the order stays.
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
    files = {name: file_digest(folder / name) for name in _files(folder)}
    text = json.dumps({**facts, 'files': files}, indent=1, sort_keys=True, allow_nan=False)
    check()
    write_atomically(folder / MANIFEST, text)
    write_atomically(
        folder / MARKER, json.dumps({'manifest_sha256': file_digest(folder / MANIFEST)})
    )


def manifest(folder: Path) -> dict:
    """A complete artifact's manifest, after every file under it has been checked once a process.

    Of several hosts' processes process 0 checks, so that none reads more than its share.

    Raises UserError that names the file that is missing, cut or changed.
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

    Files are read in blocks. Behind a marker or manifest that is bad itself no file is looked at.
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
    if file_digest(folder / MANIFEST) != expected:
        yield f'{folder / MANIFEST} is not the one that {MARKER} names; {mend}'
        return
    files = json.loads((folder / MANIFEST).read_text())['files']
    whole = True
    for name, digest in files.items():
        path = folder / name
        if not path.is_file():
            whole = False
            yield f'{path} is missing; {mend}'
        elif file_digest(path) != digest:
            whole = False
            yield f'{path} has changed since it was written; {mend}'
    if whole and CONFIG in files:
        recipe = read_recipe(folder)
        name = f'{recipe["phase"]}-{_id(recipe)}'
        if name != folder.name:
            yield f'{folder / CONFIG} is the recipe of {name}; rename {folder} to that'


def count_files(folder: Path) -> int:
    """How many files a complete artifact's manifest answers for."""
    return len(json.loads((folder / MANIFEST).read_text())['files'])


def read_recipe(folder: Path) -> dict:
    """The recipe that an artifact's folder holds, as `Recipe.as_json` gave it."""
    return json.loads((folder / CONFIG).read_text())


def is_outdated(folder: Path) -> bool:
    """Whether an artifact, complete or not, is of an earlier format: no recipe of today names it."""
    try:
        return read_recipe(folder)['versions']['format'] < FORMAT
    except (OSError, ValueError, KeyError, TypeError):
        return False  # which `faults` reports where it is one


def file_digest(path: Path) -> str:
    """SHA-256 of a file's content, in hexadecimal."""
    try:
        with path.open('rb') as file:
            return hashlib.file_digest(file, 'sha256').hexdigest()
    except OSError as error:
        raise _placed(error, path) from None


def write_atomically(path: Path, content: str | bytes) -> None:
    """Writes `content` so that a reader, or a kill at any moment, finds the old file or the new one.

    Raises:
      OSError: a full or forbidden disk, with the file's name; the old file is left as it was.
    """
    temporary = path.with_name(f'.{path.name}.{os.getpid()}.tmp')
    try:
        with temporary.open('wb') as file:  # text as UTF-8, whatever the locale
            file.write(content if isinstance(content, bytes) else content.encode())
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except OSError as error:
        temporary.unlink(missing_ok=True)
        raise _placed(error, path) from None


def _files(folder: Path) -> list[str]:
    """The files a manifest answers for: all but itself, the marker and what a kill left half-written."""
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
        write_atomically(path, text)
    elif path.read_text(errors='replace') != text:
        raise UserError(
            f'{path} is not the recipe that its folder is named by; delete {folder} and run again'
        )


def _id(recipe: Mapping) -> str:
    return hashlib.sha256(canonical_json(recipe).encode()).hexdigest()[:12]


def _placed(error: OSError, path: Path) -> OSError:
    """The error with a path, where the system gave none, as when a disk is full."""
    if error.filename is not None:
        return error
    return OSError(error.errno, error.strerror or str(error), str(path))
