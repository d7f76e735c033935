"""What lies in a workdir: which experiments made each artifact, which may be deleted, deleting them."""

import contextlib
import dataclasses
import json
import shutil
import sqlite3
from collections import defaultdict
from collections.abc import Iterable, Sequence
from pathlib import Path

from mimic_jax.artifacts import locks, store
from mimic_jax.errors import UserError
from mimic_jax.ops.text import fitted
from mimic_jax.runtime.progress import Say

# Made at a person's request and for use elsewhere: no report refers to them.
KEPT = ('export',)
# Made from no artifact: an older report does not name those that it used.
SOURCES = ('data', 'corpus', 'preprocess')
STUDIES = 'studies.sqlite'  # where a search keeps its studies, unless config.search.storage says otherwise
_ARTIFACTS = """
    SELECT study_name, value_json FROM trial_user_attributes
    JOIN trials USING (trial_id) JOIN studies USING (study_id) WHERE key = 'artifact'
"""


@dataclasses.dataclass(frozen=True)
class Artifact:
    """An artifact's folder.

    made_by: experiments whose reports refer to it, and what it is in each.  model: its net, if it has
    one.  data: the fingerprint of its data, if it has any.  holder: the process that is making it now;
    '' for none.
    """

    folder: Path
    bytes: int
    complete: bool
    made_by: dict[str, str]
    model: str
    data: str | None
    reads: tuple[str, ...]
    holder: str = ''

    @property
    def what(self) -> str:
        return ', '.join(dict.fromkeys(filter(None, self.made_by.values()))) or self.model or '–'

    @property
    def state(self) -> str:
        if self.holder:
            return f'held by {self.holder}'
        return 'complete' if self.complete else 'unfinished'


def read(workdir: Path) -> list[Artifact]:
    """All artifacts of a workdir, in the order of their names.

    Raises:
      UserError: no such folder, or a report that cannot be read.
    """
    if not workdir.is_dir():
        raise UserError(f'--workdir={workdir} is no folder; give the one that holds the artifacts')
    known = _referred(workdir)
    for study, artifacts in _found(workdir).items():
        for name in _with_reads(workdir, artifacts):
            known[name].setdefault(f'study {study}', '')
    return [_artifact(folder, known[folder.name]) for folder in store.folders(workdir)]


def status(workdir: Path, columns: int | None) -> str:
    """A table of all artifacts, and how much of them no report refers to."""
    found = read(workdir)
    if not found:
        return f'{workdir} holds no artifacts; give the --workdir of a run'
    head = ['artifact', 'what', 'made by', 'MiB', 'state']
    lines = [
        [
            each.folder.name,
            each.what,
            ', '.join(each.made_by) or '–',
            f'{each.bytes / 2**20:.{1 if each.bytes > 10**5 else 3}f}',
            each.state,
        ]
        for each in found
    ]
    spare = removable(found)
    said = [f'{len(found)} artifacts, {_size(found)}.']
    if spare:
        said.append(
            f'No report refers to {len(spare)} of them, {_size(spare)}: --phase=clean lists them.'
        )
    return '\n'.join([fitted([head, *lines], columns, below='made by'), *said])


def clean(workdir: Path, yes: bool, say: Say = print) -> None:
    """Lists the artifacts that no report refers to; deletes them where `yes` is true.

    An artifact that another process is making is never deleted, nor one of the same data, which that
    process may be about to read.
    """
    spare = removable(read(workdir))
    for each in spare:
        say(f'{each.folder.name}  {each.what}  {each.bytes / 2**20:.1f} MiB  {each.state}')
    if not spare:
        say('nothing to delete: reports refer to all artifacts, or a process is at work on them')
    elif not yes:
        say(
            f'{len(spare)} artifacts, {_size(spare)}, to which no report refers; a run that has not '
            'reported yet would make them anew. Nothing is deleted yet: add --yes'
        )
    else:
        gone = [each for each in spare if _removed(each.folder)]
        say(f'{len(gone)} artifacts deleted, {_size(gone)}')


def removable(found: Sequence[Artifact]) -> list[Artifact]:
    """The artifacts that no report refers to and no process may need now."""
    held = [each for each in found if each.holder]
    needed = {each.folder.name for each in held} | {name for each in held for name in each.reads}
    fingerprints = {each.data for each in held}
    return [
        each
        for each in found
        if not each.made_by
        and _phase(each.folder) not in KEPT
        and each.folder.name not in needed
        and not (held and (each.data is None or each.data in fingerprints))
    ]


def _artifact(folder: Path, made_by: dict[str, str]) -> Artifact:
    complete = store.is_complete(folder)
    try:
        recipe = store.read_recipe(folder)
    except (OSError, ValueError):
        recipe = {}
    size = sum(path.stat().st_size for path in folder.rglob('*') if path.is_file())
    holder = '' if complete else locks.holder(folder)
    reads = tuple(recipe.get('reads', ()))
    model = recipe.get('config', {}).get('model', '')
    return Artifact(folder, size, complete, made_by, model, recipe.get('data'), reads, holder)


def _referred(workdir: Path) -> dict[str, dict[str, str]]:
    """{artifact: {experiment: what it is in it}}, of the artifacts that they were made from too."""
    found: dict[str, dict[str, str]] = defaultdict(dict)
    for path in sorted(workdir.glob('*/report.json')):
        try:
            report = json.loads(path.read_text())
            named = report.get('artifacts')
            used = dict(named or {})
            for cost in report.get('costs', {}).values():
                used = {**dict.fromkeys(cost['artifacts'], ''), **used}
        except (ValueError, KeyError, TypeError, AttributeError):
            raise UserError(
                f'{path} cannot be read, so that what it refers to is not known; run the experiment '
                'again, or delete the file'
            ) from None
        if named is None and used:  # a report of an earlier version
            sources = (each.name for each in store.folders(workdir) if _phase(each) in SOURCES)
            used |= dict.fromkeys(sources, '')
        for name in _with_reads(workdir, used):
            found[name][path.parent.name] = used.get(name, '')
    return found


def _found(workdir: Path) -> dict[str, list[str]]:
    """{study: artifacts of its trials}. They are needed even before a report refers to them."""
    path, found = workdir / STUDIES, defaultdict(list)
    if not path.is_file():
        return found
    try:  # SQL, as Optuna may not be installed here
        with contextlib.closing(sqlite3.connect(path)) as database:
            for study, artifact in database.execute(_ARTIFACTS):
                found[study].append(json.loads(artifact))
    except (sqlite3.Error, ValueError) as error:
        raise UserError(
            f'{path} cannot be read ({error}), so that the artifacts of its trials are not known; '
            'restore it, or move it away if its studies are not needed'
        ) from None
    return found


def _phase(folder: Path) -> str:
    return folder.name.partition('-')[0]


def _with_reads(workdir: Path, names: Iterable[str]) -> set[str]:
    """Artifacts, and all that they were made from, as far as they are there."""
    found, waiting = set(), list(names)
    while waiting:
        name = waiting.pop()
        if name not in found:
            found.add(name)
            try:
                waiting += store.read_recipe(workdir / name)['reads']
            except (OSError, ValueError, KeyError):
                continue
    return found


def _removed(folder: Path) -> bool:
    """Deletes an artifact, its marker first, unless another process has begun to make it."""
    if locks.holder(folder):
        return False
    (folder / store.MARKER).unlink(missing_ok=True)
    shutil.rmtree(folder)
    return True


def _size(found: Iterable[Artifact]) -> str:
    return f'{sum(each.bytes for each in found) / 2**20:,.1f} MiB'
