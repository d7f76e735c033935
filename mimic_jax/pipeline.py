"""The whole story: teacher → logits → student, then evaluate → report.

Every phase reads artifacts and writes one; they meet only through the folders of the workdir, so each
can be killed, resumed, moved and shared.

    phase     reads                      writes
    prepare   the source                 data-<id>; preprocess-<id> where a kind is fitted
    align     data, a net of its own     align-<id>, one a round: new targets of speech
    search    data (logits)              a study in a database, and teacher-<id>, one a trial
    teacher   data                       teacher-<id>, one a member
    logits    data, teachers             logits-<id>, one a cache
    student   data, logits (or labels)   student-<id>, one a student and seed
    baseline  data                       baseline-<id>, one a baseline
    evaluate  data, a trained net        evaluate-<id>, one a net
    decode    evaluations of speech      decode-<id>, one a row of the report and seed
    report    evaluations, metrics       <experiment>/report.json, .md, .html, figures
    export    data, a student            export-<id>, a file that jax alone can run
    predict   an export                  what it says of a person's own examples

Export and predict are what a student is for, and no part of a run of all. Nor is `phases/gather.py`,
which puts several experiments' reports into one and needs no config.

A search is part of a run where the config has one, and comes first: members `from_study` are known only
once it has ended. They then are members like any others, and their teachers are there already. A search
of students comes after the logits that they learn from, and writes student-<id>.
"""

import dataclasses
import functools
import tempfile
from collections.abc import Sequence
from pathlib import Path

from mimic_jax.artifacts import store
from mimic_jax.baselines import run as baseline
from mimic_jax.config import experiment as experiments
from mimic_jax.config.experiment import Experiment
from mimic_jax.config.fields import unread
from mimic_jax.data import prepare
from mimic_jax.data.splits import Dataset
from mimic_jax.errors import UserError
from mimic_jax.export import plan as exporting
from mimic_jax.export import predict
from mimic_jax.export import run as export
from mimic_jax.mimic import evaluate, logits, students, teachers
from mimic_jax.mimic import plan as plans
from mimic_jax.mimic.settings import Member
from mimic_jax.reporting import answers, tables
from mimic_jax.reporting import run as report
from mimic_jax.runtime import hosts, sharding
from mimic_jax.runtime.progress import Progress
from mimic_jax.search import run as search
from mimic_jax.search import trials
from mimic_jax.speech import align, decode
from mimic_jax.training.session import Session

PHASES = ('search', 'teacher', 'logits', 'student', 'baseline', 'evaluate', 'decode', 'report')
# The others make what a search for students needs, and ask for none from its study.
_READ_STUDENTS = {'student', 'evaluate', 'decode', 'report', 'export', 'predict'}


def run(
    settings,
    *,
    workdir: Path,
    experiment: str,
    phase: str = 'all',
    command: str = '',
    student_name: str = '',
    file_format: str = 'jax',
    source: str = '',
    output: str = '',
    devices: Sequence | None = None,
) -> None:
    """Runs one phase of an experiment, or all; what is complete already is left as it is.

    settings: the experiment's ConfigDict.  experiment: the name of its report's folder.
    command: what the report says it was made by.  devices: all that jax has, when None.
    student_name: which student export and predict take; see `exporting.make`.  file_format: of an
    export, a key of `exporting.FILES`.  source, output: paths that predict reads and writes, the latter
    if it is not empty.
    Prints the table and the report's path when the report is among the phases.

    Raises:
      UserError: bad input of any kind, or an input of the phase that is not there.
      Interrupted: asked to stop; everything up to here is on disk.
    """
    wanted = PHASES if phase == 'all' else (phase,)
    if phase in ('export', 'predict') and hosts.count() > 1:
        raise UserError(f'--phase={phase} is for one process; leave --distributed out')
    if phase == 'predict':
        predict.check(source, output)
    checked = experiments.read(settings)
    searched = _searched(checked, phase) if 'search' in wanted else ''
    if searched and phase == 'all':  # by itself it may well be a part of a search
        trials.check_ranks(checked)
    mesh = sharding.make_mesh(checked.run.model_axis, devices)
    _make_workdir(workdir)
    progress = Progress(_advice(checked), quiet=not hosts.is_first())
    for line in unread(checked):
        progress.say(line)
    data = prepare.run(checked.data, workdir, progress)
    session = Session(workdir, data, checked.run, progress, mesh)
    if searched == 'members':
        _search_members(session, checked)
        if phase == 'search':
            return
    checked = _with_members(session, checked)
    plan = plans.make(trials.without_students(checked), data)
    if searched == 'students':
        _check_search(session, checked, plan)
    elif _READ_STUDENTS.intersection(wanted):
        checked, plan = _with_students(checked, plan, workdir, data)
    _announce(progress, plan, wanted, workdir)
    prepare.fit(session)
    session = _aligned(session, plan.alignments)

    free_first = functools.partial(store.free_first, workdir)
    if 'teacher' in wanted:
        for member in free_first(plan.members.values()):
            teachers.make(session, member)
    if 'logits' in wanted:
        for cache in free_first(plan.caches.values()):
            logits.run(session, cache)
    if searched == 'students':
        search.run(session, checked, plan)
        if phase == 'search':
            return
        checked, plan = _with_students(checked, plan, workdir, data)
    if 'student' in wanted:
        for net in free_first(net for seeds in plan.students.values() for net in seeds):
            students.make(session, net)
    if 'baseline' in wanted:
        for fitted in free_first(plan.baselines.values()):
            baseline.run(session.alone, fitted)
    if 'evaluate' in wanted:
        for net in plan.nets():
            evaluate.run(session, net, net.recipe.phase)
        for own in plan.own_teachers():
            evaluate.run_own(session, own)
    if 'decode' in wanted:
        for decoding in free_first(each for seeds in plan.decodings.values() for each in seeds):
            decode.run(session.alone, decoding)

    def tell() -> None:
        result = report.run(session.alone, plan, checked, experiment, command)
        lead = tables.headline(result['rows'])
        print('\n'.join(filter(None, (lead, '', tables.table(result['rows'])))))
        print(workdir / experiment / 'report.md')

    if 'report' in wanted:
        hosts.first(tell)
    if phase in ('export', 'predict'):
        exported = exporting.make(plan, session.data, checked.data.name, student_name, file_format)
        folder = export.run(session, exported)
        if phase == 'export':
            print(export.summary(folder))
        else:
            decoding = next(iter(plan.decodings.get(f'students.{exported.name}', ())), None)
            predict.run(session, folder, Path(source), Path(output) if output else None, decoding)


