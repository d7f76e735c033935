"""Searches in the course of a run, and the nets that their studies find.

A search of members comes before everything else, because the teachers are known only when it has
ended. A search of students comes after the logits that they learn from. The nets that a study found
then are entries of the config like any others. The search has trained them already.
"""

import dataclasses

from mimic_jax.config.experiment import Experiment
from mimic_jax.data import prepare
from mimic_jax.mimic import evaluate, teachers
from mimic_jax.mimic.plan import Plan, trial
from mimic_jax.mimic.settings import Member
from mimic_jax.planning import collect
from mimic_jax.reporting import answered
from mimic_jax.search import from_study, trials
from mimic_jax.search import run as search
from mimic_jax.speech import align
from mimic_jax.training.session import Session


def search_members(session: Session, experiment: Experiment) -> None:
    """Runs a search of members. Checks the rest of the config first, since a search takes hours."""
    found = trials.with_stand_ins(experiment.members, experiment.search)
    experiment = dataclasses.replace(without_students(experiment), members=found)
    plan = collect.make(experiment, session.data)
    check(session, experiment, plan)
    prepare.fit(session.workdir, session.data, session.progress)
    aligned = align.all_rounds(session, plan.alignments)
    search.run(aligned, experiment.search, experiment.views, plan.caches)


def check(session: Session, experiment: Experiment, plan: Plan) -> None:
    """UserError where a search cannot work.  session: before any realignment."""
    data = collect.realigned(experiment, session.data)
    search.check(session, experiment.search, experiment.views, plan.caches, data)


def without_students(experiment: Experiment) -> Experiment:
    """The experiment without the students that are still to be read from a study."""
    return dataclasses.replace(experiment, students=from_study.known(experiment.students))


def with_members(session: Session, experiment: Experiment) -> Experiment:
    """The experiment with its members from studies, as far as there are any."""
    alignments, data = collect.alignments(experiment, session.data)

    def ask(members: list[Member]):
        """Logits on the validation examples. The candidates are trained here, as no plan has them."""
        prepare.fit(session.workdir, session.data, session.progress)
        aligned = align.all_rounds(session, alignments)
        folders = []
        for number, member in enumerate(members):
            net = trial(f'candidate {number}', member, experiment.views, aligned.data, {})
            teachers.make(aligned, net)
            folders.append(evaluate.run(aligned, net, 'teacher'))
        return answered.on_validation(aligned, folders)

    found = from_study.found_members(
        experiment.members, experiment.search, session.workdir, data.fingerprint, ask
    )
    return dataclasses.replace(experiment, members=found)


def with_students(session: Session, experiment: Experiment, plan: Plan) -> tuple[Experiment, Plan]:
    """The experiment with its students from studies, and its plan.

    session: before any realignment.  plan: of the experiment without them.
    """
    data = collect.realigned(experiment, session.data)
    caches = {name: cache.recipe.name for name, cache in plan.caches.items()}
    found = from_study.found_students(
        experiment.students, experiment.search, session.workdir, data.fingerprint, caches
    )
    experiment = dataclasses.replace(experiment, students=found)
    return experiment, collect.make(experiment, session.data)
