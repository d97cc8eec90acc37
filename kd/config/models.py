"""Shapes of the recognisers: one class per family, every width spelled out layer by layer.

A width may be given once (`hidden: 128`) and is then repeated for each layer; after validation
it is always a tuple, because pruning gives each layer a width of its own.
"""

from collections.abc import Collection
from typing import Annotated, ClassVar, Literal, Self

from pydantic import AfterValidator, Field, model_validator

from kd.config.base import Strict
from kd.config.layered import MOST_LAYERS, Dropout, PerLayer, Pooling, Size, Widths
from kd.config.wav2vec2 import Wav2Vec2Settings

Problem = Literal["transcription", "keyword"]


def _odd(kernel: int) -> int:
    if kernel % 2 == 0:
        raise ValueError(f"{kernel} is even, but a centred convolution has a middle: use {kernel + 1}")
    return kernel


Kernel = Annotated[
    Size, AfterValidator(_odd), Field(description="frames that a depthwise convolution of a layer spans; odd")
]


class _Layered(PerLayer):
    """A family whose encoder is a stack of like layers behind a convolutional stem."""

    pooling: ClassVar[int] = 1
    """Encoder frames whose mean is an output frame."""

    stem: Size = Field(description="channels of the first convolution of the stem")
    width: Size = Field(description="features of the residual stream")
    layers: Annotated[int, Field(ge=1, le=MOST_LAYERS, description="blocks, one behind another")]
    subsampling: Literal[1, 2, 4] = Field(4, description="feature frames for each output frame: strides of the stem")
    causal: bool = Field(False, description="true: no frame depends on later ones, so that the model can stream")
    dropout: Dropout = 0.1

    @property
    def block_frames(self) -> int:
        """Output frames that a stream must give at a time."""
        return 1


class CNNSettings(_Layered):
    """Residual depthwise-separable convolutions over time (after QuartzNet and ConvNeXt)."""

    per_layer: ClassVar = ("hidden",)
    dims: ClassVar = ("layers", "width", "stem", "hidden")

    family: Literal["cnn"] = "cnn"
    hidden: Widths = Field(description="channels inside each block")
    kernel: Kernel = 11


class RNNSettings(_Layered):
    """Residual LSTM or GRU layers, uni- or bidirectional, each projected back to `width`."""

    per_layer: ClassVar = ("hidden",)
    dims: ClassVar = ("layers", "width", "stem", "hidden")

    family: Literal["rnn"] = "rnn"
    cell: Literal["gru", "lstm"] = Field("gru", description="kind of recurrent layer")
    bidirectional: bool = Field(
        True, description="true: each layer is read forwards and backwards, and so needs all audio"
    )
    hidden: Widths = Field(description="units of each direction of each layer")

    @model_validator(mode="after")
    def _causal_one_way(self) -> Self:
        if self.causal and self.bidirectional:
            raise ValueError(
                "causal: true depends on nothing later, bidirectional: true on all of it: set bidirectional: false"
            )
        return self


class ConformerSettings(_Layered):
    """Conformer (Gulati et al. 2020) with rotary positions."""

    per_layer: ClassVar = ("heads", "feed_forward_1", "feed_forward_2", "channels")
    dims: ClassVar = ("layers", "width", "stem", "heads", "feed_forward", "channels")
    normed: ClassVar = ("layers", "width", "channels")

    family: Literal["conformer"] = "conformer"
    heads: Widths = Field(description="attention heads of each layer")
    head_dim: Annotated[int, Field(ge=2, multiple_of=2)] = Field(32, description="features of an attention head")
    feed_forward_1: Widths = Field(description="units of each layer's first feed-forward")
    feed_forward_2: Widths = Field(description="units of each layer's second feed-forward")
    channels: Widths = Field(description="channels of each layer's depthwise convolution")
    kernel: Kernel = 15
    chunk_frames: Size | None = Field(None, description="output frames that attend to one another; with causal")
    left_chunks: Size | None = Field(None, description="chunks before its own that a frame attends to; with causal")

    @property
    def block_frames(self) -> int:
        return self.chunk_frames or 1

    @model_validator(mode="after")
    def _chunks_where_causal(self) -> Self:
        for name in ("chunk_frames", "left_chunks"):
            given = getattr(self, name)
            if self.causal and given is None:
                raise ValueError(f"causal: true attends by chunks: give {name}, such as 8")
            if not self.causal and given is not None:
                raise ValueError(f"{name} is for causal: true, but causal is false: remove {name}")
        return self


