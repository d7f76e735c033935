"""A person's own arrays in an .npz file, checked: images or features, labels, and what goes with them."""

from collections.abc import Collection, Mapping
from pathlib import Path

import numpy as np

from mimic_jax.data import array_files, centring, own_labels
from mimic_jax.data.centring import Centre
from mimic_jax.data.settings import Data
from mimic_jax.data.source import Source
from mimic_jax.errors import UserError
from mimic_jax.runtime import files

KINDS = {'images': '[N, H, W, C]', 'features': '[N, F]'}
VALIDATION = ('validation', 'valid', 'val')  # what arrays of a validation split begin with
CENTRING_VERSION = 1  # raise when the same features would be centred otherwise
_PLAIN = Data(name='npz')
_MOST_CHANNELS = 4  # of a picture; more are an instrument's


def identity(data: Data) -> dict:
    """What determines the arrays: the file's content, and how it is read."""
    path = path_of(data.root)
    how = read_as(array_files.names(path), path, data)
    return {'name': 'npz', 'sha256': files.digest(path), **how}


def read_as(held: Collection[str], path: Path | str, data: Data) -> dict:
    """How arrays of these names are read: a part of their identity."""
    how = {'layout': 'chw'} if data.layout == 'chw' else {}
    if data.task == 'regression':
        how['task'] = data.task
    if _validation(held, path):
        how['validation'] = 1
    if data.preprocess == 'feature':
        how['centring'] = CENTRING_VERSION
    return how


def described(data: Data) -> str:
    """A line on the arrays of the file that are not read; empty where all are."""
    path = path_of(data.root)
    held = array_files.names(path)
    kind = next((key for key in KINDS if key in held), '')
    split = _validation(held, path)
    names = 'target_names' if data.task == 'regression' else 'class_names'
    read = {kind, 'labels', 'unlabelled', names, f'test_{kind}', 'test_labels'}
    if split:
        read |= {f'{split}_{kind}', f'{split}_labels'}
    unread = [files.printable(name) for name in held if name not in read]
    if not unread:
        return ''
    return f'{files.printable(data.root)}: arrays that are not read: {files.few(unread)}'


def load(path: Path, data: Data = _PLAIN) -> Source:
    """`images` [N, H, W, C] uint8 or `features` [N, F], with `labels` [N].

    Optional: `unlabelled`, like the inputs; `test_images` or `test_features` with `test_labels`, and
    `validation_images` … (or `valid_`, `val_`) likewise; `class_names` [K], text.
    For regression, labels are real values, [N] or [N, K], and `target_names` [K] name their columns.
    Features become float32; those that preprocessing will standardise are centred first where float32
    would blur them (see `centring`).

    data: its task, layout and preprocessing are read.

    Raises:
      UserError: a file that is no .npz, a missing key, lengths or shapes that do not agree, images that
        look channel-first, labels that are not whole numbers from 0, numbers that are not finite.
    """
    return source(array_files.read_npz(path), path, data)


def source(arrays: Mapping[str, np.ndarray], path: Path | str, data: Data) -> Source:
    """`load` of arrays that are at hand.  path: their name in errors."""
    kind = next((key for key in KINDS if key in arrays), None)
    if kind is None or 'labels' not in arrays:
        raise UserError(f'{path} holds {sorted(arrays)}; it needs labels, and images or features')
    read = _Reader(path, arrays, kind, data)
    inputs = read.inputs(kind)
    labels = read.labels('labels', len(inputs), kind)
    empty = inputs[:0]
    test_inputs, test_labels = read.split('test') or (empty, labels[:0])
    split = _validation(arrays, path)
    held_out, held_out_labels = read.split(split) if split else (None, None)
    unlabelled = read.inputs('unlabelled') if 'unlabelled' in arrays else empty
    if data.task == 'regression':
        classes = labels.shape[1]
        names = own_labels.names(arrays, 'target_names', classes, path)
        names = names or tuple(f'target_{k}' if classes > 1 else 'target' for k in range(classes))
    else:
        if labels.min() == labels.max():
            raise UserError(
                f'{path}: all labels are {labels[0]}; give examples of at least 2 classes'
            )
        known = [each for each in (labels, test_labels, held_out_labels) if each is not None]
        classes = int(max(each.max(initial=0) for each in known)) + 1
        names = own_labels.names(arrays, 'class_names', classes, path)
    return Source(
        inputs=inputs,
        labels=labels,
        unlabelled=unlabelled,
        test_inputs=test_inputs,
        test_labels=test_labels,
        num_classes=classes,
        class_names=names,
        validation_inputs=held_out,
        validation_labels=held_out_labels,
        centre=read.centre,
        merged=centring.merged(arrays[kind], inputs) if kind == 'features' else {},
    )


