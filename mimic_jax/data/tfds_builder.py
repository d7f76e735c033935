"""Prepares CIFAR-10 for TensorFlow Datasets (TFDS) on a machine without TensorFlow.

The stock builder reaches for TensorFlow in three places: extracting the archive, reading the
binary files and encoding the images as PNG. The subclass here replaces these three with `tarfile`,
plain reads and Pillow; splits, features, keys, shuffling and the folder layout stay the official
builder's, so that stock `tfds.data_source('cifar10', split='train')` reads what it writes.

Importing this module imports `tensorflow_datasets`, which takes about two seconds.
"""

import gzip
import io
import os
import tarfile
import tempfile
import zlib
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np
import requests
from PIL import Image
from tensorflow_datasets.image_classification import cifar

from mimic_jax.data.cifar10 import ELSEWHERE, NUM_CLASSES
from mimic_jax.errors import UserError, first_line
from mimic_jax.runtime import files
from mimic_jax.runtime.progress import Count

ARCHIVE = 'cifar-10-binary.tar.gz'  # the name it is kept under, whatever the address
RECORD_BYTES = 1 + 3 * 32 * 32  # a label, then the red, the green and the blue plane
TIMEOUT_SECONDS = 60  # without a byte from the server


class Cifar10(cifar.Cifar10, skip_registration=True):
    """The official builder over an archive that `prepare` has downloaded and extracted.

    Unregistered: the name 'cifar10' goes on meaning the official builder.
    """

    name = 'cifar10'
    extracted: Path  # the folder that the archive was extracted into

    def _split_generators(self, dl_manager):
        del dl_manager  # the archive is on the disk already
        return super()._split_generators(_Extracted(self.extracted))

    def _generate_examples(
        self, split_prefix: str, filepaths: Iterable[str]
    ) -> Iterator[tuple[int, dict]]:
        """Yields the official builder's keys and examples, with the images as PNG bytes."""
        index = 0
        for path in filepaths:
            labels, images = read_binary(Path(path))
            for label, image in zip(labels, images, strict=True):
                example_id = f'{split_prefix}{index:05d}'
                yield index, {'id': example_id, 'image': _png(image), 'label': int(label)}
                index += 1


class _Extracted:
    """Stands in for the download manager: answers with the folder extracted beforehand."""

    def __init__(self, folder: Path):
        self._folder = folder

    def download_and_extract(self, url: str) -> str:
        del url
        return str(self._folder)


def prepare(
    data_dir: str | Path,
    url: str | None = None,
    checksum: str | None = None,
    count: Count | None = None,
) -> Path:
    """Downloads CIFAR-10 and writes `<data_dir>/cifar10/<version>/` in array_record format.

    The folder appears under its name only when it is complete: TFDS writes beside it and renames.
    The archive stays in `<data_dir>/downloads/cifar-10-binary.tar.gz`; one with the right checksum
    that is there already (from a killed preparation, or put there by hand) is not downloaded again.

    Args:
        data_dir: TFDS's data folder; made if missing.
        url: of the archive in CIFAR-10's binary format; the official address if None.
        checksum: SHA-256 of the archive in hexadecimal; the one that TFDS has registered for the
            official archive if None, so that a mirror's copy is checked too.
        count: called as `count('downloading CIFAR-10', bytes so far, bytes in all)`.

    Returns:
        The folder. One that exists is left as it is, whatever it holds.

    Raises:
        UserError: the server, the archive, its checksum or the folder is at fault.
    """
    root = files.expand(data_dir)
    official_url, official_checksum = official_archive()
    url, checksum = url or official_url, (checksum or official_checksum).lower()
    folder = prepared_folder(root)
    if folder.exists():
        return folder
    try:
        _prepare(root, url, checksum, count)
    except (OSError, RuntimeError) as error:  # array_record's writer raises RuntimeError
        # Another process that prepares the same data may have put its folder there first.
        if not (folder / 'dataset_info.json').exists():
            raise UserError(
                f'cannot prepare CIFAR-10 in {root} ({first_line(error)}): make it a writable '
                f'folder with 1 GB free, or {ELSEWHERE}'
            ) from error
    return folder


def prepared_folder(data_dir: str | Path) -> Path:
    """Returns the folder under `data_dir` where TFDS keeps the prepared CIFAR-10."""
    return Path(data_dir) / Cifar10.name / str(Cifar10.VERSION)


