"""Conformer (Gulati et al. 2020, arXiv:2005.08100) with rotary positions.

We deviate from the paper in the positions (rotary, Su et al. 2021, arXiv:2104.09864, instead of
Transformer-XL's) and in that attention, convolution and batch statistics see valid frames only.
Legend: B utterances, T frames, D stream width, H heads, K features of a head, C convolution channels.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from kd.models.dimensions import Dimension, reads, writes
from kd.models.parts import BATCH_NORM_TENSORS, FrameBatchNorm, Stem, frame_mask
from kd.models.rnn import MIXES
from kd.settings.models import ConformerSettings


def rotate(x_BHTK: Tensor) -> Tensor:
    """Rotary positions: pairs of features (k, k + K/2) turned by angles that grow with the frame index."""
    num_frames, half = x_BHTK.shape[2], x_BHTK.shape[3] // 2
    exponents = torch.arange(half, device=x_BHTK.device, dtype=x_BHTK.dtype) / half
    steps_T = torch.arange(num_frames, device=x_BHTK.device).to(x_BHTK.dtype)
    angles_TK = steps_T[:, None] * torch.pow(10_000.0, -exponents)
    sine, cosine = angles_TK.sin(), angles_TK.cos()
    a, b = x_BHTK[..., :half], x_BHTK[..., half:]
    return torch.cat([a * cosine - b * sine, a * sine + b * cosine], dim=-1)


class FeedForward(nn.Sequential):
    """(B, T, D) -> (B, T, D)."""

    def __init__(self, width: int, hidden: int, dropout: float) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(width)
        self.expand = nn.Linear(width, hidden)
        self.activation = nn.SiLU()
        self.dropout = nn.Dropout(dropout)
        self.contract = nn.Linear(hidden, width)


class Attention(nn.Module):
    """Self-attention over valid frames, (B, T, D) -> (B, T, D)."""

    def __init__(self, width: int, heads: int, head_dim: int) -> None:
        super().__init__()
        self.heads, self.head_dim = heads, head_dim
        self.norm = nn.LayerNorm(width)
        self.query = nn.Linear(width, heads * head_dim)
        self.key = nn.Linear(width, heads * head_dim)
        self.value = nn.Linear(width, heads * head_dim)
        self.out = nn.Linear(heads * head_dim, width)

    def forward(self, x_BTD: Tensor, mask_BT: Tensor) -> Tensor:
        x_BTD = self.norm(x_BTD)
        # view, since unflatten would fix the number of frames in an ONNX file
        query, key, value = (
            part(x_BTD).view(*x_BTD.shape[:2], self.heads, self.head_dim).transpose(1, 2)
            for part in (self.query, self.key, self.value)
        )
        y_BHTK = F.scaled_dot_product_attention(rotate(query), rotate(key), value, attn_mask=mask_BT[:, None, None])
        return self.out(y_BHTK.transpose(1, 2).flatten(2))  # type: ignore[no-any-return]


class Convolution(nn.Module):
    """Gated pointwise, depthwise, pointwise, (B, T, D) -> (B, T, D)."""

    def __init__(self, width: int, channels: int, kernel: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(width)
        self.expand = nn.Linear(width, 2 * channels)
        self.depthwise = nn.Conv1d(channels, channels, kernel, padding=kernel // 2, groups=channels, bias=False)
        self.batch_norm = FrameBatchNorm(channels)
        self.contract = nn.Linear(channels, width)

    def forward(self, x_BTD: Tensor, mask_BT: Tensor) -> Tensor:
        y_BTC = F.glu(self.expand(self.norm(x_BTD)), dim=2) * mask_BT[..., None]
        y_BTC = self.depthwise(y_BTC.transpose(1, 2)).transpose(1, 2)
        return self.contract(F.silu(self.batch_norm(y_BTC, mask_BT)))  # type: ignore[no-any-return]


class Layer(nn.Module):
    """Half feed-forward, attention, convolution, half feed-forward, norm."""

    def __init__(self, settings: ConformerSettings, i: int) -> None:
        super().__init__()
        width = settings.width
        self.feed_forward_1 = FeedForward(width, settings.feed_forward_1[i], settings.dropout)
        self.attention = Attention(width, settings.heads[i], settings.head_dim)
        self.convolution = Convolution(width, settings.channels[i], settings.kernel)
        self.feed_forward_2 = FeedForward(width, settings.feed_forward_2[i], settings.dropout)
        self.norm = nn.LayerNorm(width)
        self.dropout = nn.Dropout(settings.dropout)

    def forward(self, x_BTD: Tensor, mask_BT: Tensor) -> Tensor:
        x_BTD = x_BTD + 0.5 * self.dropout(self.feed_forward_1(x_BTD))
        x_BTD = x_BTD + self.dropout(self.attention(x_BTD, mask_BT))
        x_BTD = x_BTD + self.dropout(self.convolution(x_BTD, mask_BT))
        x_BTD = x_BTD + 0.5 * self.dropout(self.feed_forward_2(x_BTD))
        return self.norm(x_BTD)  # type: ignore[no-any-return]


class ConformerEncoder(nn.Module):
    """features_BTF, lengths_B -> x_BTD, lengths_B."""

    output = "width"

    def __init__(self, settings: ConformerSettings, num_features: int) -> None:
        super().__init__()
        self.settings = settings
        self.stem = Stem(num_features, settings.stem, settings.width, settings.subsampling)
        self.layers = nn.ModuleList(Layer(settings, i) for i in range(settings.layers))
        self.num_outputs = settings.width

    def forward(self, features_BTF: Tensor, lengths_B: Tensor) -> tuple[Tensor, Tensor]:
        x_BTD, lengths_B = self.stem(features_BTF, lengths_B)
        mask_BT = frame_mask(lengths_B, x_BTD.shape[1])
        for layer in self.layers:
            x_BTD = layer(x_BTD, mask_BT)
        return x_BTD * mask_BT[..., None], lengths_B

    def output_lengths(self, lengths_B: Tensor) -> Tensor:
        return self.stem.output_lengths(lengths_B)

    def dimensions(self) -> list[Dimension]:
        width = [*writes("stem.conv2.weight", "stem.conv2.bias")]
        for i in range(self.settings.layers):
            at = f"layers.{i}"
            for part in ("feed_forward_1", "attention", "convolution", "feed_forward_2"):
                width += writes(f"{at}.{part}.norm.weight", f"{at}.{part}.norm.bias")
                leaving = "out" if part == "attention" else "contract"
                width += writes(f"{at}.{part}.{leaving}.weight", f"{at}.{part}.{leaving}.bias")
                entering = ("query", "key", "value") if part == "attention" else ("expand",)
                width += [reads(f"{at}.{part}.{e}.weight") for e in entering]
            width += writes(f"{at}.norm.weight", f"{at}.norm.bias")
        return [
            Dimension("layers", "layers", self.settings.layers, "layers"),
            self.stem.dimension(),
            Dimension("width", "width", self.settings.width, "width", axes=tuple(width), caveat=MIXES),
            *(d for i in range(self.settings.layers) for d in self._layer_dimensions(i)),
        ]

    def _layer_dimensions(self, i: int) -> list[Dimension]:
        at, settings = f"layers.{i}", self.settings
        head = settings.head_dim
        entering = (f"{at}.attention.{p}.{t}" for p in ("query", "key", "value") for t in ("weight", "bias"))
        heads = (*writes(*entering, unit=head), reads(f"{at}.attention.out.weight", unit=head))
        convolution = f"{at}.convolution"
        channels = (
            *writes(f"{convolution}.expand.weight", f"{convolution}.expand.bias", blocks=2),
            *writes(f"{convolution}.depthwise.weight"),
            *writes(*(f"{convolution}.batch_norm.{t}" for t in BATCH_NORM_TENSORS)),
            reads(f"{convolution}.contract.weight"),
        )
        feed_forward = [
            Dimension(f"{at}.{part}", "feed_forward", getattr(settings, part)[i], part, i, (
                *writes(f"{at}.{part}.expand.weight", f"{at}.{part}.expand.bias"),
                reads(f"{at}.{part}.contract.weight"),
            ))
            for part in ("feed_forward_1", "feed_forward_2")
        ]  # fmt: skip
        return [
            Dimension(f"{at}.heads", "heads", settings.heads[i], "heads", i, heads),
            Dimension(f"{at}.channels", "channels", settings.channels[i], "channels", i, channels),
            *feed_forward,
        ]
