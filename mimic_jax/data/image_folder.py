"""Images in a folder a class: `root/cat/1.png`, or `root/train/cat/1.png` and `root/test/cat/2.png`."""

import functools
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np

from mimic_jax.data import folder_layout, image_files, listing, unlabelled
from mimic_jax.data.image_files import Noted
from mimic_jax.data.source import Source, Streamed
from mimic_jax.errors import UserError
from mimic_jax.runtime import files

_USE = {'validation': 'validates', 'test': 'tests'}


def identity(root: str) -> dict:
    """What determines the images: their files' names and content (see `listing.digest`).

    Raises:
      UserError: nothing there to read.
    """
    folder = _root(root)
    names = [
        name
        for _, classes in folder_layout.find(folder).splits.values()
        for found in classes.values()
        for name in found
    ]
    return {
        'name': 'folder',
        'files_sha256': listing.digest(folder, names),
        'version': image_files.VERSION,
    }


def described(root: str) -> str:
    """A line: the classes and how many images each has, by split, and what lies there unread."""
    folder = _root(root)
    layout = folder_layout.find(folder)
    parts = []
    for split, (place, classes) in layout.splits.items():
        counts = [f'{files.printable(name)} {len(found):,}' for name, found in classes.items()]
        use = f'{files.printable(place)} {_USE[split]}: ' if split in _USE else ''
        head = '' if split in _USE else f'{len(classes)} classes: '
        parts.append(f'{head}{use}{files.few(counts)}')
    if layout.unread:
        parts.append(f'not read: {files.few(layout.unread)}')
    return f'{files.printable(root)} has {"; ".join(parts)}'


def load(root: str, size: int = 0, fit: str = 'cut') -> Source:
    """All images, uint8 of the first one's size and channels; classes in the order of their names.

    size, fit: where size is above 0, images of any size are resized to a square of that side.

    `folder_layout` says which folders are splits; those of validation and test are the source's own.
    Of a class all files below its folder are read, hidden ones aside, in any format that Pillow opens.

    Raises:
      UserError: by name, here or while the images are drawn: what `folder_layout.find` refuses, what is
        no image, one of another size or number of channels than the first, one of more than 64
        megapixels.
    """
    folder = _root(root)
    splits = {split: classes for split, (_, classes) in folder_layout.find(folder).splits.items()}
    names = tuple(splits['train'])
    first = folder / next(iter(splits['train'].values()))[0]
    noted, shape = Noted(), image_files.shape_of(first, str(first))
    read = functools.partial(
        _labelled,
        folder,
        names=names,
        shape=(size, size, shape[2]) if size else shape,
        first=first,
        noted=noted,
        fit=fit if size else 'none',
    )
    inputs, labels = read(splits['train'])
    test_inputs, test_labels = read(splits.get('test', {}))
    validation_inputs, validation_labels = read(splits.get('validation', {}))
    return Source(
        inputs=inputs,
        labels=labels,
        unlabelled=np.empty((0, *inputs.shape[1:]), np.uint8),
        test_inputs=test_inputs,
        test_labels=test_labels,
        num_classes=len(names),
        class_names=tuple(map(files.printable, names)),
        validation_inputs=validation_inputs,
        validation_labels=validation_labels,
        noted=noted,
    )


def _labelled(
    folder: Path,
    classes: Mapping[str, Sequence[str]],
    names: tuple[str, ...],
    shape: tuple[int, ...],
    first: Path,
    noted: Noted,
    fit: str,
) -> tuple[Streamed, np.ndarray]:
    paths = [folder / name for found in classes.values() for name in found]
    labels = [names.index(name) for name, found in classes.items() for _ in found]
    size = max(1, unlabelled.CHUNK_BYTES // int(np.prod(shape)))

    def chunks() -> Iterator[np.ndarray]:
        for start in range(0, len(paths), size):
            part = paths[start : start + size]
            yield np.stack(
                [
                    image_files.decode(path, str(path), shape, str(first), noted, fit)
                    for path in part
                ]
            )

    return Streamed((len(paths), *shape), chunks), np.array(labels, np.int32)


def _root(root: str) -> Path:
    if not root:
        raise UserError('config.data.root is empty; set it to a folder with a folder a class')
    path = files.expand(root)
    if not path.is_dir():
        raise UserError(f'config.data.root is {root!r}, which is no folder; give one that is there')
    return path
