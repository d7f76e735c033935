"""Searches: each trial is a teacher, or a student, at a point that Bayesian optimisation suggests."""

import dataclasses
from collections.abc import Mapping

from mimic_jax.artifacts import store
from mimic_jax.config.fields import as_json, differing
from mimic_jax.data import kinds
from mimic_jax.data.dataset import Dataset
from mimic_jax.data.view_settings import OwnViews, Views, own_views
from mimic_jax.errors import UserError
from mimic_jax.mimic import plan as plans
from mimic_jax.mimic import students, teachers
from mimic_jax.mimic.cache_plan import CachePlan
from mimic_jax.mimic.settings import Member, Student
from mimic_jax.search import from_study, trials
from mimic_jax.search.settings import Search
from mimic_jax.training import metrics_log
from mimic_jax.training.plan import NetPlan
from mimic_jax.training.session import Session
from mimic_jax.training.settings import Train

_DIRECTION = {
    'validation_accuracy': 'maximize',
    'validation_r2': 'maximize',
    'validation_loss': 'minimize',
}


def run(session: Session, search: Search, common: Views, caches: Mapping[str, CachePlan]) -> None:
    """Runs trials of `config.search` until its study has as many as it asks for.

    A trial writes the artifact `teacher-<id>` or `student-<id>`, as the phase of that name would. Its
    outcome goes into the study: the objective on the validation split of the net that is kept, after
    the last step or, with `keep='best'`, after the best epoch.

    common: the config's views.  caches: the plan's logit caches, which students learn from.

    Raises:
      UserError: what `check` refuses, a cache that is not there, a database that fails later.
    """
    from_study.require_optuna()
    from mimic_jax.search import ranking, study, worker

    say = session.progress.say

    def planned(name: str, settings) -> NetPlan:
        return plans.trial(name, settings, common, session.data, caches)

    typical = planned('trial', trials.middle(search))
    if typical.cache:
        what = f'logit cache {typical.cache.name}'
        store.require(session.workdir, typical.cache.recipe, what, 'logits')
    database = from_study.database(session.workdir, search.storage)
    record = study.open_study(
        database,
        search.study,
        search.space,
        direction=_DIRECTION[search.objective],
        seed=search.seed,
        startup=search.startup,
    )
    expected = typical.work

    def outcome(trial, point) -> float:
        name = f'trial {trial.number}'
        settings = trials.net_at(search, point)
        net = planned(name, settings)
        session.progress.plan('trials', -expected, -1)  # the work goes on under the net's name
        session.progress.plan(f'train {net.model}', net.work)
        trial.set_user_attr(search.kind, as_json(_resolved(settings, common)))
        trial.set_user_attr(ranking.ARTIFACT, net.recipe.name)
        make = students.make if search.kind == 'student' else teachers.make
        value = _value(make(session, net), search, net.task.train)
        say(f'{name}: {search.objective} {value:.4f} with {net.model}')
        return value

    with study.in_use(database):
        ours = _shared(search, session.data, typical)
        _check_shared(record, ours)
        for key in ours.keys() - record.user_attrs.keys():
            record.set_user_attr(key, ours[key])
        ahead = max(0, search.trials - worker.ended(record))
        session.progress.plan('trials', expected * ahead, ahead)
        worker.work(record, search.space, search.trials, outcome, say)
        say(f'study {search.study!r}: {worker.ended(record)} trials, the best {_best(record)}')


def check(
    session: Session,
    search: Search,
    common: Views,
    caches: Mapping[str, CachePlan],
    data: Dataset,
) -> None:
    """Refuses what cannot work before anything is trained; arguments as in `run`.

    data: the session's data, with the fingerprint that realignment will give them.

    Raises:
      UserError: no Optuna, a budget that the largest net of the space exceeds, a database out of
        reach, a study of another space, template or data.
    """
    from_study.require_optuna()
    from mimic_jax.search import study

    own = (f'validation_{kinds.of(data.labels).metric}', 'validation_loss')
    if search.objective not in own:
        raise UserError(
            f'config.search.objective is {search.objective!r}, which these data lack; set it to '
            f'{own[0]!r} or {own[1]!r}'
        )
    typical, _ = (
        plans.trial('trial', settings, common, data, caches)
        for settings in (trials.middle(search), trials.largest(search))
    )
    database = from_study.database(session.workdir, search.storage)
    record = study.find_study(database, search.study)
    if record is not None:
        with study.in_use(database):
            study.check_space(record, search.space, _DIRECTION[search.objective])
            _check_shared(record, _shared(search, data, typical))


def _shared(search: Search, data: Dataset, net: NetPlan) -> dict:
    """What all trials of a study have in common.  net: of any one trial."""
    from mimic_jax.search import ranking

    template = getattr(search, search.kind)
    # A net's name holds neither seeds nor budget, and yet they decide what the trials are.
    more = (
        {'seeds': as_json(template.seeds), 'budget': template.budget}
        if search.student.model
        else {}
    )
    return {
        ranking.DATA: data.fingerprint,
        'kind': search.kind,
        'template': {**differing(template), **more, 'views': differing(net.task.views)},
        'sets': as_json(search.sets),
        'objective': search.objective,
        **({ranking.CACHE: net.cache.recipe.name} if net.cache else {}),
    }


def _resolved(settings: Member | Student, common: Views) -> Member | Student:
    """A trial's settings with every view setting written out, for a config with other views."""
    if isinstance(settings, Student):
        return settings
    views = as_json(own_views(settings.views, common))
    return dataclasses.replace(
        settings, views=OwnViews(**{name: views[name] for name in views if name != 'seed'})
    )


def _value(folder, search: Search, train: Train) -> float:
    """The objective of the net that is kept, as measured."""
    store.manifest(folder)  # checks every file's digest
    found = metrics_log.of_kept(metrics_log.read(folder), train)
    if search.objective not in found:
        raise UserError(
            f'{folder / metrics_log.FILE} holds no {search.objective}; delete {folder} and run again'
        )
    return found[search.objective]


def _best(record) -> str:
    values = [trial.value for trial in record.get_trials(deepcopy=False) if trial.value is not None]
    return f'{record.best_value:.4f}' if values else 'none: all have diverged'


def _check_shared(record, ours: dict) -> None:
    """Refuses a study whose trials were made of other data, caches or settings than `ours`."""
    words = {'data': 'data', 'cache': 'logit cache', 'template': f'config.search.{ours["kind"]}'}
    for key, value in ours.items():
        if record.user_attrs.get(key, value) != value:
            what = words.get(key, f'config.search.{key}')
            raise UserError(
                f'study {record.study_name!r} was searched with another {what}; set '
                'config.search.study to a new name, or use what it was searched with'
            )
