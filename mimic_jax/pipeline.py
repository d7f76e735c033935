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
    views     data                       a cache's views as arrays, for a teacher elsewhere to answer
    plan      data                       nothing: it prints what all would make, and what that takes
    rates     data (logits)              <experiment>/rates.json: learning rates that the nets bear

Export and predict are what a student is for, views what a teacher elsewhere needs, rates what is asked
ahead of a run: no parts of a run of all. Nor is `reporting/gather.py`, which puts several experiments'
reports into one and needs no config.

A search is part of a run where the config has one, and comes first: members `from_study` are known only
once it has ended. They then are members like any others, and their teachers are there already. A search
of students comes after the logits that they learn from, and writes student-<id>.
"""

import dataclasses
import functools
import tempfile
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from mimic_jax import plan as plans
from mimic_jax.artifacts import store
from mimic_jax.baselines import run as baseline
from mimic_jax.config import experiment as experiments
from mimic_jax.config.experiment import Experiment
from mimic_jax.config.fields import unread
from mimic_jax.data import prepare
from mimic_jax.errors import UserError
from mimic_jax.export import plan as exporting
from mimic_jax.export import predict
from mimic_jax.export import run as export
from mimic_jax.mimic import evaluate, logits, rates, students, teachers, views_phase
from mimic_jax.mimic.plan import Plan, trial
from mimic_jax.mimic.settings import Member
from mimic_jax.planning import run as planning
from mimic_jax.reporting import answers, terminal
from mimic_jax.reporting import run as report
from mimic_jax.runtime import hosts, sharding
from mimic_jax.runtime.progress import Progress
from mimic_jax.search import report as search_report
from mimic_jax.search import run as search
from mimic_jax.search import stand_ins, trials
from mimic_jax.speech import align, decode, transcribe
from mimic_jax.speech import prepare as speech_prepare
from mimic_jax.speech import report as speech_report
from mimic_jax.speech.dataset import SpeechDataset
from mimic_jax.speech.plan import AlignmentPlan
from mimic_jax.training import boards
from mimic_jax.training.session import Session

PHASES = ('search', 'teacher', 'logits', 'student', 'baseline', 'evaluate', 'decode', 'report')
# The others make what a search for students needs, and ask for none from its study.
_READ_STUDENTS = {'student', 'evaluate', 'decode', 'report', 'rates', 'export', 'predict'}
speech_prepare.register()


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
    compile_for: str = '',
    devices: Sequence | None = None,
) -> tuple[Session, Plan] | None:
    """Runs one phase of an experiment, or all; what is complete already is left as it is.

    settings: the experiment's ConfigDict.  experiment: the name of its report's folder.
    command: what the report says it was made by.  devices: all that jax has, when None.
    student_name: which student export and predict take; see `exporting.make`.  file_format: of an
    export, a key of `exporting.FILES`.  source, output: paths that predict reads and writes, the latter
    if it is not empty.  compile_for: chips that plan compiles for; see `targets.parse`.
    Prints the table and the report's path when the report is among the phases.
    Returns what the phases shared and what was planned; None where the search is all that ran.

    Raises:
      UserError: bad input of any kind, or an input of the phase that is not there.
      Interrupted: asked to stop; everything up to here is on disk.
    """
    store.opened.clear()
    wanted = PHASES if phase == 'all' else (phase,)
    checked = experiments.read(settings)
    searched = _checked(checked, wanted, source, output)
    session = _prepared(checked, workdir, experiment, devices)
    if phase == 'plan':
        _print_plan(session, checked, compile_for)
        return None
    if phase == 'views':
        _write_views(session, checked, output)
        return None
    if searched == 'member':
        _search_members(session, checked)
        if phase == 'search':
            return None
    checked = _with_members(session, checked)
    plan = plans.make(_without_students(checked), session.data)
    if searched == 'student':
        _check_search(session, checked, plan)
    elif _READ_STUDENTS.intersection(wanted):
        checked, plan = _with_students(session, checked, plan)
    plans.announce(plan, wanted, session)
    prepare.fit(workdir, session.data, session.progress)
    before, session = session, _aligned(session, plan.alignments)

    if phase == 'rates':
        print(rates.run(session.alone, plan, workdir / experiment))
    if 'teacher' in wanted:
        _each(session, plan.members.values(), teachers.make)
    if 'logits' in wanted:
        _each(session, plan.caches.values(), logits.run)
    if searched == 'student':
        search.run(session, checked.search, checked.views, plan.caches)
        if phase == 'search':
            return None
        checked, plan = _with_students(before, checked, plan)
    if 'student' in wanted:
        _each(session, (net for seeds in plan.students.values() for net in seeds), students.make)
    if 'baseline' in wanted:
        _each(session.alone, plan.baselines.values(), baseline.run)
    if 'evaluate' in wanted:
        for net in plan.nets():
            evaluate.run(session, net, net.recipe.phase)
        for own in plan.own_teachers():
            evaluate.run_own(session, own)
    if 'decode' in wanted:
        each = (decoding for seeds in plan.decodings.values() for decoding in seeds)
        _each(session.alone, each, decode.run)
    if 'report' in wanted:
        anew = phase == 'report'
        hosts.first(lambda: _report(session.alone, plan, checked, experiment, command, anew))
    if phase in ('export', 'predict'):
        exported = exporting.make(plan, session.data, student_name, file_format)
        folder = export.run(session, exported)
        if phase == 'export':
            print(export.summary(folder))
        else:
            decoding = next(iter(plan.decodings.get(f'students.{exported.name}', ())), None)
            spoken = isinstance(session.data, SpeechDataset)
            heard = functools.partial(transcribe.run, session, decoding) if spoken else None
            predict.run(session, folder, Path(source), Path(output) if output else None, heard)
    return session, plan


def _checked(checked: Experiment, wanted: Sequence[str], source: str, output: str) -> str:
    """What is searched for, 'member', 'student' or '' for no search, once a request makes sense."""
    for phase in ('export', 'predict'):
        if phase in wanted and hosts.count() > 1:
            raise UserError(f'--phase={phase} is for one process; leave --distributed out')
    if 'predict' in wanted:
        predict.check(source, output)
    if 'rates' in wanted:
        rates.check()
    if 'views' in wanted:
        views_phase.check(checked.logits, output)
    kind = checked.search.kind
    if 'search' not in wanted or (not kind and len(wanted) > 1):
        return ''
    if not kind:
        raise UserError(
            '--phase=search needs parameters in config.search.space, of which this config has none; '
            'choose an experiment with some, such as experiments/urban_teachers.py'
        )
    if hosts.count() > 1:
        raise UserError(
            'a search is not run by --distributed processes: start --phase=search on each host '
            'by itself, with config.search.storage a database that all reach; the phases after '
            'it can be --distributed'
        )
    if len(wanted) > 1:  # by itself it may well be a part of a search
        nets = checked.students if kind == 'student' else checked.members
        trials.check_ranks(nets, checked.search)
    return kind


def _prepared(
    checked: Experiment, workdir: Path, experiment: str, devices: Sequence | None
) -> Session:
    """The data, read, and everything else that the phases share."""
    mesh = sharding.make_mesh(checked.run.model_axis, devices)
    _make_workdir(workdir)
    progress = Progress(_advice(checked), quiet=not hosts.is_first())
    for line in unread(checked):
        progress.say(line)
    data = prepare.run(checked.data, workdir, progress)
    named = workdir / boards.FOLDER / experiment
    return Session(workdir, data, checked.run, progress, mesh, named)


def _print_plan(session: Session, checked: Experiment, compile_for: str) -> None:
    """What will be made; a net that a study has yet to find is shown by the middle of its space."""
    _, data = plans.alignments(checked, session.data)
    found, standing = stand_ins.for_members(
        checked.members, checked.search, session.workdir, data.fingerprint
    )
    checked = dataclasses.replace(checked, members=found)
    plan = plans.make(_without_students(checked), session.data)
    if compile_for:
        unknown = {name for name, stand_in in standing.items() if not stand_in.typical}
        print(planning.run_for(session, plan, compile_for, unknown))
        return
    typical = None
    if checked.search.kind:
        data, middle = plans.realigned(checked, session.data), trials.middle(checked.search)
        net = trial('trial', middle, checked.views, data, plan.caches)
        typical = checked.search.trials, net
    print(planning.run(session, plan, typical, standing))
    unfound = len(checked.students) - len(trials.known(checked.students))
    if unfound:
        print(f'{unfound} students are from studies and are not counted')


def _write_views(session: Session, checked: Experiment, output: str) -> None:
    """The views of caches; they bear the name that the data have after all realignment."""
    session = dataclasses.replace(session, data=plans.realigned(checked, session.data))
    for folder in views_phase.run(session, checked.logits, checked.views, checked.data, output):
        print(folder)


def _each(session: Session, planned: Iterable, make: Callable[[Session, object], object]) -> None:
    """Makes what is planned; what another process is making comes last."""
    for plan in store.free_first(session.workdir, planned):
        make(session, plan)


def _report(
    session: Session, plan: Plan, checked: Experiment, experiment: str, command: str, anew: bool
) -> None:
    part, searched = None, None
    if isinstance(session.data, SpeechDataset):
        part = speech_report.Part(session, plan.alignments, plan.decodings)
    if checked.search.kind:
        searched = search_report.findings(checked.search, session.workdir)
    result = report.run(
        session, plan, checked.report, experiment, command, checked, searched, part, anew
    )
    print(terminal.results(result['rows'], terminal.width()))
    for name in report.PAGES if terminal.width() else report.PAGES[-1:]:
        print(session.workdir / experiment / name)


def _search_members(session: Session, checked: Experiment) -> None:
    found = trials.with_stand_ins(checked.members, checked.search)
    checked = dataclasses.replace(_without_students(checked), members=found)
    plan = plans.make(checked, session.data)
    _check_search(session, checked, plan)
    prepare.fit(session.workdir, session.data, session.progress)
    aligned = _aligned(session, plan.alignments)
    search.run(aligned, checked.search, checked.views, plan.caches)


def _check_search(session: Session, checked: Experiment, plan: Plan) -> None:
    data = plans.realigned(checked, session.data)
    search.check(session, checked.search, checked.views, plan.caches, data)


def _without_students(checked: Experiment) -> Experiment:
    """The experiment without the students that are still to be read from a study."""
    return dataclasses.replace(checked, students=trials.known(checked.students))


def _with_members(session: Session, checked: Experiment) -> Experiment:
    """The experiment with its members from studies, as far as there are any."""
    alignments, data = plans.alignments(checked, session.data)

    def ask(members: list[Member]):
        """What they say of the validation examples; done here, as the choice precedes any plan."""
        prepare.fit(session.workdir, session.data, session.progress)
        aligned = _aligned(session, alignments)
        folders = []
        for number, member in enumerate(members):
            net = trial(f'candidate {number}', member, checked.views, aligned.data, {})
            teachers.make(aligned, net)
            folders.append(evaluate.run(aligned, net, 'teacher'))
        return answers.on_validation(aligned, folders)

    fingerprint = data.fingerprint
    found = trials.found_members(checked.members, checked.search, session.workdir, fingerprint, ask)
    return dataclasses.replace(checked, members=found)


def _with_students(session: Session, checked: Experiment, plan: Plan) -> tuple[Experiment, Plan]:
    """The experiment with its students from studies, and its plan.

    session: before any realignment.  plan: of the experiment without them.
    """
    fingerprint = plans.realigned(checked, session.data).fingerprint
    caches = {name: cache.recipe.name for name, cache in plan.caches.items()}
    found = trials.found_students(
        checked.students, checked.search, session.workdir, fingerprint, caches
    )
    checked = dataclasses.replace(checked, students=found)
    return checked, plans.make(checked, session.data)


def _aligned(session: Session, alignments: Sequence[AlignmentPlan]) -> Session:
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


def _advice(checked: Experiment) -> str:
    if not checked.presets:
        return ''
    shorter = '; '.join(f':{advice}' for advice in checked.presets)
    return f'Shorter presets, as --config=FILE.py:PRESET — {shorter}.'
