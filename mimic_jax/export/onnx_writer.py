"""A student as an ONNX model: preprocessing, its layers, softmax or targets' units; weights inside.

The models have opset 18 and take examples as the data set stores them, images [b, H, W, C] in uint8. The
functions here write in ONNX what `models/net.py` computes at test time; exporting a student compares
the two.
"""

import math
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
from jax import lax

from mimic_jax.data import preprocess, whitening
from mimic_jax.data.scale import Scale
from mimic_jax.errors import UserError
from mimic_jax.export.onnx_graph import Graph
from mimic_jax.models import counts, grammar, layers, masks
from mimic_jax.models.kernels import batch_norm, pooling
from mimic_jax.models.net import NotationModule

OPSET = 18
_IR_VERSION = 8  # the oldest for this opset; most runtimes read it
_IMAGE = np.array([1, 2, 3])  # the axes of H, W and C


def require() -> None:
    """Raises UserError where the packages that write and check a model are not installed."""
    try:
        import onnx  # noqa: F401
        import onnxruntime  # noqa: F401
    except ImportError as error:
        raise UserError(
            f'--format=onnx needs {error.name}, which is not installed; run pip install -e '
            "'.[onnx]', or pip install onnx onnxruntime"
        ) from None


def serialize(
    net: NotationModule,
    kind: str,
    variables: Mapping,
    stats: Mapping[str, np.ndarray],
    shape: tuple[int, ...],
    dtype: np.dtype,
    described: Mapping[str, str],
    scale: Scale | None = None,
) -> bytes:
    """The model of a net, `inputs` [b, ...] raw to `probabilities`, or `values`, [b, K] float32.

    Arguments are those of `plan.serialize`; the model has `described` as its metadata. It computes
    in float32, even for a bfloat16 net.
    Batch normalisation is multiplied into the layer before it.
    """
    from onnx import checker, helper

    graph = Graph()
    values = _preprocessed(graph, kind, stats, dtype)
    if net.unseen:
        values = graph.node('Mul', values, masks.seen(net.unseen, shape))
    if net.input_scale != 1:
        values = graph.node('Mul', values, np.float32(net.input_scale))
    logits = _logits(graph, net, variables, values, shape)
    if scale is None:
        answers = graph.node('Softmax', logits, axis=1, output='probabilities')
    else:
        scaled = graph.node('Mul', logits, np.array(scale.deviation, np.float32))
        answers = graph.node('Add', scaled, np.array(scale.mean, np.float32), output='values')
    kind_of = helper.np_dtype_to_tensor_dtype
    model = helper.make_model(
        helper.make_graph(
            graph.nodes,
            'student',
            [helper.make_tensor_value_info('inputs', kind_of(dtype), ['b', *shape])],
            [
                helper.make_tensor_value_info(
                    answers, kind_of(np.dtype(np.float32)), ['b', net.num_classes]
                )
            ],
            graph.constants,
        ),
        opset_imports=[helper.make_opsetid('', OPSET)],
        ir_version=_IR_VERSION,
        producer_name='mimic_jax',
    )
    helper.set_model_props(model, dict(described))
    checker.check_model(model)
    return model.SerializeToString()


def load(path: Path) -> Callable[[np.ndarray], np.ndarray]:
    """The `answers(inputs)` of a model in a file, run by onnxruntime."""
    import onnxruntime

    session = onnxruntime.InferenceSession(path, providers=onnxruntime.get_available_providers())
    return lambda inputs: session.run(None, {'inputs': np.asarray(inputs)})[0]


def _preprocessed(graph: Graph, kind: str, stats: Mapping, dtype: np.dtype) -> str:
    """`preprocess.apply` of the graph's inputs, [b, ...] float32."""
    values = 'inputs'
    if dtype != np.float32:
        values = graph.node('Cast', values, to=1)
    match kind:
        case 'image':
            centred = _centred(graph, values)
            squares = graph.node('Mul', centred, centred)
            deviation = graph.node('Sqrt', graph.node('ReduceMean', squares, _IMAGE))
            smallest = np.float32(preprocess.SMALLEST_DEVIATION)
            return graph.node('Div', centred, graph.node('Max', deviation, smallest))
        case 'channel' | 'feature':
            varies = stats['deviation'] > 0
            factor = np.where(varies, 1 / np.where(varies, stats['deviation'], 1), 0)
            shifted = graph.node('Sub', values, np.asarray(stats['mean'], np.float32))
            return graph.node('Mul', shifted, factor.astype(np.float32))
        case 'gcn':
            return _contrast_normalised(graph, values)
        case 'gcn_zca':
            images = _contrast_normalised(graph, values)
            size = len(stats['mean'])
            rows = graph.node('Reshape', images, np.array([-1, size]))
            shifted = graph.node('Sub', rows, np.asarray(stats['mean'], np.float32))
            white = graph.node('MatMul', shifted, np.asarray(stats['matrix'], np.float32))
            return graph.node('Reshape', white, graph.node('Shape', images))
        case _:
            scale = np.float32(255)
            return graph.node('Div', values, scale) if dtype == np.uint8 else values


def _centred(graph: Graph, images: str) -> str:
    """Images minus their means; a constant image is exactly 0."""
    above = graph.node('Sub', images, graph.node('ReduceMin', images, _IMAGE))
    return graph.node('Sub', above, graph.node('ReduceMean', above, _IMAGE))


