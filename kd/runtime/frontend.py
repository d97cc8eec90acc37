"""Log-mel filter banks, Kaldi's and Whisper's, or samples, in numpy, over audio that comes whole or piece by piece.

The numbers of kd.audio.frontend within 1e-3. Legend: N samples, T frames, K samples of a frame, R bins, F mel bins.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

PRE_EMPHASIS = 0.97
POVEY_POWER = 0.85
FLOOR = float(np.finfo(np.float32).eps)
WHISPER_FLOOR = 1e-10
FRAMES_AT_ONCE = 1024

Samples = npt.NDArray[np.float32]
Features = npt.NDArray[np.float32]
Matrix = npt.NDArray[np.float64]


@dataclass(frozen=True)
class FrontEndSettings:
    """The front end of an export, by the names of its export.json."""

    sample_rate_hz: int
    num_mels: int
    frame_length_ms: float
    frame_shift_ms: float
    low_freq_hz: float
    high_freq_hz: float
    kind: str = "kaldi"

    @property
    def shift(self) -> int:
        """Samples from one frame to the next."""
        return int(self.sample_rate_hz * self.frame_shift_ms * 0.001)

    @property
    def frame(self) -> int:
        """Samples of a frame."""
        return int(self.sample_rate_hz * self.frame_length_ms * 0.001)

    @property
    def before(self) -> int:
        """Samples by which a frame begins before its shift: Kaldi's share their middle, Whisper's lies on the start."""
        return self.frame // 2 - self._half

    def num_frames(self, num_samples: int) -> int:
        return (num_samples + self._half) // self.shift

    @property
    def _half(self) -> int:
        return self.shift // 2 if self.kind == "kaldi" else 0


class LogMel:
    """Features of audio as it comes. The audio is mirrored at its two ends, as the settings' kind does it.

    Of kind `waveform` each sample is a frame, and none reaches beyond an end.
    """

    def __init__(self, settings: FrontEndSettings) -> None:
        self.settings = settings
        self._features_of = FEATURES[settings.kind](settings)
        self._mirror: Literal["reflect", "symmetric"] = "reflect" if settings.kind == "whisper" else "symmetric"
        self._held_N = np.zeros(0, np.float32)  # from one sample before the next frame's first
        self._num_samples = 0
        self._done = 0

    def push(self, samples_N: Samples, last: bool = False) -> Features:
        """The frames that these samples in [-1, 1] complete; with `last`, all that are left."""
        settings = self.settings
        begun = self._num_samples > settings.before
        self._held_N = np.concatenate([self._held_N, samples_N])
        self._num_samples += len(samples_N)
        if self._num_samples == 0 or (self._num_samples <= settings.before and not last):
            return np.zeros((0, settings.num_mels), np.float32)
        if not begun:
            self._held_N = np.pad(self._held_N, (settings.before + 1, 0), mode=self._mirror)
        total = settings.num_frames(self._num_samples) if last else self._complete()
        if last:
            end = (total - 1) * settings.shift - settings.before + settings.frame
            self._held_N = np.pad(self._held_N, (0, max(0, end - self._num_samples)), mode=self._mirror)
        count = max(0, total - self._done)
        features_TF = self._features(count)
        self._held_N = self._held_N[count * settings.shift :]
        self._done += count
        return features_TF

    def _complete(self) -> int:
        """Frames that lie wholly within the audio so far."""
        return max(0, (self._num_samples + self.settings.before - self.settings.frame) // self.settings.shift + 1)

    def _features(self, count: int) -> Features:
        features_TF = np.empty((count, self.settings.num_mels), np.float32)
        if count == 0:
            return features_TF
        frame, shift = self.settings.frame, self.settings.shift
        frames_TK = np.lib.stride_tricks.sliding_window_view(self._held_N[1:], frame)[::shift]
        for first in range(0, count, FRAMES_AT_ONCE):
            part = slice(first, min(first + FRAMES_AT_ONCE, count))
            features_TF[part] = self._features_of(frames_TK[part].astype(np.float64))
        return features_TF


class _Kaldi:
    def __init__(self, settings: FrontEndSettings) -> None:
        fft, nyquist_hz = 1 << (settings.frame - 1).bit_length(), settings.sample_rate_hz / 2
        high_hz = settings.high_freq_hz + (nyquist_hz if settings.high_freq_hz <= 0 else 0)
        mels = settings.num_mels, settings.low_freq_hz, high_hz
        self._mel_RF = kaldi_mel_filters(settings.sample_rate_hz, fft, *mels)
        self._window_K = povey_window(settings.frame)

    def __call__(self, frames_TK: Matrix) -> Matrix:
        centred_TK = frames_TK - frames_TK.mean(axis=1, keepdims=True)
        emphasised_TK = centred_TK - PRE_EMPHASIS * np.concatenate([centred_TK[:, :1], centred_TK[:, :-1]], axis=1)
        num_bins = len(self._mel_RF)
        spectrum_TR = np.fft.rfft(emphasised_TK * self._window_K, n=2 * num_bins)[:, :num_bins]
        power_TR = spectrum_TR.real**2 + spectrum_TR.imag**2
        log_TF: Matrix = np.log(np.maximum(power_TR @ self._mel_RF, FLOOR))
        return log_TF


class _Whisper:
    def __init__(self, settings: FrontEndSettings) -> None:
        self._mel_RF = slaney_mel_filters(settings.sample_rate_hz, settings.frame, settings.num_mels)
        self._window_K = hann_window(settings.frame)

    def __call__(self, frames_TK: Matrix) -> Matrix:
        spectrum_TR = np.fft.rfft(frames_TK * self._window_K)
        power_TR = spectrum_TR.real**2 + spectrum_TR.imag**2
        log_TF: Matrix = (np.log10(np.maximum(power_TR @ self._mel_RF, WHISPER_FLOOR)) + 4) / 4
        return log_TF


class _Samples:
    def __init__(self, settings: FrontEndSettings) -> None:
        assert settings.frame == settings.num_mels == 1

    def __call__(self, frames_TK: Matrix) -> Matrix:
        return frames_TK


FEATURES: dict[str, Callable[[FrontEndSettings], Callable[[Matrix], Matrix]]] = {
    "kaldi": _Kaldi,
    "whisper": _Whisper,
    "waveform": _Samples,
}


def kaldi_mel_filters(sample_rate_hz: int, fft: int, num_mels: int, low_hz: float, high_hz: float) -> Matrix:
    """(R, F): triangles that are even in mel from low_hz to high_hz, over all fft / 2 bins of the DFT but Nyquist's."""
    bins_R1 = _hz_to_mel(np.arange(fft // 2) * sample_rate_hz / fft)[:, None]
    edges = np.linspace(_hz_to_mel(low_hz), _hz_to_mel(high_hz), num_mels + 2)
    width = edges[1] - edges[0]
    return np.asarray(np.minimum(bins_R1 - edges[:-2], edges[2:] - bins_R1).clip(min=0) / width)


def _hz_to_mel(freq_hz: npt.ArrayLike) -> Matrix:
    return np.asarray(1127.0 * np.log1p(np.asarray(freq_hz, dtype=np.float64) / 700.0))


def slaney_mel_filters(sample_rate_hz: int, fft: int, num_mels: int) -> Matrix:
    """(R, F): Slaney's filters, triangles in Hz of equal area, even in his mel from 0 to 8 kHz, over fft / 2 + 1 bins.

    His mel is linear up to 1 kHz (200/3 Hz a mel), logarithmic above (27 mels from 1 to 6.4 kHz).
    """
    bins_R1 = np.arange(fft // 2 + 1)[:, None] * sample_rate_hz / fft
    mels = np.linspace(0.0, 15 + 27 * np.log(8.0) / np.log(6.4), num_mels + 2)
    edges = np.where(mels < 15, mels * 200 / 3, 1_000 * np.exp((mels - 15) * np.log(6.4) / 27))
    rising, falling = (bins_R1 - edges[:-2]) / np.diff(edges)[:-1], (edges[2:] - bins_R1) / np.diff(edges)[1:]
    return np.asarray(np.minimum(rising, falling).clip(min=0) * 2 / (edges[2:] - edges[:-2]))


def povey_window(frame: int) -> Matrix:
    """(K,): Kaldi's, a Hann window to the power of 0.85."""
    return np.asarray((0.5 - 0.5 * np.cos(2 * np.pi * np.arange(frame) / (frame - 1))) ** POVEY_POWER)


def hann_window(frame: int) -> Matrix:
    """(K,): periodic, as Whisper's."""
    return np.asarray(0.5 - 0.5 * np.cos(2 * np.pi * np.arange(frame) / frame))
