"""The whole story: teacher → logits → student, then evaluate → report.

A phase reads artifacts and writes one. Phases meet only through the folders of the workdir, so each can
be killed, resumed, moved and shared.

    phase     reads                      writes
    prepare   the source                 data-<id>; preprocess-<id> where a kind is fitted
    align     data, a net of its own     align-<id>, one a round: new targets of speech
    search    data (logits)              a study in a database; teacher-<id> or student-<id>, one a trial
    teacher   data                       teacher-<id>, one a member
    logits    data, teachers             logits-<id>, one a cache
    student   data, logits (or labels)   student-<id>, one a student and seed
    baseline  data                       baseline-<id>, one a baseline
    evaluate  data, a trained net        evaluate-<id>, one a net
    decode    evaluations of speech      decode-<id>, one a row of the report and seed
    report    evaluations, metrics       <experiment>/report.json, .md, .html, figures
    export    data, a student            export-<id>, a file that jax alone can run
    predict   an export                  predictions for a person's own examples
    views     data                       a cache's views as arrays, for a teacher elsewhere to answer
    plan      data                       nothing: it prints what all would make, and what that takes
    rates     data (logits)              <experiment>/rates.json: learning rates that the nets bear

A run of all phases leaves out export, predict, views, plan and rates. `reporting/gather.py` puts the
reports of several experiments into one; it needs no config.

A search is part of a run where the config has one. A search of members comes first, because members
`from_study` are known only when it has ended. It has trained them then. A search of students comes after
the logits that they learn from.
"""

import functools
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from mimic_jax.artifacts import store
from mimic_jax.baselines import run as baseline
from mimic_jax.config import experiment as experiments
from mimic_jax.config.command_line import OF_ALL
from mimic_jax.config.experiment import Experiment
from mimic_jax.config.fields import unread
from mimic_jax.data import prepare
from mimic_jax.export import plan as exporting
from mimic_jax.export import predict
from mimic_jax.export import run as export
from mimic_jax.mimic import evaluate, logits, rates, students, teachers, views_phase
from mimic_jax.mimic.plan import Plan
from mimic_jax.planning import collect, request, studies
from mimic_jax.planning import run as planning
from mimic_jax.reporting import run as report
from mimic_jax.reporting import terminal
from mimic_jax.runtime import console, hosts, sharding
from mimic_jax.runtime.progress import Progress
from mimic_jax.search import report as search_report
from mimic_jax.search import run as search
from mimic_jax.speech import align, decode, transcribe
from mimic_jax.speech import prepare as speech_prepare
from mimic_jax.speech import report as speech_report
from mimic_jax.speech.dataset import SpeechDataset
from mimic_jax.training import boards
from mimic_jax.training.session import Session

