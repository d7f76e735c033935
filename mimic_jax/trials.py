"""Between a search space and a config: a point as a member, and a study's best as members."""

import dataclasses
import hashlib
import importlib.util
import math
import string
from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path

from mimic_jax.artifacts import canonical_json
from mimic_jax.config import Experiment, Member, Search
from mimic_jax.errors import UserError
from mimic_jax.search.space import Parameter
from mimic_jax.settings import as_json, nearest, section

_DATABASE = 'studies.sqlite'
_WHERE = 'config.search.member'


def member_at(search: Search, point: Mapping[str, float | int]) -> Member:
    """The search's member at a point of its space.

    Names in braces in its model are replaced by their values, in Python's format notation
    ('{filters}c3-d{drop:.3f}'); the settings that `sets` names take theirs. The seed is drawn from
    the point: nets of an ensemble differ, and equal points are the same artifact.

    Raises:
      UserError: a name that the space does not have, or that nothing uses, a setting that the member
        does not have, a value against a setting's rule.
    """
    _check_names(search)
    member = as_json(search.member)
    member['model'] = _filled(search.member.model, point)
    member['seed'] = _seed(search.member.seed, point)
    for name, path in search.sets.items():
        _set(member, path, point[name], f'config.search.sets.{name}')
    return section(Member, member, _WHERE)


def middle(search: Search) -> Member:
    """The member in the middle of the space: what any trial is like."""
    return member_at(search, {name: _middle(p) for name, p in search.space.items()})


def with_stand_ins(experiment: Experiment) -> Experiment:
    """The experiment with the middle of its search in the place of members still to be found.

    Its plan shows mistakes in the rest of a config before the search has taken hours.
    """
    stand_in = middle(experiment.search)
    members = {
        name: member if member.from_study is None else stand_in
        for name, member in experiment.members.items()
    }
    return dataclasses.replace(experiment, members=members)


def with_members(experiment: Experiment, workdir: Path, data: str) -> Experiment:
    """The experiment with every member `from_study` as the study's trials give it.

    data: fingerprint of the experiment's data, which must be the study's.

    Raises:
      UserError: no Optuna, no such study, other data, or fewer finished trials than ranks asked for.
    """
    wanted = defaultdict(dict)
    for name, member in experiment.members.items():
        if member.from_study is not None:
            source = member.from_study
            wanted[source.storage, source.study][name] = source.rank
    if not wanted:
        return experiment
    require_optuna()
    from mimic_jax.search import ranking

    members = dict(experiment.members)
    for (storage, study), ranks in wanted.items():
        found = ranking.best_members(database(workdir, storage), study, max(ranks.values()), data)
        for name, rank in ranks.items():
            members[name] = section(Member, found[rank - 1], f'config.members.{name}')
    return dataclasses.replace(experiment, members=members)


def database(workdir: Path, storage: str) -> str | Path:
    """Where a study lies: the URL `storage`, or when that is empty a file of the workdir."""
    return storage or workdir / _DATABASE


def require_optuna() -> None:
    if importlib.util.find_spec('optuna') is None:
        raise UserError(
            "a search needs Optuna, which is not installed; run pip install -e '.[search]'"
        )


def _check_names(search: Search) -> None:
    in_model = {name for _, name, _, _ in _parsed(search.member.model) if name is not None}
    for name in in_model:
        if name not in search.space:
            raise UserError(
                f'{_WHERE}.model names {{{name}}}, which config.search.space does not have; '
                f'{nearest(name, search.space)}'
            )
    for name in search.sets:
        if name not in search.space:
            raise UserError(
                f'config.search.sets has {name!r}, which config.search.space does not have; '
                f'{nearest(name, search.space)}'
            )
    for name in search.space:
        if name not in in_model and name not in search.sets:
            raise UserError(
                f'config.search.space.{name} is used by nothing; write {{{name}}} into {_WHERE}'
                f'.model or name a setting in config.search.sets.{name}'
            )


def _parsed(model: str) -> list[tuple]:
    try:
        return list(string.Formatter().parse(model))
    except ValueError as error:
        raise UserError(
            f'{_WHERE}.model {model!r} cannot be read: {error}; write {{name}} or {{name:.3f}}'
        ) from None


def _filled(model: str, point: Mapping) -> str:
    try:
        return model.format(**point)
    except (ValueError, TypeError, AttributeError) as error:
        raise UserError(
            f'{_WHERE}.model {model!r} cannot be filled: {error}; write {{name}} or {{name:.3f}}'
        ) from None


def _set(member: dict, path: str, value: float | int, where: str) -> None:
    *groups, last = path.split('.')
    here = member
    for part in groups:
        here = here.get(part) if hasattr(here, 'get') else None
    # A group that is left out, such as a member's own views, has nothing to set.
    if not hasattr(here, 'get') or last not in here:
        raise UserError(
            f'{where} is {path!r}, a setting that {_WHERE} does not have; write e.g. '
            "'train.learning_rate', and give the member views of its own to set those"
        )
    here[last] = value


def _seed(seed: int, point: Mapping) -> int:
    text = canonical_json([seed, dict(point)])
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:4], 'big')


def _middle(parameter: Parameter) -> float | int:
    low, high = parameter.low, parameter.high
    value = math.sqrt(low * high) if parameter.log else (low + high) / 2
    return round(value) if parameter.int else value
