"""A person's own Python: loaded by import path, and named by the SHA-256 of its source files."""

import ast
import contextlib
import functools
import hashlib
import importlib
import site
import sys
import sysconfig
from collections.abc import Iterator
from importlib.machinery import ModuleSpec, PathFinder
from pathlib import Path

from mimic_jax.errors import UserError, first_line
from mimic_jax.runtime.interrupt import Interrupted

_beside: list[str] = []  # the folders of the experiment's file, where there is one
_loaded: dict[str, tuple] = {}  # by module: its files and their digest when it was imported


def look_beside(file: str | Path | None) -> None:
    """Lets modules be found in the experiment file's folder too; None: in no such folder any more.

    Where that folder is called experiments, modules are found in the folder above it too, as those of
    examples/ are here.
    """
    for folder in _beside:
        sys.path.remove(folder)
    folder = None if file is None else Path(file).resolve().parent
    found = [folder, folder.parent] if folder and folder.name == 'experiments' else [folder]
    _beside[:] = map(str, filter(None, found))
    sys.path.extend(_beside)  # last, so that it hides no library


def load(path: str, where: str, anew: bool = True):
    """What 'package.module:name' names: a function, a class or any other object.

    The module lies in the current folder, beside the experiment's file, or where Python finds it.
    where: the setting that holds the path, for errors.  anew: a person's module is imported anew where
    its files were edited or other code imported it, so that the code that runs is the code that
    `identity` names.

    Raises:
      UserError: no such path, module or name, or a module that cannot be imported.
    """
    module, name = _split(path, where)
    files = _files(module, path, where)
    now = files, digest(files)
    if anew and (_loaded.get(module) != now or module not in sys.modules):
        _forget(files)
    try:
        with _current_folder_first():
            found = importlib.import_module(module)
    except Interrupted:
        raise
    except Exception as error:  # whatever the module does when it is imported
        reason = first_line(error)
        raise UserError(f'{where} is {path!r}, which cannot be imported ({reason})') from error
    if anew:
        _loaded[module] = now
    try:
        return functools.reduce(getattr, name.split('.'), found)
    except AttributeError as error:
        raise UserError(f'{where} is {path!r}, but {module} has no {name!r}') from error


def identity(path: str, where: str) -> dict[str, str]:
    """{path, sha256}: what determines the object at 'package.module:name'.

    The digest is over the module's source and, however deep, over the modules that its `import`
    statements name. Libraries are left out: the standard library, installed packages, and this one. A
    library's module is taken with the modules of its own package. Nothing is imported.

    Raises:
      UserError: a path of another form, or a module that is not there.
    """
    module, _ = _split(path, where)
    return {'path': path, 'sha256': digest(_files(module, path, where))}


def files(module: str) -> dict[str, str]:
    """The source files that `identity` digests, by the names of their modules. Same errors."""
    return _files(module, module, module)


def imported(tree: ast.AST) -> Iterator[str]:
    """A person's own modules that a text's `import` statements name. The text lies in no package."""
    return (name for name in _named(tree, '') if name and is_own(name) and _found(name))


def digest(files: dict[str, str]) -> str:
    total = hashlib.sha256()
    for name, origin in sorted(files.items()):
        content = hashlib.sha256(Path(origin).read_bytes()).hexdigest()
        total.update(f'{name} {content}\n'.encode())
    return total.hexdigest()


def _forget(files: dict[str, str]) -> None:
    """Lets a person's own modules be imported anew; libraries stay."""
    for name in filter(is_own, files):
        parts = name.split('.')
        for count in range(1, len(parts) + 1):  # with the packages around it
            sys.modules.pop('.'.join(parts[:count]), None)


@contextlib.contextmanager
def _current_folder_first() -> Iterator[None]:
    """Imports from the current folder first. Writes no bytecode, because Python would use it for a file
    that is edited within the same second."""
    without, here = sys.dont_write_bytecode, str(Path.cwd())
    sys.path.insert(0, here)
    sys.dont_write_bytecode = True
    try:
        yield
    finally:
        sys.dont_write_bytecode = without
        sys.path.remove(here)


def _split(path: str, where: str) -> tuple[str, str]:
    module, _, name = path.partition(':')
    if not all(part.isidentifier() for part in (*module.split('.'), *name.split('.'))):
        raise UserError(f'{where} is {path!r}; write package.module:name')
    return module, name


def _files(module: str, path: str, where: str) -> dict[str, str]:
    """Source files by the names of their modules: the module's, and those it imports."""
    importlib.invalidate_caches()  # a file may be younger than the last look at its folder
    spec = _found(module)
    if spec is None:
        raise UserError(
            f'{where} is {path!r}, but there is no module {module}; install it, or add its folder to '
            'PYTHONPATH'
        )
    package = module if spec.submodule_search_locations else spec.parent
    files, waiting = {}, [module]
    while waiting:
        name = waiting.pop()
        near = f'{name}.'.startswith(f'{package}.') if package else name == module
        if name in files or not (near or is_own(name)):
            continue
        spec = _found(name)
        if spec is None:  # `from module import name`, where the name is no module
            continue
        if '.' in name:
            waiting.append(name.rpartition('.')[0])  # its package, which Python runs first
        if spec.origin is None or not Path(spec.origin).is_file():
            continue  # a folder without an __init__
        files[name] = spec.origin
        if spec.origin.endswith('.py'):
            waiting += _imported(spec)
    return files


def _found(module: str) -> ModuleSpec | None:
    """Where a module lies, without running its packages."""
    top, *rest = module.split('.')
    spec = PathFinder.find_spec(top, [str(Path.cwd()), *sys.path])
    if spec is None:  # built in, or an editable install
        finders = (finder.find_spec(top, None) for finder in sys.meta_path)
        spec = next(filter(None, finders), None)
    for number in range(len(rest)):
        if spec is None or spec.submodule_search_locations is None:
            return None
        name = '.'.join([top, *rest[: number + 1]])
        spec = PathFinder.find_spec(name, spec.submodule_search_locations)
    return spec


@functools.cache
def _libraries() -> tuple[Path, ...]:
    """The folders of installed packages and of the standard library."""
    known = [sysconfig.get_path(name) for name in ('stdlib', 'platstdlib', 'purelib', 'platlib')]
    known += [*site.getsitepackages(), site.getusersitepackages()]
    return tuple(Path(path).resolve() for path in known)


def is_own(module: str) -> bool:
    """Whether a module is a person's own: it lies in no library."""
    top = module.partition('.')[0]
    if top == 'mimic_jax' or top in sys.stdlib_module_names:
        return False
    spec = _found(top)
    if spec is None:
        return False
    place = Path(spec.origin or next(iter(spec.submodule_search_locations or ()), ''))
    if not place.exists() or {'site-packages', 'dist-packages'} & set(place.resolve().parts):
        return False
    return not any(library in place.resolve().parents for library in _libraries())


def _imported(spec: ModuleSpec) -> Iterator[str]:
    """The modules that a source file names in `import` statements, those inside functions too."""
    package = spec.name if spec.submodule_search_locations else spec.parent
    try:
        tree = ast.parse(Path(spec.origin).read_bytes())
    except SyntaxError:  # importing it reports that
        return
    yield from _named(tree, package)


def _named(tree: ast.AST, package: str) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ''
            if node.level:
                above = package.split('.')[: len(package.split('.')) - node.level + 1]
                base = '.'.join(filter(None, [*above, base]))
            yield base
            yield from (f'{base}.{alias.name}' for alias in node.names if alias.name != '*')
