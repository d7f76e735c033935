"""Settings that come from Python: where a value is an object, it is kept, and its name takes its place."""

from collections.abc import Mapping

import ml_collections

from mimic_jax.artifacts import objects
from mimic_jax.config.fields import nearest
from mimic_jax.data import arrays
from mimic_jax.errors import UserError

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


def change(config: ml_collections.ConfigDict, setting: str, value) -> None:
    """Sets 'students.mimic.train.epochs' and the like in a complete config.

    value: of the setting's type; for a model or a source, a module or function.

    Raises:
      UserError: no such setting, a group of settings, or a value of another type.
    """
    *groups, last = setting.split('.')
    here, where = config, 'config'
    for key in (*groups, last):
        if not isinstance(here, ml_collections.ConfigDict) or key not in here:
            known = here if isinstance(here, ml_collections.ConfigDict) else ()
            raise UserError(f'{where} has no setting {key!r}; {nearest(key, known)}')
        here, where = here[key], f'{where}.{key}'
    if (
        isinstance(here, ml_collections.ConfigDict)
        and not hasattr(value, 'items')
        and not callable(value)
    ):
        known = f'set {setting}.kind' if 'kind' in here else f'it has {", ".join(here)}'
        raise UserError(f'{where} is a group of settings; {known}')
    if callable(value):  # a module or function: its name stands for it
        value = objects.keep(value, f'config.{setting}')
        setting = f'{setting}.path' if last == 'source' else setting
        value = (value,) if setting.endswith('.path') else value
    try:
        config.update_from_flattened_dict({setting: value})
    except (TypeError, ValueError):
        raise UserError(f'{where} is {value!r}; it must be of type {type(here).__name__}') from None
