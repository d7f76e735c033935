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
VALUED = ('diabetes', 'friedman1')  # of scikit-learn's, with real-valued targets
FRIEDMAN1 = 12_000  # examples that are drawn, with noise of deviation 1
NAMES = (
    *('digits', 'cifar10', 'npz', 'folder', 'tfds:NAME'),
    *(f'sklearn:{name}' for name in (*TABLES, *VALUED)),
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
      UserError: an unknown name, a file that is not there, or targets of the other kind.
    """
    _check_task(data)
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
    if kind == 'sklearn' and name in (*TABLES, *VALUED):
        return {'name': data.name, 'version': 1}
    known = (*NAMES, *REGISTERED)
    raise UserError(f'config.data.name is {data.name!r}; {nearest(data.name, known)}')


def _check_task(data: Data) -> None:
    """UserError where `data.task` does not fit the source, or another setting does not fit real values."""
    values = data.task == 'regression'
    if data.name in ('npz', 'arrays'):
        pass  # their labels are checked when they are read
    elif data.name.removeprefix('sklearn:') in VALUED and not values:
        raise UserError(
            f'config.data.name is {data.name!r}, whose targets are real values; set config.data.task to '
            "'regression'"
        )
    elif data.name.removeprefix('sklearn:') not in VALUED and values:
        known = ', '.join(('npz', 'arrays', *(f'sklearn:{name}' for name in VALUED)))
        raise UserError(
            f"config.data.task is 'regression', but {data.name!r} has classes; real-valued targets "
            f'come from {known}'
        )
    if values and data.label_noise:
        raise UserError(
            f'config.data.label_noise is {data.label_noise:g}, which flips classes, but the targets are '
            'real values; set it to 0'
        )


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
    """One of scikit-learn's own tables, features [N, F] float32, and what its classes are called."""
    import sklearn.datasets  # a second to import, and needed once a workdir

    if name in VALUED:
        return _load_values(name)
    table = getattr(sklearn.datasets, f'load_{name}')()
    inputs, labels = table.data.astype(np.float32), table.target.astype(np.int32)
    names = tuple(str(word) for word in table.target_names)
    return Source(inputs, labels, inputs[:0], inputs[:0], labels[:0], len(names), names)


def _load_values(name: str) -> Source:
    """A table with a real-valued target: features [N, F] float32, values [N, 1].

    'friedman1': y = 10 sin(π x₁ x₂) + 20 (x₃ − ½)² + 10 x₄ + 5 x₅ and standard normal noise, of ten
    features uniform in 0 to 1, five of which do not matter (Friedman 1991, section 4.3).
    """
    from sklearn import datasets

    if name == 'friedman1':
        inputs, values = datasets.make_friedman1(FRIEDMAN1, noise=1.0, random_state=0)
    else:
        inputs, values = datasets.load_diabetes(return_X_y=True)
    inputs, values = inputs.astype(np.float32), values[:, None].astype(np.float64)
    target = {'diabetes': 'progression', 'friedman1': 'y'}[name]
    return Source(inputs, values, inputs[:0], inputs[:0], values[:0], 1, (target,))
