"""Convolutions with fewer multiplications (Winograd 1980), as products of matrices, float32.

Toom and Cook find four neighbouring outputs of a kernel of r taps along one axis from two
polynomials' values at r + 3 points: A^T [(G g) * (B^T d)] (Lavin & Gray 2016, equation 5). That takes
r + 3 multiplications instead of 4 r. Along both axes a 3×3 kernel takes 36 for 16 outputs instead of
144, a 5×5 kernel 64 instead of 400.
"""

import dataclasses
import functools
import math

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from mimic_jax.runtime import backend

OUTPUTS = 4  # on the side of a tile: fewer save less, more round worse
POINTS = (0, 1, -1, 2, -2, 0.5, -0.5)  # and infinity
MOST_TAPS = len(POINTS) + 2 - OUTPUTS


@functools.partial(jax.custom_vjp, nondiff_argnums=(2,))
def conv2d(inputs, kernel, padding):
    """Convolves images with a bank of filters, stride 1.

    Outputs and gradients differ from exact ones by up to 2e-4 of their standard deviation, because
    larger numbers cancel; a direct convolution's differ by up to 1e-5. The arrays kept for the
    gradient take (r + 3)^2 / 16 times the inputs' memory, and (r + 3)^2 / r^2 times the kernel's.

    Args:
        inputs: [B, H, W, C_in] float32.
        kernel: [kernel_height, kernel_width, C_in, C_out] float32, 2 to 5 on a side.
        padding: 'SAME' or 'VALID'.

    Returns:
        [B, H', W', C_out]. Reverse-mode differentiable.
    """
    return _forward(inputs, kernel, padding)[0]


def _forward(inputs, kernel, padding):
    tiles = _Tiles(inputs.shape, kernel.shape, padding)
    values, filters = tiles.of_inputs(inputs), tiles.of_kernel(kernel)
    outputs = tiles.to_outputs(_products(values, filters, (4,), (1,)))
    return outputs, (inputs, values, kernel, filters)  # inputs and kernel for their shapes


def _backward(padding, kept, gradient):
    inputs, values, kernel, filters = kept
    tiles = _Tiles(inputs.shape, kernel.shape, padding)
    products = tiles.from_outputs(gradient)
    of_inputs = tiles.to_inputs(_products(products, filters, (4,), (2,)))
    return of_inputs, tiles.to_kernel(_products(values, products, _TILES, _TILES))


conv2d.defvjp(_forward, _backward)


def pays(inputs, kernel, padding) -> bool:
    """Whether this is the faster way on this backend, forward and backward (benchmarks/layers.py).

    It never is on accelerators. The rule comes from shapes tried on 2 CPU cores with jax 0.10.2,
    against direct convolutions compiled by mimic_jax.runtime.compiled.jit. The products save time with
    channels × filters, the transforms cost it with channels + filters and with each tile that lies
    partly outside the map. The batch's size has no part in it, lest numbers depend on that.
    """
    batch, *sides, channels = inputs.shape
    *taps, _, filters = kernel.shape
    if not backend.is_cpu() or inputs.dtype != jnp.float32:
        return False
    if not all(2 <= size <= MOST_TAPS for size in taps):
        return False
    if not isinstance(batch, int):  # an exported net's batch may have any size
        return False
    axes = [_multiplications(*axis, padding) for axis in zip(sides, taps, strict=True)]
    direct, tiled = (math.prod(each) for each in zip(*axes, strict=True))
    if not tiled or direct < 3 * tiled:
        return False
    saved = direct / tiled * channels * filters / (channels + filters)
    whole = not any(_length(*axis, padding) % OUTPUTS for axis in zip(sides, taps, strict=True))
    light = whole and max(sides) <= 16 and filters >= 64
    return saved >= (80 if light else 110)


