"""Searches for teachers: each trial is a member at a point that Bayesian optimisation suggests."""

from mimic_jax import metrics_log, teachers, trials
from mimic_jax import plan as plans
from mimic_jax.config import Experiment, Search
from mimic_jax.errors import UserError
from mimic_jax.session import Session
from mimic_jax.settings import as_json

_DIRECTION = {'validation_accuracy': 'maximize', 'validation_loss': 'minimize'}


def run(session: Session, experiment: Experiment) -> None:
    """Runs trials of `config.search` until its study has as many as it asks for.

    A trial writes the artifact `teacher-<id>`, as the teacher phase would, and its outcome into the
    study: the objective on the validation split after the last step, that of the net that is kept.

    Raises:
      UserError: no Optuna, a database out of reach, a study of another space, member or data.
    """
    trials.require_optuna()
    from mimic_jax.search import ranking, study, worker

    search, say = experiment.search, session.progress.say
    record = study.open_study(
        trials.database(session.workdir, search.storage),
        search.study,
        search.space,
        direction=_DIRECTION[search.objective],
        seed=search.seed,
        startup=search.startup,
    )
    _check_or_record(
        record,
        {
            ranking.DATA: session.data.fingerprint,
            'template': as_json(search.member),
            'sets': as_json(search.sets),
            'objective': search.objective,
        },
    )
    expected = _work(plans.trial('trial', trials.middle(search), experiment, session.data))
    session.progress.plan('trials', expected * max(0, search.trials - worker.ended(record)))

    def outcome(trial, point) -> float:
        name = f'trial {trial.number}'
        member = trials.member_at(search, point)
        net = plans.trial(name, member, experiment, session.data)
        session.progress.plan('trials', -expected)  # it goes on under the net's own name
        session.progress.plan(f'train {net.model}', _work(net))
        trial.set_user_attr(ranking.MEMBER, as_json(member))
        trial.set_user_attr('artifact', net.recipe.name)
        value = _value(teachers.make(session, net), search)
        say(f'{name}: {search.objective} {value:.4f} with {net.model}')
        return value

    worker.work(record, search.space, search.trials, outcome)
    say(f'study {search.study!r}: {worker.ended(record)} trials, the best {_best(record)}')


def _work(net: plans.NetPlan) -> float:
    return net.work_per_step * net.task.steps


def _value(folder, search: Search) -> float:
    """The objective as last measured."""
    return [
        record[search.objective]
        for record in metrics_log.read(folder)
        if search.objective in record
    ][-1]


def _best(record) -> str:
    values = [trial.value for trial in record.get_trials(deepcopy=False) if trial.value is not None]
    return f'{record.best_value:.4f}' if values else 'none: all have diverged'


def _check_or_record(record, ours: dict) -> None:
    """Trials of one study differ in their points alone."""
    for key, value in ours.items():
        stored = record.user_attrs.get(key)
        if stored is None:
            record.set_user_attr(key, value)
        elif stored != value:
            what = 'data' if key == 'data' else f'config.search.{key.replace("template", "member")}'
            raise UserError(
                f'study {record.study_name!r} was searched with another {what}; set '
                'config.search.study to a new name, or use what it was searched with'
            )
