"""Makes a person's own Flax module from its class and arguments; mistakes are errors of one line."""

import functools
import inspect
import types
from collections.abc import Callable, Mapping

import flax.linen as nn
from flax import nnx
from flax.core import FrozenDict

from mimic_jax.errors import UserError, first_line
from mimic_jax.runtime.interrupt import Interrupted

_FLAXS = ('self', 'parent', 'name', 'rngs')  # arguments that Flax gives


def module(factory, args: Mapping, known: Mapping, path: str, where: str) -> tuple[nn.Module, type]:
    """The Linen module, and the class whose `__call__` it runs.

    factory: a class, a function that returns a module, or a Linen module.  known: arguments that are given
    where the factory takes them and `args` has none.  path: the factory's name, for errors.
    """
    for key, value in args.items():
        if not _is_plain(value):
            raise UserError(
                f'{where}.model_args.{key} is {type(value).__name__}; give numbers, strings, booleans, '
                'None, or tuples of these'
            )
    if isinstance(factory, nn.Module):
        if args:
            raise UserError(f'{where}.model_args are for a class; {path} is a module already')
        return factory, type(factory)
    if isinstance(factory, nnx.Module):
        raise UserError(
            f'{where}.model is an NNX module that has its parameters already; give its class, or '
            'functools.partial of it, so that a seed can draw them'
        )
    if not callable(factory):
        raise UserError(f'{where}.model is {path!r}, which is no Flax module; name one')
    taken = parameters(factory)
    given = {key: frozen(value) for key, value in args.items()}
    bound = factory.keywords if isinstance(factory, functools.partial) else {}
    missing = [key for key in known if key in taken and key not in {**given, **bound}]
    given |= {key: known[key] for key in missing}
    takes_any = any(each.kind is inspect.Parameter.VAR_KEYWORD for each in taken.values())
    wanted = [key for key in args if key not in taken and not takes_any]
    if wanted:
        shown = ', '.join(key for key in taken if key not in _FLAXS)
        raise UserError(
            f'{where}.model_args has {wanted[0]!r}, which {path} does not take; it takes '
            f'{shown or "nothing"}'
        )
    seeded = 'rngs' in taken

    def make():
        return (
            nnx.eval_shape(lambda: factory(**given, rngs=nnx.Rngs(0)))
            if seeded
            else factory(**given)
        )

    made = tried(make, f'{where}.model_args', f'{path} cannot be made')
    if isinstance(made, nnx.Module) and not seeded:
        raise UserError(
            f'{where}.model is {path!r}, an NNX module that takes no rngs; let it take them, so that '
            'its seed can draw its parameters'
        )
    if not isinstance(made, nnx.Module if seeded else nn.Module):
        raise UserError(
            f'{where}.model is {path!r}, which makes a {type(made).__name__} and no Flax module'
        )
    if seeded:
        linen = nnx.bridge.ToLinen(factory, kwargs=FrozenDict(given), metadata_fn=None)
        return linen, type(made)
    return made, type(made)


def parameters(function: Callable) -> Mapping:
    """The parameters of a function, of a class or of a partial of one, by name; none where unknown.

    Those that a partial was given by position are left out.
    """
    if isinstance(function, functools.partial):
        found = parameters(function.func)
        first = [name for name in found if name != 'self'][: len(function.args)]
        return {name: found[name] for name in found if name not in first}
    # The signature of an NNX class is its metaclass's.
    is_class = isinstance(function, type)
    try:
        return inspect.signature(function.__init__ if is_class else function).parameters
    except (TypeError, ValueError):
        return types.MappingProxyType({})


def _is_plain(value) -> bool:
    if isinstance(value, Mapping):
        return all(isinstance(key, str) and _is_plain(item) for key, item in value.items())
    if isinstance(value, list | tuple):
        return all(map(_is_plain, value))
    return value is None or isinstance(value, bool | int | float | str)


def frozen(value):
    """Nested dicts and lists as hashable ones."""
    if isinstance(value, Mapping):
        return FrozenDict({key: frozen(item) for key, item in value.items()})
    return tuple(map(frozen, value)) if isinstance(value, list | tuple) else value


def tried(call: Callable, where: str, what: str):
    """The call's result; whatever a person's module raises is a UserError in a line."""
    try:
        return call()
    except (UserError, Interrupted):
        raise
    except Exception as error:
        reason = first_line(error)[:300]
        raise UserError(f'{where}: {what} ({type(error).__name__}: {reason})') from error
