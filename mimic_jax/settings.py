"""Settings: groups of typed values with rules, read from a ConfigDict into frozen dataclasses.

A misspelt key, a value of the wrong type or against its rule is one line that names the key.
"""

import dataclasses
import difflib
import types
import typing
from collections.abc import Callable, Iterable, Mapping

from mimic_jax.errors import UserError


def setting(default, rule: tuple[Callable[[typing.Any], object], str]):
    """A dataclass field; `rule` is a test that its values pass, and the test in words."""
    return dataclasses.field(default=default, metadata={'rule': rule})


def one_of(default, choices: tuple[str, ...]):
    """A dataclass field that takes one of some words."""
    return dataclasses.field(default=default, metadata={'choices': choices})


def section(cls, mapping: Mapping, where: str):
    """`mapping` as an instance of the dataclass `cls`; `where` is its path in the config.

    Raises:
      UserError: an unknown key, a value of another type or against its rule.
    """
    if not hasattr(mapping, 'items'):
        raise UserError(f'{where} is {mapping!r}; it must be a group of settings')
    hints = typing.get_type_hints(cls)
    values = {}
    for key, value in mapping.items():
        if key not in hints:
            raise UserError(f'{where} has no setting {key!r}; {nearest(key, hints)}')
        values[key] = _value(hints[key], value, f'{where}.{key}')
    result = cls(**values)
    for field in dataclasses.fields(cls):
        _check(field.metadata, getattr(result, field.name), f'{where}.{field.name}')
    return result


def nearest(word: str, known: Iterable[str]) -> str:
    """The end of an error's sentence: the nearest known word, or all of them."""
    known = sorted(known)
    if not known:
        return 'it has none'
    close = difflib.get_close_matches(word, known, n=1)
    return f'did you mean {close[0]!r}?' if close else f'known are {", ".join(known)}'


def as_json(value):
    """A dataclass, ConfigDict or tuple as what `json` writes: dicts, lists and scalars."""
    if dataclasses.is_dataclass(value):
        return {f.name: as_json(getattr(value, f.name)) for f in dataclasses.fields(value)}
    if hasattr(value, 'items'):
        return {key: as_json(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [as_json(item) for item in value]
    return value


def _check(metadata: Mapping, value, where: str) -> None:
    if 'choices' in metadata and value not in metadata['choices']:
        raise UserError(f'{where} is {value!r}; {nearest(str(value), metadata["choices"])}')
    if 'rule' in metadata:
        good, words = metadata['rule']
        if not good(value):
            raise UserError(f'{where} is {value!r}; it must be {words}')


def _value(hint, value, where: str):
    if isinstance(hint, types.UnionType):  # `Views | None`
        if value is None:
            return None
        hint = next(option for option in typing.get_args(hint) if option is not types.NoneType)
    if dataclasses.is_dataclass(hint):
        return section(hint, value, where)
    if typing.get_origin(hint) is Mapping:
        if not hasattr(value, 'items'):
            raise UserError(f'{where} is {value!r}; it must be a group of named entries')
        (_, item_hint) = typing.get_args(hint)
        return {key: _value(item_hint, item, f'{where}.{key}') for key, item in value.items()}
    if typing.get_origin(hint) is tuple:
        (item_hint, _) = typing.get_args(hint)
        if isinstance(value, str) or not isinstance(value, Iterable):
            value = (value,)
        return tuple(_value(item_hint, item, where) for item in value)
    if hint is float and isinstance(value, int) and not isinstance(value, bool):
        try:
            return float(value)
        except OverflowError:
            raise UserError(
                f'{where} is larger than any float; it must be a smaller number'
            ) from None
    if not isinstance(value, hint) or (hint is int and isinstance(value, bool)):
        raise UserError(f'{where} is {value!r}; it must be of type {hint.__name__}')
    return value
