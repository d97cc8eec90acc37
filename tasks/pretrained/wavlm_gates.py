"""Weights of WavLM's gates, which its heads share, as each head's own (kd.models.gated_positions), and back.

A head's gate reads the head's part of the stream; ours read all of it, with zeros elsewhere. Of the outputs that WavLM
sums for each half of a gate one is as good. Legend: H heads, K features of a head.
"""

import torch
from torch import Tensor

GATE_OUTPUTS = 4
"""Summed for each of a gate's two halves."""
EVEN = 1e-6
"""How far tensors that transformers shares may lie apart."""


def of_each_head(weight: Tensor, bias: Tensor, heads: int) -> tuple[Tensor, Tensor]:
    """(2 * GATE_OUTPUTS, K) and (2 * GATE_OUTPUTS,) to (2 * H, H * K) and (2 * H,)."""
    rows_2K = weight.view(2, GATE_OUTPUTS, -1).sum(1)
    return _spread(rows_2K, heads).reshape(2 * heads, -1), bias.view(2, GATE_OUTPUTS).sum(1).repeat(heads)


def are_shared(weight: Tensor, bias: Tensor, heads: int) -> bool:
    """Whether all heads' gates are those of the first, each over its own part of the stream."""
    own_H2HK = _spread(_rows(weight, heads), heads)
    even = torch.allclose(weight.view_as(own_H2HK), own_H2HK, atol=EVEN, rtol=0)
    return even and torch.allclose(bias.view(heads, 2), bias[:2].expand(heads, 2), atol=EVEN, rtol=0)


def shared(weight: Tensor, bias: Tensor, heads: int) -> tuple[Tensor, Tensor]:
    """What `of_each_head` takes, of gates that are shared."""
    summed = torch.zeros(2, GATE_OUTPUTS, 1).index_fill(1, torch.tensor([0]), 1.0)
    return (summed * _rows(weight, heads)[:, None]).flatten(0, 1), (summed[..., 0] * bias[:2, None]).flatten()


def _rows(weight: Tensor, heads: int) -> Tensor:
    """(2, K): what the first head's gate reads of its own part."""
    return weight.view(heads, 2, heads, -1)[0, :, 0]


def _spread(rows_2K: Tensor, heads: int) -> Tensor:
    """(H, 2, H, K): for each head these rows at its own part of the stream."""
    return torch.eye(heads)[:, None, :, None] * rows_2K[None, :, None, :]
