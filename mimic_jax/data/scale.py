"""The units in which nets learn real-valued targets: zero mean, unit deviation in training."""

import dataclasses
from collections.abc import Mapping, Sequence

import numpy as np

from mimic_jax.errors import UserError


@dataclasses.dataclass(frozen=True)
class Scale:
    """Output k of a net stands for mean[k] + deviation[k] · output.

    mean, deviation: of each target over the training examples, in the target's own units.
    """

    mean: tuple[float, ...]
    deviation: tuple[float, ...]

    def standardise(self, values: np.ndarray) -> np.ndarray:
        """Values [N, K] in the targets' units as float32 of zero mean and unit deviation; NaN stays."""
        values = np.asarray(values, np.float64)
        return ((values - self.mean) / np.array(self.deviation)).astype(np.float32)

    def restore(self, outputs):
        """Outputs [N, K] in the targets' units: NumPy's as float64, JAX's in their own type."""
        if isinstance(outputs, np.ndarray):
            return np.array(self.mean) + np.array(self.deviation) * outputs.astype(np.float64)
        kept = outputs.dtype.type
        return np.array(self.mean, kept) + np.array(self.deviation, kept) * outputs

    def as_json(self) -> dict:
        return dataclasses.asdict(self)


def fit(values: np.ndarray) -> Scale:
    """The scale of training examples' values [N, K].

    Raises:
      UserError: a target that does not vary.
    """
    values = np.asarray(values, np.float64)
    for number, column in enumerate(values.T):
        if column.min() == column.max():
            raise UserError(
                f'all {len(column)} training examples have the value {column[0]:g} of target {number} '
                '(from 0); leave that target out, or give examples in which it varies'
            )
    return Scale(tuple(values.mean(axis=0).tolist()), tuple(values.std(axis=0).tolist()))


def from_json(kept: Mapping[str, Sequence[float]] | None) -> Scale | None:
    """What `Scale.as_json` gave; None for None."""
    return kept and Scale(tuple(kept['mean']), tuple(kept['deviation']))
