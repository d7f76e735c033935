"""The package from Python, for notebooks and programs.

    import mimic_jax

    config = mimic_jax.load_experiment('experiments/digits_student.py', **{'views.shift': 2})
    result = mimic_jax.run(config, workdir='runs')
    result.rows                          # report.json's rows
    result.student('mimic').predict_proba(images)

`mimic_jax` has these names too; they load the rest of the package when they are first used.
"""

import dataclasses
import importlib.util
import json
from collections.abc import Mapping
from pathlib import Path

import ml_collections
import numpy as np
from absl import logging

from mimic_jax import pipeline
from mimic_jax.artifacts import source
from mimic_jax.config import command_line, passed, presets, shipped
from mimic_jax.config.fields import nearest
from mimic_jax.errors import UserError
from mimic_jax.export import callable_net
from mimic_jax.export.callable_net import CallableNet, load_student
from mimic_jax.mimic import ensemble, logit_cache
from mimic_jax.mimic.logit_cache import LogitCache
from mimic_jax.mimic.plan import Plan
from mimic_jax.runtime import allocator, compiled, interrupt
from mimic_jax.training import metrics_log
from mimic_jax.training.plan import NetPlan
from mimic_jax.training.session import Session

PHASES = tuple(
    each
    for each in command_line.PHASES
    if each not in (*command_line.OF_WORKDIR, *command_line.OF_SETTINGS)
)

__all__ = ['CallableNet', 'Result', 'load_experiment', 'load_student', 'open_cache', 'run']


def load_experiment(path: str | Path, **changes) -> ml_collections.ConfigDict:
    """The config of an experiment, complete and locked, with some of its settings changed.

    path: a file with `get_config`, with presets after a colon, 'my_student.py:small'. The name of an
    experiment that comes with the package, 'experiments/digits_student.py' or 'digits_student', works
    from any folder.
    changes: values by setting, `**{'students.mimic.train.learning_rate': 0.01}`.

    Raises:
      UserError: no such file, preset or setting, or a value of another type.
    """
    path, _, names = str(path).partition(':')
    file = Path(shipped.find(path)).expanduser()
    if not file.is_file():
        raise UserError(f'there is no experiment {path}; {shipped.nearest(path)}')
    module = _module(file)
    if not hasattr(module, 'get_config'):
        raise UserError(f'{file} has no get_config; write one that returns a ConfigDict')
    config = module.get_config(names) if names else module.get_config()
    if not isinstance(config, ml_collections.ConfigDict):
        raise UserError(
            f'get_config of {file} returns {type(config).__name__}; return a ConfigDict'
        )
    config.lock()
    for setting, value in changes.items():
        passed.change(config, setting, value)
    # The name of the report's folder, and where modules are found; a copy of the config loses both.
    object.__setattr__(config, '_experiment', shipped.experiment_name(file, names))
    object.__setattr__(config, '_file', file)
    return config


def run(
    config: Mapping,
    workdir: str | Path = 'runs',
    name: str = '',
    phase: str = 'all',
    data=None,
) -> 'Result':
    """Runs an experiment, or one phase of it; complete artifacts are reused.

    config: from `load_experiment`, or a nested dict of what differs from the defaults. Flax modules may
    stand for models, and functions or torch modules for a cache's `source`; see docs/python.md.
    workdir: the folder of artifacts and reports.  name: the report's folder; empty means the
    experiment's name.  phase: as `--phase`: 'all', 'teacher', 'logits', 'student', 'evaluate',
    'report', …  data: examples in the place of the config's, (X, y) or arrays by name; see
    `mimic_jax.data.arrays.of`.

    Raises:
      UserError: bad input of any kind.
      Interrupted: a signal stopped the run; all work so far is on disk, and the same call resumes it.
    """
    if phase not in PHASES:
        raise UserError(
            f'phase is {phase!r}, which does not run from Python; {nearest(phase, PHASES)}'
        )
    if not hasattr(config, 'items'):
        raise UserError(
            f'config is {config!r}; give what mimic_jax.load_experiment returns, or a dict of settings'
        )
    allocator.keep_freed_memory()
    compiled.keep()
    logging.set_verbosity(logging.FATAL)  # Orbax logs every file that it touches
    source.look_beside(getattr(config, '_file', None))
    experiment = name or getattr(config, '_experiment', 'experiment')
    if data is not None:
        config = passed.with_data(config, data)
    if not isinstance(config, ml_collections.ConfigDict):
        config = presets.build(passed.named(config))
    folder = Path(workdir).expanduser()
    command = f'mimic_jax.run: {experiment}'
    with interrupt.handled():
        finished = pipeline.run(
            config, workdir=folder, experiment=experiment, phase=phase, command=command
        )
    if finished is None:
        return Result([], None, folder, None, None)
    session, plan = finished
    report = folder / experiment / 'report.html'
    rows = []
    if phase in ('all', 'report'):
        rows = json.loads((report.with_suffix('.json')).read_text())['rows']
    return Result(rows, report if rows else None, folder, session, plan)


