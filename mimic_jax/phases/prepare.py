"""Reads a source once, keeps it as plain arrays in the workdir, and divides it into splits."""

import time
from pathlib import Path

import numpy as np

from mimic_jax import artifacts
from mimic_jax.config import Data
from mimic_jax.data import sources, splits
from mimic_jax.progress import Progress


def run(data: Data, workdir: Path, progress: Progress) -> splits.Dataset:
    """The data set of a config; its arrays are memory-mapped from the artifact `data-<id>`."""
    recipe = artifacts.Recipe('data', sources.identity(data))

    def build(folder: Path) -> dict:
        start = time.monotonic()
        source = sources.load(data, progress.count)
        inputs = np.concatenate([source.inputs, source.unlabelled, source.test_inputs])
        unknown = np.full(len(source.unlabelled), -1, np.int32)
        labels = np.concatenate([source.labels, unknown, source.test_labels])
        np.save(folder / 'inputs.npy', inputs)
        np.save(folder / 'labels.npy', labels)
        regions = {
            'pool': len(source.inputs),
            'unlabelled': len(source.unlabelled),
            'test': len(source.test_inputs),
        }
        return {
            'regions': regions,
            'num_classes': source.num_classes,
            'seconds': round(time.monotonic() - start, 3),
        }

    folder = artifacts.make(workdir, recipe, build, progress.say)
    facts = artifacts.manifest(folder)
    content = [facts['files'][name] for name in ('inputs.npy', 'labels.npy')]
    return splits.divide(
        inputs=np.load(folder / 'inputs.npy', mmap_mode='r'),
        labels=np.load(folder / 'labels.npy'),
        regions=facts['regions'],
        num_classes=facts['num_classes'],
        content=artifacts.canonical_json(content),
        data=data,
    )
