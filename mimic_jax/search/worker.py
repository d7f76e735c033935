"""A worker on a study: runs trials until as many as were asked for have ended, over all workers."""

import time
import warnings
from collections.abc import Callable

import optuna
from optuna.storages import fail_stale_trials
from optuna.trial import TrialState

from mimic_jax.errors import NotFinite
from mimic_jax.interrupt import Interrupted
from mimic_jax.search import study as studies
from mimic_jax.search.space import Space

POLL = 2.0  # seconds between looks at the trials of other workers
FAILED = 'failed'  # the user attribute of a trial that diverged: what it died of


def work(
    study: optuna.Study,
    space: Space,
    trials: int,
    outcome: Callable[[optuna.Trial, dict[str, float | int]], float],
) -> None:
    """Runs trials, one after another, until `trials` have ended on this study, whoever ran them.

    outcome: the value of a trial at a point. NotFinite from it is a failed trial, which counts as
    ended, and the search goes on. Whatever else it raises (a signal, a full disk) ends the work, and
    the point is queued to be run again. A worker that was killed leaves a trial without a sign of
    life, which is queued again after two minutes; near the end, the others wait for that.

    Raises:
      One of `study.FAULTS`: of the database; but what `outcome` raised before it.
    """
    optuna.logging.set_verbosity(optuna.logging.ERROR)  # the caller tells of trials itself
    raised = []  # by `outcome`

    def objective(trial: optuna.Trial) -> float:
        point = studies.suggest(trial, space)
        try:
            return outcome(trial, point)
        except NotFinite as error:
            trial.set_user_attr(FAILED, str(error))
            raise
        except Exception as error:
            if not isinstance(error, studies.FAULTS):
                raised.append(error)
            study.enqueue_trial(point)
            raise

    def run_one() -> None:
        try:
            study.optimize(objective, n_trials=1, catch=(NotFinite,))
            return
        except Exception as error:
            first = raised[0] if raised else _behind(error)
        raise first

    with warnings.catch_warnings():
        warnings.simplefilter('ignore', optuna.exceptions.ExperimentalWarning)
        while (done := ended(study)) < trials:
            if done + _running(study) < trials:
                run_one()
            else:
                time.sleep(POLL)
                fail_stale_trials(study)


def ended(study: optuna.Study) -> int:
    """How many trials have finished or diverged; those that were stopped otherwise run again."""
    return sum(
        trial.state == TrialState.COMPLETE
        or (trial.state == TrialState.FAIL and FAILED in trial.user_attrs)
        for trial in study.get_trials(deepcopy=False)
    )


def _behind(error: Exception) -> Exception:
    """What Optuna was to pass on when it tripped, as it does where a trial's end cannot be written."""
    first = error
    while isinstance(first, UnboundLocalError | AssertionError) and first.__context__:
        first = first.__context__
    return first if isinstance(first, (*studies.FAULTS, Interrupted)) else error


def _running(study: optuna.Study) -> int:
    return len(study.get_trials(deepcopy=False, states=(TrialState.RUNNING,)))
