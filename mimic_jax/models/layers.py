"""Flax modules of the layers that have parameters, and local response normalisation.

Each computes in `dtype` and keeps its parameters in float32: `kernel`, and `bias` or, where the
layer is batch normalised, `bn` with `scale` and `bias`.
"""

import math

import flax.linen as nn
import jax
import jax.numpy as jnp

from mimic_jax.models.kernels import batch_norm, convolution

LRN_SIZE, LRN_ALPHA, LRN_BETA = 9, 0.001, 0.75


class ParameterLayer(nn.Module):
    """What all layers with parameters share: kernel, then bias or batch norm, then ReLU.

    Attributes:
        width: output units or channels.
        relu: whether a ReLU ends the layer.
        batch_norm: whether batch normalisation takes the bias's place.
        dtype: of the computation.
        init_scale: factor on the initial kernel.
    """

    width: int
    relu: bool = True
    batch_norm: bool = False
    dtype: str = 'float32'
    init_scale: float = 1.0

    def kernel(self, shape, positions=()):
        """A kernel [*positions, *window, C_in, C_out], `shape` being all but the positions.

        It is drawn uniformly from +-init_scale * sqrt(6 / (fan_in + fan_out)) (Glorot & Bengio
        2010, equation 16), a fan being the channels times the window's elements.
        """
        fans = math.prod(shape[:-2]) * sum(shape[-2:])
        limit = self.init_scale * math.sqrt(6 / fans)

        def draw(key):
            # Drawn flat: XLA's CPU compiler takes seconds over random arrays of six axes.
            size = math.prod((*positions, *shape))
            flat = jax.random.uniform(key, (size,), minval=-limit, maxval=limit)
            return flat.reshape(*positions, *shape)

        return self.param('kernel', draw).astype(self.dtype)

    def finish(self, outputs, train, mask):
        """Bias or batch norm over `outputs` [B, ..., C], then ReLU; `mask` [B] or None."""
        if self.batch_norm:
            outputs = BatchNorm(name='bn')(outputs, train, mask)
        else:
            outputs += self.param('bias', nn.initializers.zeros, self.bias_shape(outputs)).astype(
                self.dtype
            )
        return nn.relu(outputs) if self.relu else outputs

    def bias_shape(self, outputs):
        """One bias a channel; overridden where kernels are not shared."""
        return outputs.shape[-1:]


class BatchNorm(nn.Module):
    """[B, ..., C] normalised by the batch's moments in training, by running ones otherwise.

    `params` has `scale` and `bias`, `batch_stats` has `mean` and `var`, [C] each.
    """

    @nn.compact
    def __call__(self, inputs, train, mask):
        channels = inputs.shape[-1:]
        scale = self.param('scale', nn.initializers.ones, channels)
        bias = self.param('bias', nn.initializers.zeros, channels)
        mean = self.variable('batch_stats', 'mean', jnp.zeros, channels)
        variance = self.variable('batch_stats', 'var', jnp.ones, channels)
        if not train:
            return batch_norm.normalise(inputs, mean.value, variance.value, scale, bias)
        found = batch_norm.moments(inputs, mask)
        if not self.is_initializing():
            # With Flax's default of .99, short runs would end on stale averages.
            for running, new in zip((mean, variance), found, strict=True):
                running.value = 0.9 * running.value + 0.1 * new
        return batch_norm.normalise(inputs, *found, scale, bias)


class Convolution(ParameterLayer):
    """[B, H, W, C] to [B, H', W', width], kernels shared over positions, stride 1."""

    window: tuple[int, int] = (1, 1)
    padding: str = 'SAME'

    @nn.compact
    def __call__(self, inputs, train, mask):
        kernel = self.kernel((*self.window, inputs.shape[-1], self.width))
        return self.finish(convolution.conv2d(inputs, kernel, self.padding), train, mask)


class LocallyConnected(ParameterLayer):
    """[B, H, W, C] to [B, H, W, width], SAME: each position has its own kernel and bias."""

    window: tuple[int, int] = (1, 1)

    @nn.compact
    def __call__(self, inputs, train, mask):
        positions = inputs.shape[1:3]
        kernel = self.kernel((*self.window, inputs.shape[-1], self.width), positions)
        patches = convolution.patches(inputs, self.window, 'SAME')
        outputs = jnp.einsum('bhwp,hwpc->bhwc', patches, kernel.reshape(*positions, -1, self.width))
        return self.finish(outputs, train, mask)

    def bias_shape(self, outputs):
        return outputs.shape[1:]


class Dense(ParameterLayer):
    """[B, F] to [B, width]."""

    @nn.compact
    def __call__(self, inputs, train, mask):
        kernel = self.kernel((inputs.shape[-1], self.width))
        return self.finish(inputs @ kernel, train, mask)


def local_response_norm(inputs, size=LRN_SIZE, alpha=LRN_ALPHA, beta=LRN_BETA):
    """Divides each activation by a power of its neighbouring channels' energy.

    b_c = a_c / (1 + alpha * sum_j a_j^2)^beta, j over the `size` channels centred on c, fewer at
    the ends. The form is Krizhevsky et al. 2012, section 3.3, with their k chosen as 1 and alpha
    not divided by `size`; N = 9, alpha = .001, beta = .75 are recalled from Hinton et al. 2012's
    CIFAR-10 net, not verified.

    Args:
        inputs: [B, H, W, C].

    Returns:
        [B, H, W, C], of the inputs' dtype.
    """
    channels = jnp.arange(inputs.shape[-1])
    near = jnp.abs(channels[:, None] - channels) <= size // 2
    activations = inputs.astype(jnp.float32)
    energy = jnp.matmul(activations**2, near.astype(jnp.float32), precision='highest')
    return (activations / (1 + alpha * energy) ** beta).astype(inputs.dtype)
