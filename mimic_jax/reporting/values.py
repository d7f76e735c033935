"""Rows of a report on real-valued targets: R², and the root of the mean squared error in their units."""

from collections.abc import Sequence

import numpy as np

from mimic_jax.data.dataset import Dataset
from mimic_jax.ops import metrics


def rows(row: dict, outputs: Sequence[np.ndarray], labels: np.ndarray, data: Dataset) -> list[dict]:
    """A row on R², and the same on RMSE in the targets' own units, the mean where there are several.

    Where there are several targets, `targets` has both figures of each by its name, one a seed.

    outputs: [n, K], one array a seed.  labels: [n, K]; both as `data.scale` has standardised them.
    """
    units = np.array(data.scale.deviation)
    errors = [units * metrics.rmse(each, labels) for each in outputs]
    means = [float(np.mean(each)) for each in errors]
    mean, std = metrics.mean_std(means)
    found = [
        row,
        {**row, 'metric': 'rmse', 'values': means, 'mean': mean, 'std': std, 'paper': None},
    ]
    if len(data.class_names) == 1:
        return found
    targets = {
        name: {
            'r2': [metrics.r2(each[:, [k]], labels[:, [k]]) for each in outputs],
            'rmse': [float(each[k]) for each in errors],
        }
        for k, name in enumerate(data.class_names)
    }
    return [{**each, 'targets': targets} for each in found]