class WhisperSettings(PerLayer):
    """Whisper's encoder (Radford et al. 2022, arXiv:2212.04356), which takes pre-trained weights."""

    per_layer: ClassVar = ("heads", "feed_forward")
    dims: ClassVar = ("layers", "width", "stem", "heads", "feed_forward")
    STRIDE: ClassVar = 2
    """Of the stem: an encoder frame every 20 ms."""

    family: Literal["whisper"] = "whisper"
    stem: Size = Field(description="channels of the first convolution of the stem")
    width: Size = Field(description="features of the residual stream")
    layers: Annotated[int, Field(ge=1, le=MOST_LAYERS, description="blocks, one behind another")]
    heads: Widths = Field(description="attention heads of each layer")
    head_dim: Size = Field(64, description="features of an attention head")
    feed_forward: Widths = Field(description="units of each layer's feed-forward")
    pooling: Pooling = 2
    dropout: Dropout = 0.0

    @property
    def subsampling(self) -> int:
        """Feature frames for each output frame."""
        return self.STRIDE * self.pooling

    @property
    def block_frames(self) -> int:
        """Output frames that a stream must give at a time."""
        return 1


class PatchCNNSettings(Strict):
    """The classical keyword network: two 3x3 convolutions and poolings over one log-mel patch.

    Utterances are cut or zero-padded to `frames`; keyword problems only.
    """

    dims: ClassVar = ("channels", "hidden")
    normed: ClassVar = ()
    pooling: ClassVar[int] = 1
    """Encoder frames whose mean is an output frame."""

    family: Literal["patch_cnn"] = "patch_cnn"
    frames: Annotated[int, Field(ge=4, multiple_of=4)] = Field(64, description="feature frames of the patch")
    channels: tuple[Size, Size] = Field((32, 64), description="channels of the two convolutions")
    hidden: Size = Field(512, description="units of the fully connected layer")
    dropout: Dropout = 0.1


EncoderSettings = Annotated[
    CNNSettings | RNNSettings | ConformerSettings | WhisperSettings | Wav2Vec2Settings | PatchCNNSettings,
    Field(discriminator="family"),
]


class ModelSettings(Strict):
    """All that is needed to rebuild a recogniser, apart from its weights."""

    problem: Problem
    num_features: Size = Field(description="mel bins of the front end")
    num_outputs: Size = Field(description="units and blank, or keyword labels")
    encoder: EncoderSettings
    level_frames: int = Field(
        0,
        ge=0,
        description="feature frames over whose mean level each one is normalised; 0: not, as models before were",
    )

    dynamic_range: float = Field(
        0.0,
        ge=0,
        description="how far below an utterance's peak features may lie, in their own units; 0: as they are. "
        "Whisper's: 2, which is 80 dB",
    )
    peak: float | None = Field(
        None, description="where the peak of every utterance is moved to, so that no gain changes anything; null: not"
    )
    normalised: bool = Field(
        False, description="true: features of an utterance have a mean of 0 and a variance of 1, as wav2vec 2.0's have"
    )

    @property
    def _unused(self) -> Collection[str]:
        off = [name for name in ("dynamic_range", "normalised") if not getattr(self, name)]
        return [*off, *self._without_value("peak")]

    @property
    def level_sides(self) -> tuple[int, int]:
        """How many of `level_frames` lie before and after the frame that is normalised; causal: all before it."""
        spread = max(0, self.level_frames - 1)
        after = 0 if getattr(self.encoder, "causal", False) else spread // 2
        return spread - after, after

    @model_validator(mode="after")
    def _peak_with_a_floor(self) -> Self:
        if self.peak is not None and not self.dynamic_range:
            raise ValueError(f"peak {self.peak:g} without dynamic_range: give both, or neither")
        return self

    @model_validator(mode="after")
    def _patch_only_for_keywords(self) -> Self:
        if self.encoder.family == "patch_cnn":
            if self.problem != "keyword":
                raise ValueError(
                    "patch_cnn sees one fixed patch and cannot transcribe: choose cnn, rnn, conformer, whisper or "
                    "wav2vec2"
                )
            if self.num_features % 4:
                near = max(4, round(self.num_features / 4) * 4)
                raise ValueError(
                    f"patch_cnn pools twice by 2, but {self.num_features} mel bins are no multiple of 4: use {near}"
                )
        return self
