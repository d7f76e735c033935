"""Where examples come from: each source returns raw arrays, in an order of its own that never changes."""

from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np

from mimic_jax.artifacts import store
from mimic_jax.config.fields import nearest
from mimic_jax.data import array_files, cifar10, image_folder, tfds_labelled
from mimic_jax.data.dataset import Dataset
from mimic_jax.data.settings import Data
from mimic_jax.data.source import Source
from mimic_jax.errors import UserError
from mimic_jax.runtime.progress import Progress

CIFAR10 = ('airplane', 'automobile', 'bird', 'cat', 'deer', 'dog', 'frog', 'horse', 'ship', 'truck')
TABLES = ('breast_cancer', 'digits', 'iris', 'wine')  # that come with scikit-learn
NAMES = (
    *('digits', 'cifar10', 'npz', 'folder', 'tfds:NAME'),
    *(f'sklearn:{name}' for name in TABLES),
)

# Kinds of data set that other rooms bring, by config.data.name: each prepares its Dataset itself.
REGISTERED: dict[str, Callable[[Data, Path, Progress], Dataset]] = {}


def register(name: str, prepare: Callable[[Data, Path, Progress], Dataset]) -> None:
    """Makes `prepare(data, workdir, progress)` what is done for the data sets of a name."""
    REGISTERED[name] = prepare


def identity(data: Data) -> dict:
    """What determines a source's arrays, without reading them where that can be avoided.

    Raises:
      UserError: an unknown name, or a file that is not there.
    """
    match data.name:
        case 'digits':
            return {'name': 'digits', 'version': 'optical recognition of handwritten digits'}
        case 'cifar10':
            return {'name': 'cifar10', 'version': '3.0.2'}
        case 'npz':
            return {'name': 'npz', 'sha256': store.file_digest(_npz_path(data.root))}
        case 'folder':
            return image_folder.identity(data.root)
    kind, _, name = data.name.partition(':')
    if kind == 'tfds':
        return tfds_labelled.identity(name, data.root)
    if kind == 'sklearn' and name in TABLES:
        return {'name': data.name, 'version': 1}
    known = (*NAMES, *REGISTERED)
    raise UserError(f'config.data.name is {data.name!r}; {nearest(data.name, known)}')


def load(data: Data, progress: Callable[[str, int, int], None] | None = None) -> Source:
    """The arrays of the source that `data` names; calls `progress(what, done, total)` on the way."""
    kind, _, name = data.name.partition(':')
    match kind:
        case 'digits':
            return _load_digits()
        case 'sklearn':
            return _load_table(name)
        case 'tfds':
            return tfds_labelled.load(name, data.root)
        case 'folder':
            return image_folder.load(data.root)
        case 'cifar10':
            arrays = cifar10.load(data.root or None, progress)
            return Source(
                inputs=arrays['train_images'],
                labels=arrays['train_labels'],
                unlabelled=arrays['train_images'][:0],
                test_inputs=arrays['test_images'],
                test_labels=arrays['test_labels'],
                num_classes=10,
                class_names=CIFAR10,
            )
        case _:
            return load_npz(_npz_path(data.root))


def load_npz(path: Path) -> Source:
    """A person's own arrays: `images` [N, H, W, C] uint8 or `features` [N, F], with `labels` [N].

    Optional: `unlabelled`, like the inputs; `test_images` or `test_features` with `test_labels`;
    `class_names` [K], text.

    Raises:
      UserError: a file that is no .npz, a missing key, lengths or shapes that do not agree, labels
        that are not whole numbers from 0, numbers that are not finite.
    """
    arrays = array_files.read_npz(path)
    kind = next((key for key in ('images', 'features') if key in arrays), None)
    if kind is None or 'labels' not in arrays:
        raise UserError(f'{path} holds {sorted(arrays)}; it needs labels, and images or features')
    inputs = _inputs(arrays, kind, kind, path)
    labels = _labels(arrays['labels'], 'labels', len(inputs), kind, path)
    empty = inputs[:0]
    test_inputs, test_labels = empty, labels[:0]
    if f'test_{kind}' in arrays or 'test_labels' in arrays:
        for key in (f'test_{kind}', 'test_labels'):
            if key not in arrays:
                raise UserError(f'{path} has half a test split; add {key}')
        test_inputs = _inputs(arrays, f'test_{kind}', kind, path, like=inputs)
        test_labels = _labels(
            arrays['test_labels'], 'test_labels', len(test_inputs), f'test_{kind}', path
        )
    unlabelled = empty
    if 'unlabelled' in arrays:
        unlabelled = _inputs(arrays, 'unlabelled', kind, path, like=inputs)
    if labels.min() == labels.max():
        raise UserError(f'{path}: all labels are {labels[0]}; give examples of at least 2 classes')
    classes = int(max(labels.max(), test_labels.max(initial=0))) + 1
    names = _class_names(arrays, classes, path)
    return Source(inputs, labels, unlabelled, test_inputs, test_labels, classes, names)


