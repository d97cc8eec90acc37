"""Whisper's encoder (Radford et al. 2022, arXiv:2212.04356), as a plain module that can be made smaller.

Its dimensions are layers, width, stem, heads and feed-forward units. With the same weights it computes what
transformers' `WhisperEncoder` and openai's `AudioEncoder` compute of the same features; unlike them it takes audio as
long as it is: positions and attention end where an utterance ends, and nothing is padded to 30 s. Layers' names are
ours; `tasks.pretrained` maps those of others.
Legend: B utterances, T frames, C channels of the stem, D features of the stream, H heads, K features of a head.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.checkpoint import checkpoint

from kd.config.models import WhisperSettings
from kd.models.convolution import TimeConv1d
from kd.models.dimensions import MIXES, Dimension, reads, writes
from kd.models.dropout import Dropout
from kd.models.encoder import Encoder
from kd.models.parts import split_heads
from kd.models.pooling import ceil_div
from kd.padding import frame_mask

MAX_TIMESCALE = 10_000.0


class WhisperStem(nn.Module):
    """Two convolutions over time, the second with stride 2: (B, T, F) -> (B, ceil(T / 2), D)."""

    def __init__(self, num_features: int, stem: int, width: int) -> None:
        super().__init__()
        self.conv1 = TimeConv1d(num_features, stem, 3, padding=1)
        self.conv2 = TimeConv1d(stem, width, 3, stride=WhisperSettings.STRIDE, padding=1)

    def forward(self, features_BTF: Tensor, lengths_B: Tensor) -> Tensor:
        """features_BTF: zero beyond their lengths_B."""
        mask_B1T = frame_mask(lengths_B, features_BTF.shape[1])[:, None]
        x_BCT = F.gelu(self.conv1(features_BTF.transpose(1, 2))) * mask_B1T
        return F.gelu(self.conv2(x_BCT)).transpose(1, 2)


class SinusoidalPositions(nn.Module):
    """Absolute positions: feature d of frame t is the sine, or the cosine, of t times the feature's frequency.

    Frequencies and which is which are tensors of the state, so that a slice of the stream's width keeps the waves of
    its features.
    """

    frequency: Tensor
    cosine: Tensor

    def __init__(self, width: int) -> None:
        super().__init__()
        sines = -(-width // 2)
        steps = torch.arange(sines, dtype=torch.float32) / max(1, sines - 1)
        frequencies = torch.exp(-torch.log(torch.tensor(MAX_TIMESCALE)) * steps)
        self.register_buffer("frequency", frequencies.repeat(2)[:width])
        self.register_buffer("cosine", (torch.arange(width) >= sines).float())

    def forward(self, num_frames: int) -> Tensor:
        """(T, D)."""
        angle_TD = torch.arange(num_frames, device=self.frequency.device)[:, None] * self.frequency
        return torch.where(self.cosine > 0.5, angle_TD.cos(), angle_TD.sin())


class SelfAttention(nn.Module):
    """(B, T, D) -> (B, T, D) over an utterance's valid frames. Keys have no bias, as in Whisper."""

    def __init__(self, width: int, heads: int, head_dim: int) -> None:
        super().__init__()
        self.heads, self.head_dim = heads, head_dim
        self.query = nn.Linear(width, heads * head_dim)
        self.key = nn.Linear(width, heads * head_dim, bias=False)
        self.value = nn.Linear(width, heads * head_dim)
        self.out = nn.Linear(heads * head_dim, width)

    def forward(self, x_BTD: Tensor, mask_B11T: Tensor) -> Tensor:
        query, key, value = (
            split_heads(part(x_BTD), self.heads, self.head_dim) for part in (self.query, self.key, self.value)
        )
        y_BHTK = F.scaled_dot_product_attention(query, key, value, attn_mask=mask_B11T)
        return self.out(y_BHTK.transpose(1, 2).flatten(2))  # type: ignore[no-any-return]


