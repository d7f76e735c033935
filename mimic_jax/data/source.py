"""What a source of examples gives: raw arrays, or images that are read a few at a time."""

import dataclasses
from collections.abc import Callable, Iterator, Mapping

import numpy as np

from mimic_jax.data.centring import Centre
from mimic_jax.data.image_files import Noted


@dataclasses.dataclass(frozen=True, eq=False)
class Streamed:
    """Images that need not fit in memory.

    shape: [N, H, W, C].  chunks(): all of them in order, uint8 [n, H, W, C] a time.
    """

    shape: tuple[int, ...]
    chunks: Callable[[], Iterator[np.ndarray]]

    @property
    def dtype(self) -> np.dtype:
        return np.dtype(np.uint8)

    @property
    def ndim(self) -> int:
        return len(self.shape)

    def __len__(self) -> int:
        return self.shape[0]


@dataclasses.dataclass(frozen=True)
class Source:
    """Raw examples before any split.

    inputs: [N, H, W, C] uint8 or [N, F] float32.  labels: [N] int32, or real values [N, K] float64; of
    streamed inputs they may be filled in while the chunks are drawn.  unlabelled: like inputs, without
    labels.  test_inputs, test_labels: the source's own test split, empty where it has none.
    num_classes: classes, or targets of real values.  class_names: one a class or target, or none
    where the source has none.
    validation_inputs, validation_labels: the source's own validation split; None where it has none.
    noted: what decoding did not keep, filled in while chunks are drawn.
    centre: what was taken off features before they became float32.
    merged: columns of features whose different values float32 does not tell apart, with counts.
    """

    inputs: np.ndarray | Streamed
    labels: np.ndarray
    unlabelled: np.ndarray
    test_inputs: np.ndarray | Streamed
    test_labels: np.ndarray
    num_classes: int
    class_names: tuple[str, ...] = ()
    validation_inputs: np.ndarray | Streamed | None = None
    validation_labels: np.ndarray | None = None
    noted: Noted = dataclasses.field(default_factory=Noted)
    centre: Centre = dataclasses.field(default_factory=Centre)
    merged: Mapping[int, tuple[int, int]] = dataclasses.field(default_factory=dict)
