"""The experiments that come with the package: beside it in a clone, under share/ of a wheel's prefix."""

import difflib
import importlib.metadata
from pathlib import Path

PACKAGE, FOLDER = 'mimic_jax', 'experiments'


def find(path: str) -> str:
    """The full path of a shipped experiment, from any folder; other paths are returned unchanged.

    path: such as 'experiments/digits_student.py', 'experiments/digits_student' or 'digits_student'.
    """
    if not Path(path).exists() and Path(path).parent in (Path(FOLDER), Path()):
        for file in _files():
            if Path(path).name in (file.name, file.stem):
                return str(file)
    return path


def experiment_name(path: Path | str, presets: str) -> str:
    """The name of an experiment's report: the file's stem and the presets, joined by '_'."""
    return '_'.join([Path(path).stem, *filter(None, presets.split(','))])


def names() -> list[str]:
    """The values that --config takes: 'experiments/cifar_claims.py' and so on."""
    found = sorted(Path(FOLDER).glob('*.py')) or sorted(_files())
    return [f'{FOLDER}/{file.name}' for file in found]


def nearest(path: str) -> str:
    """The end of an error about a path that is not there: the nearest of `names`, or all of them."""
    known = {Path(name).stem: name for name in names()}
    found = difflib.get_close_matches(Path(path).stem, known, n=1)
    return f'did you mean {known[found[0]]}?' if found else f'there are {", ".join(names())}'


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
