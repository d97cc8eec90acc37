"""Residual depthwise-separable convolutions over time.

One block: x + W2 relu(W1 norm(depthwise(x))), after QuartzNet (Kriman et al. 2020, arXiv:1910.10261)
and ConvNeXt's inverted bottleneck; unlike both, statistics and convolutions see valid frames only.
Convolutions are centred or causal.
"""

from collections.abc import Iterable
from typing import cast

from torch import Tensor, nn
from torch.nn import functional as F

from kd.config.models import CNNSettings
from kd.models.convolution import TimeConv1d
from kd.models.dimensions import Dimension, reads, writes
from kd.models.dropout import Dropout, added
from kd.models.encoder import Encoder
from kd.models.memory import Memory, Shapes
from kd.models.normalisation import BATCH_NORM_TENSORS, FrameBatchNorm
from kd.models.parts import Stem, all_frames
from kd.padding import frame_mask


class Block(nn.Module):
    """(B, T, D) -> (B, T, D)."""

    def __init__(self, width: int, hidden: int, kernel: int, dropout: float, causal: bool) -> None:
        super().__init__()
        self.past = kernel - 1 if causal else 0
        centred = 0 if causal else kernel // 2
        self.depthwise = TimeConv1d(width, width, kernel, padding=centred, groups=width, bias=False)
        self.norm = FrameBatchNorm(width)
        self.expand = nn.Linear(width, hidden)
        self.contract = nn.Linear(hidden, width)
        self.dropout = Dropout(dropout)

    def forward(self, x_BTD: Tensor, mask_BT: Tensor) -> Tensor:
        """mask_BT: 1 on valid frames, else 0, as x_BTD is there."""
        x_BDT = x_BTD.transpose(1, 2)
        y_BTD = self.depthwise(F.pad(x_BDT, (self.past, 0)) if self.past else x_BDT).transpose(1, 2)
        y_BTD = self.contract(F.relu(self.expand(self.norm(y_BTD, mask_BT))))
        return added(x_BTD, y_BTD, mask_BT[..., None], self.dropout)

    def step(self, x_BTD: Tensor, memory: Memory, name: str) -> Tensor:
        longer_BDT = x_BTD.transpose(1, 2)
        if self.past:
            longer_BDT = memory.extend(f"{name}.depthwise", longer_BDT, 2)
        y_BTD = self.norm(self.depthwise(longer_BDT).transpose(1, 2), all_frames(x_BTD))
        return x_BTD + self.contract(F.relu(self.expand(y_BTD)))  # type: ignore[no-any-return]


class CNNEncoder(Encoder):
    """features_BTF, lengths_B -> x_BTD, lengths_B."""

    output = "width"

    def __init__(self, settings: CNNSettings, num_features: int) -> None:
        super().__init__()
        self.settings = settings
        self.stem = Stem(num_features, settings.stem, settings.width, settings.subsampling, settings.causal)
        self.layers = nn.ModuleList(
            Block(settings.width, hidden, settings.kernel, settings.dropout, settings.causal)
            for hidden in settings.hidden
        )
        self.num_outputs = settings.width

    def forward(self, features_BTF: Tensor, lengths_B: Tensor) -> tuple[Tensor, Tensor]:
        x_BTD, lengths_B = self.stem(features_BTF, lengths_B)
        mask_BT = frame_mask(lengths_B, x_BTD.shape[1]).to(x_BTD.dtype)
        for layer in self.layers:
            x_BTD = layer(x_BTD, mask_BT)
        return x_BTD, lengths_B

    def step(self, features_BTF: Tensor, position_B: Tensor, memory: Memory) -> Tensor:
        x_BTD = self.stem.step(features_BTF, position_B, memory)
        for i, layer in enumerate(cast(Iterable[Block], self.layers)):
            x_BTD = layer.step(x_BTD, memory, f"layers.{i}")
        return x_BTD

    def memory(self) -> Shapes:
        width, past = self.settings.width, self.settings.kernel - 1
        layers = {f"layers.{i}.depthwise": (width, past) for i in range(self.settings.layers) if past}
        return {**self.stem.memory(), **layers}

    def receptive_field(self) -> tuple[int, int]:
        """Feature frames that an output frame depends on before and after its own."""
        stem_before, stem_after = self.stem.receptive_field()
        sides = (self.settings.kernel - 1) * self.settings.layers * self.settings.subsampling
        before, after = (sides, 0) if self.settings.causal else (sides // 2, sides // 2)
        return stem_before + before, stem_after + after

    def output_lengths(self, lengths_B: Tensor) -> Tensor:
        return self.stem.output_lengths(lengths_B)

    def dimensions(self) -> list[Dimension]:
        width = [*writes("stem.conv2.weight", "stem.conv2.bias")]
        hidden = []
        for i, size in enumerate(self.settings.hidden):
            at = f"layers.{i}"
            width += writes(
                f"{at}.depthwise.weight",
                *(f"{at}.norm.{t}" for t in BATCH_NORM_TENSORS),
                f"{at}.contract.weight",
                f"{at}.contract.bias",
            )
            width.append(reads(f"{at}.expand.weight"))
            axes = (*writes(f"{at}.expand.weight", f"{at}.expand.bias"), reads(f"{at}.contract.weight"))
            hidden.append(Dimension(f"{at}.hidden", "hidden", size, "hidden", i, axes))
        return [
            Dimension("layers", "layers", self.settings.layers, "layers"),
            self.stem.dimension(),
            Dimension("width", "width", self.settings.width, "width", axes=tuple(width)),
            *hidden,
        ]
