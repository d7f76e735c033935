"""A whole experiment: the settings of all rooms together, with every reference among them checked.

An experiment's ConfigDict is what people write and what flags change. Everything inside the package
works on these frozen dataclasses instead: checked, typed and hashable.
"""

import dataclasses
from collections.abc import Iterable, Mapping

from mimic_jax.baselines.settings import Baseline
from mimic_jax.config.fields import Entries, entries, nearest, section, setting
from mimic_jax.data.settings import Data
from mimic_jax.data.view_settings import OwnViews, Views
from mimic_jax.errors import UserError
from mimic_jax.mimic.settings import Logits, Member, Student
from mimic_jax.reporting.settings import Report
from mimic_jax.runtime.settings import Run
from mimic_jax.search import space
from mimic_jax.search.settings import Search
from mimic_jax.speech.settings import Alignment, Decoding
from mimic_jax.training.loss_settings import ON_LABELS


@dataclasses.dataclass(frozen=True)
class Experiment:
    """A whole config."""

    data: Data = Data()
    alignment: Alignment = Alignment()
    views: Views = Views()
    search: Search = dataclasses.field(default_factory=Search)
    members: Mapping[str, Member] = entries('Teachers by name.')
    logits: Mapping[str, Logits] = entries('Logit caches by name.')
    students: Mapping[str, Student] = entries('Students by name.')
    baselines: Mapping[str, Baseline] = entries('Baselines by name.')
    decoding: Decoding = Decoding()
    report: Report = dataclasses.field(default_factory=Report)
    run: Run = Run()
    presets: tuple[str, ...] = setting(
        (),
        "Advice on shorter presets, such as 'small takes an hour'; a long run prints it first.",
    )


def read(config: Mapping) -> Experiment:
    """A ConfigDict, or a nested dict of what differs from the defaults, as an Experiment.

    Raises:
      UserError: an unknown setting, a value of the wrong type or against its rule, a name that does not
        exist.
    """
    result = section(Experiment, config, 'config')
    space.check(result.search.space)
    for name, cache in result.logits.items():
        if bool(cache.members) == bool(cache.source.path):
            where = f'config.logits.{name}.members'
            mend = (
                f'the cache has a source, so it must be empty: --{where}='
                if cache.source.path
                else 'it must be a tuple of at least one name, or empty beside a source'
            )
            raise UserError(f'{where} is {cache.members!r}; {mend}')
        for member in cache.members:
            _known(member, result.members, f'config.logits.{name}.members', 'config.members')
    for name, student in result.students.items():
        _check_student(student, result, f'config.students.{name}')
    if result.search.kind == 'student':
        _check_student(result.search.student, result, 'config.search.student')
    for name, baseline in result.baselines.items():
        if baseline.centroids > baseline.patches:
            raise UserError(
                f'config.baselines.{name}.centroids is {baseline.centroids}, more than its '
                f'{baseline.patches} patches; lower it or set more patches'
            )
    _check_report(result)
    return _without_unread(result)


def _without_unread(result: Experiment) -> Experiment:
    """The experiment without members that nothing reads, where a cache has an external teacher."""
    report = result.report
    if not report.rows or not any(cache.source.path for cache in result.logits.values()):
        return result
    read_by_caches = {name for cache in result.logits.values() for name in cache.members}
    shown = (report.rows[name] for name in report.order or report.rows)
    kept = read_by_caches | {row.entry for row in shown if row.group == 'members'}
    members = Entries((name, each) for name, each in result.members.items() if name in kept)
    return dataclasses.replace(result, members=members)


def _check_report(result: Experiment) -> None:
    report = result.report
    if report.ensemble:
        _known(report.ensemble, result.logits, 'config.report.ensemble', 'config.logits')
    for name in report.order:
        _known(name, report.rows, 'config.report.order', 'config.report.rows')
    shown = report.order or report.rows
    for name, gap in report.gaps.items():
        for row in (*gap.low, *gap.high):
            _known(row, shown, f'config.report.gaps.{name}', 'config.report')
    for name, row in report.rows.items():
        where = f'config.report.rows.{name}.source'
        if row.group not in ('members', 'logits', 'students', 'baselines'):
            raise UserError(
                f'{where} is {row.source!r}; write members.NAME, logits.NAME, students.NAME or '
                'baselines.NAME'
            )
        _known(row.entry, getattr(result, row.group), where, f'config.{row.group}')
        if row.against:
            _known(row.against, shown, f'config.report.rows.{name}.against', 'config.report')
        if row.absorbed and row.group != 'students':
            raise UserError(
                f'config.report.rows.{name}.absorbed goes with students, not with {row.group}'
            )


def _check_student(student: Student, result: Experiment, where: str) -> None:
    if student.target == 'logits':
        _known(student.logits, result.logits, f'{where}.logits', 'config.logits')
    _check_loss(student, where)
    if student.target == 'logits' and student.views != OwnViews():
        raise UserError(
            f'{where} learns from logits and has views of its own; it is shown the views of its cache: '
            f'set config.logits.{student.logits}.augmentation'
        )
    if student.from_study.rank and student.from_study.choice == 'greedy':
        raise UserError(
            f"{where}.from_study.choice is 'greedy', which chooses members of an ensemble; set it "
            "to 'best'"
        )


def _check_loss(student: Student, where: str) -> None:
    loss = student.loss
    kinds = {f'{where}.loss': loss}
    if loss.kind == 'mix':
        kinds = {f'{where}.loss.terms.{name}': term for name, term in loss.terms.items()}
    if not kinds:
        raise UserError(
            f"{where}.loss.kind is 'mix', but there are no terms; add {where}.loss.terms"
        )
    for at, each in kinds.items():
        if each.kind == 'own' and not each.own:
            raise UserError(
                f"{at}.kind is 'own', but {at}.own is empty; write package.module:function"
            )
    names = {each.kind for each in kinds.values()}
    fits = (
        names <= {*ON_LABELS, 'own'} if student.target == 'labels' else not names <= set(ON_LABELS)
    )
    if not fits:
        of = f' of {", ".join(sorted(names))}' if loss.kind == 'mix' else ''
        raise UserError(
            f'{where} has target {student.target!r} and loss.kind {loss.kind!r}{of}; '
            f'labels go with {" or ".join(ON_LABELS)}, logits with the other losses'
        )


def _known(name: str, known: Iterable[str], where: str, group: str) -> None:
    if name not in known:
        raise UserError(
            f'{where} names {name!r}, which {group} does not have; {nearest(name, known)}'
        )
