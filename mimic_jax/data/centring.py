"""Columns of a table that float32 alone would blur: centred and scaled exactly, ahead of the cast."""

import dataclasses
import math
from collections.abc import Mapping

import numpy as np

# A column is centred where the rounding of float32 is more than this part of its deviation,
BLUR = 2.0**-12
# and scaled up where its deviation is below this: float32, and devices, flush small numbers to 0.
FINE = 2.0**-100
MERGED = 0.05  # of a column's different values; 65,536 ordinary ones lose about 0.002 to rounding
ROWS = 65536  # of a table that are looked at for merged values
_SMALLEST = 5e-324  # float64 above 0


@dataclasses.dataclass(frozen=True)
class Centre:
    """What is taken off some columns, and what they are divided by: (offset, scale) by column.

    Offsets are ints for columns of whole numbers, which float64 need not hold. Scales are powers of
    two, by which dividing is exact. Other columns are left as they are.
    """

    columns: Mapping[int, tuple[int | float, float]] = dataclasses.field(default_factory=dict)

    def apply(self, values: np.ndarray) -> np.ndarray:
        """[N, F] numbers of any type as float32 [N, F], centred; what is too large becomes infinite."""
        with np.errstate(over='ignore'):
            result = np.asarray(values).astype(np.float32)
            for column, (offset, scale) in self.columns.items():
                result[:, column] = difference(values[:, column], offset) / scale
        return result

    def undo(self, stored: np.ndarray) -> np.ndarray:
        """What `apply` was given, as far as float64 holds it; `stored` itself where nothing was done."""
        if not self.columns:
            return stored
        result = np.asarray(stored, np.float64)
        for column, (offset, scale) in self.columns.items():
            result[:, column] = result[:, column] * scale + offset
        return result

    def as_json(self) -> dict:
        return {str(column): list(pair) for column, pair in self.columns.items()}

    @staticmethod
    def from_json(value: Mapping) -> 'Centre':
        return Centre({int(column): tuple(pair) for column, pair in value.items()})


def fit(values: np.ndarray) -> Centre:
    """The columns that need it: those whose rounding in float32 is large against their deviation.

    The offset is the column's median, one of its values, so that most values come close to 0.
    values: [N, F] finite numbers of any type.
    """
    found = {}
    for column in range(values.shape[1]):
        pair = _fit_column(values[:, column])
        if pair:
            found[column] = pair
    return Centre(found)


def difference(values: np.ndarray, offset: int | float) -> np.ndarray:
    """values − offset, exact where both are whole numbers, as float64 [N]."""
    values = np.asarray(values)
    if values.dtype.kind in 'iu' and isinstance(offset, int):
        return (values.astype(object) - offset).astype(np.float64)
    return (values.astype(np.result_type(values, np.float64)) - offset).astype(np.float64)


def merged(values: np.ndarray, stored: np.ndarray) -> dict[int, tuple[int, int]]:
    """Columns in which a net cannot tell many values apart: (different values, those that remain).

    values: [N, F] as they came.  stored: [N, F] float32, what they became. The values that remain are
    those of `stored` standardised in float32. Both are counted in rows spread evenly over the table.
    """
    found = {}
    for column in range(values.shape[1]):
        different = _different(values[:, column])
        kept = _different(_standardised(_spread(stored[:, column])))
        if kept < (1 - MERGED) * different:
            found[column] = (different, kept)
    return found


def _fit_column(values: np.ndarray) -> tuple[int | float, float] | None:
    largest = max(abs(float(values.max())), abs(float(values.min())))
    if values.dtype.kind in 'iu' and largest <= 2**24:
        return None  # float32 holds them as they are
    middle = np.partition(values, len(values) // 2)[len(values) // 2].item()
    from_middle = difference(values, middle)
    most = float(np.abs(from_middle).max())
    if most == 0:
        return None
    # Divided by the largest first, whose square float64 may not hold.
    deviation = max(most * math.sqrt(float(np.mean((from_middle / most) ** 2))), _SMALLEST)
    scale = 2.0 ** round(math.log2(deviation)) if deviation < FINE else 1.0
    if _blurred(values, largest * 2.0**-24, deviation):
        return middle, scale
    return (type(middle)(0), scale) if scale != 1 else None


def _blurred(values: np.ndarray, rounding: float, deviation: float) -> bool:
    if values.dtype.kind == 'f' and values.dtype.itemsize <= 4:
        return False
    if rounding > BLUR * deviation:
        return True
    with np.errstate(over='ignore'):
        return _different(values.astype(np.float32)) < (1 - MERGED) * _different(values)


def _different(column: np.ndarray) -> int:
    return len(np.unique(_spread(column)))


def _spread(column: np.ndarray) -> np.ndarray:
    """At most `ROWS` of its values, spread evenly over it."""
    if len(column) <= ROWS:
        return column
    return column[np.linspace(0, len(column) - 1, ROWS).astype(np.int64)]


def _standardised(column: np.ndarray) -> np.ndarray:
    wide = column.astype(np.float64)
    mean, deviation = np.float32(wide.mean()), np.float32(wide.std())
    result = column - mean
    return result / deviation if deviation else result
