"""A data set as every room sees it: raw examples, the splits over them, and what depends on their kind."""

import dataclasses
import functools
from collections.abc import Mapping
from typing import ClassVar

import numpy as np

from mimic_jax.config.fields import nearest
from mimic_jax.data.centring import Centre
from mimic_jax.data.scale import Scale
from mimic_jax.errors import UserError

EVALUATED = ('validation', 'test')  # the splits that every net is asked about


@dataclasses.dataclass(frozen=True)
class Dataset:
    """Raw examples and the splits over them; an example is its index.

    A data set whose examples are not rows of an array, such as frames of speech in their context, is a
    subclass; no other room asks which it is.

    inputs: [N, ...] raw, possibly memory-mapped.  labels: classes [N] int32, -1 outside the labelled
    splits; or real values [N, K] float32, standardised by `scale`, NaN outside them.
    num_classes: K, the outputs of a net: classes, or targets of real values.
    splits: index arrays [n] int32 by name.  fingerprint: hash of content and splits.
    removed: unlabelled examples left out because they equal a validation or test example.
    cut: examples of config.data.transfer left out because config.data.unlabelled is lower.
    class_names: what the source calls its classes, or its targets, by number; empty where it has no
    names.
    twins: `test_in_train`, `validation_in_train`, `test_in_validation`: how many examples of the first
    split equal one of the second in every value; `dropped`: how many training examples were left out
    for it. None where nobody looked.
    centre: what was taken off the features of a table before they became float32.
    fit: how images of other sizes were made one size (`image_files.decode`).
    scale: the units of real-valued targets; None of classes.
    """

    inputs: np.ndarray
    labels: np.ndarray
    splits: Mapping[str, np.ndarray]
    num_classes: int
    fingerprint: str
    preprocess: str
    removed: int = 0
    cut: int = 0
    class_names: tuple[str, ...] = ()
    twins: Mapping[str, int] | None = None
    centre: Centre = dataclasses.field(default_factory=Centre)
    fit: str = 'none'
    scale: Scale | None = None

    unit: ClassVar[str] = 'examples'  # what a report calls them

    @property
    def images(self) -> bool:
        """Whether examples are images [H, W, C], which views may change."""
        return self.inputs.ndim == 4

    @property
    def input_shape(self) -> tuple[int, ...]:
        """The shape of an example as nets get it."""
        return self.inputs.shape[1:]

    @functools.cached_property
    def arrays(self) -> dict[str, np.ndarray]:
        """What `batches.gather` makes batches of, on the host."""
        return {'inputs': self.inputs, 'labels': self.labels}

    @property
    def fitted_inputs(self) -> np.ndarray:
        """[N, ...], what preprocessing is fitted to: a feature has one mean and deviation."""
        return self.inputs

    def drawn(self, part: float, seed: int) -> np.ndarray:
        """The indices of a part of the training split, drawn by a seed, in the split's order."""
        return drawn_part(self.splits['train'], part, seed)

    def facts(self) -> dict:
        """A report's facts on the data, beside the sizes of the splits.

        `remarks`, where there are any, are sentences that the report shows.
        """
        return {} if self.twins is None else {'twins': dict(self.twins)}

    def described(self, most: int = 1000) -> dict:
        """What raw inputs are like: `shape`, `dtype`, and the `least` and `largest` value of the first
        training examples, `looked_at` of them; `classes`: their names by number; of real-valued
        targets `targets`, their names, and `scale`.
        """
        chosen = np.sort(self.splits['train'][:most])
        values = np.asarray(self.inputs[chosen])
        return {
            'shape': list(self.inputs.shape[1:]),
            'dtype': str(values.dtype),
            'least': float(values.min()),
            'largest': float(values.max()),
            'looked_at': len(chosen),
            **(
                {'classes': list(self.class_names)}
                if self.scale is None
                else {'targets': list(self.class_names), 'scale': self.scale.as_json()}
            ),
        }

    def own_labels(self, examples: np.ndarray) -> np.ndarray:
        """Labels as the source has them: classes [n], or values in their units, [n] of one target and
        [n, K] of several."""
        labels = self.labels[examples]
        if self.scale is None:
            return labels
        values = self.scale.restore(labels)
        return values[:, 0] if values.shape[1] == 1 else values

    def original(self, inputs: np.ndarray) -> np.ndarray:
        """Inputs [B, ...] of `arrays` as the source had them: what a program made elsewhere expects."""
        return self.centre.undo(inputs)

    def examples(self, names: tuple[str, ...], where: str) -> np.ndarray:
        """The indices of several splits, one after another; UserError when there is none or no example."""
        for name in names:
            if name not in self.splits:
                raise UserError(f'{where} names the split {name!r}; {nearest(name, self.splits)}')
        found = np.concatenate([self.splits[name] for name in names])
        if not len(found):
            raise UserError(f'{where}: the splits {", ".join(names)} hold no examples')
        return found


def drawn_part(things: np.ndarray, part: float, seed: int) -> np.ndarray:
    """A part of some examples, or of what they are grouped by, in their own order."""
    if part == 1:
        return things
    order = np.random.default_rng([seed, len(things)]).permutation(len(things))
    return things[np.sort(order[: round(part * len(things))])]
