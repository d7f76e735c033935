"""Nets in the place of those that a study has yet to find, for plans. Nothing is trained."""

import dataclasses
from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from mimic_jax.errors import UserError
from mimic_jax.mimic.settings import FromStudy, Member, Student
from mimic_jax.search import from_study, trials
from mimic_jax.search.settings import Search

ANY = '1'  # a net of one unit, where no space says how large the study's nets are


class StandIn(NamedTuple):
    """why: what keeps a net from being known.  typical: whether the one in its place is of its size."""

    why: str
    typical: bool


def for_members(
    members: Mapping[str, Member], search: Search, workdir: Path, data: str
) -> tuple[dict[str, Member], dict[str, StandIn]]:
    """Members, each `from_study` as the study has it or as a stand-in, and which are stand-ins.

    A greedy choice needs the logits of trained nets, so its members are never known here.
    search, data: as `from_study.found_members` takes them.
    """
    studies = defaultdict(dict)
    for name, member in members.items():
        source = from_study.source(member, search)
        if source.rank:
            studies[dataclasses.replace(source, rank=1)][name] = member
    members, standing = dict(members), {}
    for source, wanted in studies.items():
        try:
            if source.choice == 'greedy':
                raise UserError(f'a greedy choice among the nets of study {source.study!r}')
            members |= from_study.found_members(wanted, search, workdir, data, _ask_nothing)
        except UserError as error:
            own = bool(search.space) and source.study == search.study
            members |= {
                name: _stand_in(each, search if own else None) for name, each in wanted.items()
            }
            standing |= dict.fromkeys(wanted, StandIn(str(error), own))
    return members, standing


def for_students(
    students: Mapping[str, Student],
    search: Search,
    workdir: Path,
    data: str,
    caches: Mapping[str, str],
) -> tuple[dict[str, Student], dict[str, StandIn]]:
    """Students, each `from_study` as the study has it, or as the middle of the config's own search.

    Those of another study that is not there are left out; the second mapping gives the reason.
    search, data, caches: as `from_study.found_students` takes them.
    """
    found, standing = from_study.known(students), {}
    for name in students.keys() - found.keys():
        net = students[name]
        try:
            found |= from_study.found_students({name: net}, search, workdir, data, caches)
        except UserError as error:
            own = search.kind == 'student' and from_study.source(net, search).study == search.study
            standing[name] = StandIn(str(error), own)
            if own:
                found[name] = trials.middle(search)
    in_order = {name: found[name] for name in students if name in found}
    return in_order, {name: standing[name] for name in students if name in standing}


def _ask_nothing(members: list[Member]):
    raise AssertionError('a plan asks no net')


def _stand_in(member: Member, search: Search | None) -> Member:
    if search:
        return trials.middle(search)
    return dataclasses.replace(member, model=ANY, from_study=FromStudy())
