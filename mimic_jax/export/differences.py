"""How far an exported student's answers lie from those of the net as trained."""

import numpy as np

from mimic_jax.data.scale import Scale


def measured(
    found: np.ndarray, expected: np.ndarray, tolerance: float, scale: Scale | None = None
) -> dict:
    """How far a file's answers [n, K] lie from those expected, as `export.json` has it.

    Real values' differences are in deviations of their target, and so is the tolerance, to which is
    added what float32 rounds in the targets' units.
    """
    difference = np.abs(found - expected)
    if scale is None:
        same = bool((found.argmax(axis=1) == expected.argmax(axis=1)).all())
        alike = {'argmax_equal': same}
    else:
        largest = (np.abs(expected).max(axis=0) / scale.deviation).max()
        tolerance += 4 * float(np.finfo(np.float32).eps * largest)
        difference, alike = difference / scale.deviation, {}
    return {
        'examples': len(found),
        'max_difference': float(difference.max()),
        **alike,
        'tolerance': tolerance,
    }
