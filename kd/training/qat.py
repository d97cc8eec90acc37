"""Quantisation-aware training: layers compute as their exported 8-bit forms will, and learn to bear it.

Rounding has a gradient of 0 nearly everywhere; it is passed through as if there were none (the straight-through
estimator, Bengio et al. 2013, arXiv:1308.3432; for networks of integers Jacob et al. 2018, arXiv:1712.05877). What
is rounded are the layers of the static form, weights as there: linear layers and convolutions, those in groups and
recurrent cells not. Ranges of inputs are found for each utterance, as in the dynamic form.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import TypeGuard

import torch
from torch import Tensor, nn

WEIGHT_STEPS = 64
"""Each side of zero: 7 of 8 bits, as all forms of tasks/onnx/quantise/convert.py have it."""
INPUT_STEPS = 255
TINY = 1e-12
Rounded = nn.Linear | nn.Conv1d | nn.Conv2d


@contextmanager
def fake_quantised(model: nn.Module, active: bool = True) -> Iterator[None]:
    """Within, the layers of the model round their weights and inputs to 8 bits; its parameters stay as they are."""
    layers = [layer for layer in model.modules() if active and _is_rounded(layer)]
    for layer in layers:
        vars(layer)["forward"] = partial(_forward, layer)
    try:
        yield
    finally:
        for layer in layers:
            del vars(layer)["forward"]


def rounded_weight(weight: Tensor) -> Tensor:
    """To whole steps of a 64th of each output channel's (axis 0) largest weight."""
    scale = weight.detach().flatten(1).abs().amax(1).clamp(min=TINY) / WEIGHT_STEPS
    return torch.fake_quantize_per_channel_affine(
        weight, scale, torch.zeros_like(scale, dtype=torch.int32), 0, -WEIGHT_STEPS, WEIGHT_STEPS
    )


def rounded_input(x: Tensor) -> Tensor:
    """To 256 levels between each utterance's (axis 0) least and greatest value, 0 among them; padding counts too."""
    values = x.detach().flatten(1).nan_to_num()  # NaN goes on through x, for whoever looks for it
    low, high = values.amin(1).clamp(max=0), values.amax(1).clamp(min=0)
    scale = (high - low).clamp(min=TINY) / INPUT_STEPS
    zero = (-low / scale).round().clamp(0, INPUT_STEPS).to(torch.int32)
    return torch.fake_quantize_per_channel_affine(x, scale, zero, 0, 0, INPUT_STEPS)


def _is_rounded(module: nn.Module) -> TypeGuard[Rounded]:
    return isinstance(module, nn.Linear) or (isinstance(module, nn.Conv1d | nn.Conv2d) and module.groups == 1)


def _forward(layer: Rounded, x: Tensor) -> Tensor:
    weight, x = rounded_weight(layer.weight), rounded_input(x)
    if isinstance(layer, nn.Linear):
        return nn.functional.linear(x, weight, layer.bias)
    result: Tensor = layer._conv_forward(x, weight, layer.bias)
    return result
