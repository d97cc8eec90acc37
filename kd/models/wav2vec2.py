"""wav2vec 2.0's, HuBERT's and WavLM's encoder, as one plain module that can be made smaller.

Its dimensions are layers, width, the extractor's channels, heads and feed-forward units. With the same weights it
computes what transformers' `Wav2Vec2Model`, `HubertModel` and `WavLMModel` compute of one utterance; unlike them it
looks at no padding: means over time, positions and attention end where an utterance ends.

The positional convolution has groups of features of the stream, and all of them stay: a unit of `width` is one feature
of each. Its weight norm is folded into its weights. Keys have no bias, which adds the same to all scores of a query,
and so changes nothing. Layers' names are ours; `tasks.pretrained` maps those of others.
Legend: B utterances, N samples, T frames, F features of a sample (1), C channels, D features of the stream, E units.
"""

from collections.abc import Iterator
from itertools import chain

from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.checkpoint import checkpoint

from kd.config.wav2vec2 import Wav2Vec2Settings
from kd.models.convolution import TimeConv1d
from kd.models.dimensions import MIXES, Axis, Dimension, reads, writes
from kd.models.dropout import Dropout
from kd.models.encoder import Encoder
from kd.models.extractor import Extractor
from kd.models.gated_positions import GatedPositions, bucket_of_distances, distances
from kd.models.whisper import SelfAttention
from kd.padding import frame_mask

MIXES_CHANNELS = "a layer norm over the extractor's channels is of all of them: their number changes it"


class Wav2Vec2Layer(nn.Module):
    """Attention, then feed-forward, each added to the stream and normalised before (`norm_first`) or after."""

    def __init__(self, settings: Wav2Vec2Settings, i: int) -> None:
        super().__init__()
        width, hidden, heads = settings.width, settings.feed_forward[i], settings.heads[i]
        self.norm_first = settings.norm_first
        self.attention_norm = nn.LayerNorm(width)
        self.attention = SelfAttention(width, heads, settings.head_dim)
        if settings.position_buckets is not None:
            self.positions = GatedPositions(width, heads, settings.position_buckets)
        self.feed_forward_norm = nn.LayerNorm(width)
        self.expand = nn.Linear(width, hidden)
        self.contract = nn.Linear(hidden, width)
        self.dropout = Dropout(settings.dropout)

    def forward(self, x_BTD: Tensor, mask_B11T: Tensor, buckets_TT: Tensor | None) -> Tensor:
        if self.norm_first:
            x_BTD = x_BTD + self._attended(self.attention_norm(x_BTD), mask_B11T, buckets_TT)
            return x_BTD + self._fed_forward(self.feed_forward_norm(x_BTD))
        x_BTD = self.attention_norm(x_BTD + self._attended(x_BTD, mask_B11T, buckets_TT))
        return self.feed_forward_norm(x_BTD + self._fed_forward(x_BTD))  # type: ignore[no-any-return]

    def _attended(self, x_BTD: Tensor, mask_B11T: Tensor, buckets_TT: Tensor | None) -> Tensor:
        seen = mask_B11T
        if buckets_TT is not None:
            seen = self.positions(x_BTD, buckets_TT).masked_fill(~mask_B11T, float("-inf"))
        return self.dropout(self.attention(x_BTD, seen))  # type: ignore[no-any-return]

    def _fed_forward(self, x_BTD: Tensor) -> Tensor:
        return self.dropout(self.contract(F.gelu(self.expand(x_BTD))))  # type: ignore[no-any-return]


