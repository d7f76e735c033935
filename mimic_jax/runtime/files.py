"""Files: paths as people type them, all files below a folder, printable names, atomic writes."""

import contextlib
import hashlib
import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

from mimic_jax.errors import UserError


class Walked(NamedTuple):
    """What lies below a folder, without hidden files and folders.

    files: paths below the folder, parts joined by `/`, in no order.  unread: all else, in words.
    """

    files: list[str]
    unread: list[str]


def expand(path: str | Path) -> Path:
    """A path as a person types it: `~` and `~name` are home folders, as far as they are known."""
    return Path(os.path.expanduser(path))


def printable(name: str | Path) -> str:
    r"""A file's name as text: bytes that are not UTF-8 become `\xe9` and the like."""
    return os.fsencode(name).decode('utf-8', 'backslashreplace')


def leads_back(path: Path) -> bool:
    """Whether a path is a link to a folder that it lies in."""
    inside = Path(os.path.realpath(path.parent))
    return Path(os.path.realpath(path)) in (inside, *inside.parents)


def described(path: Path, shown: str) -> str:
    """What lies at a path, in words, for a line on what is not read.  shown: its name."""
    if os.path.isdir(path):
        return f'{shown} (a link to a folder that it lies in)' if leads_back(path) else f'{shown}/'
    if os.path.isfile(path):
        return shown
    what = 'a link that leads nowhere' if os.path.islink(path) else 'neither file nor folder'
    return f'{shown} ({what})'


def walk(folder: Path) -> Walked:
    """All files below a folder; links are followed, but not back to a folder that they lie in.

    Raises:
      OSError: a folder that cannot be opened.
    """
    found = Walked([], [])
    waiting = [('', frozenset([os.path.realpath(folder)]))]
    while waiting:
        below, above = waiting.pop()
        for name in sorted(os.listdir(folder / below)):
            if name.startswith('.'):
                continue
            name = f'{below}{name}'
            path = folder / name
            if os.path.isdir(path):
                real = os.path.realpath(path)
                if real in above:
                    found.unread.append(f'{printable(name)} (a link to a folder that it lies in)')
                else:
                    waiting.append((f'{name}/', above | {real}))
            elif os.path.isfile(path):
                found.files.append(name)
            else:
                found.unread.append(described(path, printable(name)))
    return found


def say(text: str) -> None:
    """A line on stderr."""
    print(text, file=sys.stderr, flush=True)


def below(path: Path, say: Callable[[str], None] = say) -> dict[str, Path]:
    """A file, or all files below a folder except hidden ones, by printable name in the names' order.

    A name is the file's own, or its path below the folder.
    say: is given a line on what is left out, such as links that lead nowhere.

    Raises:
      UserError: no such file or folder, or a folder without files.
    """
    if path.is_file():
        return {printable(path.name): path}
    if not path.is_dir():
        raise UserError(f'{path} is neither a file nor a folder; give one that is there')
    found = walk(path)
    if not found.files:
        raise UserError(f'{path} holds no files; give a folder that does')
    if found.unread:
        say(f'{path}: not read: {few(found.unread)}')
    return {printable(name): path / name for name in sorted(found.files)}


def few(things: list[str], most: int = 5) -> str:
    """The first things of a list, and how many more there are."""
    more = [f'… {len(things) - most:,} more'] if len(things) > most else []
    return ', '.join([*things[:most], *more])


def digest(path: Path) -> str:
    """SHA-256 of a file's content, in hexadecimal."""
    try:
        with path.open('rb') as file:
            return hashlib.file_digest(file, 'sha256').hexdigest()
    except OSError as error:
        raise placed(error, path) from None


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
        raise placed(error, path) from None


@contextlib.contextmanager
def placing(path: Path) -> Iterator[None]:
    """Errors of the disk inside it name `path`, where the system names no file."""
    try:
        yield
    except OSError as error:
        raise placed(error, path) from None


def placed(error: OSError, path: Path) -> OSError:
    """The error with a path, where the system gave none, as when a disk is full."""
    if error.filename is not None:
        return error
    return OSError(error.errno, error.strerror or str(error), str(path))
