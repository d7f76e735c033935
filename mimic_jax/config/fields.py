"""Settings: groups of typed values, each with its default, its rule and its meaning in one place.

A group is a frozen dataclass whose fields are made by `setting`, or are groups themselves. A ConfigDict
is completed to hold every setting of a group (`presets.build`), and `section` reads it back as the
dataclass. Nothing here imports jax, so that `--help` is instant.
"""

import dataclasses
import difflib
import functools
import types
import typing
from collections.abc import Callable, Iterable, Iterator, Mapping

from mimic_jax.errors import UserError

# A test, and its description in words.
Rule = tuple[Callable[[typing.Any], object], str]

# The types of a group's settings, by name. An experiment has thousands of groups of a few classes.
hints_of = functools.cache(typing.get_type_hints)


def setting(
    default,
    meaning: str,
    rule: Rule | None = None,
    *,
    choices: tuple[str, ...] = (),
    read: Rule | None = None,
    names: bool = True,
):
    """A dataclass field that is one setting.

    meaning: what it does, a sentence.  rule: a test that its values pass.  choices: all its values.
    read: a test of the whole group, whether the setting is read, and in words when it is.
    names: whether its value is part of the name of the artifact that the group determines.
    """
    metadata = {'meaning': meaning, 'rule': rule, 'choices': choices, 'read': read, 'names': names}
    return dataclasses.field(default=default, metadata=metadata)


class Entries(dict):
    """Groups or values by name, never changed: hashable, so that a group that holds them is, too."""

    def __hash__(self):
        return hash(tuple(self.items()))


def entries(meaning: str, read: Rule | None = None):
    """A dataclass field that holds groups, texts or numbers by names that a person chooses.

    read: as of a `setting`.
    """
    return dataclasses.field(default_factory=Entries, metadata={'meaning': meaning, 'read': read})


def named_elsewhere(group):
    """A dataclass field that is a group. Artifacts are named by what it leads to, not by its settings."""
    return dataclasses.field(default=group, metadata={'names': False})


def optional(cls, name: str, doc: str, without: tuple[str, ...] = ()):
    """The group `cls` with None allowed for every setting, as its default: 'as elsewhere'."""
    hints = hints_of(cls)

    def unconditional(field) -> dict:
        # The filled group decides what is read.
        return {**field.metadata, 'read': None, 'unset': 'as elsewhere'}

    fields = [
        (f.name, hints[f.name] | None, dataclasses.field(default=None, metadata=unconditional(f)))
        for f in dataclasses.fields(cls)
        if f.name not in without
    ]
    return dataclasses.make_dataclass(
        name, fields, frozen=True, namespace={'__doc__': doc, '__module__': cls.__module__}
    )


def filled(group, elsewhere):
    """The group `elsewhere` with those settings of the `optional` group that are not None."""
    given = {f.name: getattr(group, f.name) for f in dataclasses.fields(group)}
    given = {name: value for name, value in given.items() if value is not None}
    return dataclasses.replace(elsewhere, **given)


def section(cls, mapping: Mapping, where: str):
    """`mapping` as an instance of the dataclass `cls`; `where` is its path in the config.

    Raises:
      UserError: an unknown key, a value of another type or against its rule.
    """
    if not hasattr(mapping, 'items'):
        raise UserError(f'{where} is {mapping!r}; it must be a group of settings')
    hints = hints_of(cls)
    values = {}
    for key, value in mapping.items():
        if key not in hints:
            raise UserError(f'{where} has no setting {key!r}; {nearest(key, hints)}')
        values[key] = value_of(hints[key], value, f'{where}.{key}')
    for field in dataclasses.fields(cls):
        if field.name not in values and is_required(field):
            raise UserError(f'{where} has no {field.name}; set it')
    result = cls(**values)
    for field in dataclasses.fields(cls):
        _check(field.metadata, getattr(result, field.name), f'{where}.{field.name}')
    return result


