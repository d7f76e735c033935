"""Nets compared on the test examples: which agree, and where teacher and student differ."""

import dataclasses
import io

import numpy as np
from PIL import Image

from mimic_jax.data import batches
from mimic_jax.data.dataset import Dataset
from mimic_jax.ops import metrics
from mimic_jax.reporting.answered import sources
from mimic_jax.reporting.answers import Answers
from mimic_jax.reporting.part import PLAIN, Part
from mimic_jax.reporting.settings import Row

MOST_NETS = 24  # in the matrix
MOST_EXAMPLES = 24  # in the gallery
MOST_PIXELS = 128  # on a side of an example's picture


@dataclasses.dataclass(frozen=True)
class Example:
    """A test example: its index in the data, its class, and (class, confidence) of both nets.

    picture: PNG, or None where the example is no picture.
    """

    index: int
    label: int
    teacher: tuple[int, float]
    student: tuple[int, float]
    picture: bytes | None


@dataclasses.dataclass(frozen=True)
class Disagreements:
    """Where a student's first seed chooses another class than its teacher.

    count: disagreements among `total` test examples.  teacher_right, student_right: how many of these
    each has right.  examples: the ones on which both are surest come first.
    """

    teacher: str
    student: str
    total: int
    count: int
    teacher_right: int
    student_right: int
    examples: list[Example]


def agreement(answers: Answers) -> tuple[list[str], list[list], int]:
    """Names of models, their `metrics.agreement_matrix` on test, and how many were left out.

    The report's rows come first, then the teachers, ensembles, students and baselines without a row.
    """
    rows = _rows(answers)
    choices = [
        np.stack([logits.argmax(axis=1) for logits in answers.on_test(row)])
        for _, row in rows[:MOST_NETS]
    ]
    names = [name for name, _ in rows[:MOST_NETS]]
    return names, metrics.agreement_matrix(choices), max(0, len(rows) - MOST_NETS)


def disagreements(answers: Answers) -> Disagreements | None:
    """The disagreements of the report's ensemble and its first student; None where one is missing.

    The first student on any logits stands in where that ensemble taught none.
    """
    plan = answers.plan
    cache = answers.settings.ensemble or next(iter(plan.caches), '')
    rows = _rows(answers)
    taught = {name: seeds[0].cache.name for name, seeds in plan.students.items() if seeds[0].cache}
    students = [
        found for found in rows if found[1].group == 'students' and found[1].entry in taught
    ]
    teachers = [(name, row) for name, row in rows if row.source == f'logits.{cache}']
    if not (students and teachers):
        return None
    students.sort(key=lambda found: taught[found[1].entry] != cache)
    (teacher, teacher_row), (student, student_row) = teachers[0], students[0]
    return compare(
        (teacher, answers.on_test(teacher_row)[0]),
        (student, answers.on_test(student_row)[0]),
        answers.session.data,
        answers.part,
    )


def compare(
    teacher: tuple[str, np.ndarray],
    student: tuple[str, np.ndarray],
    data: Dataset,
    part: Part = PLAIN,
) -> Disagreements:
    """The disagreements of two nets on the test examples, each given as its name and logits [n, K]."""
    examples = data.splits['test']
    labels = data.labels[examples]
    (said, sure), (answered, certain) = (_answers(logits) for _, logits in (teacher, student))
    differ = np.flatnonzero(said != answered)
    surest = differ[np.argsort(-np.minimum(sure, certain)[differ], kind='stable')]
    return Disagreements(
        teacher=teacher[0],
        student=student[0],
        total=len(examples),
        count=len(differ),
        teacher_right=int(np.sum(said[differ] == labels[differ])),
        student_right=int(np.sum(answered[differ] == labels[differ])),
        examples=[
            Example(
                index=int(examples[i]),
                label=int(labels[i]),
                teacher=(int(said[i]), float(sure[i])),
                student=(int(answered[i]), float(certain[i])),
                picture=picture(data, int(examples[i]), part),
            )
            for i in surest[:MOST_EXAMPLES]
        ],
    )


def picture(data: Dataset, index: int, part: Part = PLAIN) -> bytes | None:
    """An example as PNG; None where neither it nor `part.picture` of it is an image [H, W, 1 or 3]."""
    array = np.asarray(batches.gather(data.arrays, {'index': np.array([index])})['inputs'][0])
    array = part.picture(array)
    if array.ndim != 3 or array.shape[-1] not in (1, 3):
        return None
    if array.dtype != np.uint8:
        low, high = float(array.min()), float(array.max())
        array = (255 * (array - low) / ((high - low) or 1)).astype(np.uint8)
    image = Image.fromarray(array[..., 0] if array.shape[-1] == 1 else array)
    image.thumbnail((MOST_PIXELS, MOST_PIXELS))
    file = io.BytesIO()
    image.save(file, 'PNG', optimize=True)
    return file.getvalue()


def _answers(logits: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The classes [n] of logits [n, K], and their softmax's probabilities [n]."""
    shifted = np.exp(logits - logits.max(axis=1, keepdims=True))
    return logits.argmax(axis=1), 1 / shifted.sum(axis=1)


def _rows(answers: Answers) -> list[tuple[str, Row]]:
    """(name in the report, row) of everything that answers: the report's rows, then the others."""
    named = [(row.label or name, row) for name, row in answers.chosen if not row.absorbed]
    known = {row.source for _, row in named}
    others = [
        (f'{kind} {name}', Row(source=f'{group}.{name}'))
        for kind, group, name in sources(answers.plan)
        if f'{group}.{name}' not in known
    ]
    return [*named, *others]
