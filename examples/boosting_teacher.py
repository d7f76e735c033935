"""A teacher of one's own with real-valued answers: scikit-learn's gradient boosting.

    config.logits.boosting.source = {
        'kind': 'fit',
        'path': 'examples.boosting_teacher:fit',
        'version': '1',
    }

It is given, and answers with, values in the target's own units.
"""

import numpy as np
from sklearn.ensemble import GradientBoostingRegressor


def fit(inputs: np.ndarray, values: np.ndarray):
    """What the trees, fitted to inputs [N, F] and values [N], say of others: [B]."""
    return boosting(inputs, values).predict


def boosting(inputs: np.ndarray, values: np.ndarray) -> GradientBoostingRegressor:
    """The same trees whenever they are fitted to the same examples."""
    trees = GradientBoostingRegressor(
        n_estimators=500, learning_rate=0.05, subsample=0.5, random_state=0
    )
    return trees.fit(inputs, values)
