"""Conformer (Gulati et al. 2020, arXiv:2005.08100) with rotary positions.

We deviate from the paper in the positions (rotary, Su et al. 2021, arXiv:2104.09864, instead of
Transformer-XL's) and in that attention, convolution and batch statistics see valid frames only. A causal one
attends by chunks: a frame sees its own chunk, whole, and a fixed number of chunks before it.
Legend: B utterances, T frames, D stream width, H heads, K features of a head, C convolution channels.
"""

from collections.abc import Iterable
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from kd.config.models import ConformerSettings
from kd.models.convolution import TimeConv1d
from kd.models.dimensions import MIXES, Dimension, reads, writes
from kd.models.dropout import Dropout
from kd.models.encoder import Encoder
from kd.models.memory import Memory, Shapes
from kd.models.normalisation import BATCH_NORM_TENSORS, FrameBatchNorm
from kd.models.parts import Stem, all_frames, split_heads
from kd.padding import frame_mask


def rotate(x_BHTK: Tensor, first: int = 0) -> Tensor:
    """Rotary positions: pairs of features (k, k + K/2) turned by angles that grow with the frame index.

    first: the index of the first frame.
    """
    num_frames, half = x_BHTK.shape[2], x_BHTK.shape[3] // 2
    exponents = torch.arange(half, device=x_BHTK.device, dtype=x_BHTK.dtype) / half
    steps_T = (torch.arange(num_frames, device=x_BHTK.device) + first).to(x_BHTK.dtype)
    angles_TK = steps_T[:, None] * torch.pow(10_000.0, -exponents)
    sine, cosine = angles_TK.sin(), angles_TK.cos()
    a, b = x_BHTK[..., :half], x_BHTK[..., half:]
    return torch.cat([a * cosine - b * sine, a * sine + b * cosine], dim=-1)


def attention_mask(mask_BT: Tensor, chunk_frames: int | None, left_chunks: int | None) -> Tensor:
    """(B, 1, 1 or T, T) bool: which keys (last axis) each query sees; all valid ones where there are no chunks."""
    if chunk_frames is None or left_chunks is None:
        return mask_BT[:, None, None]
    steps_T = torch.arange(mask_BT.shape[1], device=mask_BT.device)
    chunk_T = torch.div(steps_T, chunk_frames, rounding_mode="floor")
    behind_TT = chunk_T[:, None] - chunk_T
    seen_TT = (behind_TT >= 0) & (behind_TT <= left_chunks)
    # a query in the padding may see nothing valid: let it see itself, so that no softmax is empty
    itself_TT = steps_T[:, None] == steps_T
    return (seen_TT & mask_BT[:, None, None]) | itself_TT


class FeedForward(nn.Sequential):
    """(B, T, D) -> (B, T, D)."""

    def __init__(self, width: int, hidden: int, dropout: float) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(width)
        self.expand = nn.Linear(width, hidden)
        self.activation = nn.SiLU()
        self.dropout = Dropout(dropout)
        self.contract = nn.Linear(hidden, width)


class Attention(nn.Module):
    """Self-attention, (B, T, D) -> (B, T, D), over the frames that a mask lets each frame see."""

    def __init__(self, width: int, heads: int, head_dim: int) -> None:
        super().__init__()
        self.heads, self.head_dim = heads, head_dim
        self.norm = nn.LayerNorm(width)
        self.query = nn.Linear(width, heads * head_dim)
        self.key = nn.Linear(width, heads * head_dim)
        self.value = nn.Linear(width, heads * head_dim)
        self.out = nn.Linear(heads * head_dim, width)

    def forward(self, x_BTD: Tensor, seen_B1TT: Tensor) -> Tensor:
        query, key, value = self._heads(x_BTD)
        y_BHTK = F.scaled_dot_product_attention(rotate(query), rotate(key), value, attn_mask=seen_B1TT)
        return self.out(y_BHTK.transpose(1, 2).flatten(2))  # type: ignore[no-any-return]

    def step(self, x_BTD: Tensor, position_B: Tensor, past: int, memory: Memory, name: str) -> Tensor:
        """A block that lies within one chunk, and begins it, over itself and the `past` frames before it.

        Keys are remembered unturned: only distances count, so positions may begin anew with each block.
        """
        query, key, value = self._heads(x_BTD)
        key, value = memory.extend(f"{name}.key", key, 2), memory.extend(f"{name}.value", value, 2)
        steps_T = torch.arange(key.shape[2], device=x_BTD.device)
        seen_BT = steps_T >= past - position_B[:, None]
        y_BHTK = F.scaled_dot_product_attention(
            rotate(query, past), rotate(key), value, attn_mask=seen_BT[:, None, None]
        )
        return self.out(y_BHTK.transpose(1, 2).flatten(2))  # type: ignore[no-any-return]

    def _heads(self, x_BTD: Tensor) -> list[Tensor]:
        """Queries, keys and values, each (B, H, T, K)."""
        x_BTD = self.norm(x_BTD)
        parts = (self.query, self.key, self.value)
        return [split_heads(part(x_BTD), self.heads, self.head_dim) for part in parts]


