"""What a study has found: the settings of its best members, read back without its search space."""

from pathlib import Path

import optuna
from optuna.trial import TrialState

from mimic_jax.errors import UserError
from mimic_jax.search import study as studies

MEMBER = 'member'  # the user attribute of a trial that holds the member's settings
DATA = 'data'  # the user attribute of a study that holds the fingerprint of its data


def best_members(url: str | Path, name: str, count: int, data: str) -> list[dict]:
    """The settings of the study's best `count` members, the very best first, no two the same.

    url: as in `study.open_study`.  data: fingerprint of the data that they are wanted for.

    Raises:
      UserError: the database or the study is not there, its trials saw other data, or fewer
        finished.
    """
    study = _load(url, name)
    if study.user_attrs.get(DATA) != data:
        raise UserError(
            f'study {name!r} in {_shown(url)} searched on other data or another split of it; give '
            'this experiment the config.data of that search, or name another study'
        )
    finished = len(study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,)))
    found = []
    for trial in studies.best(study, finished):
        if trial.user_attrs[MEMBER] not in found:  # a point that two workers ran is one member
            found.append(trial.user_attrs[MEMBER])
    if len(found) < count:
        raise UserError(
            f'study {name!r} has {len(found)} finished trials and {count} are asked for; run more '
            'trials (--phase=search of the experiment that searches) or ask for fewer members'
        )
    return found[:count]


def _load(url: str | Path, name: str) -> optuna.Study:
    missing = UserError(
        f'there is no study {name!r} in {_shown(url)}; run the experiment that searches first, '
        'with --phase=search and the same workdir or storage'
    )
    if isinstance(url, Path) and not url.is_file():
        raise missing  # opening it would make an empty database
    with studies.reachable(url) as storage:
        try:
            return optuna.load_study(study_name=name, storage=storage)
        except KeyError:
            raise missing from None


def _shown(url: str | Path) -> str:
    """A file's path; of a URL only what follows the user and password."""
    return str(url) if isinstance(url, Path) else url.rpartition('@')[2]
