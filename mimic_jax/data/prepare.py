"""Reads a source once, keeps it as plain arrays in the workdir, and divides it into splits."""

import dataclasses
import functools
import time
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np

from mimic_jax.artifacts import store
from mimic_jax.artifacts.recipes import Recipe, canonical_json
from mimic_jax.data import (
    duplicates,
    kinds,
    remarks,
    sources,
    splits,
    statistics,
    synthetic,
    unlabelled,
)
from mimic_jax.data.centring import Centre
from mimic_jax.data.dataset import Dataset
from mimic_jax.data.image_files import Noted
from mimic_jax.data.settings import Data
from mimic_jax.data.source import Streamed
from mimic_jax.runtime.progress import Progress

INPUTS, LABELS, DIGESTS = 'inputs.npy', 'labels.npy', 'digests.npy'


def run(data: Data, workdir: Path, progress: Progress) -> Dataset:
    """The data set of a config; its arrays are memory-mapped from the artifact `data-<id>`."""
    if data.name in sources.REGISTERED:
        return sources.REGISTERED[data.name](data, workdir, progress)
    identity = sources.identity(data)
    if data.transfer.kind == 'munge':
        identity = {**identity, 'transfer': synthetic.identity(data)}
    elif data.transfer.kind != 'none':
        identity = {**identity, 'transfer': unlabelled.identity(data.transfer)}
    folder = store.make(
        workdir,
        Recipe('data', identity),
        lambda folder: _build(folder, data, progress),
        progress.say,
    )
    facts = store.manifest(folder)
    inputs = np.load(folder / INPUTS, mmap_mode='r', allow_pickle=False)
    centre = facts.get('centre', {})
    content = [facts['files'][name] for name in (INPUTS, LABELS)] + ([centre] if centre else [])
    dataset = splits.divide(
        inputs=inputs,
        labels=np.load(folder / LABELS, allow_pickle=False),
        regions=facts['regions'],
        num_classes=facts['num_classes'],
        content=canonical_json(content),
        data=data,
        digests=_digests(folder, inputs),
        transferred=facts['transferred'],
    )
    dataset = dataclasses.replace(
        dataset,
        class_names=tuple(facts['class_names']),
        centre=Centre.from_json(centre),
        fit=facts.get('fit', 'none'),
    )
    for line in (*_found(data), *remarks.lines(dataset, data, facts)):
        progress.say(line)
    return dataset


def _found(data: Data) -> Iterator[str]:
    """Lines on what was found and what of it is not read. Looked up anew: no artifact holds it."""
    for found in (sources.described(data), unlabelled.described(data.transfer)):
        if found:
            yield found


def _build(folder: Path, data: Data, progress: Progress) -> dict:
    """Writes the examples region after region; images from elsewhere are never all in memory."""
    start = time.monotonic()
    source = sources.load(data, progress.count)
    count, images, reading = 0, iter(()), 'reading unlabelled images'
    noted = Noted()
    if data.transfer.kind == 'munge':
        count, images = data.transfer.limit, iter([synthetic.make(data, source)])
        reading = 'making synthetic rows'
    elif data.transfer.kind != 'none':
        count, images = unlabelled.load(data.transfer, source.inputs.shape[1:], noted)
    regions = {
        'pool': len(source.inputs),
        'unlabelled': len(source.unlabelled) + count,
        'test': len(source.test_inputs),
    }
    unknown = kinds.of(source.labels).unknown(regions['unlabelled'], source.num_classes)
    labels = [source.labels, unknown, source.test_labels]
    held_out = source.validation_inputs
    if held_out is not None and len(held_out):
        regions['validation'] = len(held_out)
        labels.append(source.validation_labels)

    def parts() -> Iterator[np.ndarray]:
        done = 0
        yield from _chunks(source.inputs, 'reading images', progress)
        yield source.unlabelled
        for chunk in images:
            yield chunk
            done += len(chunk)
            progress.count(reading, done, count)
        yield from _chunks(source.test_inputs, 'reading test images', progress)
        if 'validation' in regions:
            yield from _chunks(held_out, 'reading validation images', progress)

    shape = (sum(regions.values()), *source.inputs.shape[1:])
    _save(folder / INPUTS, shape, source.inputs.dtype, parts())
    # After the inputs: labels of streamed images are known once the images have been read.
    np.save(folder / LABELS, np.concatenate(labels))
    inputs = np.load(folder / INPUTS, mmap_mode='r', allow_pickle=False)
    watch = functools.partial(progress.count, 'looking for equal examples')
    np.save(folder / DIGESTS, duplicates.digests(inputs, watch))
    return {
        'regions': regions,
        'transferred': count,
        'num_classes': source.num_classes,
        'class_names': list(source.class_names),
        'noted': [*source.noted.lines(), *noted.lines()],
        'centre': source.centre.as_json(),
        'fit': data.fit if data.size else 'none',
        'merged': {str(column): list(counts) for column, counts in source.merged.items()},
        'seconds': round(time.monotonic() - start, 3),
    }


def _chunks(inputs: np.ndarray | Streamed, what: str, progress: Progress) -> Iterator[np.ndarray]:
    if isinstance(inputs, np.ndarray):
        yield inputs
        return
    done = 0
    for chunk in inputs.chunks():
        yield chunk
        done += len(chunk)
        progress.count(what, done, len(inputs))


def _save(path: Path, shape: tuple[int, ...], dtype: np.dtype, parts: Iterable[np.ndarray]) -> None:
    """What `numpy.save` writes of the parts together, without holding more than one of them."""
    header = {
        'descr': np.lib.format.dtype_to_descr(dtype),
        'fortran_order': False,
        'shape': shape,
    }
    with path.open('wb') as file:
        np.lib.format.write_array_header_1_0(file, header)
        for part in parts:
            file.write(np.ascontiguousarray(part).data)


def _digests(folder: Path, inputs: np.ndarray) -> np.ndarray | None:
    if (folder / DIGESTS).is_file():
        return np.load(folder / DIGESTS, allow_pickle=False)
    return duplicates.digests(inputs)  # an older version wrote none


def fit(workdir: Path, data: Dataset, progress: Progress) -> None:
    """Writes the artifact `preprocess-<id>` where the data's kind of preprocessing is fitted.

    Called before any net is trained, so that data which cannot be fitted to is refused at once.
    """
    watch = functools.partial(progress.count, f'fitting {data.preprocess}')
    statistics.open_fitted(workdir, data, progress.say, watch)
