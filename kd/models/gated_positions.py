"""WavLM's gated relative positions (Chen et al. 2021, arXiv:2110.13900, sec. 3.2), a head at a time.

What a head adds to its scores lies in a table over buckets of distances (T5's, Raffel et al. 2019, arXiv:1910.10683),
scaled by a gate that the head draws from the stream. Legend: B utterances, T frames, D features of the stream, H heads.
"""

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F


def bucket_of_distances(buckets: int, max_distance: int) -> Tensor:
    """(2 * max_distance + 1,) the bucket of each distance (key's frame less the query's) from -max_distance on.

    Half of the buckets are for keys behind their query. Of each half one part has a bucket for every distance, the
    other is logarithmic.
    """
    half, exact = buckets // 2, buckets // 4
    distance = torch.arange(-max_distance, max_distance + 1)
    size = distance.abs()
    share = torch.log(size.float() / exact) / math.log(max_distance / exact)
    large = (exact + share * (half - exact)).clamp(min=0, max=half - 1).long()
    return torch.where(size < exact, size, large) + half * (distance > 0)


def distances(num_frames: int, max_distance: int, device: torch.device) -> Tensor:
    """(T, T) places in `bucket_of_distances`: of queries (first axis) and keys."""
    steps_T = torch.arange(num_frames, device=device)
    return (steps_T - steps_T[:, None]).clamp(-max_distance, max_distance) + max_distance


class GatedPositions(nn.Module):
    """(B, T, D) and (T, T) buckets -> (B, H, T, T), added to the scores of attention.

    WavLM's table belongs to all layers, and its gates read a head's part of the stream by weights that heads share.
    Here each layer has its heads' part of the table, and each head a row of weights over the whole stream: so a head
    takes all that is its own along when it is kept, and a feature of the stream may go. These are buffers, which no
    training changes: what heads share in WavLM stays equal, and layers can be handed back to it.
    """

    table: Tensor
    weight: Tensor
    bias: Tensor
    scale: Tensor

    def __init__(self, width: int, heads: int, buckets: int) -> None:
        super().__init__()
        self.heads = heads
        self.register_buffer("table", 0.02 * torch.randn(buckets, heads))
        self.register_buffer("weight", 0.02 * torch.randn(2 * heads, width))
        self.register_buffer("bias", torch.zeros(2 * heads))
        self.register_buffer("scale", torch.ones(heads))

    def forward(self, x_BTD: Tensor, buckets_TT: Tensor) -> Tensor:
        drawn_BTH2 = F.linear(x_BTD, self.weight, self.bias).view(*x_BTD.shape[:2], self.heads, 2).sigmoid()
        gate_BTH = drawn_BTH2[..., 0] * (drawn_BTH2[..., 1] * self.scale - 1.0) + 2.0
        bias_HTT = F.embedding(buckets_TT, self.table).permute(2, 0, 1)
        return gate_BTH.transpose(1, 2)[..., None] * bias_HTT
