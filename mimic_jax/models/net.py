"""A net from its spec: one Flax module for every architecture that the notation can write."""

import math
import numbers

import flax.linen as nn
import jax.numpy as jnp

from mimic_jax.errors import UserError
from mimic_jax.models import grammar, layers, masks
from mimic_jax.models.counts import count, solved_layers
from mimic_jax.models.kernels import pooling

# Part of trained nets' names. Raise it with every change, beyond rounding, of what layers or
# initialisation compute (tests/arithmetic_test.py).
VERSION = 1

DTYPES = ('float32', 'bfloat16')


class NotationModule(nn.Module):
    """The net of a spec; make it with `build`. Hashable: equal settings are one static argument.

    Parameters: `<kind>_<number>`, numbered from input to output, so that the names alone give the
    order: `conv_00`, `linear_01`, `hidden_02`, `local_03`, `output_04`. Each holds `kernel` and
    `bias` or, where the spec has `bn`, `kernel` and `bn` with `scale` and `bias`; `batch_stats`
    holds the running mean and variance under the same names.
    """

    spec: str
    num_classes: int
    dtype: str = 'float32'
    init_scale: float = 1.0
    input_scale: float = 1.0
    unseen: tuple[str, ...] = ()

    @nn.compact
    def __call__(self, inputs, train=False, mask=None):
        """Logits of a batch.

        Training draws from the rng 'dropout' (dropout and stochastic pooling) and, with
        `mutable=['batch_stats']`, updates the running statistics.

        Args:
            inputs: [B, H, W, C] or [B, F], preprocessed.
            train: whether dropout, stochastic pooling and batch statistics are on.
            mask: [B], 1 for a real example and 0 for padding, which batch normalisation then
                leaves out; None when all are real. At least one must be real.

        Returns:
            Logits, [B, num_classes] float32.

        Raises:
            UserError: when the spec does not fit the inputs' shape.
        """
        count(self.spec, inputs.shape[1:], self.num_classes)
        x = jnp.asarray(inputs, self.dtype)
        if self.unseen:
            x = x * jnp.asarray(masks.seen(self.unseen, x.shape[1:]), self.dtype)
        if self.input_scale != 1:
            x = x * jnp.asarray(self.input_scale, self.dtype)
        number = 0
        for layer in grammar.parse(self.spec):
            if layer.kind in grammar.PARAMETER_KINDS:
                x = self._parameter_layer(layer, number)(_fitted(layer, x), train, mask)
                number += 1
            elif layer.kind == 'dropout':
                # Flat: XLA's CPU compiler is slow over random arrays of many axes.
                dropped = nn.Dropout(layer.rate)(_flat(x), deterministic=not train)
                x = dropped.reshape(x.shape)
            else:
                x = self._map_layer(layer, x, train)
        output = layers.Dense(
            self.num_classes, relu=False, name=f'output_{number:02d}', **self._common()
        )
        return output(_flat(x), train, mask).astype(jnp.float32)

    def _common(self):
        return {'dtype': self.dtype, 'init_scale': self.init_scale}

    def _parameter_layer(self, layer, number):
        fields = {
            'width': layer.width,
            'batch_norm': layer.batch_norm,
            'name': f'{layer.kind}_{number:02d}',
            **self._common(),
        }
        match layer.kind:
            case 'conv':
                return layers.Convolution(window=layer.window, padding=layer.padding, **fields)
            case 'local':
                return layers.LocallyConnected(window=layer.window, **fields)
            case _:
                return layers.Dense(relu=layer.kind == 'hidden', **fields)

    def _map_layer(self, layer, x, train):
        window = layer.window, layer.stride, layer.padding
        match layer.kind:
            case 'max_pool':
                return pooling.max_pool(x, *window)
            case 'average_pool':
                return pooling.average_pool(x, *window)
            case 'stochastic_pool' if train:
                return pooling.stochastic_pool(self.make_rng('dropout'), x, *window)
            case 'stochastic_pool':
                return pooling.expected_pool(x, *window)
            case 'lrn':
                return layers.local_response_norm(x)
        raise ValueError(f'no layer of kind {layer.kind!r}')


def build(spec, num_classes, dtype='float32', init_scale=1.0, input_scale=1.0, unseen=()):
    """The net of a spec.

    Args:
        spec: a model spec with no `?`; see `grammar`.
        num_classes: outputs of the implied last layer.
        dtype: of the computation, 'float32' or 'bfloat16'; parameters and logits are float32.
        init_scale: factor on the Glorot-uniform initial kernels.
        input_scale: factor on the inputs.
        unseen: parts of an example that it is not given; see `masks.seen`.

    Returns:
        A `NotationModule`. Builds of equal arguments are equal and hash equal.

    Raises:
        UserError: for a bad spec or setting.
    """
    solved_layers(spec)
    if not isinstance(num_classes, numbers.Integral) or num_classes < 1:
        raise UserError(f'num_classes is {num_classes!r}: a whole number from 1 is needed')
    if dtype not in DTYPES:
        raise UserError(f'dtype is {dtype!r}: it must be one of {", ".join(DTYPES)}')
    for name, scale in (('init_scale', init_scale), ('input_scale', input_scale)):
        if not isinstance(scale, numbers.Real) or not 0 < scale < math.inf:
            raise UserError(f'{name} is {scale!r}: a number above 0 is needed')
    return NotationModule(
        spec, int(num_classes), dtype, float(init_scale), float(input_scale), tuple(unseen)
    )


def _flat(x):
    return x.reshape(x.shape[0], -1)


def _fitted(layer, x):
    return x if layer.kind in grammar.MAP_KINDS else _flat(x)
