"""Nets of your own, in Flax: each is a model of a member or a student.

    config.members.resnet.model = 'flax:nets:ResNet18'
    config.members.resnet.model_args = {'width': 32}

`num_classes` and, of NNX, the number of channels come from the data. experiments/nets.py trains a
ResNet of this file and lets a net of the papers' notation mimic it.

    ResNet18   Linen, batch statistics. 11,173,962 parameters at ten classes: the ResNet-18 of He et
               al. 2016 with a 3×3 first convolution and no first pool, as is usual for 32×32
    WRN        Linen. WRN-16-4 of Zagoruyko & Komodakis 2016, 2,748,890 parameters at ten classes
    MLPMixer   NNX. Tolstikhin et al. 2021; Mixer-S/16 at 224×224 has 18,528,264 at a thousand classes
"""

from collections.abc import Sequence
from functools import partial

import flax.linen as nn
import jax
import jax.numpy as jnp
from flax import nnx

_HE = nn.initializers.he_normal()  # He et al. 2015, which both papers draw convolutions by


class BasicBlock(nn.Module):
    """conv-bn-relu-conv-bn, plus the shortcut, then ReLU. [B, H, W, C] to [B, H/stride, …, width]."""

    width: int
    stride: int

    @nn.compact
    def __call__(self, x, train: bool):
        conv = partial(nn.Conv, use_bias=False, kernel_init=_HE)
        norm = partial(nn.BatchNorm, use_running_average=not train, momentum=0.9)
        residual = conv(self.width, (3, 3), self.stride)(x)
        residual = conv(self.width, (3, 3))(nn.relu(norm()(residual)))
        residual = norm()(residual)
        if x.shape != residual.shape:
            x = norm()(conv(self.width, (1, 1), self.stride)(x))
        return nn.relu(x + residual)


class ResNet18(nn.Module):
    """Four stages of basic blocks, of `width`, 2, 4 and 8 times `width` channels."""

    num_classes: int
    width: int = 64
    blocks: Sequence[int] = (2, 2, 2, 2)

    @nn.compact
    def __call__(self, x, train: bool):
        x = nn.Conv(self.width, (3, 3), use_bias=False, kernel_init=_HE)(x)
        x = nn.relu(nn.BatchNorm(use_running_average=not train, momentum=0.9)(x))
        for stage, count in enumerate(self.blocks):
            for block in range(count):
                stride = 2 if stage and not block else 1
                x = BasicBlock(self.width << stage, stride)(x, train)
        return nn.Dense(self.num_classes)(x.mean(axis=(1, 2)))


class WideBlock(nn.Module):
    """bn-relu-conv-bn-relu-(dropout)-conv, plus the shortcut: the order of the wide residual networks."""

    width: int
    stride: int
    dropout: float

    @nn.compact
    def __call__(self, x, train: bool):
        conv = partial(nn.Conv, use_bias=False, kernel_init=_HE)
        norm = partial(nn.BatchNorm, use_running_average=not train, momentum=0.9)
        active = nn.relu(norm()(x))
        residual = nn.relu(norm()(conv(self.width, (3, 3), self.stride)(active)))
        residual = nn.Dropout(self.dropout, deterministic=not train)(residual)
        residual = conv(self.width, (3, 3))(residual)
        if x.shape != residual.shape:
            x = conv(self.width, (1, 1), self.stride)(active)
        return x + residual


class WRN(nn.Module):
    """WRN-`depth`-`widen`: three stages of (depth - 4) / 6 blocks, 16, 32, 64 times `widen` wide."""

    num_classes: int
    depth: int = 16
    widen: int = 4
    dropout: float = 0.0

    @nn.compact
    def __call__(self, x, train: bool):
        x = nn.Conv(16, (3, 3), use_bias=False, kernel_init=_HE)(x)
        for stage in range(3):
            for block in range((self.depth - 4) // 6):
                stride = 2 if stage and not block else 1
                x = WideBlock((16 << stage) * self.widen, stride, self.dropout)(x, train)
        x = nn.relu(nn.BatchNorm(use_running_average=not train, momentum=0.9)(x))
        return nn.Dense(self.num_classes)(x.mean(axis=(1, 2)))


class MixerBlock(nnx.Module):
    """Mixes patches, then channels; [B, patches, width] to the same."""

    def __init__(self, patches: int, width: int, tokens: int, channels: int, dropout, *, rngs):
        self.norms = nnx.List([nnx.LayerNorm(width, rngs=rngs) for _ in range(2)])
        self.mix_patches = _mlp(patches, tokens, dropout, rngs)
        self.mix_channels = _mlp(width, channels, dropout, rngs)

    def __call__(self, x):
        x = x + self.mix_patches(self.norms[0](x).swapaxes(1, 2)).swapaxes(1, 2)
        return x + self.mix_channels(self.norms[1](x))


def _mlp(size: int, hidden: int, dropout: float, rngs: nnx.Rngs) -> nnx.Sequential:
    return nnx.Sequential(
        nnx.Linear(size, hidden, rngs=rngs),
        jax.nn.gelu,
        nnx.Dropout(dropout, rngs=rngs),
        nnx.Linear(hidden, size, rngs=rngs),
    )


class MLPMixer(nnx.Module):
    """Patches of `patch` × `patch` pixels become `width` numbers each, which `depth` blocks mix.

    tokens, channels: hidden units of the two MLPs of a block.
    """

    def __init__(
        self,
        num_classes: int,
        input_shape: Sequence[int],
        patch: int = 4,
        width: int = 128,
        depth: int = 4,
        tokens: int = 64,
        channels: int = 512,
        dropout: float = 0.0,
        *,
        rngs: nnx.Rngs,
    ):
        height, across, colours = input_shape
        patches = (height // patch) * (across // patch)
        self.embed = nnx.Conv(
            colours, width, (patch, patch), strides=patch, padding='VALID', rngs=rngs
        )
        self.blocks = nnx.List(
            [MixerBlock(patches, width, tokens, channels, dropout, rngs=rngs) for _ in range(depth)]
        )
        self.norm = nnx.LayerNorm(width, rngs=rngs)
        self.head = nnx.Linear(width, num_classes, rngs=rngs)

    def __call__(self, images):
        x = self.embed(images)
        x = x.reshape(x.shape[0], -1, x.shape[-1])
        for block in self.blocks:
            x = block(x)
        return self.head(jnp.mean(self.norm(x), axis=1))
