"""Whether a module in memory is still what its source file holds."""

import ast
import inspect
import sys
import types
from collections import defaultdict
from collections.abc import Iterator, Mapping
from importlib.machinery import SourceFileLoader
from pathlib import Path

_seen: dict[
    str, tuple
] = {}  # by module: its spec, which a new import replaces, and its file's text


def edited(files: Mapping[str, str], thing) -> str | None:
    """The first file that was edited since it was imported; None where there is none.

    A file is compared with the functions and literal constants that its module has in memory, and with
    its text at the last call for the same import. An edit before the first call that changes neither a
    function nor a literal is not seen.

    files: source files by the names of their modules.  thing: an object of one of them; it may be older
    than the module's last import.
    """
    for name, file in files.items():
        module = sys.modules.get(name)
        if not file.endswith('.py') or module is None:
            continue
        text, spec = Path(file).read_bytes(), getattr(module, '__spec__', None)
        before = _seen.get(name)
        if before and before[0] is spec and before[1] != text:
            return file
        # Another loader, such as pytest's, may have compiled another text.
        if type(getattr(spec, 'loader', None)) is SourceFileLoader and not _agrees(
            text, file, module, thing
        ):
            return file
        _seen[name] = spec, text
    return None


def _agrees(text: bytes, file: str, module: types.ModuleType, thing) -> bool:
    try:
        tree = ast.parse(text)
        codes = defaultdict(list)
        _collect(compile(text, file, 'exec', dont_inherit=True), codes)
    except (SyntaxError, ValueError):
        return False
    held = vars(module)
    for name, value in _literals(tree).items():
        if name not in held or repr(held[name]) != repr(value):
            return False
    ours = [item for item in held.values() if getattr(item, '__module__', None) == module.__name__]
    if getattr(thing, '__module__', None) == module.__name__:
        ours.append(thing)
    here = Path(file).resolve()
    return all(
        code in codes[code.co_qualname]
        for code in _functions(ours, set())
        if Path(code.co_filename).resolve() == here
    )


def _collect(code: types.CodeType, codes: dict) -> None:
    for each in code.co_consts:
        if isinstance(each, types.CodeType):
            codes[each.co_qualname].append(each)
            _collect(each, codes)


def _functions(things, seen: set) -> Iterator[types.CodeType]:
    """The code of functions, and of the methods and properties of classes."""
    for thing in things:
        thing = getattr(thing, 'wrapped', thing)  # Flax wraps a class's descriptors
        if id(thing) in seen:
            continue
        seen.add(id(thing))
        if isinstance(thing, staticmethod | classmethod):
            yield from _functions([thing.__func__], seen)
        elif isinstance(thing, property):
            yield from _functions([thing.fget, thing.fset, thing.fdel], seen)
        elif isinstance(thing, type):
            yield from _functions(vars(thing).values(), seen)
        elif callable(thing):
            code = getattr(inspect.unwrap(thing), '__code__', None)
            if isinstance(code, types.CodeType):
                yield code


def _literals(tree: ast.Module) -> dict:
    """The literals that a module assigns to a name exactly once."""
    given = [
        node.id
        for node in ast.walk(tree)
        if isinstance(node, ast.Name) and not isinstance(node.ctx, ast.Load)
    ]
    changed = {
        name for node in ast.walk(tree) if isinstance(node, ast.Global) for name in node.names
    }
    found = {}
    for node in tree.body:
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
            name = node.targets[0].id
            if given.count(name) == 1 and name not in changed:
                try:
                    value = ast.literal_eval(node.value)
                except ValueError:
                    continue
                if isinstance(value, bool | int | float | str | bytes | tuple):
                    found[name] = value
    return found
