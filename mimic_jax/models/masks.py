"""Inputs that a net is not given: parts of an example, by NumPy's indices, which are set to 0."""

from collections.abc import Sequence

import numpy as np

from mimic_jax.errors import UserError


def seen(parts: Sequence[str], shape: Sequence[int], where: str = 'unseen') -> np.ndarray:
    """1 where an example of this shape is seen and 0 where it is not, float32 of the shape.

    parts: indices of the example's axes as NumPy has them, whole numbers and slices: '3' is a table's
    fourth column, ':,16:' the right half of a 32×32 image, ':,:,0' its first colour. An axis that is left
    out counts whole.  where: their place in the config, for errors.

    Raises:
      UserError: another form of index, one outside the example, or parts that leave nothing to see.
    """
    found = np.ones(tuple(shape), np.float32)
    for part in parts:
        try:
            at = tuple(_index(word) for word in part.split(','))
            empty = found[at].size == 0
        except (ValueError, IndexError, TypeError):
            empty = True
        if empty:
            raise UserError(
                f'{where} has {part!r}, which is no part of an example of shape {tuple(shape)}; write '
                "indices as NumPy has them, such as '3', ':,16:' or ':,:,0'"
            )
        found[at] = 0
    if not found.any():
        raise UserError(f'{where} leaves nothing of an example of shape {tuple(shape)}; name less')
    return found


def _index(word: str) -> int | slice:
    """An index of one axis; raises ValueError for another text."""
    ends = word.split(':')
    if len(ends) == 1:
        return int(word)
    return slice(*(int(end) if end.strip() else None for end in ends))
