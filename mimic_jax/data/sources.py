"""Where examples come from: each source returns raw arrays, in an order of its own that never changes."""

from collections.abc import Callable
from pathlib import Path

import numpy as np

from mimic_jax.artifacts import objects
from mimic_jax.config.fields import nearest
from mimic_jax.data import cifar10, image_folder, npz, tfds_labelled
from mimic_jax.data.dataset import Dataset
from mimic_jax.data.npz import load as load_npz
from mimic_jax.data.settings import Data
from mimic_jax.data.source import Source
from mimic_jax.errors import UserError
from mimic_jax.runtime.progress import Count, Progress

CIFAR10 = ('airplane', 'automobile', 'bird', 'cat', 'deer', 'dog', 'frog', 'horse', 'ship', 'truck')
TABLES = ('breast_cancer', 'digits', 'iris', 'wine')  # that come with scikit-learn
NAMES = (
    *('digits', 'cifar10', 'npz', 'folder', 'tfds:NAME'),
    *(f'sklearn:{name}' for name in TABLES),
)

# Values that are not those of the original, by config.data.name.
SCALED = {'digits': 'scikit-learn’s 0 to 16, times 15'}

# Kinds of data set that other rooms bring, by config.data.name: each prepares its Dataset itself.
REGISTERED: dict[str, Callable[[Data, Path, Progress], Dataset]] = {}


def register(name: str, prepare: Callable[[Data, Path, Progress], Dataset]) -> None:
    """Has `prepare(data, workdir, progress)` make the data set where config.data has this name."""
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
            return npz.identity(data)
        case 'arrays':
            held = objects.kept(data.root, 'config.data.root')
            return {'name': 'arrays', 'object': data.root, **npz.read_as(held, 'data', data)}
        case 'folder':
            return {**image_folder.identity(data.root), **_resized(data)}
    kind, _, name = data.name.partition(':')
    if kind == 'tfds':
        return {**tfds_labelled.identity(name, data.root), **_resized(data)}
    if kind == 'sklearn' and name in TABLES:
        return {'name': data.name, 'version': 1}
    known = (*NAMES, *REGISTERED)
    raise UserError(f'config.data.name is {data.name!r}; {nearest(data.name, known)}')


def _resized(data: Data) -> dict:
    return {'size': data.size, 'fit': data.fit} if data.size else {}


def described(data: Data) -> str:
    """A line on what was found and what of it is not read; empty where there is nothing to say."""
    kind, _, name = data.name.partition(':')
    match kind:
        case 'folder':
            return image_folder.described(data.root)
        case 'npz':
            return npz.described(data)
        case 'tfds':
            return tfds_labelled.described(name, data.root)
        case _:
            return ''


def load(data: Data, count: Count | None = None) -> Source:
    """The arrays of the source that `data` names; counts on the way."""
    kind, _, name = data.name.partition(':')
    match kind:
        case 'digits':
            return _load_digits()
        case 'sklearn':
            return _load_table(name)
        case 'tfds':
            return tfds_labelled.load(name, data.root, data.size, data.fit)
        case 'folder':
            return image_folder.load(data.root, data.size, data.fit)
        case 'cifar10':
            arrays = cifar10.load(data.root or None, count)
            return Source(
                inputs=arrays['train_images'],
                labels=arrays['train_labels'],
                unlabelled=arrays['train_images'][:0],
                test_inputs=arrays['test_images'],
                test_labels=arrays['test_labels'],
                num_classes=10,
                class_names=CIFAR10,
            )
        case 'arrays':
            return npz.source(objects.kept(data.root, 'config.data.root'), 'data', data)
        case _:
            return load_npz(npz.path_of(data.root), data)


def _load_digits() -> Source:
    """Scikit-learn's 1,797 handwritten digits of 8×8 pixels with 17 grey levels, as [N, 8, 8, 1]."""
    from sklearn.datasets import load_digits  # a second to import, and needed once a workdir

    images, labels = load_digits(return_X_y=True)
    # 15 grey levels a step: 0 … 16 become 0 … 240, the nearest whole multiple within uint8.
    inputs = (images.reshape(-1, 8, 8, 1) * 15).astype(np.uint8)  # a report says SCALED
    labels = labels.astype(np.int32)
    return Source(inputs, labels, inputs[:0], inputs[:0], labels[:0], 10, tuple('0123456789'))


def _load_table(name: str) -> Source:
    """One of scikit-learn's own tables, features [N, F] float32 and the names of its classes."""
    import sklearn.datasets  # a second to import, and needed once a workdir

    table = getattr(sklearn.datasets, f'load_{name}')()
    inputs, labels = table.data.astype(np.float32), table.target.astype(np.int32)
    names = tuple(str(word) for word in table.target_names)
    return Source(inputs, labels, inputs[:0], inputs[:0], labels[:0], len(names), names)
