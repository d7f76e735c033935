"""ONNX models as teachers: which layout, batch and output a model has, and its answers."""

from collections.abc import Callable, Sequence

import numpy as np

from mimic_jax.errors import UserError, first_line
from mimic_jax.runtime import files
from mimic_jax.runtime.interrupt import Interrupted
from mimic_jax.runtime.progress import Say

Apply = Callable[[np.ndarray], np.ndarray]

_TYPES = {
    'tensor(float)': np.float32,
    'tensor(double)': np.float64,
    'tensor(float16)': np.float16,
    'tensor(uint8)': np.uint8,
}
_FLOATS = ('tensor(float)', 'tensor(double)', 'tensor(float16)')
_CHANNELS = ('c', 'channel', 'channels', 'num_channels', 'in_channels')  # what exporters call it


def load(
    path: str,
    example: tuple[int, ...],
    num_classes: int,
    where: str,
    layout: str = 'auto',
    output: str = '',
    say: Say = lambda line: None,
) -> Apply:
    """An ONNX model as a callable: inputs [B, ...] to answers, [B, K] where they are logits.

    example: the shape of one input, of images [H, W, C].  where: the setting that names the teacher.
    layout: 'channels_last' or 'channels_first', which gives the model images [B, C, H, W]; 'auto': as
    its input's shape says. Where the shape says nothing, one image is tried either way.
    output: the name of the output to take, '' for the only one that can be logits.
    say: called with a line where the layout is a guess.

    Inputs take the model's type. A model of a fixed batch size gets batches of that size, the last of
    them padded.

    Raises:
      UserError: no onnxruntime, no model, one that does not take such examples, a choice of outputs;
        when called, a batch that the model fails on.
    """
    session, onnxruntime = _opened(path, where)
    inputs = session.get_inputs()
    if len(inputs) != 1 or inputs[0].type not in _TYPES:
        wants = ', '.join(f'{given.name} {given.type}' for given in inputs)
        raise UserError(f'{path} wants the inputs {wants}; it must want one array of numbers')
    (taken,) = inputs
    dtype, size = _TYPES[taken.type], _batch_size(taken.shape)
    chosen = _output(session.get_outputs(), num_classes, path, where, output)

    def works(first: bool) -> bool:
        zeros = np.zeros((size or 1, *(_first(example) if first else example)), dtype)
        return _works(session, onnxruntime.RunOptions(), chosen, {taken.name: zeros})

    first = _is_first(taken.shape[1:], example, layout, works, say, path, where)

    def run(batch: np.ndarray) -> np.ndarray:
        try:
            return session.run([chosen], {taken.name: batch})[0]
        except Interrupted:
            raise
        except Exception as error:
            raise UserError(
                f'{path} fails on a batch of shape {list(batch.shape)} ({first_line(error)}); export it '
                f'anew for that, or set {where}.layout'
            ) from None

    def apply(batch: np.ndarray) -> np.ndarray:
        batch = np.moveaxis(batch, -1, 1) if first else batch
        batch = np.ascontiguousarray(_cast(batch, dtype, path, where))
        return _in_batches(run, batch, size) if size else run(batch)

    return apply


def _opened(path: str, where: str):
    try:
        import onnxruntime
    except ImportError:
        raise UserError(
            "an ONNX teacher needs onnxruntime, which is not installed; run pip install -e '.[onnx]'"
        ) from None
    try:
        session = onnxruntime.InferenceSession(
            str(files.expand(path)), providers=onnxruntime.get_available_providers()
        )
    except Interrupted:
        raise
    except Exception as error:  # onnxruntime's exceptions have no common base of their own
        raise UserError(
            f'{where}.path is {path!r}, which cannot be run ({first_line(error)})'
        ) from None
    return session, onnxruntime


def _works(session, options, chosen: str, given: dict) -> bool:
    """Whether the model runs on inputs. It may be expected to fail, so onnxruntime logs nothing."""
    options.log_severity_level = 4
    try:
        session.run([chosen], given, options)
    except Interrupted:
        raise
    except Exception:  # onnxruntime's exceptions have no common base of their own
        return False
    return True


