"""Settings with default, rule and meaning: a config's as text, and all that exist as Markdown."""

import dataclasses
import functools
import textwrap
import types
import typing
from collections.abc import Iterator, Mapping

import ml_collections

from mimic_jax.config.experiment import Experiment
from mimic_jax.config.fields import is_group, is_required

WIDTH = 100  # columns of text, at most


@dataclasses.dataclass(frozen=True)
class SettingsGroup:
    """A group of settings; NAME in `path` stands for a name that a person chooses."""

    path: str
    meaning: str
    fields: tuple[dataclasses.Field, ...]


def groups(cls=Experiment, path: str = 'config') -> Iterator[SettingsGroup]:
    """All groups of settings, each before those inside it."""
    hints, own = typing.get_type_hints(cls), []
    inner = []
    for field in dataclasses.fields(cls):
        hint, at = hints[field.name], f'{path}.{field.name}'
        if is_group(hint):
            inner.append((hint, at))
        elif typing.get_origin(hint) is Mapping and is_group(typing.get_args(hint)[1]):
            inner.append((typing.get_args(hint)[1], f'{at}.NAME'))
        else:
            own.append(field)
    if own:
        yield SettingsGroup(path, ' '.join(cls.__doc__.split()), tuple(own))
    for hint, at in inner:
        yield from groups(hint, at)


def values(config: ml_collections.ConfigDict, columns: int | None = None) -> str:
    """The settings of a config, group by group: value, default where it differs, rule and meaning.

    columns: of the terminal that they are for, if they are for one.
    """
    wrapped = functools.partial(_wrapped, width=min(WIDTH, columns or WIDTH))
    lines = []
    for group in groups():
        found = dict(_found(config, group.path.split('.')[1:]))
        if not found:
            continue
        names = f' ({", ".join(found)})' if 'NAME' in group.path else ''
        lines.append(wrapped(f'{group.path}{names}: {group.meaning}', '', '  '))
        for field in group.fields:
            by_value: dict[str, list[str]] = {}
            for name, entry in found.items():
                by_value.setdefault(_shown(entry[field.name], field), []).append(name)
            several = len(by_value) > 1
            value = ', '.join(
                f'{value} ({", ".join(having)})' if several else value
                for value, having in by_value.items()
            )
            default = '' if [_default(field)] == list(by_value) else f'default {_default(field)}'
            allowed = '; '.join(filter(None, (default, _allowed(field))))
            text = f'{field.name} = {value}' + (f'  [{allowed}]' if allowed else '')
            lines.append(wrapped(text, '  ', '    '))
            lines.append(wrapped(field.metadata.get('meaning', ''), '      ', '      '))
        lines.append('')
    return '\n'.join(lines)


def markdown() -> str:
    """The page docs/settings.md: all settings that exist, a table for each group."""
    parts = [
        '# Settings',
        'Every setting stands here with its default and meaning, made from the code by\n'
        '`python -m mimic_jax.config.describe > docs/settings.md`. Each one is a flag:\n'
        '`--config.students.mimic.train.learning_rate=0.01`. `NAME` stands for a name of your own.\n'
        'An experiment states what differs from the defaults. Its values, with flags applied, are\n'
        'printed by '
        '`python -m mimic_jax.main --config=experiments/digits_student.py --phase=settings`.',
    ]
    for group in groups():
        rows = ['| setting | default | values | meaning |', '|---|---|---|---|']
        for field in group.fields:
            cells = (f'`{field.name}`', f'`{_default(field)}`', _allowed(field) or _type(field))
            rows.append(f'| {" | ".join(cells)} | {field.metadata.get("meaning", "")} |')
        parts += [f'## `{group.path}`', group.meaning, '\n'.join(rows)]
    return '\n\n'.join(parts) + '\n'


def _found(config, keys: list[str], name: str = '') -> Iterator[tuple[str, object]]:
    """(name, group) for every group that the keys lead to; NAME leads to all entries."""
    if not keys:
        yield name, config
    elif keys[0] == 'NAME':
        for entry in config:
            yield from _found(config[entry], keys[1:], '.'.join(filter(None, (name, entry))))
    else:
        yield from _found(config[keys[0]], keys[1:], name)


def _shown(value, field: dataclasses.Field) -> str:
    if isinstance(value, ml_collections.ConfigDict):
        value = value.to_dict()
    return field.metadata.get('unset', 'none') if value is None else repr(value)


def _default(field: dataclasses.Field) -> str:
    if is_required(field):
        return 'none, required'
    if field.default is dataclasses.MISSING:
        return repr(field.default_factory())
    return _shown(field.default, field)


def _allowed(field: dataclasses.Field) -> str:
    choices, rule = field.metadata.get('choices'), field.metadata.get('rule')
    read = field.metadata.get('read')
    words = ', '.join(map(repr, choices)) if choices else rule[1] if rule else ''
    return '; '.join(filter(None, (words, f'read {read[1]}' if read else '')))


def _type(field: dataclasses.Field) -> str:
    hint = field.type
    if isinstance(hint, types.UnionType):
        hint = typing.get_args(hint)[0]
    words = {str: 'text', int: 'whole number', float: 'number', bool: 'True or False'}
    return words.get(hint, 'names and values' if 'Mapping' in str(hint) else 'several')


def _wrapped(text: str, first: str, rest: str, width: int) -> str:
    return textwrap.fill(
        text, width, initial_indent=first, subsequent_indent=rest, break_on_hyphens=False
    )


if __name__ == '__main__':
    print(markdown(), end='')
