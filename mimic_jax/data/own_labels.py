"""Labels that a person has in arrays, checked: classes by number, or real values."""

from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np

from mimic_jax.errors import UserError


class Where(NamedTuple):
    """path: the file.  key: the labels' name in it.  inputs: their examples' name.  count: of these."""

    path: Path | str
    key: str
    inputs: str
    count: int


def classes(labels: np.ndarray, where: Where) -> np.ndarray:
    """[N] int32, numbers of classes from 0.

    Raises:
      UserError: another shape, or what is no such number.
    """
    path, key, inputs, count = where
    if labels.shape != (count,):
        raise UserError(
            f'{path}: {key} have shape {labels.shape} and {inputs} {count} rows; give one label a row'
        )
    if labels.dtype.kind in 'US':
        raise UserError(
            f'{path}: {key} are texts; write them as numbers: class_names, {key} = '
            'numpy.unique(texts, return_inverse=True)'
        )
    missing = np.flatnonzero(np.isnan(labels)) if labels.dtype.kind == 'f' else ()
    if len(missing):
        raise UserError(
            f'{path}: {key} are missing (nan) in {len(missing)} of {count} rows, the first at position '
            f'{missing[0]} from 0; leave these examples out'
        )
    if labels.dtype.kind not in 'iu' or not 0 <= labels.min() <= labels.max() < 2**31 - 1:
        many = ''
        if labels.dtype.kind == 'f':
            many = (
                f', and these are {labels.dtype} of {len(np.unique(labels)):,} different values; for '
                "real-valued targets set config.data.task to 'regression'"
            )
        raise UserError(f'{path}: {key} must be whole numbers that count the classes from 0{many}')
    return labels.astype(np.int32)


def values(labels: np.ndarray, where: Where, targets: int | None = None) -> np.ndarray:
    """Real values of K targets, [N, K] float64, of labels [N] or [N, K].

    targets: K of other splits, where it is known.

    Raises:
      UserError: another shape, or what is no finite number.
    """
    path, key, inputs, count = where
    if labels.shape[:1] != (count,) or labels.ndim not in (1, 2) or labels.size == 0:
        raise UserError(
            f'{path}: {key} have shape {labels.shape} and {inputs} {count} rows; give [N], or [N, K] of '
            'several targets'
        )
    if labels.dtype.kind not in 'fiu':
        raise UserError(
            f"{path}: {key} is {labels.dtype} and config.data.task 'regression', which is for numbers; "
            "give numbers, or set it to 'classification'"
        )
    found = labels.reshape(count, -1).astype(np.float64)
    missing = np.flatnonzero(~np.isfinite(found).all(axis=1))
    if len(missing):
        raise UserError(
            f'{path}: {key} hold {len(missing)} rows that are not finite, the first at position '
            f'{missing[0]} from 0; leave these examples out'
        )
    if targets not in (None, found.shape[1]):
        raise UserError(
            f'{path}: {key} have {found.shape[1]} targets, labels {targets}; make them equal'
        )
    return found


def names(
    arrays: Mapping[str, np.ndarray], key: str, count: int, path: Path | str
) -> tuple[str, ...]:
    """The names of classes, or of real-valued targets; () where there are none.

    key: 'class_names' or 'target_names'.

    Raises:
      UserError: another number of names, or what is no text.
    """
    found, each = arrays.get(key), key.removesuffix('_names')
    if found is None:
        return ()
    if found.shape != (count,) or found.dtype.kind != 'U':
        several = {'class': 'classes', 'target': 'targets'}[each]
        raise UserError(
            f'{path}: {key} is {found.dtype} of shape {found.shape}, but labels count {count} '
            f'{several}; give one text a {each}'
        )
    return tuple(found.tolist())
