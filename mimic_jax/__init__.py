"""Deep teachers, cached logits, shallow students: mimic learning in JAX.

From Python: `load_experiment`, `run`, `load_student`, `open_cache` (see `mimic_jax.api`) and `notation`,
whose `count` and `solve` read nets such as '128c5-p3/2-1200L-30k'.
"""

import importlib

__version__ = '0.1.0'

_API = ('load_experiment', 'load_student', 'open_cache', 'run')


def __getattr__(name: str):
    # Loaded when first used: `import mimic_jax` alone is instant.
    if name in _API:
        return getattr(importlib.import_module('mimic_jax.api'), name)
    if name == 'notation':
        return importlib.import_module('mimic_jax.models.notation')
    raise AttributeError(f'module {__name__!r} has no attribute {name!r}')


def __dir__() -> list[str]:
    return [*globals(), *_API, 'notation']
