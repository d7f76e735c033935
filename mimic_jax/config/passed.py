"""Configs with Python objects in them: each object is kept, and its name takes its place."""

from collections.abc import Mapping

from mimic_jax.artifacts import objects
from mimic_jax.data import arrays

_SINGLE = ('source',)  # groups that an object may stand for: it is their path


def named(config, where: str = 'config', version: str = ''):
    """A config, nested dicts or a ConfigDict, with names for the objects in it.

    Modules and functions may stand for `model`, for a cache's `source` or for its `path`. The `version`
    beside a `path` names an object that has no name of its own. Arguments of models stay as they are.

    Raises:
      UserError: an object that nothing names.
    """
    if not hasattr(config, 'items'):
        return objects.keep(config, where, version) if callable(config) else config
    found = {}
    for key, value in config.items():
        at = f'{where}.{key}'
        if key == 'model_args':
            found[key] = value
        elif key in _SINGLE and callable(value):
            found[key] = {'path': objects.keep(value, at)}
        elif key == 'path' and isinstance(value, list | tuple):
            found[key] = tuple(named(item, at, config.get('version', '')) for item in value)
        else:
            found[key] = named(value, at, config.get('version', '') if key == 'path' else '')
    return found


def with_data(config: Mapping, data) -> dict:
    """A config whose data are `data`, as `arrays.of` takes them; its other settings of data stay."""
    held = arrays.of(data)
    settings = dict(config.get('data', {}))
    settings |= {'name': 'arrays', 'root': objects.keep(held, 'data')}
    return {**config, 'data': settings}
