"""Settings of the front end and of augmentation."""

from bisect import bisect_right
from collections.abc import Collection
from math import log, log1p
from typing import Annotated, Any, Literal, NamedTuple, Protocol, Self, TypeVar

from pydantic import Field, ValidationInfo, field_validator, model_validator

from kd.config.base import Range, Strict

Speed = Annotated[float, Field(ge=0.5, le=2)]


class _Whole(Protocol):
    def __add__(self, other: int, /) -> Self: ...
    def __floordiv__(self, other: int, /) -> Self: ...


Count = TypeVar("Count", bound=_Whole)
"""A whole number, or a tensor of such."""


WHISPER: dict[str, float] = {
    "sample_rate_hz": 16_000,
    "frame_length_ms": 25.0,
    "frame_shift_ms": 10.0,
    "low_freq_hz": 0.0,
    "high_freq_hz": 0.0,
}
"""What Whisper's front end is fixed to; mel filters alone differ between its sizes (80, of large-v3 128)."""


WAVEFORM: dict[str, float] = {
    "sample_rate_hz": 16_000,
    "num_mels": 1,
    "frame_length_ms": 0.0625,
    "frame_shift_ms": 0.0625,
    "low_freq_hz": 0.0,
    "high_freq_hz": 0.0,
}
"""What the front end is fixed to that hands on samples: a frame is one."""
FIXED: dict[str, tuple[str, dict[str, float]]] = {
    "whisper": ("Whisper's front end", WHISPER),
    "waveform": ("the front end of samples", WAVEFORM),
}
"""By kind: what it is called, and what is fixed."""
FEWEST_MELS = 8


LEVEL_FRAMES = 301
"""Whatever a frame's step is: three seconds at 10 ms, four and a half at 15 ms, with which results are published."""
WHISPER_RANGE = 2.0
"""80 dB, as Whisper's front end scales them."""


class LevelSettings(NamedTuple):
    """How a recogniser makes itself blind to a gain of the audio: the fields of `ModelSettings` by these names."""

    level_frames: int
    dynamic_range: float
    peak: float | None
    normalised: bool = False