class _Reader:
    """Reads a file's arrays, each checked and as the first one is."""

    def __init__(self, path: Path | str, arrays: Mapping[str, np.ndarray], kind: str, data: Data):
        self._path, self._arrays, self._kind, self._data = path, arrays, kind, data
        self._like: tuple[int, ...] | None = None
        self._targets: int | None = None  # of real values
        self.centre = Centre()

    def split(self, name: str) -> tuple[np.ndarray, np.ndarray] | None:
        """Inputs and labels of a split of the source's own; None where it has none."""
        inputs, labels = f'{name}_{self._kind}', f'{name}_labels'
        if inputs not in self._arrays and labels not in self._arrays:
            return None
        for key in (inputs, labels):
            if key not in self._arrays:
                raise UserError(f'{self._path} has half a {name} split; add {key}')
        found = self.inputs(inputs)
        return found, self.labels(labels, len(found), inputs)

    def inputs(self, key: str) -> np.ndarray:
        array, kind = self._arrays[key], self._kind
        if array.ndim != len(KINDS[kind].split(',')) or array.size == 0:
            grey = '; add an axis for grey images, images[..., None]' if array.ndim == 3 else ''
            raise UserError(
                f'{self._path}: {key} has shape {array.shape}; it must be {KINDS[kind]}, none of them 0'
                + grey
            )
        if kind == 'images':
            array = self._channels_last(key, array)
        if self._like is not None and array.shape[1:] != self._like:
            raise UserError(
                f'{self._path}: examples in {key} have shape {array.shape[1:]}, in {kind} '
                f'{self._like}; make them equal'
            )
        first, self._like = self._like is None, array.shape[1:]
        return self._images(key, array) if kind == 'images' else self._features(key, array, first)

    def labels(self, key: str, count: int, inputs: str) -> np.ndarray:
        """Classes [N] int32, or real values [N, K] float64."""
        where = own_labels.Where(self._path, key, inputs, count)
        if self._data.task == 'classification':
            return own_labels.classes(self._arrays[key], where)
        values = own_labels.values(self._arrays[key], where, self._targets)
        self._targets = values.shape[1]
        return values

    def _channels_last(self, key: str, array: np.ndarray) -> np.ndarray:
        if self._data.layout == 'chw':
            return np.ascontiguousarray(array.transpose(0, 2, 3, 1))
        if self._data.layout == 'auto' and looks_channel_first(array.shape[1:]):
            raise UserError(
                f'{self._path}: {key} has shape {array.shape}, which looks like [N, C, H, W]; set '
                "config.data.layout to 'chw', or to 'hwc' if it is [N, H, W, C]"
            )
        return array

    def _images(self, key: str, array: np.ndarray) -> np.ndarray:
        if array.dtype != np.uint8:
            raise UserError(f'{self._path}: {key} is {array.dtype}; it must be uint8, 0 to 255')
        return array

    def _features(self, key: str, array: np.ndarray, first: bool) -> np.ndarray:
        if array.dtype.kind not in 'fiu':
            raise UserError(f'{self._path}: {key} is {array.dtype}; it must be numbers')
        with np.errstate(over='ignore'):  # beyond float32 becomes infinite, which is told below
            bad = ~np.isfinite(array.astype(np.float32))
        if bad.any():
            row, column = np.argwhere(bad)[0]
            raise UserError(
                f'{self._path}: {key} holds numbers that are missing or not finite in float32, '
                f'{bad.sum():,} of {bad.size:,}, the first in row {row}, column {column} from 0; remove '
                'or replace them'
            )
        if first and self._data.preprocess == 'feature':
            self.centre = centring.fit(array)
        stored = self.centre.apply(array)
        if not np.isfinite(stored).all():
            raise UserError(
                f'{self._path}: {key} holds numbers too far from those of {self._kind}, in units of '
                'their deviation, for float32; remove or replace them'
            )
        return stored


def looks_channel_first(shape: tuple[int, ...]) -> bool:
    """Whether [H, W, C] is rather [C, H, W]: few channels before two sides of about equal length."""
    channels, height, width = shape
    shortest, longest = sorted((height, width))
    return channels <= _MOST_CHANNELS < shortest and longest <= 4 * shortest


def _validation(held, path: Path | str) -> str:
    """The word that arrays of a validation split begin with; empty where there are none."""
    keys = (*KINDS, 'labels')
    words = [word for word in VALIDATION if any(f'{word}_{key}' in held for key in keys)]
    if len(words) > 1:
        raise UserError(
            f'{path} has arrays of {" and ".join(words)}, both validation splits; remove one of them'
        )
    return words[0] if words else ''


def path_of(root: str) -> Path:
    """The file that config.data.root names; UserError where there is none."""
    if not root:
        raise UserError('config.data.root is empty; set it to the .npz file to read')
    path = files.expand(root)
    if not path.is_file():
        raise UserError(f'config.data.root is {root!r}, where there is no file; give an .npz file')
    return path
