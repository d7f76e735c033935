"""Experiments' config files, loaded as the package's own command loads them."""

import importlib.util
from pathlib import Path

EXPERIMENTS = Path(__file__).parent.parent / 'experiments'


def load(config: str):
    """The ConfigDict that FILE.py or FILE.py:PRESET,PRESET names."""
    path, _, presets = str(config).partition(':')
    found = module(Path(path))
    return found.get_config(presets) if presets else found.get_config()


def module(path: Path):
    spec = importlib.util.spec_from_file_location(path.stem, path)
    found = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(found)
    return found
