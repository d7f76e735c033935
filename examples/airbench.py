"""Teachers for CIFAR-10 that cost little: the nets of airbench (Jordan 2024, arXiv 2404.00498), in Flax.

    config.members.fast.model = 'flax:examples.airbench:Airbench'
    config.members.fast.model_args = {'widths': (128, 384, 384)}

A frozen 2×2 convolution whitens patches of the training images; three groups of convolutions follow. The
convolutions, pools and normalisation are `mimic_jax.models.kernels`', which are fast on a CPU. Inputs are
images of which each channel has mean 0 and deviation 1 (config.data.preprocess='channel').
experiments/fast_teachers.py has the recipes of training.
"""

import math

import flax.linen as nn
import jax
import jax.numpy as jnp

from mimic_jax.models.kernels import batch_norm, convolution, pooling

PATCH = (2, 2)
SMALLEST = 5e-4  # added to the patches' variances


class Airbench(nn.Module):
    """Logits [B, num_classes] of images [B, 32, 32, C].

    num_classes: outputs.  widths: channels of the three groups.  depth: convolutions a group, 2 or 3; the
    third has a residual connection around it and the second.  scale: a factor on the logits.  decay: of
    the running moments of batch normalisation.  head: the deviation of the last layer's initial weights;
    0: as PyTorch draws them.
    """

    num_classes: int
    widths: tuple[int, ...] = (64, 256, 256)
    depth: int = 2
    scale: float = 1 / 9
    decay: float = 0.6
    head: float = 0.0

    @nn.compact
    def __call__(self, x, train=False, mask=None):
        x = _gelu(Whitening(name='whitening')(x))
        for number, width in enumerate(self.widths):
            x = Group(width, self.depth, self.decay, name=f'group_{number}')(x, train, mask)
        x = pooling.max_pool(x, (3, 3), (3, 3), 'VALID').reshape(x.shape[0], -1)
        draw = nn.initializers.normal(self.head) if self.head else _uniform
        head = nn.Dense(self.num_classes, use_bias=False, kernel_init=draw, name='head')
        return head(x) * self.scale

    def fit(self, variables, inputs):
        """The variables with which training starts: whitening is fitted to training images.

        Its filters are the eigenvectors of the uncentred covariance of 2×2 patches, each over the root of
        its eigenvalue plus 5e-4, with both signs.

        inputs: [N, 32, 32, C], preprocessed.
        """
        patches = convolution.patches(inputs, PATCH, 'VALID')
        patches = patches.reshape(-1, patches.shape[-1])
        values, vectors = jnp.linalg.eigh(patches.T @ patches / len(patches))
        filters = vectors / jnp.sqrt(values + SMALLEST)
        kernel = jnp.concatenate([filters, -filters], axis=1)
        kernel = kernel.reshape(*PATCH, inputs.shape[-1], -1)
        return {**variables, 'fitted': {'whitening': {'kernel': kernel}}}


class Whitening(nn.Module):
    """A 2×2 convolution whose kernel is fitted once and never trained; its bias is trained."""

    @nn.compact
    def __call__(self, x):
        filters = 2 * math.prod(PATCH) * x.shape[-1]  # each eigenvector with both signs
        kernel = self.variable('fitted', 'kernel', jnp.zeros, (*PATCH, x.shape[-1], filters))
        bias = self.param('bias', nn.initializers.zeros, (filters,))
        return convolution.conv2d(x, jax.lax.stop_gradient(kernel.value), 'VALID') + bias


class Convolution(nn.Module):
    """A 3×3 convolution without a bias."""

    width: int

    @nn.compact
    def __call__(self, x):
        kernel = self.param('kernel', _identity_first, (3, 3, x.shape[-1], self.width))
        return convolution.conv2d(x, kernel, 'SAME')


class Group(nn.Module):
    """A convolution and a 2×2 max pool, then `depth` − 1 convolutions; batch norm and GELU after each."""

    width: int
    depth: int
    decay: float

    @nn.compact
    def __call__(self, x, train, mask):
        first = None
        for number in range(self.depth):
            x = Convolution(self.width, name=f'conv_{number}')(x)
            if number == 0:
                x = pooling.max_pool(x, (2, 2), (2, 2), 'VALID')
            x = Norm(self.decay, name=f'norm_{number}')(x, train, mask)
            x = _gelu(x if number < 2 else x + first)
            first = x if number == 0 else first
        return x


class Norm(nn.Module):
    """Batch normalisation with a bias and no scale."""

    decay: float

    @nn.compact
    def __call__(self, x, train, mask):
        channels = x.shape[-1:]
        bias = self.param('bias', nn.initializers.zeros, channels)
        mean = self.variable('batch_stats', 'mean', jnp.zeros, channels)
        variance = self.variable('batch_stats', 'var', jnp.ones, channels)
        ones = jnp.ones(channels)
        if not train:
            return batch_norm.normalise(x, mean.value, variance.value, ones, bias)
        found = batch_norm.moments(x, mask)
        if not self.is_initializing():
            for running, new in zip((mean, variance), found, strict=True):
                running.value = self.decay * running.value + (1 - self.decay) * new
        return batch_norm.normalise(x, *found, ones, bias)


def _gelu(x):
    return nn.gelu(x, approximate=False)


def _uniform(key, shape, dtype=jnp.float32):
    """Within ±1/√fan_in, as PyTorch draws convolutions and linear layers."""
    limit = 1 / math.sqrt(math.prod(shape[:-1]))
    return jax.random.uniform(key, shape, dtype, minval=-limit, maxval=limit)


def _identity_first(key, shape):
    """Drawn by `_uniform`, but the first filters each pass one input channel on unchanged."""
    height, width, channels, filters = shape
    through = min(channels, filters)
    unit = jnp.zeros((height, width, channels, through))
    index = jnp.arange(through)
    unit = unit.at[height // 2, width // 2, index, index].set(1.0)
    return _uniform(key, shape).at[..., :through].set(unit)
