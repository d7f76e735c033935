"""Python objects that were passed to a run, kept under names that are made from their content.

A name such as 'object:ResNet18-3f2a90c1d7e4' stands in a config, and so in recipes, for a module, a
function or arrays. The same object has the same name in a later process, so its artifacts are found
again.
"""

import ast
import dataclasses
import functools
import hashlib
import inspect
import json
import sys
import textwrap
import types
from collections.abc import Iterator, Mapping

import numpy as np

from mimic_jax.artifacts import imported, source
from mimic_jax.errors import UserError

PREFIX = 'object:'
_kept: dict[str, object] = {}
_FLAXS = ('parent', 'name')  # fields of a Linen module that do not change what it computes
_MAIN = '__main__'


class _Nameless(Exception):
    """An object that has no content to be named by."""


class _Edited(Exception):
    """A source file that is no longer what was imported."""


def keep(thing, where: str, version: str = '') -> str:
    """The name of an object. `kept` finds the object by it as long as this process runs.

    The name is made from what the object computes. For a class or function these are the source files,
    or where a notebook defines it, its text and what that uses. For a Linen module they are its class
    and fields, for a torch module its classes and parameters, for arrays their values. A version takes
    the place of all these.

    where: the object's place in the config, for errors.

    Raises:
      UserError: a lambda, a closure or another object that nothing names, without a version; a source
        file that was edited since it was imported.
    """
    named = thing.func if isinstance(thing, functools.partial) else thing
    label = getattr(named, '__name__', None) or type(named).__name__
    try:
        content = ['version', label, version] if version else _content(thing, ())
    except _Nameless as error:
        raise UserError(
            f'{where} is {error}, which nothing names; give a version, to be changed whenever its answers '
            'change, or write it as a class or function of a module'
        ) from None
    except _Edited as error:
        raise UserError(
            f'{where} uses {error}, which was edited since it was imported; import it again'
        ) from None
    text = json.dumps(content, sort_keys=True)
    letters = ''.join(letter for letter in label if letter.isidentifier()) or 'object'
    name = f'{PREFIX}{letters}-{hashlib.sha256(text.encode()).hexdigest()[:12]}'
    _kept[name] = thing
    return name


def kept(name: str, where: str):
    """The object of a name; UserError where this process was not given it."""
    if name not in _kept:
        raise UserError(
            f'{where} is {name!r}, an object that this process was not given; pass it to run again'
        )
    return _kept[name]


def _content(thing, around: tuple):
    """JSON that is equal for equal content.  around: what is being named already."""
    if thing is None or isinstance(thing, bool | int | float | str | bytes):
        return repr(thing)
    if any(thing is each for each in around):
        return 'itself'
    inside = functools.partial(_content, around=(*around, thing))
    if isinstance(thing, Mapping):
        return ['mapping', *sorted((str(key), inside(item)) for key, item in thing.items())]
    if isinstance(thing, list | tuple):
        return ['items', *map(inside, thing)]
    if isinstance(thing, set | frozenset):  # their order differs between processes
        return ['items', *sorted(map(inside, thing), key=json.dumps)]
    if isinstance(thing, np.ndarray | np.generic) or hasattr(thing, '__jax_array__'):
        return _array(thing)
    if hasattr(thing, '__wrapped__') and not isinstance(thing, type):  # such as a jitted function
        return ['wrapped', inside(thing.__wrapped__)]
    if isinstance(thing, functools.partial):
        return ['partial', *map(inside, (thing.func, thing.args, thing.keywords))]
    if isinstance(thing, types.ModuleType):
        module = thing.__name__
        return _sources(module, thing) if source.is_own(module) else ['module', module]
    if isinstance(thing, type | types.FunctionType | types.BuiltinFunctionType):
        return _code(thing, inside)
    if callable(getattr(thing, 'state_dict', None)):
        return _torch(thing, inside)
    if dataclasses.is_dataclass(thing):
        return ['instance', inside(type(thing)), *_fields(thing, inside)]
    if type(thing).__module__.startswith(('jax', 'numpy', 'ml_dtypes')):
        return _array(thing) if hasattr(thing, 'shape') and hasattr(thing, 'dtype') else repr(thing)
    raise _Nameless(f'a {type(thing).__name__}')


def _array(array) -> list:
    array = np.ascontiguousarray(array)
    content = array.tolist() if array.dtype == object else array.tobytes()
    digest = hashlib.sha256(content if isinstance(content, bytes) else repr(content).encode())
    return ['array', str(array.dtype), list(array.shape), digest.hexdigest()]


def _code(thing, inside) -> list:
    """A class or function: by its module's sources, or by its text where a notebook defines it."""
    module, name = getattr(thing, '__module__', None) or 'builtins', thing.__qualname__
    library = not source.is_own(module) and module != _MAIN
    if '<locals>' in name and library:  # a library's closure, such as an initialiser of Flax
        cells = getattr(thing, '__closure__', None) or ()
        return ['closure', module, name, *(inside(cell.cell_contents) for cell in cells)]
    if '<' in name:
        raise _Nameless('a lambda' if '<lambda>' in name else f'the local {name}')
    if library:
        return ['library', module, name]
    if module != _MAIN:
        return ['source', name, _sources(module, thing)[-1]]
    try:
        text = textwrap.dedent(inspect.getsource(thing))
    except (OSError, TypeError):
        raise _Nameless(f'{name}, whose source Python does not have') from None
    known, tree = vars(sys.modules[_MAIN]), ast.parse(text)
    used = dict(_used(tree, known))
    inner = sorted(set(source.imported(tree)))
    return [
        'text',
        text,
        *((word, inside(used[word])) for word in sorted(used) if used[word] is not thing),
        *(_sources(module, None) for module in inner),
    ]


def _used(tree: ast.AST, known: Mapping) -> Iterator[tuple[str, object]]:
    """The known objects that a text uses, by name; a package's modules too, as in `nets.small.f`."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Name) and node.id in known:
            yield node.id, known[node.id]
        chain = []
        while isinstance(node, ast.Attribute):
            chain.insert(0, node.attr)
            node = node.value
        if chain and isinstance(node, ast.Name):
            word, found = node.id, known.get(node.id)
            for attribute in chain:
                if not isinstance(found, types.ModuleType):
                    break
                word, found = f'{word}.{attribute}', vars(found).get(attribute)
                if isinstance(found, types.ModuleType):
                    yield word, found


def _sources(module: str, thing) -> list:
    """A person's own module, by its source files and those of what it imports; none may be edited."""
    files = source.files(module)
    file = imported.edited({name: files[name] for name in files if source.is_own(name)}, thing)
    if file:
        raise _Edited(file)
    return ['source', module, source.digest(files)]


def _fields(thing, inside) -> list:
    """The fields of a dataclass's instance, such as a Linen module, that are not at their default."""
    found = []
    for field in dataclasses.fields(thing):
        value = getattr(thing, field.name)
        if field.name not in _FLAXS and value is not field.default:
            found.append((field.name, inside(value)))
    return found


def _torch(module, inside) -> list:
    """A torch module: the classes of its parts, how they are put together, and its parameters."""
    parts = sorted({type(part) for part in module.modules()}, key=lambda kind: kind.__qualname__)
    state = {
        name: _array(tensor.detach().cpu().float().numpy())
        for name, tensor in module.state_dict().items()
    }
    return ['torch', repr(module), *map(inside, parts), sorted(state.items())]