def _is_first(
    shape: Sequence,
    example: tuple[int, ...],
    layout: str,
    works: Callable[[bool], bool],
    say: Say,
    path: str,
    where: str,
) -> bool:
    """Whether the model is given channels first.  shape: of one input, as the model declares it."""
    last_fits = layout != 'channels_first' and _fits(shape, example)
    first_fits = layout != 'channels_last' and len(example) == 3 and _fits(shape, _first(example))
    if not last_fits and not first_fits:
        given = '' if layout == 'auto' else f' given {layout.replace("_", " ")}'
        raise UserError(
            f'{path} wants examples of shape {list(shape)}, but the data have {list(example)}{given}; '
            'export it anew for that'
        )
    if not (last_fits and first_fits):
        return first_fits
    last_works, first_works = works(first=False), works(first=True)
    if not (last_works and first_works):  # where neither does, the first batch shows why
        return first_works
    begins, ends = (str(axis).lower() in _CHANNELS for axis in (shape[0], shape[-1]))
    if begins != ends:
        return begins
    say(
        f'warning: the axes {list(shape)} of {path} do not tell whether channels come first or last; it '
        f'is given them last; set {where}.layout to channels_first or channels_last'
    )
    return False


def _output(outputs: Sequence, classes: int, path: str, where: str, wanted: str) -> str:
    """The name of the output to take."""
    listed = ', '.join(f'{each.name} {_words(each)}' for each in outputs)
    by_name = {each.name: each for each in outputs}
    possible = [each for each in outputs if _may_be_logits(each, classes)]
    if wanted and wanted not in by_name:
        raise UserError(f'{where}.output is {wanted!r}, but {path} has the outputs {listed}')
    if not wanted and len(outputs) > 1 and possible != list(outputs[:1]):
        raise UserError(
            f'{path} has {len(outputs)} outputs: {listed}; set {where}.output to the name of the one '
            f'with the logits [{classes} classes]'
        )
    chosen = by_name[wanted] if wanted else outputs[0]
    if chosen not in possible and chosen.type not in _FLOATS:
        others = ', '.join(each.name for each in possible)
        way_out = f'set {where}.output to {others}' if others else 'export it with its logits'
        raise UserError(
            f'the output {chosen.name} of {path} is {_words(chosen)}, which is no logits of {classes} '
            f'classes; {way_out}'
        )
    return chosen.name


def _words(output) -> str:
    """Type and shape, as `float [N, 10]`; integers are marked, since they are no logits."""
    kind = output.type.removeprefix('tensor(').removesuffix(')')
    integers = ' (integers, such as class numbers)' if 'int' in kind and '(' not in kind else ''
    return f'{kind} {list(output.shape or [])}{integers}'


def _may_be_logits(output, classes: int) -> bool:
    """Whether an output can be [B, K]; floats of unknown shape can."""
    floats, shape = output.type in _FLOATS, output.shape
    if not shape:
        return floats
    return (
        len(shape) == 2
        and (shape[1] == classes if isinstance(shape[1], int) else floats)
        and output.type.startswith('tensor(')
    )


def _cast(batch: np.ndarray, dtype, path: str, where: str) -> np.ndarray:
    """The batch in the model's type; pixels as floats are rounded, where the model wants integers."""
    if dtype != np.uint8 or batch.dtype == np.uint8:
        return batch.astype(dtype)
    whole = np.rint(batch)
    scaled = batch.max() <= 1 and not np.array_equal(whole, batch)  # no pixels, or over 255
    if scaled or not ((batch >= 0) & (batch <= 255)).all():
        raise UserError(
            f'{path} wants uint8 pixels from 0 to 255, and is given values from {batch.min():g} to '
            f"{batch.max():g}; set {where}.inputs to 'raw', or export it for floats"
        )
    return whole.astype(dtype)


def _in_batches(run: Apply, batch: np.ndarray, size: int) -> np.ndarray:
    """Answers of a model that takes `size` examples at a time; padding repeats the last example."""
    parts = []
    for start in range(0, len(batch), size):
        part = batch[start : start + size]
        missing = size - len(part)
        padded = np.concatenate([part, np.repeat(part[-1:], missing, axis=0)]) if missing else part
        parts.append(np.asarray(run(padded))[: len(part)])
    return np.concatenate(parts)


def _batch_size(shape: Sequence) -> int:
    """The number of examples that a model takes at a time; 0 for any."""
    return shape[0] if shape and isinstance(shape[0], int) and shape[0] > 0 else 0


def _first(example: tuple[int, ...]) -> tuple[int, ...]:
    return (example[-1], *example[:-1])


def _fits(shape: Sequence, example: tuple[int, ...]) -> bool:
    """Whether examples fit a model's input; where it has no number it takes any."""
    return len(shape) == len(example) and all(
        not isinstance(wanted, int) or wanted < 1 or wanted == found
        for wanted, found in zip(shape, example, strict=True)
    )
