"""Convolutions with fewer multiplications (Winograd 1980), as products of matrices, float32.

Toom and Cook find four neighbouring outputs of a kernel of r taps along one axis from two
polynomials' values at r + 3 points: A^T [(G g) * (B^T d)] (Lavin & Gray 2016, equation 5). That takes
r + 3 multiplications instead of 4 r. A 5×5 kernel, along both axes, takes 64 for 16 outputs instead
of 400.
"""

import dataclasses
import functools
import math

import jax
import jax.numpy as jnp
import numpy as np

from mimic_jax.runtime import backend

OUTPUTS = 4  # on the side of a tile: fewer save less, more round worse
POINTS = (0, 1, -1, 2, -2, 0.5, -0.5)  # and infinity
MOST_TAPS = len(POINTS) + 2 - OUTPUTS


def conv2d(inputs, kernel, padding):
    """Convolves images with a bank of filters, stride 1.

    Outputs and gradients differ from exact ones by up to 2e-4 of their standard deviation, because
    larger numbers cancel; a direct convolution's differ by up to 1e-5. The arrays kept for the
    gradient, beside the inputs, take (r + 3)^2 / 16 times the inputs' memory.

    Args:
        inputs: [B, H, W, C_in] float32.
        kernel: [kernel_height, kernel_width, C_in, C_out] float32, 2 to 5 on a side.
        padding: 'SAME' or 'VALID'.

    Returns:
        [B, H', W', C_out].
    """
    rows, columns = (
        _axis(size, taps, padding)
        for size, taps in zip(inputs.shape[1:3], kernel.shape[:2], strict=True)
    )
    filters = jnp.einsum('uh,vw,hwcf->vucf', rows.kernel, columns.kernel, kernel)
    images = _along_first(rows.inputs, inputs.transpose(1, 2, 0, 3))
    images = _along_first(columns.inputs, images.transpose(1, 0, 2, 3))
    # v and u are points, t and s tiles of columns and rows.
    images = images.reshape(columns.points, -1, rows.points, rows.tiles, *images.shape[2:])
    products = jnp.einsum('vutsbc,vucf->vutsbf', images.swapaxes(1, 2), filters).swapaxes(1, 2)
    products = products.reshape(len(columns.inputs), len(rows.inputs), *products.shape[4:])
    outputs = _along_first(columns.outputs, products)
    outputs = _along_first(rows.outputs, outputs.transpose(1, 0, 2, 3))
    return outputs.transpose(2, 0, 1, 3)


def pays(inputs, kernel, padding) -> bool:
    """Whether this is the faster way on this backend, forward and backward (benchmarks/layers.py).

    It never is on accelerators. The rule comes from shapes tried on 2 CPU cores with jax 0.10.2,
    against direct convolutions compiled by mimic_jax.runtime.compiled.jit. The transforms cost more
    than they save for 3×3 kernels, for maps that tiles fit badly, for few channels, and for few tiles
    to share the kernel's transform.
    """
    batch, *sides, channels = inputs.shape
    *taps, _, filters = kernel.shape
    if not backend.is_cpu() or inputs.dtype != jnp.float32 or max(taps) > MOST_TAPS:
        return False
    if not isinstance(batch, int):  # an exported net's batch may have any size
        return False
    axes = [_multiplications(*axis, padding) for axis in zip(sides, taps, strict=True)]
    direct, tiled = (math.prod(each) for each in zip(*axes, strict=True))
    many = min(channels, filters) >= 64
    return many and direct >= 4.5 * tiled and batch * tiled >= 1 << 13


def _multiplications(size: int, taps: int, padding: str) -> tuple[int, int]:
    """Multiplications along an axis of `size` elements: a direct convolution's, and this one's."""
    length = _length(size, taps, padding)
    return length * taps, -(-length // OUTPUTS) * (OUTPUTS + taps - 1)


def _length(size: int, taps: int, padding: str) -> int:
    return size if padding == 'SAME' else max(size - taps + 1, 0)


@jax.custom_vjp
def _along_first(matrix, array):
    """matrix [m, n] times array [n, ...], [m, ...]. The matrix is a constant, without gradient."""
    return jnp.tensordot(matrix, array, 1)


def _along_first_forward(matrix, array):
    return _along_first(matrix, array), matrix


def _along_first_backward(matrix, gradient):
    # JAX's derivative would have the summed axis last, and copy the array to move that axis.
    return None, jnp.tensordot(matrix.T, gradient, 1)


_along_first.defvjp(_along_first_forward, _along_first_backward)


@dataclasses.dataclass(frozen=True)
class _Axis:
    """Transforms of one axis of a map, all its tiles at once, padding included, float32.

    inputs: [points * tiles, size].  kernel: [points, taps].  outputs: [size', points * tiles].
    """

    inputs: np.ndarray
    kernel: np.ndarray
    outputs: np.ndarray

    @property
    def points(self) -> int:
        return len(self.kernel)

    @property
    def tiles(self) -> int:
        return len(self.inputs) // self.points


@functools.cache
def _axis(size: int, taps: int, padding: str) -> _Axis:
    back, kernel, values = toom_cook(OUTPUTS, taps)
    points = len(kernel)
    before = (taps - 1) // 2 if padding == 'SAME' else 0
    length = _length(size, taps, padding)
    tiles = -(-length // OUTPUTS)
    inputs, outputs = np.zeros((points, tiles, size)), np.zeros((length, points, tiles))
    for tile in range(tiles):
        start = OUTPUTS * tile
        for element in range(max(start - before, 0), min(start - before + points, size)):
            inputs[:, tile, element] = values[:, element - start + before]
        for output in range(start, min(start + OUTPUTS, length)):
            outputs[output, :, tile] = back[output - start]
    matrices = inputs.reshape(-1, size), kernel, outputs.reshape(length, -1)
    return _Axis(*(matrix.astype(np.float32) for matrix in matrices))


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
