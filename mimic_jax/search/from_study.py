"""From the studies of a workdir or database to the nets that they found."""

import dataclasses
import importlib.util
from collections import defaultdict
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np

from mimic_jax.config.fields import section
from mimic_jax.data import kinds
from mimic_jax.errors import UserError
from mimic_jax.mimic.settings import FromStudy, Member, Student
from mimic_jax.ops import selection
from mimic_jax.runtime.address import expanded
from mimic_jax.search.settings import Search

_DATABASE = 'studies.sqlite'

# Logits [N, K] of each member on the validation examples, and their labels [N].
Ask = Callable[[list[Member]], tuple[list[np.ndarray], np.ndarray]]


def check_ranks(nets: Mapping[str, Member | Student], search: Search) -> None:
    """Raises UserError where the search has fewer trials than a rank that the config asks for.

    nets: of the search's kind, members or students.
    """
    group = f'{search.kind}s'
    for name, net in nets.items():
        found = source(net, search)
        if not found.rank or (found.study, found.storage) != (search.study, search.storage):
            continue
        if found.rank > search.trials:
            raise UserError(
                f'config.search.trials is {search.trials}, but config.{group}.{name}.from_study has '
                f'rank {found.rank} of them; run as many trials, or lower the rank'
            )


def known(students: Mapping[str, Student]) -> dict[str, Student]:
    """The students whose settings the config gives, not a study."""
    return {name: net for name, net in students.items() if not net.from_study.rank}


def found_members(
    members: Mapping[str, Member], search: Search, workdir: Path, data: str, ask: Ask
) -> dict[str, Member]:
    """Members, each `from_study` replaced by the settings of the study's trial.

    search: the config's search, whose study serves members that name none.
    data: fingerprint of the experiment's data, which must be the study's.  ask: returns the members'
    logits on the validation examples, for a greedy choice among all that a study found.

    Raises:
      UserError: no Optuna, no such study, other data, or fewer finished trials than ranks asked for.
    """
    members = dict(members)
    for study, ranks in _wanted(members, search).items():
        count = max(ranks.values())
        found = _ranked(study, 'member', count, workdir, data, {})
        nets = [section(Member, settings, 'config.members') for settings in found]
        if study.choice == 'greedy':
            logits, labels = ask(nets)
            score = kinds.of(labels).score
            nets = [nets[index] for index in selection.greedy(logits, labels, count, score)]
        members.update({name: nets[rank - 1] for name, rank in ranks.items()})
    return members


def found_students(
    students: Mapping[str, Student],
    search: Search,
    workdir: Path,
    data: str,
    caches: Mapping[str, str],
) -> dict[str, Student]:
    """Students, each `from_study` replaced by the settings of the study's trial.

    search, data, raises: as in `found_members`.  caches: names of the artifacts of config.logits;
    the study's trials must have learned from the same ones.
    """
    students = dict(students)
    for study, ranks in _wanted(students, search).items():
        found = _ranked(study, 'student', max(ranks.values()), workdir, data, caches)
        for name, rank in ranks.items():
            students[name] = section(Student, found[rank - 1], f'config.students.{name}')
    return students


def _wanted(
    nets: Mapping[str, Member | Student], search: Search
) -> dict[FromStudy, dict[str, int]]:
    """The ranks that nets ask for, by name, for each study and choice."""
    wanted = defaultdict(dict)
    for name, net in nets.items():
        found = source(net, search)
        if found.rank:
            wanted[dataclasses.replace(found, rank=1)][name] = found.rank
    return wanted


def source(net: Member | Student, search: Search) -> FromStudy:
    """The study that a net is from; the config's search fills in what the net leaves out."""
    given = net.from_study
    return dataclasses.replace(
        given, study=given.study or search.study, storage=given.storage or search.storage
    )


def _ranked(source: FromStudy, kind: str, count: int, workdir: Path, *checked) -> list[dict]:
    require_optuna()
    from mimic_jax.search import ranking

    url = database(workdir, source.storage)
    return ranking.ranked(url, source.study, kind, count, *checked)


def database(workdir: Path, storage: str) -> str | Path:
    """Where studies lie: the URL `storage`, or a file of the workdir when `storage` is empty."""
    return expanded(storage) or workdir / _DATABASE


def require_optuna() -> None:
    if importlib.util.find_spec('optuna') is None:
        raise UserError(
            "a search needs Optuna, which is not installed; run pip install -e '.[search]'"
        )