# Phases that need the students of a study. The others make what a search of students reads.
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
    command: the command that the report names.  devices: all that jax has, when None.
    student_name, file_format: of an export or prediction; see `exporting.make`.  source, output: paths
    that predict reads and, where given, writes.  compile_for: chips to plan for; see `targets.parse`.
    Prints the table and the report's path when the report is among the phases.
    Returns what the phases shared and what was planned; None after a search alone, a plan or views.

    Raises:
      UserError: bad input of any kind, or an input of the phase that is not there.
      Interrupted: asked to stop; everything up to here is on disk.
    """
    wanted = OF_ALL if phase == 'all' else (phase,)
    checked = experiments.read(settings)
    request.check(checked, wanted, source, output)
    session = _session(checked, workdir, experiment, devices)
    if phase in ('plan', 'views'):
        return _without_nets(session, checked, phase, output, compile_for)
    searched = checked.search.kind if 'search' in wanted else ''
    if searched == 'member':
        studies.search_members(session, checked)
        if phase == 'search':
            return None
    checked, plan = _planned(session, checked, wanted, searched)
    collect.announce(plan, wanted, session)
    prepare.fit(workdir, session.data, session.progress)
    aligned = align.all_rounds(session, plan.alignments)
    if 'teacher' in wanted:
        _each(aligned, plan.members.values(), teachers.make)
    if 'logits' in wanted:
        _each(aligned, plan.caches.values(), logits.run)
    if searched == 'student':
        search.run(aligned, checked.search, checked.views, plan.caches)
        if phase == 'search':
            return None
        checked, plan = studies.with_students(session, checked, plan)
    _from_students_on(aligned, plan, wanted)
    if 'report' in wanted:
        hosts.first(lambda: _report(aligned.alone, plan, checked, experiment, command, phase))
    if phase == 'rates':
        print(rates.run(aligned.alone, plan, workdir / experiment))
    if phase in ('export', 'predict'):
        exported = exporting.make(plan, aligned.data, student_name, file_format)
        _export(aligned, plan, exported, phase, source, output)
    return aligned, plan


def _without_nets(
    session: Session, checked: Experiment, phase: str, output: str, compile_for: str
) -> None:
    """Runs the phase plan or views, for which no net has to be known."""
    if phase == 'plan':
        print(planning.run(session, checked, compile_for, console.width()))
        return
    named = session.with_data(collect.realigned(checked, session.data))
    print(*views_phase.run(named, checked.logits, checked.views, checked.data, output), sep='\n')


def _planned(
    session: Session, checked: Experiment, wanted: Sequence[str], searched: str
) -> tuple[Experiment, Plan]:
    """The plan, and the experiment with its members and, where they are read, its students found.

    searched: what the wanted phases search. Its students are known after the search alone.
    """
    checked = studies.with_members(session, checked)
    plan = collect.make(studies.without_students(checked), session.data)
    if searched == 'student':
        studies.check(session, checked, plan)
    elif _READ_STUDENTS.intersection(wanted):
        return studies.with_students(session, checked, plan)
    return checked, plan


def _session(
    checked: Experiment, workdir: Path, experiment: str, devices: Sequence | None
) -> Session:
    """Reads the data, and makes everything else that the phases share."""
    store.opened.clear()
    mesh = sharding.make_mesh(checked.run.model_axis, devices)
    hosts.make_workdir(workdir)
    shorter = '; '.join(f':{advice}' for advice in checked.presets)
    advice = f'Shorter presets, as --config=FILE.py:PRESET — {shorter}.' if shorter else ''
    progress = Progress(advice, quiet=not hosts.is_first())
    for line in unread(checked):
        progress.say(line)
    data = prepare.run(checked.data, workdir, progress)
    named = workdir / boards.FOLDER / experiment
    return Session(workdir, data, checked.run, progress, mesh, named)


def _from_students_on(session: Session, plan: Plan, wanted: Sequence[str]) -> None:
    """Runs the phases student, baseline, evaluate and decode, as far as they are wanted."""
    if 'student' in wanted:
        _each(session, (net for seeds in plan.students.values() for net in seeds), students.make)
    if 'baseline' in wanted:
        _each(session.alone, plan.baselines.values(), baseline.run)
    if 'evaluate' in wanted:
        for net in plan.asked():
            evaluate.run(session, net, net.recipe.phase)
        for teacher in plan.external_teachers():
            evaluate.run_external(session, teacher)
    if 'decode' in wanted:
        each = (decoding for seeds in plan.decodings.values() for decoding in seeds)
        _each(session.alone, each, decode.run)


def _each(session: Session, planned: Iterable, make: Callable[[Session, object], object]) -> None:
    """Makes what is planned; what another process is making comes last."""
    for plan in store.free_first(session.workdir, planned):
        make(session, plan)


def _report(
    session: Session, plan: Plan, checked: Experiment, experiment: str, command: str, phase: str
) -> None:
    """Writes the report and prints its table. The phase report alone draws all anew."""
    part, searched = None, None
    if isinstance(session.data, SpeechDataset):
        part = speech_report.SpeechPart(session, plan.alignments, plan.decodings)
    if checked.search.kind:
        searched = search_report.findings(checked.search, session.workdir)
    result = report.run(
        session,
        plan,
        checked.report,
        experiment,
        command,
        checked,
        searched,
        part,
        anew=phase == 'report',
    )
    print(terminal.results(result['rows'], console.width()))
    print(terminal.pages(session.workdir / experiment, report.PAGES, console.width()))


def _export(
    session: Session,
    plan: Plan,
    exported: exporting.ExportPlan,
    phase: str,
    source: str,
    output: str,
) -> None:
    """Exports a student, then prints the export's facts or, in the phase predict, the student's answers."""
    folder = export.run(session, exported)
    if phase == 'export':
        print(export.summary(folder))
        return
    heard = None
    if isinstance(session.data, SpeechDataset):
        decoding = next(iter(plan.decodings.get(f'students.{exported.name}', ())), None)
        heard = functools.partial(transcribe.run, session, decoding)
    predict.run(session, folder, Path(source), Path(output) if output else None, heard)
