"""The shared record of a search: an Optuna study in a database."""

import contextlib
import time
import warnings
from collections.abc import Iterator
from pathlib import Path

import optuna
import sqlalchemy
from optuna.distributions import BaseDistribution, FloatDistribution, IntDistribution
from optuna.exceptions import OptunaError, StorageInternalError
from optuna.storages import RetryHeartbeatStaleTrialCallback
from sqlalchemy.engine import make_url

from mimic_jax.config.fields import as_json
from mimic_jax.errors import UserError, first_line
from mimic_jax.search.sampler import STARTUP, GaussianProcessSampler
from mimic_jax.search.space import Space

_HEARTBEAT = 60  # seconds between a running trial's heartbeats; a trial that misses two was killed
_ATTEMPTS = 20  # to open a database that other workers are opening for the first time
SPACE = 'space'  # the user attribute of a study that holds its space
FAULTS = (sqlalchemy.exc.SQLAlchemyError, StorageInternalError)  # what an open database raises
_SILENT = sqlalchemy.text(  # running trials without any heartbeat
    "SELECT trial_id FROM trials WHERE study_id = :study AND state = 'RUNNING' "
    'AND trial_id NOT IN (SELECT trial_id FROM trial_heartbeats)'
)


def open_study(
    url: str | Path,
    name: str,
    space: Space,
    *,
    direction: str = 'minimize',
    seed: int = 0,
    startup: int = STARTUP,
) -> optuna.Study:
    """The study of that name, made when the database has none; workers may open it together.

    `study.optimize` then runs trials; this module's `suggest` reads their parameters. A trial whose
    process was killed sends no heartbeats; it is marked as failed and run again.

    Args:
      url: a database's URL (sqlite, postgresql, mysql), or a path: a file of SQLite.
      space: what is searched, as `config.search.space` has it.
      direction: 'minimize' or 'maximize'.
      seed, startup: of the GaussianProcessSampler.

    Raises:
      UserError: the database is not reachable, or the study has another space or direction.
    """
    with reachable(url) as storage:
        study = optuna.create_study(
            storage=storage,
            study_name=name,
            direction=direction,
            load_if_exists=True,
            sampler=GaussianProcessSampler(seed, distributions(space), startup),
        )
        check_space(study, space, direction)
        if SPACE not in study.user_attrs:
            study.set_user_attr(SPACE, _entries(space))
    return study


def find_study(url: str | Path, name: str) -> optuna.Study | None:
    """The study of that name, for reading, or None. A missing database file is not made.

    Raises:
      UserError: the database is not reachable.
    """
    if _is_path(url) and not Path(url).is_file():
        return None
    with reachable(url) as storage:
        try:
            return optuna.load_study(study_name=name, storage=storage)
        except KeyError:
            return None


def check_space(study: optuna.Study, space: Space, direction: str) -> None:
    """Raises UserError where a study has another space or direction; a new study has no space yet."""
    if study.direction.name.lower() != direction:
        raise UserError(
            f'study {study.study_name!r} is to {study.direction.name.lower()} and the config to '
            f'{direction}; name another study'
        )
    ours = _entries(space)
    stored = study.user_attrs.get(SPACE, ours)
    if stored != ours:
        raise UserError(
            f'study {study.study_name!r} searches another space: {_difference(stored, ours)}; '
            "name another study, or use that one's space"
        )


def suggest(trial: optuna.Trial, space: Space) -> dict[str, float | int]:
    """The trial's value of every parameter, by name."""
    values = {}
    for name, p in space.items():
        if p.int:
            values[name] = trial.suggest_int(name, int(p.low), int(p.high), log=p.log)
        else:
            values[name] = trial.suggest_float(name, p.low, p.high, log=p.log)
    return values


def best(study: optuna.Study, count: int) -> list[optuna.trial.FrozenTrial]:
    """The best `count` finished trials, the best first; the earlier of two equal ones comes first.

    Raises:
      UserError: fewer have finished.
    """
    states = (optuna.trial.TrialState.COMPLETE,)
    finished = study.get_trials(deepcopy=False, states=states)
    if len(finished) < count:
        raise UserError(
            f'study {study.study_name!r} has {len(finished)} finished trials and {count} are asked '
            'for; run more trials or ask for fewer'
        )
    sign = -1 if study.direction == optuna.study.StudyDirection.MAXIMIZE else 1
    return sorted(finished, key=lambda trial: (sign * trial.value, trial.number))[:count]


def distributions(space: Space) -> dict[str, BaseDistribution]:
    """A space in Optuna's terms."""
    return {
        name: IntDistribution(int(p.low), int(p.high), log=p.log)
        if p.int
        else FloatDistribution(p.low, p.high, log=p.log)
        for name, p in space.items()
    }


