"""Parts that the families share: a mask of streams, heads of attention and the convolutional stem.

Legend: B utterances, T padded frames, C channels, F mel bins, D features of the residual stream, H heads, K features
of a head.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from kd.models.convolution import TimeConv1d
from kd.models.dimensions import Dimension, reads, writes
from kd.models.memory import Memory, Shapes
from kd.models.pooling import ceil_div
from kd.padding import frame_mask

STRIDES = {1: (1, 1), 2: (2, 1), 4: (2, 2)}


def all_frames(x_BTC: Tensor) -> Tensor:
    """(B, T) bool, true on all frames: a block of a stream has no padding."""
    return torch.ones(x_BTC.shape[:2], dtype=torch.bool, device=x_BTC.device)


def split_heads(x_BTD: Tensor, heads: int, head_dim: int) -> Tensor:
    """(B, T, H * K) -> (B, H, T, K)."""
    # view, since unflatten would fix the number of frames in an ONNX file
    return x_BTD.view(*x_BTD.shape[:2], heads, head_dim).transpose(1, 2)


class Stem(nn.Module):
    """Two convolutions over time, (B, T, F) -> (B, ceil(T / subsampling), D), padding kept at zero.

    Centred, or causal: then output frame i depends on features up to i * subsampling, and none behind.
    """

    def __init__(self, num_features: int, stem: int, width: int, subsampling: int, causal: bool = False) -> None:
        super().__init__()
        self.strides, self.causal = STRIDES[subsampling], causal
        self.conv1 = TimeConv1d(num_features, stem, 3, self.strides[0], padding=0 if causal else 1)
        self.conv2 = TimeConv1d(stem, width, 3, self.strides[1], padding=0 if causal else 1)

    def forward(self, features_BTF: Tensor, lengths_B: Tensor) -> tuple[Tensor, Tensor]:
        x_BCT = features_BTF.transpose(1, 2)
        for convolve, stride in ((self._first, self.strides[0]), (self.conv2, self.strides[1])):
            x_BCT = convolve(F.pad(x_BCT, (2, 0)) if self.causal else x_BCT)
            lengths_B = ceil_div(lengths_B, stride)
            x_BCT = x_BCT * frame_mask(lengths_B, x_BCT.shape[2])[:, None].to(x_BCT.dtype)
        return x_BCT.transpose(1, 2), lengths_B

    def step(self, features_BTF: Tensor, position_B: Tensor, memory: Memory) -> Tensor:
        """The next output frames of a stream, of which each takes `subsampling` features, its own last.

        position_B: output frames that were there before. Of the first block, all features but the last stand for
        none; they must be zero.
        """
        x_BCT = self._first(memory.extend("stem.conv1", features_BTF.transpose(1, 2), 2))
        index_BT = position_B[:, None] * self.strides[1] + torch.arange(x_BCT.shape[2], device=position_B.device)
        index_BT = index_BT - (self.strides[1] - 1)
        x_BCT = x_BCT * (index_BT >= 0)[:, None]
        return self.conv2(memory.extend("stem.conv2", x_BCT, 2)).transpose(1, 2)  # type: ignore[no-any-return]

    def memory(self) -> Shapes:
        """A window of 3 that moves on by `stride` goes on with 3 - stride frames of the last one."""
        first, second = (3 - stride for stride in self.strides)
        return {"stem.conv1": (self.conv1.in_channels, first), "stem.conv2": (self.conv2.in_channels, second)}

    def receptive_field(self) -> tuple[int, int]:
        """Feature frames that an output frame depends on before and after its own."""
        side = 1 + self.strides[0]
        return (2 * side, 0) if self.causal else (side, side)

    def _first(self, x_BCT: Tensor) -> Tensor:
        return F.relu(self.conv1(x_BCT))

    def output_lengths(self, lengths_B: Tensor) -> Tensor:
        return ceil_div(ceil_div(lengths_B, self.strides[0]), self.strides[1])

    def dimension(self) -> Dimension:
        """The stem's own channels; its output belongs to the encoder's `width`."""
        axes = (*writes("stem.conv1.weight", "stem.conv1.bias"), reads("stem.conv2.weight"))
        return Dimension("stem", "stem", self.conv1.out_channels, "stem", axes=axes)
