"""What a teacher made elsewhere answers, checked: from files, functions and ONNX models."""

import functools
import importlib
import importlib.util
import sys
import zipfile
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from mimic_jax.artifacts import store
from mimic_jax.data import array_files
from mimic_jax.errors import UserError
from mimic_jax.mimic.settings import ExternalTeacher
from mimic_jax.runtime.interrupt import Interrupted

SMALLEST = 1e-6  # probability: log 10⁻⁶ = −13.8 stands for whatever is less
_ROUNDING = 1e-3  # by which probabilities may miss a sum of 1

Apply = Callable[[np.ndarray], np.ndarray]


def identity(teacher: ExternalTeacher, where: str) -> dict:
    """What determines a teacher's answers: its files' digests, or its import path and version.

    where: the setting that names the teacher.

    Raises:
      UserError: a file or a module that is not there, or a path that is not one.
    """
    facts = {'kind': teacher.kind, 'probabilities': teacher.probabilities}
    if teacher.kind == 'logits':
        return {**facts, 'sha256': [digest(path, f'{where}.path') for path in teacher.path]}
    (path,) = _single(teacher.path, where)
    facts['inputs'] = teacher.inputs
    if teacher.kind == 'onnx':
        return {**facts, 'sha256': [digest(path, f'{where}.path')]}
    _check_module(path, where)
    return {**facts, 'path': path, 'version': teacher.version}


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
    module, _, attribute = path.partition(':')
    try:
        found = getattr(importlib.import_module(module), attribute, None)
    except ImportError as error:
        raise UserError(f'{where}.path is {path!r}, but {error}; install or mend it') from error
    if not callable(found):
        raise UserError(f'{where}.path is {path!r}, but {module} has no function {attribute!r}')
    return found


def checked(
    answers, rows: int, num_classes: int, probabilities: bool, what: str, numbers=None
) -> np.ndarray:
    """Answers as float32 logits [rows, K].

    what: gave them, for errors.  numbers: [rows] what to call the rows; from 0 when None.

    Raises:
      UserError: another shape, values that are not finite, or no probabilities where they should be.
    """
    answers = np.asarray(answers)
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
        refuse(~np.isfinite(values), 'which is not finite', 'mend the teacher')
    if not probabilities:
        return values
    outside = (values < -_ROUNDING) | (values > 1 + _ROUNDING)
    if outside.any():
        refuse(outside, 'which is no probability', 'set probabilities to False for logits')
    wrong = np.abs(values.sum(axis=1, keepdims=True) - 1) > _ROUNDING
    if wrong.any():
        refuse(
            np.broadcast_to(wrong, values.shape),
            f'and {values[np.argwhere(wrong)[0][0]].sum():g} in all classes instead of 1',
            'set probabilities to False for logits',
        )
    return np.log(np.maximum(values, SMALLEST))


def open_logits(path: str, where: str) -> np.ndarray:
    """The array of an .npy file, memory-mapped, or of an .npz file that holds one."""
    file = Path(path).expanduser()
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
        reason = (str(error) or type(error).__name__).splitlines()[0]
        raise UserError(
            f'{where} is {path!r}, which cannot be read ({reason}); write it with numpy.save'
        ) from None


@functools.lru_cache(maxsize=1)  # of many views in one file each would unpack it all
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


def onnx_model(path: str, example: tuple[int, ...], where: str) -> Apply:
    """An ONNX model as a callable on inputs [B, ...] whose examples have the shape `example`.

    Images [B, H, W, C] become [B, C, H, W] for a model whose input says so; inputs take its type.

    Raises:
      UserError: no onnxruntime, no model, or one that does not take such examples.
    """
    try:
        import onnxruntime
    except ImportError:
        raise UserError(
            "an ONNX teacher needs onnxruntime, which is not installed; run pip install -e '.[onnx]'"
        ) from None
    try:
        session = onnxruntime.InferenceSession(
            str(Path(path).expanduser()), providers=onnxruntime.get_available_providers()
        )
    except Interrupted:
        raise
    except Exception as error:  # onnxruntime's exceptions have no common base of their own
        reason = str(error).splitlines()[0]
        raise UserError(f'{where}.path is {path!r}, which cannot be run ({reason})') from None
    inputs = session.get_inputs()
    if len(inputs) != 1 or inputs[0].type not in _ONNX_TYPES:
        wants = ', '.join(f'{given.name} {given.type}' for given in inputs)
        raise UserError(f'{path} wants the inputs {wants}; it must want one array of numbers')
    shape, dtype = inputs[0].shape[1:], _ONNX_TYPES[inputs[0].type]
    first = len(example) == 3 and not _fits(shape, example) and _fits(shape, _first(example))
    if not first and not _fits(shape, example):
        raise UserError(
            f'{path} wants examples of shape {shape}, but the data have {list(example)}; export it '
            'anew for that'
        )

    def apply(batch: np.ndarray) -> np.ndarray:
        batch = np.moveaxis(batch, -1, 1) if first else batch
        return session.run(None, {inputs[0].name: np.ascontiguousarray(batch, dtype)})[0]

    return apply


_ONNX_TYPES = {
    'tensor(float)': np.float32,
    'tensor(double)': np.float64,
    'tensor(float16)': np.float16,
    'tensor(uint8)': np.uint8,
}


def _first(example: tuple[int, ...]) -> tuple[int, ...]:
    return (example[-1], *example[:-1])


def _fits(shape: Sequence, example: tuple[int, ...]) -> bool:
    """Whether examples fit a model's input; where it has no number it takes any."""
    return len(shape) == len(example) and all(
        not isinstance(wanted, int) or wanted == found
        for wanted, found in zip(shape, example, strict=True)
    )


def _single(path: tuple[str, ...], where: str) -> tuple[str, ...]:
    if len(path) != 1:
        raise UserError(f"{where}.path is {path!r}; only kind 'logits' takes several")
    return path


def digest(path: str, where: str) -> str:
    """SHA-256 of the file that the setting `where` names; UserError where there is none."""
    file = Path(path).expanduser()
    if not file.is_file():
        raise UserError(f'{where} is {path!r}, where there is no file; give one that is there')
    return store.file_digest(file)


def _check_module(path: str, where: str) -> None:
    module, _, attribute = path.partition(':')
    if not module or not attribute:
        raise UserError(f"{where}.path is {path!r}; write 'package.module:function'")
    try:
        found = module in sys.modules or importlib.util.find_spec(module) is not None
    except (ImportError, ValueError):
        found = False
    if not found:
        raise UserError(
            f'{where}.path is {path!r}, but there is no module {module}; run where it can be '
            'imported, or add its folder to PYTHONPATH'
        )