def differing(group) -> dict:
    """The settings of a group that differ from their defaults, as JSON values, nested likewise.

    Names of artifacts are made from this form, so a setting that is added later changes no older name.
    Settings that the other settings leave unread are left out too, and so are fields with `names`
    False.
    """
    found = {}
    for field in dataclasses.fields(group):
        value = getattr(group, field.name)
        if not field.metadata.get('names', True) or not is_read(group, field):
            continue
        if dataclasses.is_dataclass(value):
            value = differing(value)
            if value:
                found[field.name] = value
        elif isinstance(value, Mapping) and any(map(dataclasses.is_dataclass, value.values())):
            found[field.name] = {name: differing(entry) for name, entry in value.items()}
        elif value != _default(field):
            found[field.name] = as_json(value)
    return found


def unread(group, where: str = 'config') -> Iterator[str]:
    """A line for each setting of a group that was set although the group's other settings ignore it."""
    for field in dataclasses.fields(group):
        value, at = getattr(group, field.name), f'{where}.{field.name}'
        if dataclasses.is_dataclass(value):
            yield from unread(value, at)
        elif isinstance(value, Mapping):
            for name, entry in value.items():
                if dataclasses.is_dataclass(entry):
                    yield from unread(entry, f'{at}.{name}')
        elif value != _default(field) and not is_read(group, field):
            yield f'{at} is {value!r} and is not used: it is read {field.metadata["read"][1]}'


def is_group(hint) -> bool:
    return dataclasses.is_dataclass(hint)


def is_required(field: dataclasses.Field) -> bool:
    missing = dataclasses.MISSING
    return field.default is missing and field.default_factory is missing


def is_read(group, field: dataclasses.Field) -> bool:
    """Whether a setting is read, given the other settings of its group."""
    rule = field.metadata.get('read')
    return rule is None or bool(rule[0](group))


def nearest(word: str, known: Iterable[str]) -> str:
    """The end of an error message: the nearest known word, or all known words."""
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


def _default(field: dataclasses.Field):
    return field.default_factory() if callable(field.default_factory) else field.default


def _check(metadata: Mapping, value, where: str) -> None:
    if value is None:
        return
    if metadata.get('choices') and value not in metadata['choices']:
        raise UserError(f'{where} is {value!r}; {nearest(str(value), metadata["choices"])}')
    if metadata.get('rule'):
        good, words = metadata['rule']
        if not good(value):
            raise UserError(f'{where} is {value!r}; it must be {words}')


def without_none(hint):
    return next(option for option in typing.get_args(hint) if option is not types.NoneType)


def value_of(hint, value, where: str):
    """A value of the type `hint`; UserError where it is of another.  where: its path in the config."""
    if isinstance(hint, types.UnionType):  # `int | None`
        if value is None:
            return None
        hint = without_none(hint)
    if is_group(hint):
        return section(hint, value, where)
    if typing.get_origin(hint) is Mapping:
        if not hasattr(value, 'items'):
            raise UserError(f'{where} is {value!r}; it must be a group of named entries')
        (_, item_hint) = typing.get_args(hint)
        # In the order of their names, as a ConfigDict has them.
        items = sorted(value.items())
        return Entries((key, value_of(item_hint, item, f'{where}.{key}')) for key, item in items)
    if typing.get_origin(hint) is tuple:
        (item_hint, _) = typing.get_args(hint)
        if isinstance(value, str) or not isinstance(value, Iterable):
            value = (value,)
        if item_hint is str:
            value = [item for item in value if item != '']  # a flag with nothing behind its '='
        return tuple(value_of(item_hint, item, where) for item in value)
    if hint is float and isinstance(value, int) and not isinstance(value, bool):
        try:
            return float(value)
        except OverflowError:
            raise UserError(
                f'{where} is larger than any float; it must be a smaller number'
            ) from None
    if not isinstance(value, hint) or (hint is int and isinstance(value, bool)):
        # A ConfigDict's repr has several lines.
        shown = as_json(value) if hasattr(value, 'items') else value
        raise UserError(f'{where} is {shown!r}; it must be of type {hint.__name__}')
    return value
