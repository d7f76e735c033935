"""The parts of a config as frozen dataclasses: checked, typed, hashable.

An experiment's ConfigDict is what people write and what flags change. Everything inside the package
works on these instead: they serve as static arguments of jitted functions and, as JSON, as the part of
a config that an artifact is named by.
"""

import dataclasses
from collections.abc import Iterable, Mapping

from mimic_jax.config import rules
from mimic_jax.config.data import Data, Unlabelled, Views, views_as_json
from mimic_jax.config.nets import (
    LOSSES,
    FromStudy,
    Logits,
    Loss,
    Member,
    Search,
    Student,
    Train,
    loss_as_json,
    train_as_json,
)
from mimic_jax.config.own_teacher import OwnTeacher
from mimic_jax.config.report import Gap, Report, Row
from mimic_jax.config.speech import Alignment, Decoding
from mimic_jax.errors import UserError
from mimic_jax.search import space as spaces
from mimic_jax.settings import nearest, one_of, section, setting

__all__ = [
    'LOSSES', 'Alignment', 'Baseline', 'Data', 'Decoding', 'Experiment', 'FromStudy', 'Gap',
    'Logits', 'Loss', 'Member', 'OwnTeacher', 'Report', 'Row', 'Run', 'Search', 'Student', 'Train',
    'Unlabelled', 'Views', 'experiment', 'loss_as_json', 'train_as_json', 'views_as_json',
]  # fmt: skip


@dataclasses.dataclass(frozen=True)
class Baseline:
    """What is no net: k-means features of image patches and a linear SVM (Coates, Lee & Ng 2011).

    Fitted to the split 'train', on the raw pixels. `penalties` are the SVM's C, which multiplies
    the mean of the squared hinges as in the authors' code (liblinear's multiplies their sum); the
    validation split decides among several.
    """

    kind: str = one_of('kmeans_svm', ('kmeans_svm',))
    patches: int = setting(
        400_000, rules.up_to(10**8)
    )  # drawn from the training images for k-means
    patch_size: int = setting(6, rules.FROM_1)  # pixels a side
    centroids: int = setting(4000, rules.up_to(10**6))
    iterations: int = setting(50, rules.FROM_1)  # of k-means at most
    penalties: tuple[float, ...] = setting((100.0,), rules.different(rules.POSITIVE, 'numbers'))
    seed: int = setting(0, rules.SEED)


@dataclasses.dataclass(frozen=True)
class Run:
    """What changes how a run goes but not what comes out; no artifact's name depends on it."""

    log_steps: int = setting(50, rules.FROM_1)
    evaluation_steps: int = setting(1, rules.FROM_1)  # at an epoch's end, so far apart or more
    checkpoint_steps: int = setting(1, rules.FROM_1)  # likewise
    steps_per_call: int = setting(0, rules.FROM_0)  # 0: 1 on CPU, 16 on accelerators
    model_axis: int = setting(1, rules.FROM_1)  # devices that wide layers are split over
    placement: str = one_of('auto', ('auto', 'device', 'host'))  # of the data; 'auto': by size
    evaluation_batch_size: int = setting(500, rules.up_to(65536))


@dataclasses.dataclass(frozen=True)
class Experiment:
    """A whole config. `presets` says in words what each preset of the file is for."""

    data: Data = dataclasses.field(default_factory=Data)
    alignment: Alignment = dataclasses.field(default_factory=Alignment)
    views: Views = dataclasses.field(default_factory=Views)
    search: Search | None = None
    members: Mapping[str, Member] = dataclasses.field(default_factory=dict)
    logits: Mapping[str, Logits] = dataclasses.field(default_factory=dict)
    students: Mapping[str, Student] = dataclasses.field(default_factory=dict)
    baselines: Mapping[str, Baseline] = dataclasses.field(default_factory=dict)
    decoding: Decoding = dataclasses.field(default_factory=Decoding)
    report: Report = dataclasses.field(default_factory=Report)
    run: Run = Run()
    presets: Mapping[str, str] = dataclasses.field(default_factory=dict)


def experiment(config: Mapping) -> Experiment:
    """A ConfigDict as an Experiment, with every reference inside it checked."""
    if hasattr(config.get('search'), 'get'):
        spaces.read(config['search'].get('space', {}))
    result = section(Experiment, config, 'config')
    for name, cache in result.logits.items():
        if bool(cache.members) == (cache.source is not None):
            also = ', and there is a source' if cache.source else ''
            raise UserError(
                f'config.logits.{name}.members is {cache.members!r}{also}; it must be a tuple of at '
                'least one name, or empty beside a source'
            )
        for member in cache.members:
            _known(member, result.members, f'config.logits.{name}.members', 'config.members')
    for name, student in result.students.items():
        _check_student(student, result, f'config.students.{name}')
    if result.search and result.search.student:
        _check_student(result.search.student, result, 'config.search.student')
    for name, baseline in result.baselines.items():
        if baseline.centroids > baseline.patches:
            raise UserError(
                f'config.baselines.{name}.centroids is {baseline.centroids}, more than its '
                f'{baseline.patches} patches; lower it or set more patches'
            )
    if result.report.ensemble:
        _known(result.report.ensemble, result.logits, 'config.report.ensemble', 'config.logits')
    for name in result.report.order:
        _known(name, result.report.rows, 'config.report.order', 'config.report.rows')
    shown = result.report.order or result.report.rows
    for name, gap in result.report.gaps.items():
        for row in (*gap.low, *gap.high):
            _known(row, shown, f'config.report.gaps.{name}', 'config.report')
    for name, row in result.report.rows.items():
        group, _, entry = row.source.partition('.')
        where = f'config.report.rows.{name}.source'
        if group not in ('members', 'logits', 'students', 'baselines'):
            raise UserError(
                f'{where} is {row.source!r}; write members.NAME, logits.NAME, students.NAME or '
                'baselines.NAME'
            )
        _known(entry, getattr(result, group), where, f'config.{group}')
        if row.against:
            _known(row.against, shown, f'config.report.rows.{name}.against', 'config.report')
        if row.absorbed and group != 'students':
            raise UserError(f'config.report.rows.{name}.absorbed is of students, not of {group}')
    return result


def _check_student(student: Student, result: Experiment, where: str) -> None:
    if student.target == 'logits':
        _known(student.logits, result.logits, f'{where}.logits', 'config.logits')
    if (student.loss.kind == 'cross_entropy') != (student.target == 'labels'):
        raise UserError(
            f'{where} has target {student.target!r} and loss.kind {student.loss.kind!r}; '
            'labels go with cross_entropy, logits with the other losses'
        )
    if student.from_study and student.from_study.choice == 'greedy':
        raise UserError(
            f"{where}.from_study.choice is 'greedy', which chooses members of an ensemble; set it "
            "to 'best'"
        )


def _known(name: str, known: Iterable[str], where: str, group: str) -> None:
    if name not in known:
        raise UserError(
            f'{where} names {name!r}, which {group} does not have; {nearest(name, known)}'
        )
