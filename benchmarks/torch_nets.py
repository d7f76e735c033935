"""The notation's nets in plain PyTorch, for benchmarks: the peer that training steps are held against."""

import torch
from torch import nn

from mimic_jax.models import grammar
from mimic_jax.models.counts import count


def build(spec: str, input_shape: tuple[int, ...], num_classes: int) -> nn.Module:
    """A net of convolutions, max pools and fully connected layers, output layer included.

    input_shape: of one example, (H, W, C) or (F,); the net reads [B, C, H, W] or [B, F].
    """
    rows = count(spec, input_shape, num_classes).rows
    shape, modules = tuple(input_shape), []
    for layer, row in zip(grammar.parse(spec), rows, strict=False):
        flat = layer.kind in ('linear', 'hidden') and len(shape) == 3
        if flat:
            modules.append(nn.Flatten())
            shape = (shape[0] * shape[1] * shape[2],)
        match layer.kind:
            case 'conv':
                padding = 'same' if layer.padding == 'SAME' else 0
                sizes, bias = (shape[-1], layer.width, layer.window), not layer.batch_norm
                modules += [nn.Conv2d(*sizes, padding=padding, bias=bias)]
            case 'max_pool':
                # Torch pads both sides; where XLA pads one alone the positions number the same.
                padding = layer.window[0] // 2 if layer.padding == 'SAME' else 0
                modules += [nn.MaxPool2d(layer.window, layer.stride, padding)]
            case 'linear' | 'hidden':
                modules += [nn.Linear(shape[0], layer.width)]
            case _:
                raise ValueError(f'{layer.token} has no twin here')
        if layer.batch_norm:
            modules.append(nn.BatchNorm2d(layer.width))
        if layer.kind in ('conv', 'hidden'):
            modules.append(nn.ReLU(inplace=True))
        shape = row.shape
    if len(shape) == 3:
        modules.append(nn.Flatten())
        shape = (shape[0] * shape[1] * shape[2],)
    net = nn.Sequential(*modules, nn.Linear(shape[0], num_classes))
    expected = sum(row.params for row in rows)
    found = sum(parameter.numel() for parameter in net.parameters())
    assert found == expected, (found, expected)
    return net.to(memory_format=torch.channels_last) if len(input_shape) == 3 else net
