"""A person's own Python modules: found, imported, and named by what their source files hold.

'my_nets:ResNet18' is the attribute `ResNet18` of `my_nets.py`, or of the package `my_nets`, in the
current folder, beside the experiment's file, or where Python finds it.
"""

import ast
import contextlib
import dataclasses
import hashlib
import importlib
import importlib.machinery
import importlib.util
import sys
import sysconfig
from collections.abc import Iterator, Mapping
from pathlib import Path

from mimic_jax.errors import UserError
from mimic_jax.runtime.interrupt import Interrupted

_OWN_PACKAGE = 'mimic_jax'  # the versions of its arithmetic stand for its sources
_beside: list[Path] = []  # the folder of the experiment's file, where there is one
_imported: dict[str, tuple] = {}  # by module: where from, and its sources, when imported here


@dataclasses.dataclass(frozen=True)
class Found:
    """A module that is there, perhaps not imported yet.

    root: the folder that its top-level package or file lies in.
    files: its source file, and those of the modules of the same folder or package that it imports.
    installed: whether it lies among Python's installed packages, which nobody edits.
    """

    name: str
    root: Path
    files: Mapping[str, Path]  # by name of the module
    installed: bool

    @property
    def sources(self) -> dict[str, str]:
        """The SHA-256 of each source file, by its path below the root."""
        return {
            path.relative_to(self.root).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
            for path in self.files.values()
        }


def look_beside(file: str | Path | None) -> None:
    """From now on modules are also found beside this experiment's file; None: beside none."""
    _beside[:] = [] if file is None else [Path(file).resolve().parent]


def split(path: str, where: str) -> tuple[str, str]:
    """('package.module', 'Name') of 'package.module:Name'.  where: the setting, for the error."""
    module, _, attribute = path.partition(':')
    if not all(part.isidentifier() for part in (*module.split('.'), *attribute.split('.'))):
        raise UserError(f"{where} is {path!r}; write 'package.module:Name'")
    return module, attribute


def find(name: str, where: str) -> Found:
    """The module of that name; nothing is imported.

    Raises:
      UserError: no such module, or one of Python's own.
    """
    top = name.partition('.')[0]
    root, installed = _root(top, name, where)
    files, waiting = {}, _with_parents(name)
    while waiting:
        module = waiting.pop()
        path = _file(root, module)
        if path is None or module in files or (installed and module.partition('.')[0] != top):
            continue
        files[module] = path
        for imported in _imports(path, module):
            if imported.partition('.')[0] != _OWN_PACKAGE or top == _OWN_PACKAGE:
                waiting += _with_parents(imported)
    if name not in files:
        raise UserError(f'{where} names {name}, but there is no module {name} in {root}')
    return Found(name, root, dict(sorted(files.items())), installed)


def load(path: str, where: str, anew: bool = True) -> tuple[object, dict[str, str]]:
    """The attribute at 'package.module:Name', and the sources of its module (`Found.sources`).

    where: the setting that holds the path, for errors.  anew: whether a module that was imported
    elsewhere, or whose sources have changed since it was imported here, is imported anew.

    Raises:
      UserError: no such module or attribute, or a module that cannot be imported.
    """
    name, attribute = split(path, where)
    found = find(name, where)
    sources = found.sources
    module = _import(found, sources, path, where, anew)
    value = module
    for part in attribute.split('.'):
        if not hasattr(value, part):
            raise UserError(f'{where} is {path!r}, but {name} has no {attribute!r}; write its name')
        value = getattr(value, part)
    return value, sources


def _import(found: Found, sources: dict[str, str], path: str, where: str, anew: bool):
    own = not found.installed and found.name.partition('.')[0] != _OWN_PACKAGE
    here = found.root, sources
    if own and anew and (_imported.get(found.name) != here or found.name not in sys.modules):
        for name in found.files:
            for package in _with_parents(name):  # those without a file of their own too
                sys.modules.pop(package, None)
    try:
        with _first_on_path(found.root) if own else contextlib.nullcontext():
            module = importlib.import_module(found.name)
    except Interrupted:
        raise
    except Exception as error:  # whatever a person's file does
        reason = (str(error) or type(error).__name__).splitlines()[0]
        raise UserError(
            f'{where} is {path!r}, but its module cannot be imported ({type(error).__name__}: '
            f'{reason}); mend {found.files[found.name]}'
        ) from error
    _imported[found.name] = here
    return module


@contextlib.contextmanager
def _first_on_path(root: Path) -> Iterator[None]:
    """Imports from `root` first; it stays at the end of the path, for what is imported later.

    No bytecode is kept: Python would take it for a file that is edited within the same second.
    """
    importlib.invalidate_caches()
    without, text = sys.dont_write_bytecode, str(root)
    sys.path.insert(0, text)
    sys.dont_write_bytecode = True
    try:
        yield
    finally:
        sys.dont_write_bytecode = without
        sys.path.remove(text)
        if text not in sys.path:
            sys.path.append(text)


def _root(top: str, name: str, where: str) -> tuple[Path, bool]:
    """The folder that a top-level module lies in, and whether that is one of installed packages."""
    if top in sys.stdlib_module_names:
        raise UserError(f"{where} names {name}, a module of Python's own; give yours another name")
    for folder in (Path.cwd(), *_beside):
        if _file(folder, top) or (folder / _as_path(name)).is_file() or _file(folder, name):
            return folder.resolve(), _is_installed(folder)
    spec = None
    with contextlib.suppress(ImportError, ValueError):  # ValueError: a module made by hand
        spec = importlib.util.find_spec(top)
    places = [] if spec is None else list(spec.submodule_search_locations or ())
    if spec is not None and not places and spec.has_location:
        return Path(spec.origin).resolve().parent, _is_installed(Path(spec.origin))
    if not places:
        beside = ''.join(f', {folder}' for folder in _beside if folder != Path.cwd())
        raise UserError(
            f'{where} names {name}, but there is no module {name} in {Path.cwd()}{beside} or where '
            'Python looks; write its name, or add its folder to PYTHONPATH'
        )
    return Path(places[0]).resolve().parent, _is_installed(Path(places[0]))


def _is_installed(path: Path) -> bool:
    known = {sysconfig.get_path(kind) for kind in ('purelib', 'platlib', 'stdlib')}
    return any(path.resolve().is_relative_to(Path(folder).resolve()) for folder in known)


def _file(root: Path, module: str) -> Path | None:
    """The source file of a module below a root; None where it has none there."""
    base = root.joinpath(*module.split('.'))
    for path in (base / '__init__.py', base.with_name(f'{base.name}.py')):
        if path.is_file():
            return path
    return None


def _as_path(name: str) -> str:
    return f'{name.replace(".", "/")}.py'


def _with_parents(name: str) -> list[str]:
    """'a', 'a.b' and 'a.b.c' of 'a.b.c': importing a module runs the packages around it."""
    parts = name.split('.')
    return ['.'.join(parts[:count]) for count in range(1, len(parts) + 1)]


def _imports(path: Path, module: str) -> Iterator[str]:
    """Dotted names of all that a source file imports, in functions too; none if it is not Python."""
    try:
        tree = ast.parse(path.read_bytes())
    except (SyntaxError, ValueError):  # importing it says what is wrong
        return
    around = module.split('.') if path.name == '__init__.py' else module.split('.')[:-1]
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            above = around[: len(around) - node.level + 1] if node.level else []
            base = '.'.join([*above, *filter(None, [node.module])])
            if base:
                yield base
                yield from (f'{base}.{alias.name}' for alias in node.names)
            else:  # from . import sibling, beside no package
                yield from (alias.name for alias in node.names)
