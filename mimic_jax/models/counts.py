"""Parameters, units and operations of a net, from its spec alone: no arrays, no JAX."""

import dataclasses
import math
import operator

from mimic_jax.errors import UserError
from mimic_jax.models.grammar import (
    MAP_KINDS,
    PARAMETER_KINDS,
    POOL_KINDS,
    parse,
    shorten,
    token_error,
)


@dataclasses.dataclass(frozen=True)
class LayerCount:
    """One layer's figures; `shape` is its output's, without the batch axis."""

    token: str
    kind: str
    shape: tuple[int, ...]
    params: int
    units: int
    flops: int


@dataclasses.dataclass(frozen=True)
class Counts:
    """The figures of a net: a row a layer, the output layer last, and their sums."""

    rows: tuple[LayerCount, ...]

    @property
    def params(self):
        """Trainable parameters: kernels, biases, scale and bias of a batch normalisation."""
        return sum(row.params for row in self.rows)

    @property
    def units(self):
        """Units as Ba & Caruana 2014 count them in Table 2, which leaves the output layer out."""
        return sum(row.units for row in self.rows)

    @property
    def flops(self):
        """Forward operations for one example: 2 a multiply-add of the layers with kernels."""
        return sum(row.flops for row in self.rows)

    @property
    def sequential_layers(self):
        """Layers with weights, each of which waits for the one before: Ba & Caruana's cycles (section 5.3).

        The output layer counts, and so does a linear bottleneck until it is multiplied away. With it gone,
        their shallow nets have the '2 or 3 cycles' of the text. Pooling and normalisation do not count.
        """
        return sum(row.kind in (*PARAMETER_KINDS, 'output') for row in self.rows)


def count(spec, input_shape=(32, 32, 3), num_classes=10):
    """Counts parameters, units and operations layer by layer.

    Biases are counted; a layer with `bn` has 2 parameters a channel in place of its biases.
    Units are the outputs of convolution, locally connected, pool, linear and hidden layers.
    Multiplications with the zeros of SAME padding are counted as operations, as is usual.

    Args:
        spec: a model spec with no `?`.
        input_shape: one example's, (features,) or (height, width, channels).
        num_classes: outputs of the implied last layer.

    Returns:
        `Counts`.

    Raises:
        UserError: for a bad spec, a window larger than its map, or a `?`.
    """
    return count_layers(spec, solved_layers(spec), *checked_sizes(input_shape, num_classes))


def solved_layers(spec):
    """`parse` of a spec that must have no `?`."""
    layers = parse(spec)
    for layer in layers:
        if layer.ratio is not None:
            problem = 'has a width to be solved: give a parameter budget'
            raise token_error(spec, layer.position, layer.token, problem)
    return layers


def checked_sizes(input_shape, num_classes):
    """(input shape, number of classes) as plain ints, or a `UserError`."""
    try:
        shape = tuple(operator.index(size) for size in input_shape)
        classes = operator.index(num_classes)
    except TypeError:
        shape, classes = (), 0
    if len(shape) not in (1, 3) or min(shape) < 1 or classes < 1:
        raise UserError(
            f'input shape {shorten(input_shape)} with {shorten(num_classes)} classes: positive '
            'whole numbers are needed, the shape being features or height,width,channels'
        )
    return shape, classes


def count_layers(spec, layers, shape, num_classes):
    """`count` of parsed layers with their widths filled in; `spec` is for error messages."""
    rows = []
    for layer in layers:
        problem = _misfit(layer, shape)
        if problem:
            raise token_error(spec, layer.position, layer.token, problem)
        rows.append(_row(layer, shape))
        shape = rows[-1].shape
    features = math.prod(shape)
    rows.append(
        LayerCount(
            token=str(num_classes),
            kind='output',
            shape=(num_classes,),
            params=(features + 1) * num_classes,
            units=0,
            flops=2 * features * num_classes,
        )
    )
    return Counts(tuple(rows))


def _misfit(layer, shape):
    """What keeps the layer from reading an input of this shape, or None."""
    if layer.kind not in MAP_KINDS:
        return None
    if len(shape) != 3:
        return f'needs a map, but an example has shape {shape}: use fully connected layers'
    larger = any(window > size for window, size in zip(layer.window, shape, strict=False))
    if layer.padding == 'VALID' and larger:
        window, size = ('x'.join(map(str, sizes)) for sizes in (layer.window, shape[:2]))
        return f'has a {window} window on a {size} map: use a smaller one, SAME or fewer pools'
    return None


def _row(layer, shape):
    out = _output_shape(layer, shape)
    params = flops = 0
    if layer.kind in PARAMETER_KINDS:
        fan_in = math.prod(shape)
        if layer.kind in MAP_KINDS:
            fan_in = math.prod(layer.window) * shape[-1]
        kernels = math.prod(out) if layer.kind == 'local' else layer.width
        params = fan_in * kernels + (2 * layer.width if layer.batch_norm else kernels)
        flops = 2 * fan_in * math.prod(out)
    units = math.prod(out) if layer.kind in PARAMETER_KINDS + POOL_KINDS else 0
    return LayerCount(layer.token, layer.kind, out, params, units, flops)


def _output_shape(layer, shape):
    if layer.kind in ('lrn', 'dropout'):
        return shape
    if layer.kind not in MAP_KINDS:
        return (layer.width,)
    sizes = []
    for size, window, stride in zip(shape, layer.window, layer.stride, strict=False):
        room = size if layer.padding == 'SAME' else size - window + 1
        sizes.append(-(-room // stride))
    return (*sizes, layer.width or shape[-1])
