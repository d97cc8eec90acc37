"""Parts that the families share: frame masks, the convolutional stem, normalisation over valid frames.

Legend: B utterances, T padded frames, C channels, F mel bins, D features of the residual stream.
"""

import torch
from torch import Tensor, distributed, nn
from torch.distributed.nn.functional import all_reduce
from torch.nn import functional as F

from kd.models.dimensions import Dimension, reads, writes
from kd.models.memory import Memory, Shapes

STRIDES = {1: (1, 1), 2: (2, 1), 4: (2, 2)}


def frame_mask(lengths_B: Tensor, num_frames: int) -> Tensor:
    """(B, T) bool, true on valid frames."""
    return torch.arange(num_frames, device=lengths_B.device) < lengths_B[:, None]


def all_frames(x_BTC: Tensor) -> Tensor:
    """(B, T) bool, true on all frames: a block of a stream has no padding."""
    return torch.ones(x_BTC.shape[:2], dtype=torch.bool, device=x_BTC.device)


def halved(lengths_B: Tensor, stride: int) -> Tensor:
    """Frames after a centred convolution of kernel 3: ceil(length / stride)."""
    return torch.div(lengths_B + (stride - 1), stride, rounding_mode="floor")


class Stem(nn.Module):
    """Two convolutions over time, (B, T, F) -> (B, ceil(T / subsampling), D), padding kept at zero.

    Centred, or causal: then output frame i hears features up to i * subsampling, and none behind.
    """

    def __init__(self, num_features: int, stem: int, width: int, subsampling: int, causal: bool = False) -> None:
        super().__init__()
        self.strides, self.causal = STRIDES[subsampling], causal
        self.conv1 = nn.Conv1d(num_features, stem, 3, self.strides[0], padding=0 if causal else 1)
        self.conv2 = nn.Conv1d(stem, width, 3, self.strides[1], padding=0 if causal else 1)

    def forward(self, features_BTF: Tensor, lengths_B: Tensor) -> tuple[Tensor, Tensor]:
        x_BCT = features_BTF.transpose(1, 2)
        for convolve, stride in ((self._first, self.strides[0]), (self.conv2, self.strides[1])):
            x_BCT = convolve(F.pad(x_BCT, (2, 0)) if self.causal else x_BCT)
            lengths_B = halved(lengths_B, stride)
            x_BCT = x_BCT * frame_mask(lengths_B, x_BCT.shape[2])[:, None]
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

    def reach(self) -> tuple[int, int]:
        """Feature frames that an output frame hears before and after its own."""
        side = 1 + self.strides[0]
        return (2 * side, 0) if self.causal else (side, side)

    def _first(self, x_BCT: Tensor) -> Tensor:
        return F.relu(self.conv1(x_BCT))

    def output_lengths(self, lengths_B: Tensor) -> Tensor:
        return halved(halved(lengths_B, self.strides[0]), self.strides[1])

    def dimension(self) -> Dimension:
        """The stem's own channels; its output belongs to the encoder's `width`."""
        axes = (*writes("stem.conv1.weight", "stem.conv1.bias"), reads("stem.conv2.weight"))
        return Dimension("stem", "stem", self.conv1.out_channels, "stem", axes=axes)


class FrameBatchNorm(nn.BatchNorm1d):
    """Batch normalisation whose statistics come from valid frames only, so padding moves nothing.

    Several processes take those of their whole batch together, as torch's SyncBatchNorm does on GPUs, and so do
    what one process would.
    """

    def forward(self, x_BTC: Tensor, mask_BT: Tensor) -> Tensor:  # type: ignore[override]
        if not self.training:
            assert self.running_mean is not None
            assert isinstance(self.running_var, Tensor)
            scale_C = self.weight * torch.rsqrt(self.running_var + self.eps)
            return x_BTC * scale_C + (self.bias - self.running_mean * scale_C)
        out_BTC = torch.zeros_like(x_BTC)
        shared = distributed.is_initialized() and distributed.get_world_size() > 1
        valid_NC = x_BTC[mask_BT]
        out_BTC[mask_BT] = self._shared(valid_NC) if shared else super().forward(valid_NC)
        return out_BTC

    def _shared(self, valid_NC: Tensor) -> Tensor:
        """Normalise by mean and variance over the valid frames of all processes; they may differ in number."""
        assert self.running_mean is not None
        assert self.running_var is not None
        assert self.momentum is not None
        count = valid_NC.new_full((1,), len(valid_NC))
        sums = torch.cat([valid_NC.sum(0), valid_NC.square().sum(0), count])
        sums = all_reduce(sums)  # type: ignore[no-untyped-call]  # unlike distributed.all_reduce, differentiable
        total, square, count = torch.split(sums, [self.num_features, self.num_features, 1])
        mean_C = total / count
        variance_C = (square / count - mean_C.square()).clamp(min=0)
        with torch.no_grad():
            self.running_mean.lerp_(mean_C, self.momentum)
            self.running_var.lerp_(variance_C * (count / (count - 1)), self.momentum)
            if self.num_batches_tracked is not None:
                self.num_batches_tracked += 1
        scale_C = self.weight * torch.rsqrt(variance_C + self.eps)
        normalised_NC: Tensor = (valid_NC - mean_C) * scale_C + self.bias
        return normalised_NC


BATCH_NORM_TENSORS = ("weight", "bias", "running_mean", "running_var")