def _load_digits() -> Source:
    """Scikit-learn's 1,797 handwritten digits of 8×8 pixels with 17 grey levels, as [N, 8, 8, 1]."""
    from sklearn.datasets import load_digits  # a second to import, and needed once a workdir

    images, labels = load_digits(return_X_y=True)
    # 15 grey levels a step: 0 … 16 become 0 … 240, the nearest whole multiple within uint8.
    inputs = (images.reshape(-1, 8, 8, 1) * 15).astype(np.uint8)
    labels = labels.astype(np.int32)
    return Source(inputs, labels, inputs[:0], inputs[:0], labels[:0], 10, tuple('0123456789'))


def _load_table(name: str) -> Source:
    """One of scikit-learn's own tables, features [N, F] float32 and the names of its classes."""
    import sklearn.datasets  # a second to import, and needed once a workdir

    table = getattr(sklearn.datasets, f'load_{name}')()
    inputs, labels = table.data.astype(np.float32), table.target.astype(np.int32)
    names = tuple(str(word) for word in table.target_names)
    return Source(inputs, labels, inputs[:0], inputs[:0], labels[:0], len(names), names)


def _npz_path(root: str) -> Path:
    if not root:
        raise UserError('config.data.root is empty; set it to the .npz file to read')
    path = Path(root).expanduser()
    if not path.is_file():
        raise UserError(f'config.data.root is {root!r}, where there is no file; give an .npz file')
    return path


def _inputs(
    arrays: Mapping[str, np.ndarray],
    key: str,
    kind: str,
    path: Path,
    like: np.ndarray | None = None,
) -> np.ndarray:
    array = arrays[key]
    rank = {'images': 4, 'features': 2}[kind]
    if array.ndim != rank or array.size == 0:
        form = {'images': '[N, H, W, C]', 'features': '[N, F]'}[kind]
        raise UserError(f'{path}: {key} has shape {array.shape}; it must be {form}, none of them 0')
    if like is not None and array.shape[1:] != like.shape[1:]:
        raise UserError(
            f'{path}: examples in {key} have shape {array.shape[1:]}, in {kind} {like.shape[1:]}; '
            'make them equal'
        )
    if kind == 'images':
        if array.dtype != np.uint8:
            raise UserError(f'{path}: {key} is {array.dtype}; it must be uint8, 0 to 255')
        return array
    if array.dtype.kind not in 'fiu':
        raise UserError(f'{path}: {key} is {array.dtype}; it must be numbers')
    with np.errstate(over='ignore'):  # beyond float32 becomes infinite, which is told below
        array = array.astype(np.float32)
    if not np.isfinite(array).all():
        raise UserError(
            f'{path}: {key} holds numbers that are not finite in float32; remove or replace them'
        )
    return array


def _labels(array: np.ndarray, key: str, count: int, kind: str, path: Path) -> np.ndarray:
    if array.shape != (count,):
        raise UserError(
            f'{path}: {key} have shape {array.shape} and {kind} {count} rows; give one label a row'
        )
    if array.dtype.kind not in 'iu' or not 0 <= array.min() <= array.max() < 2**31 - 1:
        raise UserError(f'{path}: {key} must be whole numbers that count the classes from 0')
    return array.astype(np.int32)


def _class_names(arrays: Mapping[str, np.ndarray], classes: int, path: Path) -> tuple[str, ...]:
    names = arrays.get('class_names')
    if names is None:
        return ()
    if names.shape != (classes,) or names.dtype.kind != 'U':
        raise UserError(
            f'{path}: class_names is {names.dtype} of shape {names.shape}, but labels count '
            f'{classes} classes; give one text a class'
        )
    return tuple(names.tolist())