class Wav2Vec2Encoder(Encoder):
    """features_BNF (samples), lengths_B -> x_BTD, lengths_B: a frame every 20 ms; pooling is the recogniser's.

    gradient_checkpointing: as WhisperEncoder's; the extractor keeps its activations.
    """

    output = "width"
    buckets: Tensor

    def __init__(self, settings: Wav2Vec2Settings, num_features: int) -> None:
        super().__init__()
        self.settings = settings
        self.gradient_checkpointing = False
        self.output_blocks = settings.position_groups
        width, kernel = settings.width, settings.position_kernel
        self.extractor = Extractor(settings, num_features)
        self.projection_norm = nn.LayerNorm(settings.channels[-1]) if settings.projection_norm else nn.Identity()
        self.projection = nn.Linear(settings.channels[-1], width)
        self.positions = TimeConv1d(width, width, kernel, padding=kernel // 2, groups=settings.position_groups)
        if settings.norm_first:
            self.norm = nn.LayerNorm(width)
        else:
            self.input_norm = nn.LayerNorm(width)
        self.dropout = Dropout(settings.dropout)
        self.layers = nn.ModuleList(Wav2Vec2Layer(settings, i) for i in range(settings.layers))
        if settings.position_buckets is not None:
            buckets = bucket_of_distances(settings.position_buckets, settings.position_distance)
            self.register_buffer("buckets", buckets, persistent=False)
        self.num_outputs = width

    def forward(self, features_BNF: Tensor, lengths_B: Tensor) -> tuple[Tensor, Tensor]:
        x_BTC, lengths_B = self.extractor(features_BNF, lengths_B)
        mask_BT = frame_mask(lengths_B, x_BTC.shape[1])
        x_BTD = self.projection(self.projection_norm(x_BTC)).masked_fill(~mask_BT[..., None], 0.0)
        x_BTD = x_BTD + self._positions_of(x_BTD)
        x_BTD = self.dropout(x_BTD if self.settings.norm_first else self.input_norm(x_BTD))
        mask_B11T, buckets_TT = mask_BT[:, None, None], self._buckets_of(x_BTD)
        for layer in self.layers:
            if self.gradient_checkpointing and self.training:
                x_BTD = checkpoint(layer, x_BTD, mask_B11T, buckets_TT, use_reentrant=False)
            else:
                x_BTD = layer(x_BTD, mask_B11T, buckets_TT)
        return (self.norm(x_BTD) if self.settings.norm_first else x_BTD) * mask_BT[..., None], lengths_B

    def _positions_of(self, x_BTD: Tensor) -> Tensor:
        """The positional convolution, whose even kernel would give a frame too many."""
        return F.gelu(self.positions(x_BTD.transpose(1, 2)).transpose(1, 2)[:, : x_BTD.shape[1]])

    def _buckets_of(self, x_BTD: Tensor) -> Tensor | None:
        if self.settings.position_buckets is None:
            return None
        return self.buckets[distances(x_BTD.shape[1], self.settings.position_distance, x_BTD.device)]

    def set_gradient_checkpointing(self, enabled: bool) -> None:
        self.gradient_checkpointing = enabled

    def output_lengths(self, lengths_B: Tensor) -> Tensor:
        return self.extractor.output_lengths(lengths_B)

    def dimensions(self) -> list[Dimension]:
        settings = self.settings
        return [
            Dimension("layers", "layers", settings.layers, "layers"),
            *self._channel_dimensions(),
            Dimension(
                "width", "width", settings.width_per_group, "width_per_group", axes=tuple(self._width()), caveat=MIXES
            ),
            *chain.from_iterable(self._layer_dimensions(i) for i in range(settings.layers)),
        ]

    def _channel_dimensions(self) -> Iterator[Dimension]:
        settings, tensors = self.settings, set(self.state_dict())
        for i, channels in enumerate(settings.channels):
            at, last = f"extractor.layers.{i}", i + 1 == len(settings.channels)
            formed = [f"{at}.{part}" for part in ("conv.weight", "conv.bias", "norm.weight", "norm.bias")]
            after = ["projection_norm.weight", "projection_norm.bias"] if last else []
            axes = [*writes(*(name for name in (*formed, *after) if name in tensors))]
            axes.append(reads("projection.weight" if last else f"extractor.layers.{i + 1}.conv.weight"))
            mixed = settings.extractor_norm == "layer" or (last and settings.projection_norm)
            caveat = MIXES_CHANNELS if mixed else ""
            yield Dimension(f"channels.{i}", "channels", channels, "channels", i, tuple(axes), caveat)

    def _width(self) -> Iterator[Axis]:
        """A unit is a feature of each group; only of the positional convolution's inputs it is one row."""
        groups = self.settings.position_groups
        norm = "norm" if self.settings.norm_first else "input_norm"
        formed = [f"{at}.{kind}" for at in ("projection", "positions", norm) for kind in ("weight", "bias")]
        read: list[str] = []
        for i in range(self.settings.layers):
            at = f"layers.{i}"
            parts = ("attention_norm", "feed_forward_norm", "attention.out", "contract")
            formed += [f"{at}.{part}.{kind}" for part in parts for kind in ("weight", "bias")]
            read += [
                f"{at}.{part}.weight" for part in ("attention.query", "attention.key", "attention.value", "expand")
            ]
            read += [] if self.settings.position_buckets is None else [f"{at}.positions.weight"]
        yield from writes(*formed, blocks=groups)
        yield reads("positions.weight")
        yield from (reads(name, blocks=groups) for name in read)

    def _layer_dimensions(self, i: int) -> Iterator[Dimension]:
        at, settings = f"layers.{i}", self.settings
        entering = ("query.weight", "query.bias", "key.weight", "value.weight", "value.bias")
        heads = [
            *writes(*(f"{at}.attention.{name}" for name in entering), unit=settings.head_dim),
            reads(f"{at}.attention.out.weight", unit=settings.head_dim),
        ]
        if settings.position_buckets is not None:
            heads += writes(f"{at}.positions.weight", f"{at}.positions.bias", unit=2)
            heads += [*writes(f"{at}.positions.scale"), Axis(f"{at}.positions.table", 1)]
        feed_forward = (*writes(f"{at}.expand.weight", f"{at}.expand.bias"), reads(f"{at}.contract.weight"))
        yield Dimension(f"{at}.heads", "heads", settings.heads[i], "heads", i, tuple(heads))
        yield Dimension(f"{at}.feed_forward", "feed_forward", settings.feed_forward[i], "feed_forward", i, feed_forward)
