"""Shape of wav2vec 2.0's, HuBERT's and WavLM's encoder."""

from math import prod
from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import Field, model_validator

from kd.config.layered import MOST_LAYERS, Dropout, PerLayer, Pooling, Size, Widths

KERNELS = (10, 3, 3, 3, 3, 2, 2)
STRIDES = (5, 2, 2, 2, 2, 2, 2)
"""Of all published models: a frame of 25 ms every 20 ms."""


class Wav2Vec2Settings(PerLayer):
    """wav2vec 2.0 (arXiv:2006.11477), HuBERT (arXiv:2106.07447) and WavLM (arXiv:2110.13900), which take pre-trained
    weights. It takes samples: front end `waveform`.
    """

    per_layer: ClassVar = ("heads", "feed_forward")
    dims: ClassVar = ("layers", "width", "channels", "heads", "feed_forward")

    family: Literal["wav2vec2"] = "wav2vec2"
    channels: Widths = Field(description="channels of each convolution of the feature extractor")
    kernels: tuple[Size, ...] = Field(KERNELS, min_length=1, description="samples or frames that each of them spans")
    strides: tuple[Size, ...] = Field(STRIDES, min_length=1, description="step of each of them")
    conv_bias: bool = Field(False, description="whether they have biases")
    extractor_norm: Literal["group", "layer"] = Field(
        "group", description="group: the first convolution is normalised, each channel over time; layer: each frame"
    )
    projection_norm: bool = Field(True, description="whether the extractor's frames are normalised in the end")
    width_per_group: Size = Field(
        description="features of the residual stream in each group of the positional convolution; 48 of 16 groups: 768"
    )
    position_groups: Size = Field(16, description="groups of the positional convolution")
    position_kernel: Size = Field(128, description="frames that it spans")
    position_buckets: Annotated[int, Field(ge=4, multiple_of=4)] | None = Field(
        None,
        description="buckets of WavLM's relative positions, which each head gates: 320; null: it has none. They come "
        "with WavLM's weights alone: they are not trained, and not counted as parameters",
    )
    position_distance: Size = Field(800, description="frames from which on these do not tell distances apart")
    layers: Annotated[int, Field(ge=1, le=MOST_LAYERS, description="blocks, one behind another")]
    heads: Widths = Field(description="attention heads of each layer")
    head_dim: Size = Field(64, description="features of an attention head")
    feed_forward: Widths = Field(description="units of each layer's feed-forward")
    norm_first: bool = Field(False, description="true: each branch is normalised where it begins; false: its sum")
    pooling: Pooling = 1
    dropout: Dropout = 0.0

    @model_validator(mode="before")
    @classmethod
    def _repeat_channels(cls, data: Any) -> Any:
        if isinstance(data, dict) and isinstance(data.get("channels"), int):
            kernels = data.get("kernels", KERNELS)
            count = len(kernels) if isinstance(kernels, list | tuple) else len(KERNELS)
            return {**data, "channels": (data["channels"],) * count}
        return data

    @model_validator(mode="after")
    def _convolutions_agree(self) -> Self:
        counts = {len(self.channels), len(self.kernels), len(self.strides)}
        if len(counts) > 1:
            raise ValueError(
                f"channels lists {len(self.channels)} convolutions, kernels {len(self.kernels)}, strides "
                f"{len(self.strides)}: give as many of each"
            )
        return self

    @model_validator(mode="after")
    def _distances_beyond_exact_buckets(self) -> Self:
        if self.position_buckets is not None and self.position_distance <= self.position_buckets // 4:
            raise ValueError(
                f"position_distance {self.position_distance} is no more than the {self.position_buckets // 4} frames "
                "that have a bucket each: raise it, or lower position_buckets"
            )
        return self

    @property
    def normed(self) -> tuple[str, ...]:  # type: ignore[override]
        """Dims that a batch or layer norm scales."""
        return ("layers", "width", *(["channels"] if self.extractor_norm == "layer" else []))

    @property
    def width(self) -> int:
        """Features of the residual stream."""
        return self.position_groups * self.width_per_group

    @property
    def stride(self) -> int:
        """Samples from one frame of the extractor to the next."""
        return prod(self.strides)

    @property
    def subsampling(self) -> int:
        """Samples for each output frame."""
        return self.stride * self.pooling

    @property
    def block_frames(self) -> int:
        """Output frames that a stream must give at a time."""
        return 1
