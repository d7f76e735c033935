"""How a row of logits is kept: as floats, as bytes with a scale, or as its largest logits alone.

    dtype     arrays of M rows of K logits                            bytes a row at K = 10, 1,000
    float32   logits float32 [M, K]                                   40, 4,000
    float16   logits float16 [M, K]                                   20, 2,000
    int8      logits int8 [M, K], scale float32 [M]                   14, 1,004
    topk      values float16 [M, k], classes [M, k], rest float16 [M]   at k = 3: 11, 16

'int8': a logit is its byte times the row's scale, which is the row's largest magnitude over 127; the
error is at most half the scale. 'topk': the k largest logits and their classes; each other class has
the logarithm of the mean of exp of the logits that are left out. So the kept classes keep their
probabilities, and what is left is spread evenly (Shen & Xing 2021, 'A fast knowledge distillation
framework', section 3.3).
"""

import dataclasses
from collections.abc import Mapping

import numpy as np

FLOAT16_MAX = 65504.0


@dataclasses.dataclass(frozen=True)
class Packing:
    """dtype: as above.  classes: K.  top: k of 'topk', below K."""

    dtype: str
    classes: int
    top: int = 0

    @property
    def unpacked(self) -> np.dtype:
        """The type of logits that are read back."""
        return np.dtype('float16' if self.dtype == 'float16' else 'float32')

    @property
    def largest(self) -> float:
        """The largest magnitude of a logit that can be kept."""
        return FLOAT16_MAX if self.dtype in ('float16', 'topk') else float(np.finfo('f4').max)

    @property
    def row_bytes(self) -> int:
        return sum(array.nbytes for array in self.empty(1).values())

    def empty(self, rows: int) -> dict[str, np.ndarray]:
        """Arrays like those of `pack`, of so many rows."""
        shapes = {
            'float32': {'logits': ('float32', self.classes)},
            'float16': {'logits': ('float16', self.classes)},
            'int8': {'logits': ('int8', self.classes), 'scale': ('float32', None)},
            'topk': {
                'values': ('float16', self.top),
                'classes': (np.min_scalar_type(self.classes - 1), self.top),
                'rest': ('float16', None),
            },
        }[self.dtype]
        return {
            name: np.zeros(rows if width is None else (rows, width), dtype)
            for name, (dtype, width) in shapes.items()
        }

    def pack(self, logits: np.ndarray) -> dict[str, np.ndarray]:
        """The arrays that stand for logits [M, K] float32, each row for itself."""
        match self.dtype:
            case 'int8':
                scale = np.abs(logits).max(axis=1) / np.float32(127)
                divisor = np.where(scale > 0, scale, np.float32(1))[:, None]
                packed = {'logits': np.rint(logits / divisor), 'scale': scale}
            case 'topk':
                packed = self._pack_top(logits)
            case _:
                packed = {'logits': logits}
        like = self.empty(0)
        return {name: array.astype(like[name].dtype) for name, array in packed.items()}

    def unpack(self, arrays: Mapping[str, np.ndarray]) -> np.ndarray:
        """The logits [M, K] that packed arrays stand for, float16 or float32."""
        match self.dtype:
            case 'int8':
                return arrays['logits'] * arrays['scale'][:, None]
            case 'topk':
                rest = arrays['rest'].astype(np.float32)[:, None]
                logits = np.repeat(rest, self.classes, axis=1)
                classes = arrays['classes'].astype(np.int64)
                np.put_along_axis(logits, classes, arrays['values'].astype(np.float32), axis=1)
                return logits
            case _:
                return arrays['logits']

    def _pack_top(self, logits: np.ndarray) -> dict[str, np.ndarray]:
        largest = np.argpartition(-logits, self.top - 1, axis=1)[:, : self.top]
        order = np.argsort(-np.take_along_axis(logits, largest, axis=1), axis=1, kind='stable')
        classes = np.take_along_axis(largest, order, axis=1)
        left = logits.astype(np.float64)
        np.put_along_axis(left, classes, -np.inf, axis=1)
        most = left.max(axis=1)
        mean = np.exp(left - most[:, None]).sum(axis=1) / (self.classes - self.top)
        return {
            'values': np.take_along_axis(logits, classes, axis=1),
            'classes': classes,
            'rest': most + np.log(mean),
        }
