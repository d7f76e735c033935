"""What a study has found: the settings of its nets, the best first."""

from collections.abc import Mapping
from pathlib import Path

import optuna
from optuna.trial import TrialState

from mimic_jax.errors import UserError
from mimic_jax.runtime.address import without_password
from mimic_jax.search import study as studies

# User attributes of a trial.
MEMBER, STUDENT = 'member', 'student'  # the settings of its net
ARTIFACT = 'artifact'  # the name of its net's artifact
# User attributes of a study.
DATA = 'data'  # the fingerprint of its data
CACHE = 'cache'  # the name of the logit cache that its students read


def ranked(
    url: str | Path, name: str, kind: str, count: int, data: str, caches: Mapping[str, str]
) -> list[dict]:
    """The settings of a study's finished nets, at least `count`, the best first, no two the same.

    url: as in `study.open_study`.  kind: MEMBER or STUDENT.  data: fingerprint of the data that the
    nets are wanted for.  caches: names of the artifacts that students' `logits` stand for.

    Raises:
      UserError: the database or the study is not there, the study searched for another kind of net,
        its trials saw other data or another cache, or fewer than `count` finished.
    """
    study, shown = _load(url, name), without_password(str(url))
    if study.user_attrs.get(DATA) != data:
        raise UserError(
            f'study {name!r} in {shown} searched on other data or another split of it; give '
            'this experiment the config.data of that search, or name another study'
        )
    finished = len(study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,)))
    found = []
    for trial in studies.best(study, finished):
        if kind not in trial.user_attrs:
            raise UserError(
                f'study {name!r} in {shown} did not search for a {kind}; name another study'
            )
        if trial.user_attrs[kind] not in found:  # two workers that ran one point made one net
            found.append(trial.user_attrs[kind])
    if len(found) < count:
        raise UserError(
            f'study {name!r} has {len(found)} finished trials and {count} are asked for; run more '
            'trials (--phase=search of the experiment that searches) or ask for fewer'
        )
    if kind == STUDENT:
        _check_cache(study, found, caches)
    return found


def finished(study: optuna.Study | None) -> list[optuna.trial.FrozenTrial]:
    """The trials of a study that have an outcome; none where there is no study."""
    return study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,)) if study else []


def _check_cache(study: optuna.Study, found: list[dict], caches: Mapping[str, str]) -> None:
    searched = study.user_attrs.get(CACHE)
    for settings in found:
        name = settings['logits']
        if settings['target'] == 'logits' and caches.get(name) != searched:
            raise UserError(
                f"study {study.study_name!r} searched on {searched}, and this experiment's "
                f'config.logits.{name} is {caches.get(name, "not there")}; give it the members and '
                'views of that search, or name another study'
            )


def _load(url: str | Path, name: str) -> optuna.Study:
    study = studies.find_study(url, name)
    if study is None:
        raise UserError(
            f'there is no study {name!r} in {without_password(str(url))}; run the experiment that '
            'searches first, with --phase=search and the same workdir or storage'
        )
    return study
