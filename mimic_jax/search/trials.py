"""From a point of a search space to a net's settings."""

import hashlib
import math
import string
from collections.abc import Iterator, Mapping

from mimic_jax.artifacts.recipes import canonical_json
from mimic_jax.config.fields import as_json, nearest, section
from mimic_jax.errors import UserError
from mimic_jax.mimic.settings import Member, Student
from mimic_jax.search.settings import Search
from mimic_jax.search.space import Parameter


def net_at(search: Search, point: Mapping[str, float | int]) -> Member | Student:
    """The search's member, or student, at a point of its space.

    Values replace names in braces in its model and in texts of its model_args, in Python's format
    notation ('{filters}c3-d{drop:.3f}'), and the settings that `sets` names. An argument that is one
    name in braces, '{width}', becomes the number itself. The seed is drawn from the point:
    nets of an ensemble differ, and equal points are the same artifact.

    Raises:
      UserError: a name that the space does not have, a parameter that nothing uses, a setting that
        the member or student does not have, a value against a setting's rule.
    """
    _check_names(search)
    template, where = _template(search)
    settings = as_json(template)
    settings['model'] = _filled(template.model, point, f'{where}.model')
    settings['model_args'] = _filled_args(settings['model_args'], point, f'{where}.model_args')
    if isinstance(template, Student):
        settings['seeds'] = [_seed(template.seeds[0], point)]
    else:
        settings['seed'] = _seed(template.seed, point)
    for name, path in search.sets.items():
        _set(settings, path, point[name], f'config.search.sets.{name}', where)
    return section(type(template), settings, where)


def middle(search: Search) -> Member | Student:
    """The net in the middle of the space, as a typical trial."""
    return net_at(search, {name: _middle(p) for name, p in search.space.items()})


def largest(search: Search) -> Member | Student:
    """The net at the upper end of every parameter, for which a budget must suffice."""
    return net_at(
        search, {name: int(p.high) if p.int else p.high for name, p in search.space.items()}
    )


def with_stand_ins(members: Mapping[str, Member], search: Search) -> dict[str, Member]:
    """Members, with the middle of the search in place of each that a study has yet to find.

    A plan of them shows mistakes in the rest of a config before the search takes hours.
    """
    stand_in = middle(search)
    return {
        name: stand_in if member.from_study.rank else member for name, member in members.items()
    }


def _template(search: Search) -> tuple[Member | Student, str]:
    """The net that a search varies, and its place in the config."""
    if search.kind == 'student':
        return search.student, 'config.search.student'
    return search.member, 'config.search.member'


def _check_names(search: Search) -> None:
    template, where = _template(search)
    in_model = set()
    texts = [
        (template.model, 'model'),
        *((text, 'model_args') for text in _texts(template.model_args)),
    ]
    for text, setting in texts:
        for _, name, _, _ in _parsed(text, f'{where}.{setting}'):
            if name is not None and name not in search.space:
                raise UserError(
                    f'{where}.{setting} names {{{name}}}, which config.search.space does not have; '
                    f'{nearest(name, search.space)}'
                )
            in_model.add(name)
    for name in search.sets:
        if name not in search.space:
            raise UserError(
                f'config.search.sets has {name!r}, which config.search.space does not have; '
                f'{nearest(name, search.space)}'
            )
    for name in search.space:
        if name not in in_model and name not in search.sets:
            raise UserError(
                f'config.search.space.{name} is used by nothing; write {{{name}}} into {where}'
                f'.model or its model_args, or name a setting in config.search.sets.{name}'
            )


def _parsed(model: str, where: str) -> list[tuple]:
    try:
        return list(string.Formatter().parse(model))
    except ValueError as error:
        raise UserError(
            f'{where} {model!r} cannot be read: {error}; write {{name}} or {{name:.3f}}'
        ) from None


def _filled(model: str, point: Mapping, where: str) -> str:
    try:
        return model.format(**point)
    except (ValueError, TypeError, AttributeError) as error:
        raise UserError(
            f'{where} {model!r} cannot be filled: {error}; write {{name}} or {{name:.3f}}'
        ) from None


def _filled_args(value, point: Mapping, where: str):
    """Arguments of a model of one's own, nested, with every text filled."""
    if isinstance(value, dict):
        return {key: _filled_args(item, point, f'{where}.{key}') for key, item in value.items()}
    if isinstance(value, list):
        return [_filled_args(item, point, where) for item in value]
    if not isinstance(value, str):
        return value
    named = [name for name in point if value == f'{{{name}}}']
    return point[named[0]] if named else _filled(value, point, where)


def _texts(value) -> Iterator[str]:
    """Every text of nested arguments."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping | list | tuple):
        for item in value.values() if isinstance(value, Mapping) else value:
            yield from _texts(item)


def _set(net: dict, path: str, value: float | int, where: str, template: str) -> None:
    *groups, last = path.split('.')
    here = net
    for part in groups:
        here = here.get(part) if hasattr(here, 'get') else None
    if not hasattr(here, 'get') or last not in here:
        raise UserError(
            f'{where} is {path!r}, a setting that {template} does not have; write e.g. '
            "'train.learning_rate'"
        )
    here[last] = value


def _seed(seed: int, point: Mapping) -> int:
    text = canonical_json([seed, dict(point)])
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:4], 'big')


def _middle(parameter: Parameter) -> float | int:
    low, high = parameter.low, parameter.high
    value = math.sqrt(low * high) if parameter.log else (low + high) / 2
    return round(value) if parameter.int else value
