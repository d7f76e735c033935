"""Helpers of experiment files: complete configs, presets that change them, reports.

from mimic_jax.config import presets

def get_config(arg=''):
    return presets.build({'data': {'name': 'digits'}, ...}, {'small': small}, arg)

def small(config):
    config.data.train = 100
"""

import dataclasses
import types
import typing
from collections.abc import Callable, Mapping

import ml_collections
from ml_collections import config_dict

from mimic_jax.config import fields
from mimic_jax.config.experiment import Experiment
from mimic_jax.errors import UserError

Preset = Callable[[ml_collections.ConfigDict], None]

# What a long run says of its shorter presets.
SHORTER = ('small takes about an hour on 2 CPU cores', 'smoke takes some minutes')
# The losses that Ba & Caruana's section 2.2 compares: the label of a row, and the settings.
LOSSES = {
    'logits': ('logits (equation 1)', {'kind': 'logits'}),
    'standardised': ('standardised logits', {'kind': 'standardised_logits'}),
    'probabilities': ('probabilities, squared error', {'kind': 'probabilities'}),
    'kl': ('KL divergence', {'kind': 'kl'}),
    'kl_3': ('KL divergence, temperature 3', {'kind': 'kl', 'temperature': 3.0}),
    'hinton': (  # only labelled examples have the hard tenth
        'Hinton: .9 soft at temperature 3, .1 hard',
        {'kind': 'hinton', 'temperature': 3.0, 'soft_weight': 0.9},
    ),
}


def build(
    differing: Mapping, presets: Mapping[str, Preset] | None = None, arg: str = ''
) -> ml_collections.ConfigDict:
    """A config that holds every setting, changed by the presets that `arg` names, in their order.

    differing: what differs from the defaults, nested.  presets: functions that change a config; groups
    that they add may leave settings out.  arg: 'small,smoke'; '' for none.

    Raises:
      UserError: an unknown preset or setting.
    """
    presets = presets or {}
    config = ml_collections.ConfigDict(_copied(differing))
    complete(Experiment, config)
    for name in chosen(arg, presets):
        config.presets = ()  # the advice is for people who chose no preset
        presets[name](config)
        complete(Experiment, config)
    return config


def chosen(arg: str, known: Mapping | tuple[str, ...]) -> list[str]:
    """The presets that 'small,smoke' names; raises UserError for an unknown one."""
    names = [name for name in arg.split(',') if name]
    for name in names:
        if name not in known:
            raise UserError(f'unknown preset {name!r}; this file has {", ".join(known) or "none"}')
    return names


def one_of(names: list[str], known: Mapping | tuple[str, ...], default: str) -> str:
    """The chosen preset that is among `known`; raises UserError where there are several."""
    found = [name for name in names if name in known]
    if len(found) > 1:
        raise UserError(f'presets {" and ".join(found)} exclude each other; name one')
    return found[0] if found else default


def member(model: str, train: Mapping, seed: int = 1) -> dict:
    """A teacher and its training."""
    return {'model': model, 'seed': seed, 'train': dict(train)}


def members(count: int, model: str, train: Mapping, prefix: str = 'cnn') -> dict:
    """Teachers of one architecture, cnn_1 and so on, that differ only in their seeds."""
    return {f'{prefix}_{seed}': member(model, train, seed) for seed in range(1, count + 1)}


def on_labels(model: str, seeds: tuple[int, ...] = (0, 1, 2), **train) -> dict:
    """A student on labels."""
    return {'model': model, 'train': train, 'seeds': seeds}


def mimic(
    model: str,
    logits: str,
    seeds: tuple[int, ...] = (0, 1, 2),
    loss: Mapping | None = None,
    **train,
) -> dict:
    """A student on a cache's logits; the default loss is Ba & Caruana's equation 1."""
    learns = {'target': 'logits', 'logits': logits, 'loss': dict(loss or {'kind': 'logits'})}
    return {**on_labels(model, seeds, **train), **learns}


def logarithmic(low: float, high: float, **settings) -> dict:
    """A number that a search draws evenly on a log scale."""
    return {'low': low, 'high': high, 'log': True, **settings}


def report(ensemble: str, rows: Mapping[str, Mapping], **settings) -> dict:
    """A report of `rows` in the given order; agreement is measured with `ensemble`."""
    return {'ensemble': ensemble, 'rows': rows, 'order': tuple(rows), **settings}


def row(source: str, label: str, paper: float = -1.0, **settings) -> dict:
    """A row of a report: its source, its label, and the paper's figure as a fraction of 1."""
    return {'source': source, 'label': label, 'paper': paper, **settings}


def add_row(config: ml_collections.ConfigDict, name: str, source: str, label: str, **settings):
    """Adds a row at the end of a config's report."""
    config.report.rows[name] = row(source, label, **settings)
    config.report.order = (*config.report.order, name)


def _copied(value):
    """Nested dicts copied: a flag would otherwise change all places that share one dict."""
    return {key: _copied(item) for key, item in value.items()} if hasattr(value, 'items') else value


def complete(cls, config: ml_collections.ConfigDict, where: str = 'config') -> None:
    """Adds to a ConfigDict of the group `cls` every setting that it lacks, with its default.

    Values get the type of their setting, so that flags have it too. Settings that may be left out are
    placeholders of their type.

    Raises:
      UserError: an unknown key, or a required setting that is not there.
    """
    hints = fields.hints_of(cls)
    for key in config:
        if key not in hints:
            raise UserError(f'{where} has no setting {key!r}; {fields.nearest(key, hints)}')
    for field in dataclasses.fields(cls):
        hint, at = hints[field.name], f'{where}.{field.name}'
        if fields.is_group(hint):
            _complete_group(hint, config, field.name, at)
        elif typing.get_origin(hint) is Mapping:
            _complete_entries(typing.get_args(hint)[1], config, field.name, at)
        elif field.name not in config and fields.is_required(field):
            raise UserError(f'{where} has no {field.name}; set it')
        elif isinstance(hint, types.UnionType) and config.get(field.name) is None:
            kind = fields.without_none(hint)
            config[field.name] = config_dict.placeholder(typing.get_origin(kind) or kind)
        elif field.name not in config:
            config[field.name] = field.default
        else:
            value = fields.value_of(hint, config[field.name], at)
            if type(value) is not type(config[field.name]):  # a float for a whole number, a tuple
                del config[field.name]  # for a list: a new entry takes the new value's type
            config[field.name] = value


def _complete_group(cls, config: ml_collections.ConfigDict, key: str, where: str) -> None:
    if key not in config:
        config[key] = ml_collections.ConfigDict()
    if not isinstance(config[key], ml_collections.ConfigDict):
        raise UserError(f'{where} is {config[key]!r}; it must be a group of settings')
    complete(cls, config[key], where)


def _complete_entries(cls, config: ml_collections.ConfigDict, key: str, where: str) -> None:
    if key not in config:
        config[key] = ml_collections.ConfigDict()
    if not isinstance(config[key], ml_collections.ConfigDict):
        raise UserError(f'{where} is {config[key]!r}; it must be a group of named entries')
    for name in config[key]:
        if fields.is_group(cls):
            _complete_group(cls, config[key], name, f'{where}.{name}')
