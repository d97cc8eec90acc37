"""The classical keyword network: two 3x3 convolutions and poolings over one log-mel patch.

With its defaults on 32 mel bins: 1x64x32 -> 32 channels -> 64 channels, each pooled by 2, then
64 * 16 * 8 flattened -> 512 hidden units. Whatever lies beyond `frames` frames is not looked at.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from kd.config.models import PatchCNNSettings
from kd.models.dimensions import Dimension, reads, writes
from kd.models.encoder import Encoder
from kd.padding import frame_mask


class PatchCNNEncoder(Encoder):
    """features_BTF, lengths_B -> x_B1D, lengths of one."""

    output = "hidden"

    def __init__(self, settings: PatchCNNSettings, num_features: int) -> None:
        super().__init__()
        self.settings = settings
        first, second = settings.channels
        self.conv1 = nn.Conv2d(1, first, 3, padding=1)
        self.conv2 = nn.Conv2d(first, second, 3, padding=1)
        self.pixels = (settings.frames // 4) * (num_features // 4)
        self.linear = nn.Linear(second * self.pixels, settings.hidden)
        self.dropout = nn.Dropout(settings.dropout)
        self.num_outputs = settings.hidden

    def forward(self, features_BTF: Tensor, lengths_B: Tensor) -> tuple[Tensor, Tensor]:
        frames = self.settings.frames
        patch_BTF = F.pad(features_BTF, (0, 0, 0, frames))[:, :frames]
        patch_BTF = patch_BTF * frame_mask(lengths_B, frames)[..., None]
        x = F.max_pool2d(F.relu(self.conv1(patch_BTF[:, None])), 2)
        x = F.max_pool2d(F.relu(self.conv2(x)), 2)
        x_BD = self.dropout(F.relu(self.linear(x.flatten(1))))
        return x_BD[:, None], torch.ones_like(lengths_B)

    def output_lengths(self, lengths_B: Tensor) -> Tensor:
        return torch.ones_like(lengths_B)

    def dimensions(self) -> list[Dimension]:
        first, second = self.settings.channels
        into_conv2 = (*writes("conv1.weight", "conv1.bias"), reads("conv2.weight"))
        into_linear = (*writes("conv2.weight", "conv2.bias"), reads("linear.weight", unit=self.pixels))
        return [
            Dimension("channels.0", "channels", first, "channels", 0, into_conv2),
            Dimension("channels.1", "channels", second, "channels", 1, into_linear),
            Dimension("hidden", "hidden", self.settings.hidden, "hidden", axes=writes("linear.weight", "linear.bias")),
        ]