def _multiplications(size: int, taps: int, padding: str) -> tuple[int, int]:
    """Multiplications along an axis of `size` elements: a direct convolution's, and this one's."""
    length = _length(size, taps, padding)
    return length * taps, -(-length // OUTPUTS) * (OUTPUTS + taps - 1)


def _length(size: int, taps: int, padding: str) -> int:
    return size if padding == 'SAME' else max(size - taps + 1, 0)


_TILES = (1, 2, 3)  # the axes of tiles in the arrays below


class _Tiles:
    """The transforms of a convolution of one shape, and their transposes.

    Values and products are [points, columns, rows, B, C]: points of both axes together, tiles' columns
    and rows. The order of axes spares moving them: the transforms' time is memory's. The batch is an
    axis of its own, so that devices that share it need nothing of each other.
    """

    def __init__(self, inputs: tuple[int, ...], kernel: tuple[int, ...], padding: str):
        self.rows, self.columns = (
            _axis(size, taps, padding) for size, taps in zip(inputs[1:3], kernel[:2], strict=True)
        )
        self.kernel = np.kron(self.rows.kernel, self.columns.kernel)
        self.outputs = np.kron(self.rows.outputs, self.columns.outputs)

    def of_inputs(self, inputs):
        """Of [B, H, W, C]."""
        values = jnp.tensordot(self.rows.inputs, inputs.transpose(1, 2, 0, 3), 1)
        values = _split(values, self.rows.points).swapaxes(1, 2)  # [points, W, rows, B, C]
        values = _each(self.columns.inputs, values)  # [points, points and columns, rows, B, C]
        return values.reshape(len(self.kernel), self.columns.tiles, *values.shape[2:])

    def to_inputs(self, values):
        values = values.reshape(self.rows.points, -1, *values.shape[2:])
        values = _each(self.columns.inputs.T, values).swapaxes(1, 2)
        values = values.reshape(-1, *values.shape[2:])
        return jnp.tensordot(self.rows.inputs.T, values, 1).transpose(2, 0, 1, 3)

    def of_kernel(self, kernel):
        """[kernel_height, kernel_width, C_in, C_out] to [points, C_in, C_out]."""
        return jnp.tensordot(self.kernel, kernel.reshape(-1, *kernel.shape[2:]), 1)

    def to_kernel(self, filters):
        return _split(jnp.tensordot(self.kernel.T, filters, 1), self.rows.taps)

    def to_outputs(self, products):
        """To [B, H', W', C]."""
        # [rows of a tile, its columns, tiles' columns, tiles' rows, B, C]
        outputs = _split(jnp.tensordot(self.outputs, products, 1), OUTPUTS)
        outputs = outputs.transpose(4, 3, 0, 2, 1, 5)
        batch, tiles, *_, channels = outputs.shape
        outputs = outputs.reshape(batch, tiles * OUTPUTS, -1, channels)
        return outputs[:, : self.rows.length, : self.columns.length]

    def from_outputs(self, gradient):
        batch, *_, channels = gradient.shape
        sides = self.rows.tiles, OUTPUTS, self.columns.tiles, OUTPUTS
        missing = (axis.tiles * OUTPUTS - axis.length for axis in (self.rows, self.columns))
        gradient = jnp.pad(gradient, [(0, 0), *((0, count) for count in missing), (0, 0)])
        gradient = gradient.reshape(batch, *sides, channels).transpose(2, 4, 3, 1, 0, 5)
        return jnp.tensordot(self.outputs.T, gradient.reshape(-1, *gradient.shape[2:]), 1)


def _split(array, count: int):
    """The first axis as two, of which the first has `count` elements."""
    return array.reshape(count, -1, *array.shape[1:])


def _each(matrix, arrays):
    """matrix [m, n] times each of arrays [A, n, ...], [A, m, ...]: a plain product would move axes."""
    matrices = jnp.broadcast_to(matrix, (len(arrays), *matrix.shape))
    return _products(matrices, arrays, (2,), (1,))


def _products(left, right, left_axes: tuple[int, ...], right_axes: tuple[int, ...]):
    """Products along the first axis, each summed over other axes."""
    return lax.dot_general(left, right, ((left_axes, right_axes), ((0,), (0,))))


@dataclasses.dataclass(frozen=True)
class _Axis:
    """Transforms of one axis of a map, float32.

    inputs: [points * tiles, size], of all tiles at once, padding included.  kernel: [points, taps].
    outputs: [OUTPUTS, points].  length: of the outputs' axis.
    """

    inputs: np.ndarray
    kernel: np.ndarray
    outputs: np.ndarray
    length: int

    @property
    def points(self) -> int:
        return len(self.kernel)

    @property
    def taps(self) -> int:
        return self.kernel.shape[1]

    @property
    def tiles(self) -> int:
        return len(self.inputs) // self.points


@functools.cache
def _axis(size: int, taps: int, padding: str) -> _Axis:
    outputs, kernel, values = toom_cook(OUTPUTS, taps)
    points = len(kernel)
    before = (taps - 1) // 2 if padding == 'SAME' else 0
    length = _length(size, taps, padding)
    tiles = -(-length // OUTPUTS)
    inputs = np.zeros((points, tiles, size))
    for tile in range(tiles):
        start = OUTPUTS * tile - before
        for element in range(max(start, 0), min(start + points, size)):
            inputs[:, tile, element] = values[:, element - start]
    matrices = inputs.reshape(-1, size), kernel, outputs
    return _Axis(*(matrix.astype(np.float32) for matrix in matrices), length)


def toom_cook(outputs: int, taps: int):
    """A^T [outputs, p], G [p, taps] and B^T [p, p] of p = outputs + taps - 1 points, float64.

    A^T [(G g) * (B^T d)] is the correlation of p elements d with `taps` elements g.
    """
    points = np.array(POINTS[: outputs + taps - 2])
    others = [np.delete(points, place) for place in range(len(points))]
    at_infinity = np.eye(len(points) + 1)[-1:]
    back = np.vander(points, outputs, increasing=True)
    back = np.concatenate([back, at_infinity[:, -outputs:]])
    scales = [np.prod(point - rest) for point, rest in zip(points, others, strict=True)]
    kernel = np.vander(points, taps, increasing=True) / np.array(scales)[:, None]
    kernel = np.concatenate([kernel, at_infinity[:, -taps:]])
    values = [np.append(np.poly(rest)[::-1], 0) for rest in others]
    return back.T, kernel, np.stack([*values, np.poly(points)[::-1]])
