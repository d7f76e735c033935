"""A worker on a study: runs trials until all workers together have ended as many as asked for."""

import time
import warnings
from collections.abc import Callable

import optuna
from optuna.exceptions import UpdateFinishedTrialError
from optuna.storages import fail_stale_trials
from optuna.trial import TrialState

from mimic_jax.errors import NotFinite
from mimic_jax.runtime.interrupt import Interrupted
from mimic_jax.runtime.progress import Say
from mimic_jax.search import study as studies
from mimic_jax.search.space import Space

POLL = 2.0  # seconds between looks at the trials of other workers
FAILED = 'failed'  # the user attribute of a trial that diverged: the error


def work(
    study: optuna.Study,
    space: Space,
    trials: int,
    outcome: Callable[[optuna.Trial, dict[str, float | int]], float],
    say: Say,
) -> None:
    """Runs trials, one after another, until `trials` have ended on this study, whoever ran them.

    outcome: the value of a trial at a point. When it raises NotFinite, the trial has failed, counts
    as ended, and the search goes on. Any other error (a signal, a full disk) ends the work, and the
    point is queued to run again.
    say: reports, in a line each, that this worker waits for others, or that it was suspended.

    A killed worker leaves a trial without heartbeats. The trial is queued again after two minutes;
    near the end, the other workers wait for that. A worker that was suspended for two minutes goes on
    with the next trial: the trial queued again finds the net that the worker has made.

    Raises:
      The error of `outcome` that ended the work; without one, the database's, one of `study.FAULTS`.
    """
    with warnings.catch_warnings():
        warnings.simplefilter('ignore', optuna.exceptions.ExperimentalWarning)
        waiting = False
        while (done := ended(study)) < trials:
            if done + _running(study) < trials:
                waiting = False
                _run_one(study, space, outcome, say)
                continue
            if not waiting:
                say(
                    'waiting for trials that other workers run; a trial that a killed worker left '
                    'runs again after two minutes'
                )
            waiting = True
            time.sleep(POLL)
            fail_stale_trials(study)


def _run_one(study: optuna.Study, space: Space, outcome: Callable, say: Say) -> None:
    """Runs one trial; arguments and errors are those of `work`."""
    raised = []  # by `outcome`

    def objective(trial: optuna.Trial) -> float:
        point = studies.suggest(trial, space)
        try:
            return outcome(trial, point)
        except NotFinite as error:
            trial.set_user_attr(FAILED, str(error))
            raise
        except UpdateFinishedTrialError:  # the others have queued its point
            raise
        except Exception as error:
            if not isinstance(error, studies.FAULTS):
                raised.append(error)
            study.enqueue_trial(point)
            raise

    try:
        study.optimize(objective, n_trials=1, catch=(NotFinite,))
        return
    except Exception as error:
        first = raised[0] if raised else _behind(error)
    if not _given_up(first):
        raise first
    say(
        'this worker sent no heartbeat for two minutes; other workers took its trial for dead and '
        'queued it again'
    )


def ended(study: optuna.Study) -> int:
    """How many trials have finished or diverged; trials that stopped for other reasons run again."""
    return sum(
        trial.state == TrialState.COMPLETE
        or (trial.state == TrialState.FAIL and FAILED in trial.user_attrs)
        for trial in study.get_trials(deepcopy=False)
    )


def _behind(error: Exception) -> Exception:
    """The error behind one of Optuna's, which fails itself when it cannot write a trial's end."""
    first = error
    while isinstance(first, UnboundLocalError | AssertionError) and first.__context__:
        first = first.__context__
    passed_on = isinstance(first, (*studies.FAULTS, Interrupted)) or _given_up(first)
    return first if passed_on else error


def _given_up(error: Exception) -> bool:
    """Whether other workers took the trial for dead before it ended, by the text of Optuna's error."""
    return isinstance(error, ValueError) and str(error).startswith('Cannot tell a FAIL trial')


def _running(study: optuna.Study) -> int:
    return len(study.get_trials(deepcopy=False, states=(TrialState.RUNNING,)))
