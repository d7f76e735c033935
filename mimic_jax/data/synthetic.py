"""Synthetic transfer examples, made of the training examples of a table by MUNGE."""

import dataclasses

import numpy as np

from mimic_jax.data import duplicates, munge, splits
from mimic_jax.data.settings import Data
from mimic_jax.data.source import Source
from mimic_jax.errors import UserError

WHERE = 'config.data.transfer'


def identity(data: Data) -> dict:
    """What determines the examples beside the source: MUNGE's settings, and which examples train."""
    settings = data.transfer
    if not settings.limit:
        raise UserError(f"{WHERE}.limit is 0; with kind 'munge' set how many examples to make")
    return {
        'kind': settings.kind,
        'limit': settings.limit,
        'swap': settings.swap,
        'spread': settings.spread,
        'split': [data.seed, data.train, data.validation, data.test],
        **({'twins': 'drop'} if data.twins == 'drop' else {}),
    }


def make(data: Data, source: Source) -> np.ndarray:
    """[limit, F] float32, made of the split 'train' alone: not of what validates or tests.

    Raises:
      UserError: examples that are images, or too few.
    """
    if source.inputs.ndim != 2:
        raise UserError(
            f"{WHERE}.kind is 'munge', which makes rows of a table, but the examples have shape "
            f"{tuple(source.inputs.shape[1:])}; set it to 'none', or give features [N, F]"
        )
    train = _train(data, source)
    settings = data.transfer
    try:
        made = munge.munge(
            source.inputs[train], settings.limit, settings.swap, settings.spread, data.seed
        )
    except ValueError as error:
        raise UserError(f"{WHERE}.kind is 'munge', but {error}; change config.data.train") from None
    return made.astype(np.float32)


def _train(data: Data, source: Source) -> np.ndarray:
    """The positions of the training examples, as `splits.divide` has them."""
    parts = [source.inputs, source.test_inputs]
    if source.validation_inputs is not None:
        parts.append(source.validation_inputs)
    regions = dict(zip(('pool', 'test', 'validation'), map(len, parts), strict=False))
    inputs = np.concatenate(parts)
    divided = splits.divide(
        inputs,
        np.zeros(len(inputs), np.int32),
        {**regions, 'unlabelled': 0},
        num_classes=2,
        content='',
        data=dataclasses.replace(data, label_noise=0.0),
        digests=duplicates.digests(inputs) if data.twins == 'drop' else None,
    )
    return divided.splits['train']
