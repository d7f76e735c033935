"""CIFAR-10 from TensorFlow Datasets (TFDS), read and, where missing, prepared without TensorFlow.

Krizhevsky, "Learning Multiple Layers of Features from Tiny Images", 2009: 50,000 training and
10,000 test images of 32×32 pixels in 10 classes.
"""

import io
import os
from pathlib import Path

import numpy as np
from PIL import Image

from mimic_jax.errors import UserError, first_line
from mimic_jax.runtime import files
from mimic_jax.runtime.interrupt import Interrupted
from mimic_jax.runtime.progress import Count

IMAGE_SHAPE = (32, 32, 3)  # [H, W, C]
NUM_CLASSES = 10
ELSEWHERE = 'set TFDS_DATA_DIR or --config.data.root to another folder'
RECORDS_PER_READ = 1000


def load(data_dir: str | Path | None, count: Count | None = None) -> dict[str, np.ndarray]:
    """Reads all of CIFAR-10 into memory, in TFDS's order; downloads and prepares it if missing.

    Decoding the 60,000 images takes 10 to 25 s on one core.

    Args:
        data_dir: TFDS's data folder; if None, TFDS's own default: the environment variable
            TFDS_DATA_DIR, else `~/tensorflow_datasets`.
        count: called as `count(what, done, total)`, in bytes while downloading and in
            images while decoding; a total of 0 is unknown.

    Returns:
        `train_images` uint8 [50000, 32, 32, 3], `train_labels` int32 [50000], and `test_images`
        and `test_labels` likewise with 10,000.

    Raises:
        UserError: the data cannot be downloaded, prepared, read or decoded.
    """
    # Importing TFDS takes two seconds, which no other data set should have to wait for.
    from mimic_jax.data import tfds_builder

    root = files.expand(data_dir or default_data_dir())
    folder = tfds_builder.prepare(root, count=count)
    builder = _open(tfds_builder.Cifar10, root, folder)
    arrays = {}
    for split in ('train', 'test'):
        images, labels = _read_split(builder, split, count)
        arrays |= {f'{split}_images': images, f'{split}_labels': labels}
    return arrays


def default_data_dir() -> str:
    """Returns the folder that TFDS uses when it is given none."""
    return os.environ.get('TFDS_DATA_DIR') or os.path.join('~', 'tensorflow_datasets')


def _open(builder_class, root: Path, folder: Path):
    """Returns the builder of a prepared data set."""
    if not (folder / 'dataset_info.json').is_file():
        raise UserError(f'{folder} has no dataset_info.json, so it is incomplete: {_mend(folder)}')
    try:
        builder = builder_class(data_dir=str(root))
        formats = {file_format.value for file_format in builder.info.available_file_formats()}
        splits = set(builder.info.splits)
    except Interrupted:
        raise
    except Exception as error:  # TFDS, protobuf and JSON raise a dozen kinds on a damaged file
        raise UserError(
            f'{folder} cannot be read ({first_line(error)}): {_mend(folder)}'
        ) from error
    if not {'train', 'test'} <= splits:
        raise UserError(f'{folder} lacks the split train or test: {_mend(folder)}')
    if 'array_record' not in formats:
        raise UserError(
            f'{folder} holds {", ".join(sorted(formats))} files, which need TensorFlow where '
            'array_record does not: set TFDS_DATA_DIR or --config.data.root to another folder'
        )
    return builder


def _read_split(builder, split: str, count) -> tuple[np.ndarray, np.ndarray]:
    """Returns images uint8 [B, 32, 32, 3] and labels int32 [B] of one split."""
    from tensorflow_datasets import decode

    source = builder.as_data_source(split, decoders={'image': decode.SkipDecoding()})
    info = builder.info.splits[split]
    images = np.empty((info.num_examples, *IMAGE_SHAPE), np.uint8)
    labels = np.empty(info.num_examples, np.int32)
    first = 0  # file by file, so that an error can name the file
    for file, length in zip(info.filepaths, info.shard_lengths, strict=True):
        for start in range(0, length, RECORDS_PER_READ):
            stop = min(start + RECORDS_PER_READ, length)
            examples = _read(source, range(first + start, first + stop), file)
            for record, example in enumerate(examples, start):
                images[first + record] = _decode(example['image'], file, record)
                labels[first + record] = example['label']
            if count:
                count(f'decoding CIFAR-10 ({split})', first + stop, info.num_examples)
        first += length
    if not ((labels >= 0) & (labels < NUM_CLASSES)).all():
        folder = Path(builder.data_dir)
        raise UserError(f'{folder} has labels outside 0 to 9: {_mend(folder)}')
    return images, labels


def _read(source, indices: range, file) -> list[dict]:
    try:
        return source.__getitems__(indices)
    except Interrupted:
        raise
    except Exception as error:  # array_record raises RuntimeError, TFDS and protobuf their own
        raise UserError(
            f'{file} cannot be read ({first_line(error)}): {_mend(file.parent)}'
        ) from error


def _decode(png: bytes, file, record: int) -> np.ndarray:
    try:
        with Image.open(io.BytesIO(png), formats=('PNG',)) as image:
            pixels = np.frombuffer(image.tobytes(), np.uint8)
            if image.mode != 'RGB' or image.size != IMAGE_SHAPE[:2]:
                raise ValueError(f'{image.mode} of {image.size} pixels')
            return pixels.reshape(IMAGE_SHAPE)
    except Interrupted:
        raise
    except Exception as error:  # Pillow raises OSError, SyntaxError, ValueError, zlib.error ...
        raise UserError(
            f'{file} has a damaged image in record {record} ({first_line(error)}): {_mend(file.parent)}'
        ) from error


def _mend(folder: Path) -> str:
    return f'delete {folder} to have it prepared again, or {ELSEWHERE}'
