"""A teacher that knows nothing of this package answers the views of a logit cache, file by file.

    python -m mimic_jax.main --config=examples/views_student.py --phase=views --output=views
    python examples/answer_views.py views
    python -m mimic_jax.main --config=examples/views_student.py

The first command writes views/view_000.npy and so on, and views/views.json, which says what they are.
The second, this file, may run anywhere: in another environment, on another machine, with PyTorch, timm or
Hugging Face in scikit-learn's place. It writes views/answers_000.npy and so on. The third reads them, and
refuses them as soon as anything about the views has changed.

Copy this file and put your model in. A model of PyTorch wants channels first: set
`config.logits.NAME.source.layout` to 'channels_first' ahead of the first command, and
`source.inputs` stays 'raw', so that pixels come as uint8, RGB, 0 to 255, for its own normalisation.
"""

import json
import sys
from pathlib import Path

import numpy as np
from sklearn.ensemble import RandomForestClassifier

BATCH = 256


def teacher(folder: Path):
    """A function from inputs [B, ...] to logits [B, K]: a forest, fitted to the labelled examples here.

    A model that is trained already is loaded in its place. Its columns stand in the order of
    `class_names` in views.json, or of the class numbers where there are no names; otherwise write the
    names of its classes, in its order, as a list to class_names.json beside the answers.
    """
    labels = np.load(folder / 'labels.npy')
    known = labels >= 0  # -1: an example whose label is not to be known
    views = [np.load(path, mmap_mode='r')[known] for path in sorted(folder.glob('view_*.npy'))]
    images = np.concatenate(views).reshape(len(views) * known.sum(), -1)
    forest = RandomForestClassifier(200, random_state=0).fit(
        images, np.tile(labels[known], len(views))
    )

    def logits(inputs: np.ndarray) -> np.ndarray:
        chances = forest.predict_proba(inputs.reshape(len(inputs), -1))
        return np.log(np.maximum(chances, 1e-6)).astype(np.float32)

    return logits


def main(folder: Path) -> None:
    facts = json.loads((folder / 'views.json').read_text())
    logits = teacher(folder)
    for source, target in zip(facts['files'], facts['answers'], strict=True):
        inputs = np.load(folder / source, mmap_mode='r')  # larger than memory if need be
        starts = range(0, len(inputs), BATCH)
        np.save(folder / target, np.concatenate([logits(inputs[i : i + BATCH]) for i in starts]))


if __name__ == '__main__':
    main(Path(sys.argv[1]))