def open_cache(folder: str | Path) -> LogitCache:
    """Opens a complete logit cache and checks its files; `cache.view(0)` are logits [M, K]."""
    path = Path(folder).expanduser()
    if not path.is_dir():
        raise UserError(f'there is no folder {path}; give the folder logits-<id> of a workdir')
    return logit_cache.open_cache(path, {})


@dataclasses.dataclass(frozen=True, eq=False)
class Result:
    """What a run made.

    rows: the rows of report.json, one a metric; empty where the phase made no report.
    report: the path of report.html; report.md and report.json lie beside it.
    """

    rows: list[dict]
    report: Path | None
    workdir: Path
    _session: Session | None
    _plan: Plan | None

    @property
    def folders(self) -> dict[str, Path]:
        """The artifacts' folders by name: 'teacher cnn_1', 'logits ecnn', 'student mimic, seed 0'."""
        plan = self._planned()
        named = {net.name: net.recipe for net in plan.nets()}
        named |= {f'logits {name}': cache.recipe for name, cache in plan.caches.items()}
        named |= {each.name: each.recipe for each in plan.baselines.values()}
        return {name: self.workdir / recipe.name for name, recipe in named.items()}

    def frame(self):
        """The rows as a pandas DataFrame; pandas must be installed."""
        import pandas

        return pandas.DataFrame(self.rows)

    def student(self, name: str, seed: int | None = None) -> CallableNet:
        """A student by its name in config.students, with its first seed or with `seed`."""
        nets = _entry(self._planned().students, name, 'config.students')
        seeds = [net.seed for net in nets]
        if seed is not None and seed not in seeds:
            raise UserError(f'config.students.{name} has no seed {seed}; it has {seeds}')
        return self._net(nets[0 if seed is None else seeds.index(seed)])

    def teacher(self, name: str) -> CallableNet:
        """A teacher by its name in config.members."""
        return self._net(_entry(self._planned().members, name, 'config.members'))

    def ensemble(self, name: str) -> CallableNet:
        """The mean logits of the members of a cache, by its name in config.logits, and over its `tta`."""
        cache = _entry(self._planned().caches, name, 'config.logits')
        if not cache.members:
            raise UserError(
                f'config.logits.{name} comes from a teacher made elsewhere; ask that teacher'
            )
        nets = [self._net(member) for member in cache.members]
        return dataclasses.replace(
            nets[0], answer=lambda inputs: np.mean([net(inputs) for net in nets], axis=0)
        )

    def cache(self, name: str) -> LogitCache:
        """A logit cache by its name in config.logits."""
        plan = _entry(self._planned().caches, name, 'config.logits')
        return open_cache(self.workdir / plan.recipe.name)

    def curve(self, name: str) -> dict[str, np.ndarray]:
        """The log of a net's training: {quantity: [n, 2]}, the steps and values of its records.

        name: a key of `folders`.  Quantities are 'loss', 'validation_accuracy', 'seconds' and so on.
        """
        records = metrics_log.read(_entry(self.folders, name, 'result.folders'))
        names = {key for record in records for key in record} - {'step'}
        return {
            key: np.array([(each['step'], each[key]) for each in records if key in each])
            for key in sorted(names)
        }

    def _net(self, plan: NetPlan) -> CallableNet:
        call = ensemble.on_inputs(self._session, plan)
        return callable_net.of_data(call, self._session.data)

    def _planned(self) -> Plan:
        if self._plan is None:
            raise UserError(
                "this phase has no nets to give; run one that trains them, or phase='all'"
            )
        return self._plan


def _module(file: Path):
    spec = importlib.util.spec_from_file_location(file.stem, file)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def _entry(entries: Mapping, name: str, where: str):
    if name not in entries:
        raise UserError(f'{where} has no {name!r}; {nearest(name, entries)}')
    return entries[name]
