"""Checks what a command asks for, before any work."""

from collections.abc import Sequence

from mimic_jax.config.experiment import Experiment
from mimic_jax.errors import UserError
from mimic_jax.export import predict
from mimic_jax.mimic import rates, views_phase
from mimic_jax.runtime import hosts
from mimic_jax.search import from_study


def check(experiment: Experiment, wanted: Sequence[str], source: str, output: str) -> None:
    """Refuses phases that cannot be run as they were asked for.

    wanted: the phases.  source, output: what predict and views are given.

    Raises:
      UserError: a path that is missing, several processes for a phase of one, a search without a space.
    """
    for phase in ('export', 'predict'):
        if phase in wanted and hosts.count() > 1:
            raise UserError(f'--phase={phase} is for one process; leave --distributed out')
    if 'predict' in wanted:
        predict.check(source, output)
    if 'rates' in wanted:
        rates.check()
    if 'views' in wanted:
        views_phase.check(experiment.logits, output)
    if 'search' in wanted:
        _check_search(experiment, alone=len(wanted) == 1)


def _check_search(experiment: Experiment, alone: bool) -> None:
    """alone: whether no other phase is asked for. A search alone may run a part of the trials."""
    kind = experiment.search.kind
    if not kind and alone:
        raise UserError(
            '--phase=search needs parameters in config.search.space, and this config has none; '
            'choose an experiment with some, such as experiments/urban_teachers.py'
        )
    if kind and hosts.count() > 1:
        raise UserError(
            'a search is not run by --distributed processes: start --phase=search on each host '
            'by itself, with config.search.storage a database that all reach; the phases after '
            'it can be --distributed'
        )
    if kind and not alone:
        nets = experiment.students if kind == 'student' else experiment.members
        from_study.check_ranks(nets, experiment.search)
