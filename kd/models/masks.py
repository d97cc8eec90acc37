"""Masks of pruned weights: bool tensors by parameter name, true where a weight is alive."""

from collections.abc import Mapping

import torch
from torch import Tensor, nn


def apply_masks(model: nn.Module, masks: Mapping[str, Tensor]) -> None:
    """Set masked weights to zero, in place."""
    parameters = dict(model.named_parameters())
    with torch.no_grad():
        for name, mask in masks.items():
            parameters[name].mul_(mask.to(parameters[name].device))
