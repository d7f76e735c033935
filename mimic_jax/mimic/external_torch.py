"""A torch module as a teacher: a function of NumPy arrays, like any other."""

from collections.abc import Callable

import numpy as np


def is_module(thing) -> bool:
    """Whether an object is a torch module; torch need not be installed to ask."""
    return any(kind.__module__.startswith('torch.') for kind in type(thing).__mro__)


def as_function(module, channels_first: bool) -> Callable[[np.ndarray], np.ndarray]:
    """`logits(inputs [B, ...]) -> [B, K]` of a torch module in evaluation, on the device that it lies on.

    channels_first: whether images [B, H, W, C] are handed on as [B, C, H, W]. Inputs become float32.
    """
    import torch

    module.eval()
    place = next((each.device for each in module.parameters()), 'cpu')

    def logits(inputs: np.ndarray) -> np.ndarray:
        if channels_first and inputs.ndim == 4:
            inputs = np.moveaxis(inputs, -1, 1)
        with torch.inference_mode():
            given = torch.tensor(np.ascontiguousarray(inputs, np.float32), device=place)
            return module(given).float().cpu().numpy()

    return logits