@contextlib.contextmanager
def reachable(url: str | Path) -> Iterator[optuna.storages.RDBStorage]:
    """The database's storage; an error while opening it becomes one line without the password."""
    try:
        database = _url(url)
    except (sqlalchemy.exc.ArgumentError, ValueError):  # a port that is no number is a ValueError
        raise UserError(
            'the study database is no URL that can be read; write sqlite:///FILE, '
            'postgresql://USER:PASSWORD@HOST/NAME or mysql://USER:PASSWORD@HOST/NAME'
        ) from None
    optuna.logging.set_verbosity(optuna.logging.ERROR)  # a run reports its trials itself
    try:
        if _is_path(url):
            Path(url).parent.mkdir(parents=True, exist_ok=True)
        yield _storage(database)
    except (OSError, ImportError, sqlalchemy.exc.SQLAlchemyError, OptunaError) as error:
        raise UserError(
            f'the study database {database.render_as_string(hide_password=True)} cannot be opened: '
            f'{_reason(error)}; check that it is reachable, and that its driver is installed'
        ) from error


@contextlib.contextmanager
def in_use(url: str | Path) -> Iterator[None]:
    """A block that reads or writes an open study: the database's errors become one line."""
    try:
        yield
    except FAULTS as error:
        raise UserError(
            f'the study database {_url(url).render_as_string(hide_password=True)} failed: '
            f'{_reason(error)}; make room for it or bring it back, and run the same command again: '
            'finished trials are kept'
        ) from error


class _Storage(optuna.storages.RDBStorage):
    """A database that skips a heartbeat when it has no room or its server is away.

    The thread that sends heartbeats survives, and the next one may get through. A running trial that
    never sent one, because its process was killed before, is stale too, two intervals after this
    process first saw it. Its recorded start may be by another machine's clock and time zone.
    """

    def __init__(self, *arguments, **settings):
        super().__init__(*arguments, **settings)
        self._silent_since = {}  # seconds of this process's clock, by id of a trial

    def record_heartbeat(self, trial_id: int) -> None:
        with contextlib.suppress(*FAULTS):
            super().record_heartbeat(trial_id)

    def _get_stale_trial_ids(self, study_id: int) -> list[int]:
        stale = super()._get_stale_trial_ids(study_id)
        with self.engine.connect() as connection:
            silent = connection.execute(_SILENT, {'study': study_id}).scalars().all()
        now = time.monotonic()
        self._silent_since = {trial: self._silent_since.get(trial, now) for trial in silent}
        latest = now - 2 * self.heartbeat_interval
        return [*stale, *(trial for trial, since in self._silent_since.items() if since < latest)]


def _url(url: str | Path) -> sqlalchemy.URL:
    return make_url(f'sqlite:///{url}' if _is_path(url) else url)


def _is_path(url: str | Path) -> bool:
    return isinstance(url, Path) or '://' not in url


def _reason(error: Exception) -> str:
    return first_line(error.__cause__ or error)


def _storage(database: sqlalchemy.URL) -> optuna.storages.RDBStorage:
    """The database with its tables, which are made once even where many workers start together."""
    sqlite = database.get_backend_name() == 'sqlite'
    for attempt in range(_ATTEMPTS):
        try:
            with warnings.catch_warnings():
                warnings.simplefilter('ignore', optuna.exceptions.ExperimentalWarning)
                return _Storage(
                    database.render_as_string(hide_password=False),
                    # A worker waits for the others' writing instead of failing after 5 s.
                    engine_kwargs={'connect_args': {'timeout': 60}} if sqlite else None,
                    heartbeat_interval=_HEARTBEAT,
                    heartbeat_stale_trial_callback=RetryHeartbeatStaleTrialCallback(),
                )
        except (sqlalchemy.exc.SQLAlchemyError, OptunaError) as error:
            # Another worker was making the tables; the next attempt finds them.
            words = f'{error} {error.__cause__}'
            lost_race = 'already exists' in words or 'UNIQUE constraint' in words
            if not lost_race or attempt == _ATTEMPTS - 1:
                raise
            time.sleep(0.2)


def _entries(space: Space) -> dict:
    return {name: as_json(space[name]) for name in sorted(space)}


def _difference(stored: dict, ours: dict) -> str:
    """The first parameter that differs, in words."""
    for name in sorted({*stored, *ours}):
        if name not in stored:
            return f'{name} is new in the config'
        if name not in ours:
            return f'{name} is missing from the config'
        for key, value in ours[name].items():
            if stored[name].get(key) != value:
                return (
                    f'{name}.{key} is {stored[name].get(key)!r} there and {value!r} in the config'
                )
    return 'its entries are in another form'
