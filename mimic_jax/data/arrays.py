"""Arrays or a table that were passed straight to a run, in the form of an .npz file's arrays."""

import numbers
from collections.abc import Mapping

import numpy as np

from mimic_jax.errors import UserError


class Arrays(dict):
    """Arrays by the names of an .npz file: `images` or `features`, `labels`, `class_names` and so on."""


def of(data) -> Arrays:
    """The arrays of (X, y), or of a dict of arrays by the names that an .npz file would have.

    X: uint8 images [N, H, W, C], features [N, F], or a pandas DataFrame of numbers.
    y: whole numbers from 0, or texts, which become classes in their order; for regression real values,
    [N] or [N, K]; or the name of a column of X, or several names, of real values.

    Raises:
      UserError: another form, or a column of X that holds no numbers.
    """
    if isinstance(data, Mapping) and not hasattr(data, 'columns'):
        return Arrays({key: np.asarray(value) for key, value in data.items()})
    if not isinstance(data, list | tuple) or len(data) != 2:
        raise UserError(
            f'data is {type(data).__name__}; give (X, y), or a dict of arrays such as '
            "{'images': X, 'labels': y}"
        )
    inputs, labels = data
    if hasattr(inputs, 'columns'):
        inputs, labels = _table(inputs, labels)
    named = _target_names(labels)
    inputs, labels = np.asarray(inputs), _labels(labels)
    found = Arrays({'images' if inputs.ndim == 4 else 'features': inputs})
    if labels.dtype.kind in 'OUS':
        names, labels = np.unique(labels.astype(str), return_inverse=True)
        found['class_names'] = names
    elif labels.dtype.kind == 'b':
        labels = labels.astype(np.int32)
    elif named and (labels.dtype.kind == 'f' or labels.ndim == 2):
        found['target_names'] = np.array(named)
    return Arrays({**found, 'labels': labels})


def _labels(labels) -> np.ndarray:
    """Labels as an array; whole numbers of any type become int64, missing ones are refused."""
    found = each = np.asarray(labels)
    texts = found.dtype.kind in 'OUS'
    if texts:  # of ['cat', nan] NumPy would make the text 'nan'
        each = np.asarray(labels, dtype=object).ravel()
        missing = [number for number, label in enumerate(each) if _is_missing(label)]
    else:  # pandas gives missing whole numbers as nan
        missing = (
            np.flatnonzero(np.isnan(found)) if found.dtype.kind == 'f' and found.ndim == 1 else []
        )
    if len(missing):
        raise UserError(
            f'data: {len(missing)} of {len(each)} labels are missing, the first at position '
            f'{missing[0]} from 0; leave these examples out'
        )
    if texts and len(each) and all(_is_whole(label) for label in each):
        return found.astype(np.int64)
    return found


def _is_missing(label) -> bool:
    if isinstance(label, float | np.floating):
        return bool(np.isnan(label))
    return label is None or type(label).__name__ in ('NAType', 'NaTType')  # of pandas


def _is_whole(label) -> bool:
    whole = isinstance(label, numbers.Integral) and not isinstance(label, bool)
    return whole and abs(label) < 2**63


def _target_names(labels) -> list[str]:
    """What pandas calls the columns of labels; [] where they have no names."""
    if hasattr(labels, 'columns'):
        return [str(name) for name in labels.columns]
    name = getattr(labels, 'name', None)
    return [str(name)] if name is not None else []


def _table(frame, labels):
    """The columns of a table as [N, F], without those that hold the labels, and the labels."""
    if isinstance(labels, list | tuple) and all(isinstance(name, str) for name in labels):
        # As many texts as rows are labels themselves.
        columns = list(labels) if 0 < len(labels) != len(frame) else []
    else:
        # A file without a head has numbers for names.
        columns = [labels] if np.isscalar(labels) else []
    for name in columns:
        if name not in frame.columns:
            raise UserError(
                f'data has no column {name!r}; it has {", ".join(map(str, frame.columns))}'
            )
    if columns:
        of_one = frame[labels] if np.isscalar(labels) else frame[columns]
        frame, labels = frame.drop(columns=columns), of_one
    for name in frame.columns:
        if getattr(frame[name].dtype, 'kind', 'O') not in 'fiub':
            raise UserError(
                f'data: the column {name!r} is {frame[name].dtype} and holds no numbers; encode it, as by '
                'pandas.get_dummies, or leave it out'
            )
    return frame.to_numpy(np.float64), labels