class FrontEndSettings(Strict):
    """Log-mel filter banks, or samples.

    `kaldi`: samples in [-1, 1], no dither, `snip_edges=False`, Povey window, pre-emphasis 0.97, no energy; the defaults
    are what sherpa-onnx computes for a zipformer CTC model. `whisper`: Whisper's, of which only `num_mels` can differ.
    `waveform`: none; a frame is a sample at 16 kHz, for the family wav2vec2, whose own convolutions it goes through.
    """

    kind: Literal["kaldi", "whisper", "waveform"] = Field(
        "kaldi", description="whose filter banks; waveform: none. A pre-trained model has its own"
    )
    sample_rate_hz: int = Field(16_000, ge=4_000, le=768_000, description="rate of the prepared audio")
    num_mels: int = Field(80, ge=1, le=256, description="mel filters, and so features of a frame: 8 or more")
    frame_length_ms: float = Field(25.0, gt=0, le=1_000, description="length of the analysis window")
    frame_shift_ms: float = Field(10.0, gt=0, le=1_000, description="step from one frame to the next")
    low_freq_hz: float = Field(20.0, ge=0, description="lower end of the first mel filter")
    high_freq_hz: float = Field(
        -400.0, description="upper end of the last mel filter; at most 0: counted from the Nyquist frequency"
    )

    @property
    def _unused(self) -> Collection[str]:
        return ["kind"] if self.kind == "kaldi" else []

    @model_validator(mode="before")
    @classmethod
    def _some_are_fixed(cls, data: Any) -> Any:
        if not isinstance(data, dict) or data.get("kind") not in FIXED:
            return data
        called, fixed = FIXED[data["kind"]]
        for key, value in fixed.items():
            if data.get(key, value) != value:
                raise ValueError(f"{key} {data[key]}: {called} has {value:g} and no other: remove {key}")
        return {**data, **fixed}

    @field_validator("num_mels")
    @classmethod
    def _mels_are_several(cls, num_mels: int, others: ValidationInfo) -> int:
        if others.data.get("kind") != "waveform" and num_mels < FEWEST_MELS:
            raise ValueError(f"{num_mels} is too few to tell sounds apart: use {FEWEST_MELS} or more")
        return num_mels

    @model_validator(mode="after")
    def _shift_not_longer_than_frame(self) -> Self:
        if self.samples_per_shift < 1:
            raise ValueError(f"frame_shift_ms {self.frame_shift_ms} is less than a sample: 10 is usual")
        if self.frame_shift_ms > self.frame_length_ms:
            raise ValueError(
                f"frame_shift_ms {self.frame_shift_ms} is longer than frame_length_ms {self.frame_length_ms}: "
                "audio between frames would be lost. Shorten the first, or lengthen the second"
            )
        return self

    @model_validator(mode="after")
    def _every_mel_bin_covers_a_frequency(self) -> Self:
        if self.kind != "kaldi":
            return self
        low_hz, high_hz, nyquist_hz = self.low_freq_hz, self.band_end_hz, self.sample_rate_hz / 2
        if not low_hz < high_hz <= nyquist_hz:
            raise ValueError(
                f"mel bins from {low_hz:g} to {high_hz:g} Hz do not lie in order below {nyquist_hz:g} Hz, half of "
                f"sample_rate_hz {self.sample_rate_hz}. Change low_freq_hz or high_freq_hz"
            )
        step = (_mel(high_hz) - _mel(low_hz)) / (self.num_mels + 1)
        edges = [_mel(low_hz) + i * step for i in range(self.num_mels + 2)]
        bins = [_mel(i * self.sample_rate_hz / self.fft_size) for i in range(self.fft_size // 2)]
        first_above = [bisect_right(bins, edge) for edge in edges[:-2]]
        empty = [i for i, first in enumerate(first_above) if first == len(bins) or bins[first] >= edges[i + 2]]
        if empty:
            raise ValueError(
                f"{len(empty)} of {self.num_mels} mel bins hold no bin of the {self.fft_size}-point Fourier transform "
                f"(first: {empty[0]}). Lower num_mels, or lengthen frame_length_ms"
            )
        return self

    def level(self) -> LevelSettings:
        """What a new recogniser of these features is set to.

        Kaldi's are taken relative to the level of the frames around; Whisper's, which its encoder knows on a scale of
        their own, keep it: they are raised to the floor below their peak, and the peak is moved to one place. Samples
        are scaled to a mean of 0 and a variance of 1.
        """
        if self.kind == "waveform":
            return LevelSettings(0, 0.0, None, normalised=True)
        return (
            LevelSettings(0, WHISPER_RANGE, 0.0) if self.kind == "whisper" else LevelSettings(LEVEL_FRAMES, 0.0, None)
        )

    @property
    def per_db(self) -> float:
        """What a gain of a decibel adds to every log-mel feature: Kaldi's are in nats, Whisper's a quarter of log10."""
        return 1 / 40 if self.kind == "whisper" else log(10) / 10

    @property
    def band_end_hz(self) -> float:
        """The upper end of the last mel bin."""
        return self.high_freq_hz + (self.sample_rate_hz / 2 if self.high_freq_hz <= 0 else 0)

    @property
    def fft_size(self) -> int:
        """Points of the Fourier transform: a frame's samples; of Kaldi's rounded up to a power of two."""
        if self.kind != "kaldi":
            return self.samples_per_frame
        return 1 << (self.samples_per_frame - 1).bit_length()

    def num_frames(self, num_samples: Count) -> Count:
        """Frames of so many samples, a number or a tensor: one a shift. Kaldi rounds to the nearest, Whisper down."""
        half = self.samples_per_shift // 2 if self.kind == "kaldi" else 0
        return (num_samples + half) // self.samples_per_shift

    @property
    def samples_per_shift(self) -> int:
        return int(self.sample_rate_hz * self.frame_shift_ms * 0.001)

    @property
    def samples_per_frame(self) -> int:
        return int(self.sample_rate_hz * self.frame_length_ms * 0.001)


def _mel(freq_hz: float) -> float:
    return 1127.0 * log1p(freq_hz / 700.0)


class AugmentSettings(Strict):
    """What training adds to its inputs. Zero, or an empty list, switches a part off."""

    time_masks: int = Field(2, ge=0, description="SpecAugment: masks along time, per utterance")
    time_mask_share: float = Field(0.1, ge=0, le=1, description="longest time mask, as a share of the utterance")
    frequency_masks: int = Field(2, ge=0, description="SpecAugment: masks along frequency, per utterance")
    frequency_mask_bins: int = Field(20, ge=0, description="widest frequency mask, in mel bins")
    speeds: tuple[Speed, ...] = Field(
        (0.85, 1.0, 1.15), description="speed perturbation: factors drawn evenly; also views of a teacher's outputs"
    )
    room_share: float = Field(0.3, ge=0, le=1, description="share of the utterances that get a room's echoes")
    rt60_s: Range = Field((0.2, 0.9), description="range of the time in which echoes fall by 60 dB")
    direct_to_echo_db: Range = Field((-3.0, 9.0), description="range of the direct sound over its echoes")
    noise_share: float = Field(0.3, ge=0, le=1, description="share of the utterances that get noise")
    telephone_share: float = Field(0.3, ge=0, le=1, description="share of the utterances that go through a telephone")
    copies: int = Field(
        4,
        ge=0,
        description="perturbed copies of the training part (speed, room, noise, telephone) whose features are kept and "
        "read in turn, an epoch each; 0: drawn anew in every epoch, for corpora that are large or GPUs that are fast",
    )
    level_db: float = Field(0.0, ge=0, le=60, description="largest gain or loss of a whole utterance")
    filter_db: float = Field(0.0, ge=0, description="FilterAugment: largest gain or loss at any frequency")
    noise_snr_db: Range = Field((5.0, 30.0), description="range of the noise's SNR")

    @property
    def leaves_waveforms(self) -> bool:
        """Whether every epoch has the same features before masking: no speed, room, noise or telephone is drawn."""
        return set(self.speeds) <= {1.0} and self.room_share == self.noise_share == self.telephone_share == 0

    @model_validator(mode="after")
    def _rooms_echo(self) -> Self:
        if self.rt60_s[0] <= 0:
            raise ValueError(f"rt60_s begins at {self.rt60_s[0]:g}: a room's echoes take some time, such as 0.2 s")
        return self

    def with_time_masking(self, times: float) -> Self:
        """These settings with `times` as much time masked: by more masks, each of a suitable length."""
        if self.time_masks == 0:
            return self
        masks = max(1, round(self.time_masks * times))
        share = min(1.0, self.time_mask_share * self.time_masks * times / masks)
        return self.model_copy(update={"time_masks": masks, "time_mask_share": share})

    @property
    def masks_features(self) -> bool:
        """Whether two draws give two views of the same audio."""
        time = self.time_masks > 0 and self.time_mask_share > 0
        frequency = self.frequency_masks > 0 and self.frequency_mask_bins > 0
        return time or frequency or self.filter_db > 0 or self.level_db > 0
