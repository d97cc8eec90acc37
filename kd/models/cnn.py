"""Residual depthwise-separable convolutions over time.

One block: x + W2 relu(W1 norm(depthwise(x))), after QuartzNet (Kriman et al. 2020, arXiv:1910.10261)
and ConvNeXt's inverted bottleneck; unlike both, statistics and convolutions see valid frames only.
"""

from torch import Tensor, nn
from torch.nn import functional as F

from kd.models.dimensions import Dimension, reads, writes
from kd.models.parts import BATCH_NORM_TENSORS, FrameBatchNorm, Stem, frame_mask
from kd.settings.models import CNNSettings


class Block(nn.Module):
    """(B, T, D) -> (B, T, D)."""

    def __init__(self, width: int, hidden: int, kernel: int, dropout: float) -> None:
        super().__init__()
        self.depthwise = nn.Conv1d(width, width, kernel, padding=kernel // 2, groups=width, bias=False)
        self.norm = FrameBatchNorm(width)
        self.expand = nn.Linear(width, hidden)
        self.contract = nn.Linear(hidden, width)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x_BTD: Tensor, mask_BT: Tensor) -> Tensor:
        y_BTD = self.depthwise(x_BTD.transpose(1, 2)).transpose(1, 2)
        y_BTD = self.contract(F.relu(self.expand(self.norm(y_BTD, mask_BT))))
        return (x_BTD + self.dropout(y_BTD)) * mask_BT[..., None]  # type: ignore[no-any-return]


class CNNEncoder(nn.Module):
    """features_BTF, lengths_B -> x_BTD, lengths_B."""

    output = "width"

    def __init__(self, settings: CNNSettings, num_features: int) -> None:
        super().__init__()
        self.settings = settings
        self.stem = Stem(num_features, settings.stem, settings.width, settings.subsampling)
        self.layers = nn.ModuleList(
            Block(settings.width, hidden, settings.kernel, settings.dropout) for hidden in settings.hidden
        )
        self.num_outputs = settings.width

    def forward(self, features_BTF: Tensor, lengths_B: Tensor) -> tuple[Tensor, Tensor]:
        x_BTD, lengths_B = self.stem(features_BTF, lengths_B)
        mask_BT = frame_mask(lengths_B, x_BTD.shape[1])
        for layer in self.layers:
            x_BTD = layer(x_BTD, mask_BT)
        return x_BTD, lengths_B

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