def _searched(checked: Experiment, phase: str) -> str:
    """What the config's search is for: 'members', 'students', or '' without one."""
    if checked.search.kind:
        if hosts.count() > 1:
            raise UserError(
                'a search is not run by --distributed processes: start --phase=search on each host '
                'by itself, with config.search.storage a database that all reach; the phases after '
                'it can be --distributed'
            )
        return f'{checked.search.kind}s'
    if phase == 'search':
        raise UserError(
            '--phase=search needs parameters in config.search.space, which is empty; choose an '
            'experiment with one, such as experiments/urban_teachers.py'
        )
    return ''


def _search_members(session: Session, checked: Experiment) -> None:
    plan = plans.make(trials.with_stand_ins(trials.without_students(checked)), session.data)
    _check_search(session, checked, plan)
    prepare.fit(session)
    search.run(_aligned(session, plan.alignments), checked, plan)


def _check_search(session: Session, checked: Experiment, plan: plans.Plan) -> None:
    data = plans.realigned(checked, session.data)
    search.check(checked, dataclasses.replace(session, data=data), plan)


def _with_members(session: Session, checked: Experiment) -> Experiment:
    """The experiment with its members from studies, as far as there are any."""
    alignments, data = plans.alignments(checked, session.data)

    def ask(members: list[Member]):
        """What they say of the validation examples; done here, as the choice precedes any plan."""
        prepare.fit(session)
        aligned = _aligned(session, alignments)
        folders = []
        for number, member in enumerate(members):
            net = plans.trial(f'candidate {number}', member, checked, aligned.data, {})
            teachers.make(aligned, net)
            folders.append(evaluate.run(aligned, net, 'teacher'))
        return answers.on_validation(aligned, folders)

    return trials.with_members(checked, session.workdir, data.fingerprint, ask)


def _with_students(
    checked: Experiment, plan: plans.Plan, workdir: Path, data: Dataset
) -> tuple[Experiment, plans.Plan]:
    """The experiment with its students from studies, and its plan.

    plan: of the experiment without them.  data: as prepared.
    """
    fingerprint = plans.realigned(checked, data).fingerprint
    caches = {name: cache.recipe.name for name, cache in plan.caches.items()}
    checked = trials.with_students(checked, workdir, fingerprint, caches)
    return checked, plans.make(checked, data)


def _aligned(session: Session, alignments: Sequence[plans.AlignmentPlan]) -> Session:
    """The session with its targets realigned, round after round, whichever phase was asked for."""
    for alignment in alignments:
        folder = session.workdir / alignment.recipe.name
        if not hosts.first(functools.partial(store.is_complete, folder)):
            teachers.make(session, alignment.net)
        session = dataclasses.replace(session, data=align.run(session.alone, alignment))
    return session


def _make_workdir(workdir: Path) -> None:
    try:
        workdir.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=workdir):  # of this process alone, whoever else starts
            pass
    except OSError as error:
        raise UserError(
            f'--workdir={workdir} cannot be written to ({error.strerror}); choose another folder'
        ) from None
    hosts.share_folder(workdir)


def _announce(progress: Progress, plan: plans.Plan, wanted, workdir: Path) -> None:
    """Tells the progress display what work lies ahead, so that it can say how long all will take."""
    for alignment in plan.alignments:
        if not store.is_complete(workdir / alignment.recipe.name):
            net = alignment.net
            progress.plan(f'train {net.model}', net.work_per_step * net.task.steps)
    for net in plan.nets():
        if net.recipe.phase in wanted and not store.is_complete(workdir / net.recipe.name):
            progress.plan(f'train {net.model}', net.work_per_step * net.task.steps)
    for cache in plan.caches.values():
        if 'logits' in wanted and not store.is_complete(workdir / cache.recipe.name):
            progress.plan(cache.kind_of_work, cache.work)
    for fitted in plan.baselines.values():
        if 'baseline' in wanted and not store.is_complete(workdir / fitted.recipe.name):
            progress.plan('k-means', fitted.clustering)
            progress.plan('features', fitted.coding * (len(fitted.examples) + fitted.evaluated))


def _advice(checked: Experiment) -> str:
    if not checked.presets:
        return ''
    shorter = '; '.join(f':{advice}' for advice in checked.presets)
    return f'Shorter presets, as --config=FILE.py:PRESET — {shorter}.'
