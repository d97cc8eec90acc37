"""Settings of the log-mel front end and of augmentation."""

from pydantic import Field, model_validator

from kd.settings.base import Strict


class FrontEndSettings(Strict):
    """Kaldi log-mel filter banks. The defaults are what sherpa-onnx computes for a zipformer CTC model.

    Samples in [-1, 1], no dither, `snip_edges=False`, Povey window, pre-emphasis 0.97, no energy.
    """

    sample_rate_hz: int = Field(16_000, ge=4_000, description="rate of the prepared audio")
    num_mels: int = Field(80, ge=8, le=256)
    frame_length_ms: float = Field(25.0, gt=0)
    frame_shift_ms: float = Field(10.0, gt=0)
    low_freq_hz: float = Field(20.0, ge=0)
    high_freq_hz: float = Field(-400.0, description="at most 0: counted from the Nyquist frequency")

    @model_validator(mode="after")
    def _shift_not_longer_than_frame(self) -> "FrontEndSettings":
        if self.frame_shift_ms > self.frame_length_ms:
            raise ValueError(
                f"frame_shift_ms {self.frame_shift_ms} is longer than frame_length_ms {self.frame_length_ms}: "
                "audio between frames would be lost"
            )
        return self

    @property
    def samples_per_shift(self) -> int:
        return int(self.sample_rate_hz * self.frame_shift_ms * 0.001)

    @property
    def samples_per_frame(self) -> int:
        return int(self.sample_rate_hz * self.frame_length_ms * 0.001)


class AugmentSettings(Strict):
    """What training adds to its inputs. Zero, or an empty tuple, switches a part off."""

    time_masks: int = Field(2, ge=0, description="SpecAugment: masks along time, per utterance")
    time_mask_share: float = Field(0.1, ge=0, le=1, description="longest time mask, as a share of the utterance")
    frequency_masks: int = Field(2, ge=0)
    frequency_mask_bins: int = Field(20, ge=0, description="widest frequency mask, in mel bins")
    speeds: tuple[float, ...] = Field((), description="speed perturbation: factors drawn evenly, such as 0.9, 1.0, 1.1")
    noise_share: float = Field(0.0, ge=0, le=1, description="share of the utterances that get noise")
    noise_snr_db: tuple[float, float] = Field((5.0, 25.0), description="range of the noise's SNR")
