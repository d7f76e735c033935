"""Images in a folder a class: `root/cat/1.png`, or `root/train/cat/1.png` and `root/test/cat/2.png`."""

import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

import numpy as np
from PIL import Image

from mimic_jax.data import unlabelled
from mimic_jax.data.source import Source, Streamed
from mimic_jax.errors import UserError
from mimic_jax.runtime.interrupt import Interrupted

LARGEST = 64_000_000  # pixels of an image: more is a mistake, or meant to exhaust memory
CHANNELS = {'1': 1, 'L': 1, 'LA': 2, 'P': 3, 'RGB': 3, 'RGBA': 4}  # by Pillow's mode, decoded


def identity(root: str) -> dict:
    """What determines the images: their files' names, sizes and times of change.

    Raises:
      UserError: nothing there to read.
    """
    folder = _root(root)
    names = [
        path.relative_to(folder).as_posix()
        for classes in _splits(folder).values()
        for files in classes.values()
        for path in files
    ]
    return {'name': 'folder', 'files_sha256': unlabelled.listing_digest(folder, names)}


def load(root: str) -> Source:
    """All images, uint8 of the first one's size and channels; classes in the order of their names.

    Where `root/train` holds folders, they are the classes, and those of `root/test` the source's own
    test split; what else lies in `root` is not read. Otherwise the folders of `root` are the classes.
    Of a class all files below its folder are read, hidden ones aside, in any format that Pillow opens.

    Raises:
      UserError: by name, here or while the images are drawn: fewer than two classes, a class without
        images or in the test split alone, what is no image, one of another size or number of channels
        than the first, one of more than 64 megapixels.
    """
    folder = _root(root)
    splits = _splits(folder)
    names = tuple(splits['train'])
    strangers = [name for name in splits.get('test', {}) if name not in names]
    if strangers:
        raise UserError(
            f'{folder / "test" / strangers[0]} is a class that {folder / "train"} does not have; '
            'rename or remove it'
        )
    first = next(iter(splits['train'].values()))[0]
    shape = shape_of(first, str(first))
    inputs, labels = _labelled(splits['train'], names, shape, first)
    test_inputs, test_labels = _labelled(splits.get('test', {}), names, shape, first)
    nothing = np.empty((0, *shape), np.uint8)
    return Source(inputs, labels, nothing, test_inputs, test_labels, len(names), names)


def _labelled(
    classes: dict[str, list[Path]], names: tuple[str, ...], shape: tuple[int, ...], first: Path
) -> tuple[Streamed, np.ndarray]:
    files = [path for paths in classes.values() for path in paths]
    labels = [names.index(name) for name, paths in classes.items() for _ in paths]
    size = max(1, unlabelled.CHUNK_BYTES // int(np.prod(shape)))

    def chunks() -> Iterator[np.ndarray]:
        for start in range(0, len(files), size):
            part = files[start : start + size]
            yield np.stack([unlabelled.decode(path, str(path), shape, str(first)) for path in part])

    return Streamed((len(files), *shape), chunks), np.array(labels, np.int32)


def shape_of(file: Path | BinaryIO, name: str) -> tuple[int, int, int]:
    """[H, W, C] of an image, from its header alone; UserError by `name` where there is none."""
    try:
        with warnings.catch_warnings():
            # Pillow warns of a header that promises very many pixels; it is refused below.
            warnings.simplefilter('ignore', Image.DecompressionBombWarning)
            with Image.open(file) as image:
                (width, height), mode = image.size, image.mode
    except Image.DecompressionBombError:
        width = height = LARGEST
        mode = 'RGB'
    except Interrupted:
        raise
    except Exception as error:  # Pillow raises OSError, SyntaxError, ValueError, struct.error ...
        raise UserError(
            f'{name} is no image that Pillow can read ({type(error).__name__}); remove it'
        ) from None
    if width * height > LARGEST:
        raise UserError(f'{name} has more than {LARGEST:,} pixels; make it smaller or remove it')
    if mode not in CHANNELS:
        raise UserError(f'{name} has the mode {mode}; convert it to 8-bit grey levels or RGB')
    return height, width, CHANNELS[mode]


def _root(root: str) -> Path:
    if not root:
        raise UserError('config.data.root is empty; set it to a folder with a folder a class')
    path = Path(root).expanduser()
    if not path.is_dir():
        raise UserError(f'config.data.root is {root!r}, which is no folder; give one that is there')
    return path


def _splits(root: Path) -> dict[str, dict[str, list[Path]]]:
    """The files of every class, sorted, of 'train' and, where the source has it, 'test'."""
    if not _folders(root / 'train'):
        return {'train': _classes(root)}
    return {name: _classes(root / name) for name in ('train', 'test') if _folders(root / name)}


def _classes(folder: Path) -> dict[str, list[Path]]:
    classes = {path.name: _files(path) for path in _folders(folder)}
    if len(classes) < 2:
        raise UserError(
            f'{folder} holds {len(classes)} folders; images belong in a folder a class, of at '
            'least 2 classes'
        )
    for name, files in classes.items():
        if not files:
            raise UserError(f'{folder / name} holds no image; add some to the class or remove it')
    return classes


def _folders(folder: Path) -> list[Path]:
    if not folder.is_dir():
        return []
    return sorted(path for path in folder.iterdir() if path.is_dir() and path.name[0] != '.')


def _files(folder: Path) -> list[Path]:
    return sorted(
        path
        for path in folder.rglob('*')
        if path.is_file() and not any(p.startswith('.') for p in path.relative_to(folder).parts)
    )
