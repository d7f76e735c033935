"""The images of a data set that TensorFlow Datasets (TFDS) has prepared, without TensorFlow."""

import io
import json
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path

import numpy as np

from mimic_jax.data import cifar10, image_files, listing
from mimic_jax.data.settings import Transfer
from mimic_jax.errors import UserError, first_line
from mimic_jax.runtime import files
from mimic_jax.runtime.interrupt import Interrupted

WHERE = 'config.data.transfer'
INFO = 'dataset_info.json'


def identity(settings: Transfer) -> dict:
    """Name, version, split, number of images, and the files as `listing.digest` says.

    Raises:
      UserError: no such data set prepared, in array_record files, or no such split.
    """
    folder, info, count = _found(settings)
    return {
        'name': '/'.join(filter(None, (info['name'], info.get('configName')))),
        'version': info.get('version', folder.name),
        'split': settings.split,
        'images': count,
        **content(folder),
    }


def content(folder: Path) -> dict:
    """What determines the images of a prepared data set beside its name: its files, and their decoding."""
    names = sorted(files.walk(folder).files)
    return {
        'files_sha256': listing.digest(folder, names),
        'decoding': image_files.VERSION,
    }


def load(
    settings: Transfer, size: int, decode: Callable[[io.BytesIO, str], np.ndarray]
) -> tuple[int, Iterator[np.ndarray]]:
    """How many images the split has, and chunks of `size` of them, [n, H, W, C] uint8.

    decode(file, name) gives one image [H, W, C] of an encoded file.

    Raises:
      UserError: as `identity`; a data set without images, a file that is damaged.
    """
    folder, _, count = _found(settings)
    sources, kinds, keys = opened(folder, [settings.split])
    source = sources[settings.split]
    if not keys:
        raise UserError(f'{folder} has no images among {sorted(kinds)}; choose another data set')
    key = 'image' if 'image' in keys else keys[0]

    def chunks() -> Iterator[np.ndarray]:
        for start in range(0, count, size):
            numbers = range(start, min(start + size, count))
            try:
                examples = source.__getitems__(numbers)
            except Interrupted:
                raise
            except Exception as error:  # array_record raises RuntimeError, others their own
                raise damaged(folder, error) from error
            yield np.stack(
                [
                    decode(io.BytesIO(example[key]), f'{folder}: {settings.split} image {number}')
                    for number, example in zip(numbers, examples, strict=True)
                ]
            )

    return count, chunks()


def _found(settings: Transfer) -> tuple[Path, dict, int]:
    """The prepared data set's folder, its dataset_info.json, and how many images are wanted."""
    folder, info, lengths = found(settings.name, settings.root, WHERE)
    if settings.split not in lengths:
        known = ', '.join(sorted(lengths))
        raise UserError(f'{WHERE}.split is {settings.split!r}; {settings.name} has {known}')
    count = lengths[settings.split]
    if not count:
        raise UserError(f'{WHERE}.split {settings.split!r} of {settings.name} is empty')
    return folder, info, min(count, settings.limit or count)


def found(name: str, root: str, where: str) -> tuple[Path, dict, dict[str, int]]:
    """A prepared data set's folder, its dataset_info.json, and its splits' lengths.

    root: TFDS's data folder, its own default when empty.  where: the setting that names it.

    Raises:
      UserError: none of that name prepared there in array_record files.
    """
    if not name:
        raise UserError(f"{where}.name is empty; name a TFDS data set: 'imagenet_resized/32x32'")
    data_dir = files.expand(root or cifar10.default_data_dir())
    prepare = (
        'prepare it, where TensorFlow is installed, with: '
        f'tfds build {name} --file_format=array_record --data_dir={data_dir}'
    )
    folder = _newest(data_dir / name)
    if folder is None:
        raise UserError(f'{data_dir} holds no prepared {name}; {prepare}')
    try:
        info = json.loads((folder / INFO).read_text())
        lengths = {s['name']: sum(map(int, s['shardLengths'])) for s in info['splits']}
        file_format = info.get('fileFormat', 'tfrecord')
    except (ValueError, KeyError, TypeError) as error:
        raise damaged(folder, error) from error
    if file_format != 'array_record':
        raise UserError(f'{folder} holds {file_format} files, which need TensorFlow; {prepare}')
    return folder, info, lengths


def _newest(folder: Path) -> Path | None:
    """The version of a data set that is prepared in `folder`, the newest of several."""
    if (folder / INFO).is_file():  # the name ends in a version
        return folder
    versions = [
        path
        for path in (folder.iterdir() if folder.is_dir() else ())
        if re.fullmatch(r'\d+\.\d+\.\d+', path.name) and (path / INFO).is_file()
    ]
    return max(versions, key=lambda path: [int(n) for n in path.name.split('.')], default=None)


def opened(folder: Path, splits: Iterable[str]) -> tuple[dict[str, Sequence], dict, list[str]]:
    """The splits of a prepared data set, whose images stay encoded; its features; which are images.

    Raises:
      UserError: a file that is damaged.
    """
    # Importing TFDS takes two seconds, which no other source should have to wait for.
    import tensorflow_datasets as tfds

    try:
        builder = tfds.builder_from_directory(str(folder))
        kinds = dict(builder.info.features.items())
        images = [key for key, kind in kinds.items() if isinstance(kind, tfds.features.Image)]
        skip = {key: tfds.decode.SkipDecoding() for key in images}
        sources = {split: builder.as_data_source(split, decoders=skip) for split in splits}
    except Interrupted:
        raise
    except Exception as error:  # TFDS, protobuf and JSON raise a dozen kinds on a damaged file
        raise damaged(folder, error) from error
    return sources, kinds, images


def damaged(folder: Path, error: Exception) -> UserError:
    """The error for a prepared data set that cannot be read."""
    reason = first_line(error)
    return UserError(f'{folder} cannot be read ({reason}); delete it and prepare it again')
