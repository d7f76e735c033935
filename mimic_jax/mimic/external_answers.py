"""A teacher made elsewhere: its identity, its files, and checks of its answers."""

import functools
import zipfile
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from mimic_jax.artifacts import objects, source
from mimic_jax.data import array_files
from mimic_jax.errors import UserError, first_line
from mimic_jax.mimic import external_onnx_data
from mimic_jax.mimic.settings import ExternalTeacher
from mimic_jax.runtime import files
from mimic_jax.runtime.interrupt import Interrupted

SMALLEST = 1e-6  # probability: log 10⁻⁶ = −13.8 stands for whatever is less
_ROUNDING = 1e-3  # by which a probability may lie outside 0 to 1
_SUM = 1e-2  # by which a sum of probabilities may miss 1: written with two digits, or as bfloat16
_FEWEST = 4  # rows whose sums mean anything: one row of logits may sum to 1 by chance
_LOOKED_AT = 1024  # rows of a file, ahead of a run


def identity(teacher: ExternalTeacher, where: str) -> dict:
    """What determines a teacher's answers: its files' digests, or its import path and version.

    where: the setting that names the teacher.

    Raises:
      UserError: a file or a module that is not there, or several paths where the kind takes one.
    """
    facts = {'kind': teacher.kind, 'probabilities': teacher.probabilities}
    if teacher.kind == 'logits':
        return {**facts, 'sha256': [digest(path, f'{where}.path') for path in teacher.path]}
    (path,) = _single(teacher.path, where)
    facts['inputs'] = teacher.inputs
    if teacher.layout != ExternalTeacher.layout:
        facts['layout'] = teacher.layout
    if teacher.kind == 'onnx':
        return {**facts, **_onnx_identity(path, teacher.output, where)}
    if not path.startswith(objects.PREFIX):
        source.identity(path, f'{where}.path')
    return {**facts, 'path': path, 'version': teacher.version}


def _onnx_identity(path: str, output: str, where: str) -> dict:
    """A model's digest, those of its external data by their paths, and the output that is taken."""
    facts = {'sha256': [digest(path, f'{where}.path')]}
    if output:
        facts['output'] = output
    model = files.expand(path)
    external = {}
    for location in external_onnx_data.locations(model):
        beside = model.parent / location
        if not beside.is_file():
            raise UserError(
                f'{where}.path is {path!r}, whose weights lie in {location!r}, but there is no '
                f'{beside}; put that file beside the model'
            )
        external[location] = files.digest(beside)
    return {**facts, **({'external': external} if external else {})}


def name(teacher: ExternalTeacher) -> str:
    """What a report calls the teacher's model."""
    first = teacher.path[0]
    named = first if teacher.kind in ('callable', 'fit') else Path(first).name
    return named if len(teacher.path) == 1 else f'{named}, …'


def function(path: str, where: str) -> Callable:
    """The function at 'package.module:function'.

    Raises:
      UserError: a module that cannot be imported, or that has no such function.
    """
    if path.startswith(objects.PREFIX):
        return objects.kept(path, f'{where}.path')
    found = source.load(path, f'{where}.path', anew=False)
    if not callable(found):
        raise UserError(f'{where}.path is {path!r}, which is no function; name one')
    return found


def checked(
    answers, rows: int, num_classes: int, probabilities: bool, what: str, numbers=None
) -> np.ndarray:
    """Answers as float32 logits [rows, K].

    what: their source, for errors.  numbers: [rows] the rows' numbers in errors; from 0 when None.

    Raises:
      UserError: another shape, values that are not finite, or no probabilities where they should be.
    """
    answers = as_array(answers, what)
    if answers.shape != (rows, num_classes) or answers.dtype.kind not in 'fiu':
        raise UserError(
            f'{what} gives {answers.dtype} of shape {list(answers.shape)} for {rows} examples of '
            f'{num_classes} classes; it must be numbers of shape [{rows}, {num_classes}]'
        )

    def refuse(bad: np.ndarray, problem: str, mend: str):
        row, column = np.argwhere(bad)[0]
        number = row if numbers is None else numbers[row]
        raise UserError(
            f'{what} gives {answers[row, column]:g} for example {number}, class {column}, '
            f'{problem}; {mend}'
        )

    with np.errstate(over='ignore'):  # beyond float32 becomes infinite, which is told
        values = answers.astype(np.float32)
    if not np.isfinite(values).all():
        refuse(~np.isfinite(values), 'which is not finite', 'correct the teacher')
    if not probabilities:
        check_logits(values, what)
        return values
    if _whole(values, fewest=1) == 100:
        values = values / 100
    outside = (values < -_ROUNDING) | (values > 1 + _SUM)
    if outside.any():
        refuse(outside, 'which is no probability', 'set probabilities to False for logits')
    wrong = np.abs(values.sum(axis=1, keepdims=True) - 1) > _SUM
    if wrong.any():
        refuse(
            np.broadcast_to(wrong, values.shape),
            f'and {values[np.argwhere(wrong)[0][0]].sum():g} in all classes instead of 1',
            'set probabilities to False for logits',
        )
    return np.log(np.maximum(values, SMALLEST))