class WhisperLayer(nn.Module):
    """Attention, then feed-forward, each behind a layer norm and added to the stream."""

    def __init__(self, settings: WhisperSettings, i: int) -> None:
        super().__init__()
        width, hidden = settings.width, settings.feed_forward[i]
        self.attention_norm = nn.LayerNorm(width)
        self.attention = SelfAttention(width, settings.heads[i], settings.head_dim)
        self.feed_forward_norm = nn.LayerNorm(width)
        self.expand = nn.Linear(width, hidden)
        self.contract = nn.Linear(hidden, width)
        self.dropout = Dropout(settings.dropout)

    def forward(self, x_BTD: Tensor, mask_B11T: Tensor) -> Tensor:
        x_BTD = x_BTD + self.dropout(self.attention(self.attention_norm(x_BTD), mask_B11T))
        hidden_BTE = F.gelu(self.expand(self.feed_forward_norm(x_BTD)))
        return x_BTD + self.dropout(self.contract(hidden_BTE))  # type: ignore[no-any-return]


class WhisperEncoder(Encoder):
    """features_BTF, lengths_B -> x_BTD, lengths_B: a frame every two of features; pooling is the recogniser's.

    gradient_checkpointing: activations of layers are computed again on the way back, which takes another pass of the
    layers, and the memory of one layer and of each layer's input.
    """

    output = "width"

    def __init__(self, settings: WhisperSettings, num_features: int) -> None:
        super().__init__()
        self.settings = settings
        self.gradient_checkpointing = False
        self.stem = WhisperStem(num_features, settings.stem, settings.width)
        self.positions = SinusoidalPositions(settings.width)
        self.layers = nn.ModuleList(WhisperLayer(settings, i) for i in range(settings.layers))
        self.norm = nn.LayerNorm(settings.width)
        self.num_outputs = settings.width

    def forward(self, features_BTF: Tensor, lengths_B: Tensor) -> tuple[Tensor, Tensor]:
        x_BTD = self.stem(features_BTF, lengths_B)
        lengths_B = self.output_lengths(lengths_B)
        x_BTD = x_BTD + self.positions(x_BTD.shape[1])
        mask_BT = frame_mask(lengths_B, x_BTD.shape[1])
        mask_B11T = mask_BT[:, None, None]
        for layer in self.layers:
            if self.gradient_checkpointing and self.training:
                x_BTD = checkpoint(layer, x_BTD, mask_B11T, use_reentrant=False)
            else:
                x_BTD = layer(x_BTD, mask_B11T)
        return self.norm(x_BTD) * mask_BT[..., None], lengths_B

    def set_gradient_checkpointing(self, enabled: bool) -> None:
        self.gradient_checkpointing = enabled

    def output_lengths(self, lengths_B: Tensor) -> Tensor:
        return ceil_div(lengths_B, WhisperSettings.STRIDE)

    def dimensions(self) -> list[Dimension]:
        width = [*writes("stem.conv2.weight", "stem.conv2.bias", "positions.frequency", "positions.cosine")]
        for i in range(self.settings.layers):
            at = f"layers.{i}"
            for norm in ("attention_norm", "feed_forward_norm"):
                width += writes(f"{at}.{norm}.weight", f"{at}.{norm}.bias")
            for leaving in ("attention.out", "contract"):
                width += writes(f"{at}.{leaving}.weight", f"{at}.{leaving}.bias")
            width += [
                reads(f"{at}.{e}.weight") for e in ("attention.query", "attention.key", "attention.value", "expand")
            ]
        width += writes("norm.weight", "norm.bias")
        stem = (*writes("stem.conv1.weight", "stem.conv1.bias"), reads("stem.conv2.weight"))
        return [
            Dimension("layers", "layers", self.settings.layers, "layers"),
            Dimension("stem", "stem", self.settings.stem, "stem", axes=stem),
            Dimension("width", "width", self.settings.width, "width", axes=tuple(width), caveat=MIXES),
            *(d for i in range(self.settings.layers) for d in self._layer_dimensions(i)),
        ]

    def _layer_dimensions(self, i: int) -> list[Dimension]:
        at, settings = f"layers.{i}", self.settings
        entering = [
            f"{at}.attention.{t}" for t in ("query.weight", "query.bias", "key.weight", "value.weight", "value.bias")
        ]
        heads = (
            *writes(*entering, unit=settings.head_dim),
            reads(f"{at}.attention.out.weight", unit=settings.head_dim),
        )
        feed_forward = (*writes(f"{at}.expand.weight", f"{at}.expand.bias"), reads(f"{at}.contract.weight"))
        return [
            Dimension(f"{at}.heads", "heads", settings.heads[i], "heads", i, heads),
            Dimension(f"{at}.feed_forward", "feed_forward", settings.feed_forward[i], "feed_forward", i, feed_forward),
        ]
