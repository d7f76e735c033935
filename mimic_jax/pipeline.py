"""The whole story: teacher → logits → student, then evaluate → report.

Every phase reads artifacts and writes one; they meet only through the folders of the workdir, so each
can be killed, resumed, moved and shared.

    phase     reads                      writes
    prepare   the source                 data-<id>; preprocess-<id> where a kind is fitted
    teacher   data                       teacher-<id>, one a member
    logits    data, teachers             logits-<id>, one a cache
    student   data, logits (or labels)   student-<id>, one a student and seed
    baseline  data                       baseline-<id>, one a baseline
    evaluate  data, a trained net        evaluate-<id>, one a net
    report    evaluations, metrics       <experiment>/report.json, report.md, figures
"""

from collections.abc import Sequence
from pathlib import Path

from mimic_jax import artifacts, config, sharding, tables
from mimic_jax import plan as plans
from mimic_jax.errors import UserError
from mimic_jax.phases import baseline, evaluate, logits, prepare, report, student, teacher
from mimic_jax.progress import Progress
from mimic_jax.session import Session

PHASES = ('teacher', 'logits', 'student', 'baseline', 'evaluate', 'report')


def run(
    settings,
    *,
    workdir: Path,
    experiment: str,
    phase: str = 'all',
    command: str = '',
    devices: Sequence | None = None,
) -> None:
    """Runs one phase of an experiment, or all; what is complete already is left as it is.

    settings: the experiment's ConfigDict.  experiment: the name of its report's folder.
    command: what the report says it was made by.  devices: all that jax has, when None.
    Prints the table and the report's path when the report is among the phases.

    Raises:
      UserError: bad input of any kind, or an input of the phase that is not there.
      Interrupted: asked to stop; everything up to here is on disk.
    """
    wanted = PHASES if phase == 'all' else (phase,)
    checked = config.experiment(settings)
    mesh = sharding.make_mesh(checked.run.model_axis, devices)
    _make_workdir(workdir)
    progress = Progress(advice=_advice(checked))
    data = prepare.run(checked.data, workdir, progress)
    plan = plans.make(checked, data)
    session = Session(workdir, data, checked.run, progress, mesh)
    _announce(progress, plan, wanted, workdir)
    prepare.fit(session)

    if 'teacher' in wanted:
        for member in plan.members.values():
            teacher.run(session, member)
    if 'logits' in wanted:
        for cache in plan.caches.values():
            logits.run(session, cache)
    if 'student' in wanted:
        for seeds in plan.students.values():
            for net in seeds:
                student.run(session, net)
    if 'baseline' in wanted:
        for fitted in plan.baselines.values():
            baseline.run(session, fitted)
    if 'evaluate' in wanted:
        for net in plan.nets():
            evaluate.run(session, net, net.recipe.phase)
    if 'report' in wanted:
        result = report.run(session, plan, checked.report, experiment, command)
        lead = tables.headline(result['rows'])
        print('\n'.join(filter(None, (lead, '', tables.table(result['rows'])))))
        print(workdir / experiment / 'report.md')


def _make_workdir(workdir: Path) -> None:
    try:
        workdir.mkdir(parents=True, exist_ok=True)
        artifacts.write_atomically(workdir / '.writable', '')
        (workdir / '.writable').unlink()
    except OSError as error:
        raise UserError(
            f'--workdir={workdir} cannot be written to ({error.strerror}); choose another folder'
        ) from None


def _announce(progress: Progress, plan: plans.Plan, wanted, workdir: Path) -> None:
    """Tells the progress display what work lies ahead, so that it can say how long all will take."""
    for net in plan.nets():
        if net.recipe.phase in wanted and not artifacts.is_complete(workdir / net.recipe.name):
            progress.plan(f'train {net.model}', net.work_per_step * net.task.steps)
    for cache in plan.caches.values():
        if 'logits' in wanted and not artifacts.is_complete(workdir / cache.recipe.name):
            progress.plan('label', cache.work)
    for fitted in plan.baselines.values():
        if 'baseline' in wanted and not artifacts.is_complete(workdir / fitted.recipe.name):
            progress.plan('k-means', fitted.clustering)
            progress.plan('features', fitted.coding * (len(fitted.examples) + fitted.evaluated))


def _advice(checked: config.Experiment) -> str:
    if not checked.presets:
        return ''
    shorter = '; '.join(f':{name} {text}' for name, text in checked.presets.items())
    return f'Shorter presets, as --config=FILE.py:PRESET — {shorter}.'
