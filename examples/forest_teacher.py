"""A teacher of one's own: a scikit-learn random forest. Copy this file and put your model in.

A config names it by import path, from the folder that holds `examples`:

    config.logits.forest.source = {
        'kind': 'fit',
        'path': 'examples.forest_teacher:fit',
        'version': '1',
        'probabilities': True,
    }

A model that is trained already needs no `fit`: load it in a function of the inputs alone and name
that, with kind 'callable'.
"""

import numpy as np
from sklearn.ensemble import RandomForestClassifier

TREES = 500


def fit(inputs: np.ndarray, labels: np.ndarray):
    """A function from inputs [B, F] to probabilities [B, K], by a forest fitted to inputs and labels."""
    return forest(inputs, labels).predict_proba


def forest(inputs: np.ndarray, labels: np.ndarray) -> RandomForestClassifier:
    """The same forest whenever it is fitted to the same examples."""
    return RandomForestClassifier(TREES, random_state=0).fit(inputs, labels)
