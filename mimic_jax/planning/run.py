"""The phase `plan`: what a command will make, and what that takes, before it is computed."""

import dataclasses

from mimic_jax.config.experiment import Experiment
from mimic_jax.mimic.plan import trial
from mimic_jax.planning import collect, table
from mimic_jax.search import from_study, stand_ins, trials
from mimic_jax.training.session import Session


def run(session: Session, experiment: Experiment, compile_for: str) -> str:
    """A table of artifacts; with `compile_for`, of the calls on those chips.

    A net that a study has yet to find is shown by the middle of its space.
    """
    data = collect.realigned(experiment, session.data)
    found, standing = stand_ins.for_members(
        experiment.members, experiment.search, session.workdir, data.fingerprint
    )
    known = from_study.known(experiment.students)
    experiment = dataclasses.replace(experiment, members=found)
    plan = collect.make(dataclasses.replace(experiment, students=known), session.data)
    if compile_for:
        unknown = {name for name, stand_in in standing.items() if not stand_in.typical}
        return table.of_calls(session, plan, compile_for, unknown)
    typical = None
    if experiment.search.kind:
        middle = trials.middle(experiment.search)
        net = trial('trial', middle, experiment.views, data, plan.caches)
        typical = experiment.search.trials, net
    text = table.of_artifacts(session, plan, typical, standing)
    unfound = len(experiment.students) - len(known)
    return text + (f'\n{unfound} students are from studies and are not counted' if unfound else '')