def check_logits(values: np.ndarray, what: str) -> None:
    """Refuses values [R, K] that were declared to be logits and can only be probabilities.

    Raises:
      UserError: no value is negative, and every row sums to 1, or to 100, as one-hot rows do too.
    """
    whole = _whole(values[:_LOOKED_AT], _FEWEST)
    if whole:
        kind = 'probabilities' if whole == 1 else 'probabilities in percent'
        raise UserError(
            f'{what} gives no logits: no value is negative and every row sums to {whole}, as '
            f'{kind} and one-hot labels do; set probabilities=True, or give the values ahead of the '
            'softmax'
        )


def _whole(values: np.ndarray, fewest: int) -> int:
    """What every row sums to where it can be probabilities, 1 or 100; otherwise 0."""
    if len(values) < fewest or values.dtype.kind not in 'fiu' or not (values >= 0).all():
        return 0
    sums = values.sum(axis=1, dtype=np.float64)
    return next((whole for whole in (1, 100) if (np.abs(sums / whole - 1) <= _SUM).all()), 0)


def as_array(answers, what: str) -> np.ndarray:
    """Answers as an array; UserError where they are none.  what: their source."""
    try:
        return np.asarray(answers)
    except Interrupted:
        raise
    except Exception as error:  # of ragged lists, or of another framework's tensors
        reason = first_line(error)
        raise UserError(
            f'{what} gives {type(answers).__name__}, which is no array ({reason}); return a NumPy '
            'array of logits'
        ) from None


def open_logits(path: str, where: str) -> np.ndarray:
    """The array of an .npy file, memory-mapped, or of an .npz file that holds one."""
    file = files.expand(path)
    if zipfile.is_zipfile(file):
        held = array_files.names(file)
        if len(held) != 1:
            raise UserError(
                f'{where} is {path!r}, which holds {", ".join(held) or "nothing"}; it needs one array'
            )
        return _unpacked(file, file.stat().st_mtime_ns)
    try:
        return np.lib.format.open_memmap(file, 'r')
    except Interrupted:
        raise
    except Exception as error:  # NumPy raises half a dozen kinds
        reason = first_line(error)
        raise UserError(
            f'{where} is {path!r}, which cannot be read ({reason}); write it with numpy.save'
        ) from None


@functools.lru_cache(maxsize=1)  # otherwise each view of a file would unpack all of it
def _unpacked(file: Path, changed: int) -> np.ndarray:
    (array,) = array_files.read_npz(file).values()
    return array


def view_of(arrays: Sequence[np.ndarray], view: int, views: int, paths: Sequence[str]):
    """(logits [R, K], path) of a view: of one array [R, K] or [V, R, K], or of an array a view.

    Raises:
      UserError: another number of views.
    """
    if len(arrays) > 1 or (views == 1 and arrays[0].ndim == 2):
        if len(arrays) == views:
            return arrays[view], paths[view]
        raise UserError(f'{len(arrays)} files of logits are given for {views} views; give {views}')
    (array,), (path,) = arrays, paths
    if array.ndim != 3 or len(array) != views:
        raise UserError(
            f'{path} has logits of shape {list(array.shape)}, but the cache has {views} views; '
            f'give [{views}, rows, classes], or a file a view'
        )
    return array[view], path


def _single(path: tuple[str, ...], where: str) -> tuple[str, ...]:
    if len(path) != 1:
        raise UserError(f"{where}.path is {path!r}; only kind 'logits' takes several")
    return path


def digest(path: str, where: str) -> str:
    """SHA-256 of the file that the setting `where` names; UserError where there is none."""
    file = files.expand(path)
    if not file.is_file():
        raise UserError(f'{where} is {path!r}, where there is no file; give one that is there')
    return files.digest(file)
