"""The experiments that come with the package: beside it in a clone, under share/ of a wheel's prefix."""

import importlib.metadata
from pathlib import Path

PACKAGE, FOLDER = 'mimic_jax', 'experiments'


def find(path: str) -> str:
    """A path that names one of them from another folder than the clone's, made whole; others as they are.

    path: such as 'experiments/digits_student.py'.
    """
    if not Path(path).exists() and Path(path).parent == Path(FOLDER):
        for file in _files():
            if file.name == Path(path).name:
                return str(file)
    return path


def names() -> list[str]:
    """What can stand in --config: 'experiments/cifar_claims.py' and so on."""
    found = sorted(Path(FOLDER).glob('*.py')) or sorted(_files())
    return [f'{FOLDER}/{file.name}' for file in found]


def _files() -> list[Path]:
    beside = Path(__file__).parents[2] / FOLDER
    if beside.is_dir():
        return list(beside.glob('*.py'))
    try:
        installed = importlib.metadata.files(PACKAGE) or []
    except importlib.metadata.PackageNotFoundError:
        return []
    tail = ('share', PACKAGE, FOLDER)
    return [Path(file.locate()).resolve() for file in installed if file.parts[-4:-1] == tail]
