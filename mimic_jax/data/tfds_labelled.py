"""Any data set of image classification that TensorFlow Datasets (TFDS) has prepared, by its name."""

import io
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from mimic_jax.data import image_files, tfds_images, unlabelled
from mimic_jax.data.image_files import Noted
from mimic_jax.data.source import Source, Streamed
from mimic_jax.errors import UserError
from mimic_jax.runtime import files
from mimic_jax.runtime.interrupt import Interrupted

WHERE = 'config.data'


def identity(name: str, root: str) -> dict:
    """Name, version, sizes of its splits, and its files as `listing.digest` says.

    Raises:
      UserError: no such data set prepared, in array_record files, or none with a split 'train'.
    """
    folder, info, lengths = tfds_images.found(name, root, WHERE)
    if not lengths.get('train'):
        raise UserError(f'{folder} has no split train, which config.data needs; choose another')
    test = _test_split(lengths)
    return {
        'name': 'tfds:' + '/'.join(filter(None, (info['name'], info.get('configName')))),
        'version': info.get('version', folder.name),
        'splits': {split: lengths[split] for split in ('train', test) if split},
        **tfds_images.content(folder),
    }


def described(name: str, root: str) -> str:
    """A line on the splits that are not read; empty where all are."""
    folder, _, lengths = tfds_images.found(name, root, WHERE)
    test = _test_split(lengths)
    unread = [
        f'{split} ({count:,} examples)'
        for split, count in sorted(lengths.items())
        if count and split not in ('train', test)
    ]
    if not unread:
        return ''
    return f'{files.printable(folder)}: splits that are not read: {files.few(unread)}'


def load(name: str, root: str, size: int = 0, fit: str = 'cut') -> Source:
    """The splits 'train' and, as the source's own test split, 'test' or else 'validation'.

    Images are uint8, of the first one's size and channels; labels those of the feature 'label' or
    else of the only feature that is a class; the classes' names are the data set's.

    size, fit: where size is above 0, images of any size are resized to a square of that side.

    Raises:
      UserError: as `identity`; no images or no classes among the features; here or while the images
        are drawn a file that is damaged, an image of another size than the first.
    """
    facts = identity(name, root)
    folder, _, lengths = tfds_images.found(name, root, WHERE)
    sources, kinds, images = tfds_images.opened(folder, facts['splits'])
    import tensorflow_datasets as tfds  # which `opened` has loaded

    classes = [key for key, kind in kinds.items() if isinstance(kind, tfds.features.ClassLabel)]
    image, label = _only('image', images), _only('label', classes)
    if image is None or label is None:
        raise UserError(
            f'{folder} has the features {", ".join(sorted(kinds))}, not one image and one class an '
            'example; choose a data set of image classification'
        )
    fit = fit if size else 'none'
    reader = _Reader(folder, image, label, kinds[label].num_classes, fit)
    shape = reader.shape(sources['train'])
    shape = (size, size, shape[2]) if size else shape
    inputs, labels = reader.split('train', sources['train'], lengths['train'], shape)
    nothing = np.empty((0, *shape), np.uint8)
    test_inputs, test_labels = nothing, labels[:0]
    test = _test_split(lengths)
    if test:
        test_inputs, test_labels = reader.split(test, sources[test], lengths[test], shape)
    return Source(
        inputs=inputs,
        labels=labels,
        unlabelled=nothing,
        test_inputs=test_inputs,
        test_labels=test_labels,
        num_classes=kinds[label].num_classes,
        class_names=tuple(kinds[label].names),
        noted=reader.noted,
    )


class _Reader:
    """Reads a prepared data set's records: encoded images by the feature `image`, their `label`."""

    def __init__(self, folder: Path, image: str, label: str, num_classes: int, fit: str):
        self._folder, self._image, self._label = folder, image, label
        self._num_classes, self._fit = num_classes, fit
        self.noted = Noted()

    def shape(self, source) -> tuple[int, int, int]:
        """[H, W, C] of a split's first image."""
        (first,) = self._records(source, range(1))
        return image_files.shape_of(
            io.BytesIO(first[self._image]), f'{self._folder}: the first image'
        )

    def split(
        self, split: str, source, count: int, shape: tuple[int, ...]
    ) -> tuple[Streamed, np.ndarray]:
        """A split's images, and its labels, which are known once the images have been drawn."""
        labels = np.full(count, -1, np.int32)
        size = max(1, unlabelled.CHUNK_BYTES // int(np.prod(shape)))

        def chunks() -> Iterator[np.ndarray]:
            for start in range(0, count, size):
                numbers = range(start, min(start + size, count))
                records = self._records(source, numbers)
                labels[numbers.start : numbers.stop] = [self._class(item) for item in records]
                yield np.stack(
                    [
                        image_files.decode(
                            io.BytesIO(record[self._image]),
                            f'{self._folder}: {split} image {number}',
                            shape,
                            'the first image',
                            self.noted,
                            self._fit,
                        )
                        for number, record in zip(numbers, records, strict=True)
                    ]
                )

        return Streamed((count, *shape), chunks), labels

    def _records(self, source, numbers: range) -> list[dict]:
        try:
            return source.__getitems__(numbers)
        except Interrupted:
            raise
        except Exception as error:  # array_record raises RuntimeError, others their own
            raise tfds_images.damaged(self._folder, error) from error

    def _class(self, record: dict) -> int:
        number = int(record[self._label])
        if not 0 <= number < self._num_classes:
            raise UserError(
                f'{self._folder} has the label {number}, outside its {self._num_classes} classes; '
                'choose a split or data set with labels'
            )
        return number


def _only(preferred: str, keys: list[str]) -> str | None:
    if preferred in keys:
        return preferred
    return keys[0] if len(keys) == 1 else None


def _test_split(lengths: dict[str, int]) -> str:
    return next((split for split in ('test', 'validation') if lengths.get(split)), '')
