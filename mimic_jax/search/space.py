"""A search space as config entries, and its image in the unit cube.

Names map to parameters: `{'rate': {'low': .01, 'high': .05, 'log': True}, 'filters': {'low': 32,
'high': 96, 'int': True}}`. Nothing here needs Optuna.
"""

import dataclasses
import math
from collections.abc import Mapping

import numpy as np

from mimic_jax.config.fields import setting
from mimic_jax.errors import UserError


@dataclasses.dataclass(frozen=True)
class Parameter:
    """A number of a search space."""

    low: float = dataclasses.field(metadata={'meaning': 'The lower end, included.'})
    high: float = dataclasses.field(metadata={'meaning': 'The upper end, included.'})
    log: bool = setting(False, 'Searched evenly on a log scale.')
    int: bool = setting(False, 'A whole number.')

    def scaled(self) -> tuple[float, float]:
        """The ends of the unit interval, in the value or its logarithm.

        Each whole number is the middle of a cell of width 1, so the ends lie half a unit further out.
        """
        low, high = (self.low - 0.5, self.high + 0.5) if self.int else (self.low, self.high)
        return (math.log(low), math.log(high)) if self.log else (low, high)

    def to_unit(self, values) -> np.ndarray:
        """Values, of any shape, as numbers from 0 to 1."""
        low, high = self.scaled()
        values = np.asarray(values, np.float64)
        return ((np.log(values) if self.log else values) - low) / (high - low)

    def from_unit(self, units) -> np.ndarray:
        """The values of numbers from 0 to 1; whole ones are rounded, still as floats."""
        low, high = self.scaled()
        values = low + np.asarray(units, np.float64) * (high - low)
        values = np.exp(values) if self.log else values
        values = np.round(values) if self.int else values
        return np.clip(values, self.low, self.high)


Space = Mapping[str, Parameter]


def check(space: Space, where: str = 'config.search.space') -> None:
    """Raises UserError for a parameter that has no range, a log scale that touches 0, or `int` with
    ends that are not whole."""
    for name, parameter in space.items():
        _check(parameter, f'{where}.{name}')


def to_unit(space: Space, points: list[Mapping[str, float]]) -> np.ndarray:
    """Points by name as an array [N, D] of the unit cube, D in the space's order."""
    columns = [p.to_unit([point[name] for point in points]) for name, p in space.items()]
    return np.stack(columns, axis=1)


def snap(space: Space, units: np.ndarray) -> np.ndarray:
    """`units` [M, D] with each coordinate moved to where its rounded value lies."""
    columns = [
        p.to_unit(p.from_unit(column)) if p.int else column
        for p, column in zip(space.values(), units.T, strict=True)
    ]
    return np.stack(columns, axis=1)


def from_unit(space: Space, units: np.ndarray) -> dict[str, float | int]:
    """One point [D] of the unit cube as values by name."""
    return {
        name: int(p.from_unit(unit)) if p.int else float(p.from_unit(unit))
        for (name, p), unit in zip(space.items(), units, strict=True)
    }


def _check(parameter: Parameter, where: str) -> None:
    low, high = parameter.low, parameter.high
    if not (math.isfinite(low) and math.isfinite(high)):
        raise UserError(f'{where} runs from {low} to {high}; both ends must be finite')
    if low >= high:
        raise UserError(f'{where} has low {low:g} and high {high:g}; low must be below high')
    if parameter.log and low <= 0:
        raise UserError(
            f'{where} has a log scale from {low:g}; a log scale needs low above 0, or leave log out'
        )
    if parameter.int and not (low.is_integer() and high.is_integer()):
        raise UserError(f'{where} is whole but runs from {low:g} to {high:g}; make both ends whole')
    if parameter.log and parameter.int and low < 1:
        raise UserError(f'{where} is whole on a log scale from {low:g}; low must be 1 or more')