class Convolution(nn.Module):
    """Gated pointwise, depthwise, pointwise, (B, T, D) -> (B, T, D)."""

    def __init__(self, width: int, channels: int, kernel: int, causal: bool) -> None:
        super().__init__()
        self.past = kernel - 1 if causal else 0
        centred = 0 if causal else kernel // 2
        self.norm = nn.LayerNorm(width)
        self.expand = nn.Linear(width, 2 * channels)
        self.depthwise = TimeConv1d(channels, channels, kernel, padding=centred, groups=channels, bias=False)
        self.batch_norm = FrameBatchNorm(channels)
        self.contract = nn.Linear(channels, width)

    def forward(self, x_BTD: Tensor, mask_BT: Tensor) -> Tensor:
        y_BTC = F.glu(self.expand(self.norm(x_BTD)), dim=2) * mask_BT[..., None]
        y_BCT = y_BTC.transpose(1, 2)
        y_BTC = self.depthwise(F.pad(y_BCT, (self.past, 0)) if self.past else y_BCT).transpose(1, 2)
        return self.contract(F.silu(self.batch_norm(y_BTC, mask_BT)))  # type: ignore[no-any-return]

    def step(self, x_BTD: Tensor, memory: Memory, name: str) -> Tensor:
        longer_BCT = F.glu(self.expand(self.norm(x_BTD)), dim=2).transpose(1, 2)
        if self.past:
            longer_BCT = memory.extend(f"{name}.depthwise", longer_BCT, 2)
        y_BTC = self.batch_norm(self.depthwise(longer_BCT).transpose(1, 2), all_frames(x_BTD))
        return self.contract(F.silu(y_BTC))  # type: ignore[no-any-return]


class Layer(nn.Module):
    """Half feed-forward, attention, convolution, half feed-forward, norm."""

    def __init__(self, settings: ConformerSettings, i: int) -> None:
        super().__init__()
        width = settings.width
        self.feed_forward_1 = FeedForward(width, settings.feed_forward_1[i], settings.dropout)
        self.attention = Attention(width, settings.heads[i], settings.head_dim)
        self.convolution = Convolution(width, settings.channels[i], settings.kernel, settings.causal)
        self.feed_forward_2 = FeedForward(width, settings.feed_forward_2[i], settings.dropout)
        self.norm = nn.LayerNorm(width)
        self.dropout = Dropout(settings.dropout)

    def forward(self, x_BTD: Tensor, mask_BT: Tensor, seen_B1TT: Tensor) -> Tensor:
        x_BTD = x_BTD + 0.5 * self.dropout(self.feed_forward_1(x_BTD))
        x_BTD = x_BTD + self.dropout(self.attention(x_BTD, seen_B1TT))
        x_BTD = x_BTD + self.dropout(self.convolution(x_BTD, mask_BT))
        x_BTD = x_BTD + 0.5 * self.dropout(self.feed_forward_2(x_BTD))
        return self.norm(x_BTD)  # type: ignore[no-any-return]

    def step(self, x_BTD: Tensor, position_B: Tensor, past: int, memory: Memory, name: str) -> Tensor:
        x_BTD = x_BTD + 0.5 * self.feed_forward_1(x_BTD)
        x_BTD = x_BTD + self.attention.step(x_BTD, position_B, past, memory, name)
        x_BTD = x_BTD + self.convolution.step(x_BTD, memory, name)
        x_BTD = x_BTD + 0.5 * self.feed_forward_2(x_BTD)
        return self.norm(x_BTD)  # type: ignore[no-any-return]


class ConformerEncoder(Encoder):
    """features_BTF, lengths_B -> x_BTD, lengths_B."""

    output = "width"

    def __init__(self, settings: ConformerSettings, num_features: int) -> None:
        super().__init__()
        self.settings = settings
        self.stem = Stem(num_features, settings.stem, settings.width, settings.subsampling, settings.causal)
        self.layers = nn.ModuleList(Layer(settings, i) for i in range(settings.layers))
        self.num_outputs = settings.width

    def forward(self, features_BTF: Tensor, lengths_B: Tensor) -> tuple[Tensor, Tensor]:
        x_BTD, lengths_B = self.stem(features_BTF, lengths_B)
        mask_BT = frame_mask(lengths_B, x_BTD.shape[1])
        seen_B1TT = attention_mask(mask_BT, self.settings.chunk_frames, self.settings.left_chunks)
        for layer in self.layers:
            x_BTD = layer(x_BTD, mask_BT, seen_B1TT)
        return x_BTD * mask_BT[..., None], lengths_B

    def step(self, features_BTF: Tensor, position_B: Tensor, memory: Memory) -> Tensor:
        x_BTD = self.stem.step(features_BTF, position_B, memory)
        for i, layer in enumerate(cast(Iterable[Layer], self.layers)):
            x_BTD = layer.step(x_BTD, position_B, self._past, memory, f"layers.{i}")
        return x_BTD

    def memory(self) -> Shapes:
        shapes, settings = self.stem.memory(), self.settings
        for i, (heads, channels) in enumerate(zip(settings.heads, settings.channels, strict=True)):
            shapes |= {f"layers.{i}.{part}": (heads, self._past, settings.head_dim) for part in ("key", "value")}
            if settings.kernel > 1:
                shapes[f"layers.{i}.depthwise"] = (channels, settings.kernel - 1)
        return shapes

    def receptive_field(self) -> tuple[int, int] | None:
        """Feature frames that an output frame depends on before and after its own, at most; None: on all."""
        settings = self.settings
        if settings.chunk_frames is None:
            return None
        stem_before, _ = self.stem.receptive_field()
        layer_before = self._past + settings.chunk_frames - 1 + settings.kernel - 1
        before = stem_before + layer_before * settings.layers * settings.subsampling
        return before, (settings.chunk_frames - 1) * settings.subsampling

    @property
    def _past(self) -> int:
        """Frames before its own chunk that a frame sees."""
        return (self.settings.chunk_frames or 0) * (self.settings.left_chunks or 0)

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
