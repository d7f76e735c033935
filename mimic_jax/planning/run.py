"""The phase `plan`: what a command will make, and what that takes, before it is computed."""

import dataclasses

from mimic_jax.config.experiment import Experiment
from mimic_jax.mimic.plan import trial
from mimic_jax.planning import collect, studies, table
from mimic_jax.search import stand_ins, trials
from mimic_jax.training.session import Session


def run(
    session: Session, experiment: Experiment, compile_for: str, columns: int | None = None
) -> str:
    """A table of artifacts; with `compile_for`, of the calls on those chips.

    A net that a study has yet to find is shown by the middle of its space.  columns: of text, at most.
    """
    data = collect.realigned(experiment, session.data)
    found, standing = stand_ins.for_members(
        experiment.members, experiment.search, session.workdir, data.fingerprint
    )
    experiment = dataclasses.replace(experiment, members=found)
    without = studies.without_students(experiment)
    plan = collect.make(without, session.data)
    if compile_for:
        unknown = {name for name, stand_in in standing.items() if not stand_in.typical}
        return table.of_calls(session, plan, compile_for, columns, unknown)
    caches = {name: cache.recipe.name for name, cache in plan.caches.items()}
    students, searched = stand_ins.for_students(
        experiment.students, experiment.search, session.workdir, data.fingerprint, caches
    )
    plan = collect.make(dataclasses.replace(without, students=students), session.data)
    typical = None
    if experiment.search.kind:
        middle = trials.middle(experiment.search)
        net = trial('trial', middle, experiment.views, data, plan.caches)
        typical = experiment.search.trials, net
    return table.of_artifacts(session, plan, typical, standing, searched, columns)
