"""The statistics of preprocessing, fitted once a workdir and kept as the artifact `preprocess-<id>`."""

import time
from pathlib import Path

import numpy as np

from mimic_jax.artifacts import store
from mimic_jax.artifacts.recipes import Recipe
from mimic_jax.data import preprocess
from mimic_jax.data.dataset import Dataset
from mimic_jax.runtime.progress import Say, Watch

# Of the files' content. A net's name holds the kind of preprocessing and no version of it, so another
# formula needs another kind.
VERSION = 1

MOST_IMAGES = 100_000  # for ZCA: more would take longer and change the matrix little


def open_fitted(
    workdir: Path,
    data: Dataset,
    say: Say = print,
    watch: Watch = lambda done, total: None,
) -> dict[str, np.ndarray]:
    """The arrays that `preprocess.apply` wants for the data's kind, memory-mapped; {} for most kinds.

    Fits them first where the workdir does not have them yet, on `examples(data)`.
    watch: of `preprocess.fit`.

    Raises:
      UserError: what `preprocess.fit` refuses; a file that has changed since.
    """
    kind = data.preprocess
    if kind not in preprocess.FITTED:
        return preprocess.fit(kind, data.fitted_inputs, data.splits['train'])  # checks the kind

    def build(folder: Path) -> dict:
        start = time.monotonic()
        chosen = examples(data)
        for name, array in preprocess.fit(kind, data.fitted_inputs, chosen, watch).items():
            np.save(folder / f'{name}.npy', array)
        return {'examples': len(chosen), 'seconds': round(time.monotonic() - start, 3)}

    recipe = Recipe(
        'preprocess', {'kind': kind}, data.fingerprint, versions={'statistics': VERSION}
    )
    folder = store.make(workdir, recipe, build, say)
    names = [name for name in store.manifest(folder)['files'] if name.endswith('.npy')]
    return {
        Path(name).stem: np.load(folder / name, mmap_mode='r', allow_pickle=False) for name in names
    }


def examples(data: Dataset) -> np.ndarray:
    """The sorted indices [n] that the data's kind is fitted on: never validation or test examples.

    'channel', 'feature': the split 'train'.  'gcn_zca': 'train' and 'unlabelled', all that
    training may see, but at most 100,000 images: those of 'train' first, then others drawn by a fixed
    seed.
    """
    train = np.asarray(data.splits['train'])
    if data.preprocess in ('channel', 'feature'):
        return np.sort(train)
    unlabelled = np.random.default_rng(0).permutation(data.splits['unlabelled'])
    return np.sort(np.concatenate([train, unlabelled])[:MOST_IMAGES])