def official_archive() -> tuple[str, str]:
    """Returns the official archive's address and the SHA-256 that TFDS has registered for it."""
    [(url, info)] = cifar.Cifar10.url_infos.items()
    return url, info.checksum


def download(url: str, checksum: str, folder: Path, count: Count | None = None) -> Path:
    """Returns the archive in `folder`, downloaded from `url` if missing, its SHA-256 checked."""
    archive = folder / ARCHIVE
    if archive.exists() and files.digest(archive) == checksum:
        return archive
    handle, name = tempfile.mkstemp(prefix='incomplete.', dir=folder)
    try:
        with os.fdopen(handle, 'wb') as file:
            _fetch(url, file, archive, count)
        actual = files.digest(Path(name))
        if actual != checksum:
            raise UserError(
                f'{url} has SHA-256 {actual} where {checksum} was expected: try again, '
                f'or put the right archive at {archive}'
            )
        os.replace(name, archive)
    finally:
        Path(name).unlink(missing_ok=True)
    return archive


def extract(archive: Path, folder: Path) -> None:
    """Extracts a tar archive; a member that would land outside `folder` is refused."""
    try:
        with tarfile.open(archive) as tar:
            tar.extractall(folder, filter='data')
    except tarfile.FilterError as error:
        raise UserError(
            f'{archive} is unsafe: {first_line(error)}; delete it and use another source'
        ) from error
    except (tarfile.TarError, gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise UserError(
            f'{archive} is not a whole tar archive ({first_line(error)}): delete it and try again'
        ) from error


def read_binary(path: Path) -> tuple[np.ndarray, np.ndarray]:
    """Reads a file of CIFAR-10's binary format, however many records it has.

    Returns:
        Labels `uint8 [B]` and images `uint8 [B, 32, 32, 3]`.

    Raises:
        UserError: the file ends within a record, is empty, or holds a label above 9.
    """
    data = np.fromfile(path, np.uint8)
    if data.size == 0 or data.size % RECORD_BYTES:
        raise UserError(
            f'{path.name} in the CIFAR-10 archive has {data.size} bytes, not a multiple of '
            f'{RECORD_BYTES}: the archive is damaged, use another source'
        )
    records = data.reshape(-1, RECORD_BYTES)
    labels, planes = records[:, 0], records[:, 1:]
    if labels.max() >= NUM_CLASSES:
        raise UserError(
            f'{path.name} in the CIFAR-10 archive has label {labels.max()} in record '
            f'{labels.argmax()}, above 9: the archive is damaged, use another source'
        )
    return labels, planes.reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1)


def _prepare(root: Path, url: str, checksum: str, count: Count | None) -> None:
    downloads = root / 'downloads'
    downloads.mkdir(parents=True, exist_ok=True)
    archive = download(url, checksum, downloads, count)
    with tempfile.TemporaryDirectory(prefix='incomplete.', dir=downloads) as extracted:
        builder = Cifar10(data_dir=str(root), file_format='array_record')
        builder.extracted = Path(extracted)
        extract(archive, builder.extracted)
        _check_members(archive, builder)
        builder.download_and_prepare()


def _check_members(archive: Path, builder: Cifar10) -> None:
    info = builder._cifar_info
    for name in (*info.train_files, *info.test_files, *info.label_files):
        if not (builder.extracted / info.prefix / name).is_file():
            raise UserError(
                f'{archive} has no {info.prefix}{name}: it is not CIFAR-10 in the binary format, '
                'delete it and use another source'
            )
    for name in info.label_files:
        names = (builder.extracted / info.prefix / name).read_text().split()
        if len(names) != NUM_CLASSES:
            raise UserError(
                f'{archive} names {len(names)} classes in {info.prefix}{name}, not {NUM_CLASSES}: '
                'delete it and use another source'
            )


def _fetch(url: str, file: io.BufferedWriter, archive: Path, count: Count | None) -> None:
    try:
        with requests.get(url, stream=True, timeout=TIMEOUT_SECONDS) as response:
            response.raise_for_status()
            total = int(response.headers.get('Content-Length', 0))
            for block in response.iter_content(1 << 20):
                file.write(block)
                if count:
                    count('downloading CIFAR-10', file.tell(), total)
    except requests.RequestException as error:
        raise UserError(
            f'cannot download {url} ({first_line(error)}): check the network, or put the archive '
            f'at {archive}, or {ELSEWHERE} that holds a prepared cifar10'
        ) from error


def _png(image: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, format='PNG')
    return buffer.getvalue()