def _contrast_normalised(graph: Graph, images: str) -> str:
    centred = _centred(graph, images)
    norm = graph.node('ReduceL2', centred, _IMAGE)
    divisor = graph.node('Max', norm, np.float32(whitening.SMALLEST_NORM))
    return graph.node('Div', graph.node('Mul', centred, np.float32(preprocess.GCN_SCALE)), divisor)


def _logits(graph: Graph, net: NotationModule, variables: Mapping, values: str, shape) -> str:
    """The net's layers on preprocessed inputs. Maps have channels first; `shape` stays [H, W, C]."""
    names = iter(sorted(variables['params'], key=lambda name: int(name.split('_')[1])))
    rows = counts.count(net.spec, shape, net.num_classes).rows
    first = False  # whether the values are maps with channels first
    for layer, row in zip((*grammar.parse(net.spec), None), rows, strict=True):
        kind = layer.kind if layer else 'output'
        if kind in grammar.MAP_KINDS and not first:
            values, first = graph.node('Transpose', values, perm=[0, 3, 1, 2]), True
        if kind in ('linear', 'hidden', 'output'):
            values, first = _flat(graph, values, shape, first), False
        weights = None
        if kind in (*grammar.PARAMETER_KINDS, 'output'):
            weights = _weights(variables, next(names))
        match kind:
            case 'conv':
                pads = _pads(shape, layer)
                kernel, bias = weights
                values = graph.node('Conv', values, kernel.transpose(3, 2, 0, 1), bias, pads=pads)
            case 'local':
                values = _locally_connected(graph, values, shape, layer, *weights)
            case 'linear' | 'hidden' | 'output':
                values = graph.node('Gemm', values, *weights)
            case 'lrn':
                size, beta = layers.LRN_SIZE, layers.LRN_BETA
                alpha = layers.LRN_ALPHA * size  # which ONNX divides by the size
                values = graph.node('LRN', values, size=size, alpha=alpha, beta=beta, bias=1.0)
            case 'max_pool' | 'average_pool' | 'stochastic_pool':
                values = _pooled(graph, values, shape, layer)
        if kind in ('conv', 'local', 'hidden'):
            values = graph.node('Relu', values)
        shape = row.shape
    return values


def _flat(graph: Graph, values: str, shape, first: bool) -> str:
    if first:
        values = graph.node('Transpose', values, perm=[0, 2, 3, 1])
    if len(shape) == 1:
        return values
    return graph.node('Reshape', values, np.array([-1, math.prod(shape)]))


def _weights(variables: Mapping, name: str) -> tuple[np.ndarray, np.ndarray]:
    """A layer's kernel and bias, batch normalisation multiplied in."""
    layer = variables['params'][name]
    kernel = np.asarray(layer['kernel'], np.float32)
    if 'bn' not in layer:
        return kernel, np.asarray(layer['bias'], np.float32)
    found = variables['batch_stats'][name]['bn']
    factor = layer['bn']['scale'] / np.sqrt(
        np.asarray(found['var'], np.float64) + batch_norm.EPSILON
    )
    bias = layer['bn']['bias'] - found['mean'] * factor
    return (kernel * factor).astype(np.float32), bias.astype(np.float32)


def _pads(shape, layer) -> list[int]:
    (top, bottom), (left, right) = lax.padtype_to_pads(
        shape[:2], layer.window, layer.stride, layer.padding
    )
    return [top, left, bottom, right]


def _pooled(graph: Graph, values: str, shape, layer) -> str:
    window = {
        'kernel_shape': layer.window,
        'strides': layer.stride,
        'pads': _pads(shape, layer),
    }
    if layer.kind == 'max_pool':
        return graph.node('MaxPool', values, **window)
    if layer.kind == 'average_pool':
        return graph.node('AveragePool', values, **window)
    # Stochastic pooling at test time: Σa²/Σa, and 0 for a window of zeros.
    squares = graph.node('Mul', values, values)
    area = np.float32(math.prod(layer.window))
    totals, of_squares = (
        graph.node('Mul', graph.node('AveragePool', each, count_include_pad=1, **window), area)
        for each in (values, squares)
    )
    some = graph.node('Greater', totals, np.float32(pooling.LEAST_TOTAL))
    return graph.node('Div', of_squares, graph.node('Where', some, totals, np.float32(1)))


def _locally_connected(graph: Graph, values: str, shape, layer, kernel, bias) -> str:
    """The product of each position's window with that position's kernel."""
    top, left, bottom, right = _pads(shape, layer)
    padded = graph.node('Pad', values, np.array([0, 0, top, left, 0, 0, bottom, right]))
    height, width = shape[:2]
    windows = [
        graph.node(
            'Slice', padded, np.array([row, column]), np.array([row + height, column + width]),
            np.array([2, 3]),
        )
        for row in range(layer.window[0])
        for column in range(layer.window[1])
    ]  # fmt: skip
    stacked = graph.node('Concat', *windows, axis=1)
    placed = graph.node('Transpose', stacked, perm=[2, 3, 0, 1])  # [H, W, b, window · C]
    product = graph.node('MatMul', placed, kernel.reshape(height, width, -1, layer.width))
    first = graph.node('Transpose', product, perm=[2, 3, 0, 1])
    bias = bias.transpose(2, 0, 1) if bias.ndim == 3 else bias[:, None, None]
    return graph.node('Add', first, bias)
