"""What determines an artifact's content, and the name that follows from it."""

import dataclasses
import hashlib
import json
from collections.abc import Mapping

FORMAT = 2  # raise when the content of artifact folders, or of recipes, changes its meaning


@dataclasses.dataclass(frozen=True)
class Recipe:
    """Exactly what determines an artifact's content.

    config: the phase's part of the config, without what is left at its default (`fields.differing`).
    data: the data fingerprint.  reads: names of the artifacts it is made from.
    versions: of the arithmetic that its content depends on, by name. Whoever changes what that computes,
    beyond rounding, raises them.
    """

    phase: str
    config: Mapping
    data: str | None = None
    reads: tuple[str, ...] = ()
    versions: Mapping[str, int] = dataclasses.field(default_factory=dict)

    def as_json(self) -> dict:
        return {
            'phase': self.phase,
            'config': self.config,
            'data': self.data,
            'reads': list(self.reads),
            'versions': {'format': FORMAT, **self.versions},
        }

    @property
    def id(self) -> str:
        """The first 12 hex digits of the SHA-256 of the recipe's canonical JSON."""
        return identity(self.as_json())

    @property
    def name(self) -> str:
        return f'{self.phase}-{self.id}'


def canonical_json(value) -> str:
    """JSON with sorted keys and no spaces: equal values give equal text."""
    return json.dumps(value, sort_keys=True, separators=(',', ':'), allow_nan=False)


def identity(recipe: Mapping) -> str:
    """The id of a recipe as JSON: the first 12 hex digits of its SHA-256."""
    return hashlib.sha256(canonical_json(recipe).encode()).hexdigest()[:12]


def is_outdated(recipe: Mapping) -> bool:
    """Whether a recipe, as JSON, is of an earlier format than today's."""
    return recipe['versions']['format'] < FORMAT
