"""The order of a teacher's classes: by their names, where both the teacher and the data have names.

A teacher's names stand in `source.class_names`; or in `class_names.json`, a list, beside its files; or in
the metadata of an ONNX model as `classes`, as this package writes it.
"""

import json
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from mimic_jax.errors import UserError
from mimic_jax.mimic import external_onnx_data
from mimic_jax.mimic.settings import ExternalTeacher
from mimic_jax.runtime import files

FILE = 'class_names.json'
_SHOWN = 4  # names that a line shows


class Order(NamedTuple):
    """columns: the teacher's column for each of the data's classes; None where the orders are the same.

    line: to be printed on the order, or ''.
    """

    columns: tuple[int, ...] | None
    line: str

    def of(self, answers: np.ndarray) -> np.ndarray:
        """Answers [..., K] with a column for each of the data's classes, in their order."""
        return answers if self.columns is None else answers[..., list(self.columns)]


def order(teacher: ExternalTeacher, names: Sequence[str], what: str, where: str) -> Order:
    """How the teacher's columns become the data's classes.

    names: of the data's classes, or none.  what: the teacher, for the line.  where: its setting.

    Raises:
      UserError: names of other classes than the data's, or a name twice; no list where one should be.
    """
    theirs, place = _names(teacher, where)
    twice = next((name for name in theirs if theirs.count(name) > 1), None)
    if twice is not None:
        raise UserError(f'{place} has the class {twice!r} twice; give each of its columns one name')
    if not theirs or not names:
        return Order(None, _one_sided(theirs, names, what))
    only = 'a teacher needs a column for each class of the data, and no other'
    missing = next((name for name in names if name not in theirs), None)
    if missing is not None:
        raise UserError(
            f'{place} has no class {missing!r}, which the data have; it has {_some(theirs)}; {only}'
        )
    other = next((name for name in theirs if name not in names), None)
    if other is not None:
        raise UserError(
            f'{place} has the class {other!r}, which the data have not; they have {_some(names)}; {only}'
        )
    columns = tuple(theirs.index(name) for name in names)
    if columns == tuple(range(len(names))):
        return Order(None, '')
    moved = [f'{name} is column {column}' for name, column in zip(names, columns, strict=True)]
    return Order(columns, f"{what}: columns follow the classes' names ({_some(moved)})")


def _one_sided(theirs: Sequence[str], names: Sequence[str], what: str) -> str:
    if names:
        return (
            f'{what}: its columns are taken in the order of the classes ({_some(names)}), as it gives no '
            f'names; source.class_names or {FILE} would'
        )
    if theirs:
        return (
            f'{what}: its columns stay in their order ({_some(theirs)}); the data name no classes'
        )
    return ''


def _names(teacher: ExternalTeacher, where: str) -> tuple[tuple[str, ...], str]:
    """The teacher's names, or none, and the place that they are from."""
    if teacher.class_names:
        return teacher.class_names, f'{where}.class_names'
    if teacher.kind not in ('logits', 'onnx'):
        return (), ''
    given = [*teacher.path, teacher.validation, teacher.test]
    paths = [files.expand(path) for path in given if path]
    kept = [path.with_name(FILE) for path in paths if path.with_name(FILE).is_file()]
    found = {str(path): _list(path.read_bytes(), str(path)) for path in dict.fromkeys(kept)}
    if len(set(found.values())) > 1:
        first, second, *_ = found
        raise UserError(f'{first} and {second} name other classes, or another order; give one')
    if not found and teacher.kind == 'onnx':
        text = external_onnx_data.metadata(paths[0]).get('classes', '')
        found = {teacher.path[0]: _list(text, teacher.path[0])} if text.startswith('[') else {}
    return next(((names, place) for place, names in found.items()), ((), ''))


def _list(text: str | bytes, place: str) -> tuple[str, ...]:
    try:
        names = json.loads(text)
    except ValueError:
        names = None
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise UserError(f'{place} must hold class names as a JSON list of texts; correct it')
    return tuple(names)


def _some(words: Sequence[str]) -> str:
    return ', '.join(words[:_SHOWN]) + (', …' if len(words) > _SHOWN else '')
