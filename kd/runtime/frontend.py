"""Kaldi's log-mel filter banks in numpy, over audio that comes whole or piece by piece.

The numbers of kd.audio.frontend within 1e-3. Legend: N samples, T frames, K samples of a frame, R bins, F mel bins.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

PRE_EMPHASIS = 0.97
POVEY_POWER = 0.85
FLOOR = float(np.finfo(np.float32).eps)
FRAMES_AT_ONCE = 1024

Samples = npt.NDArray[np.float32]
Features = npt.NDArray[np.float32]
Matrix = npt.NDArray[np.float64]


@dataclass(frozen=True)
class FrontEnd:
    """The front end of an export, by the names of its export.json."""

    sample_rate_hz: int
    num_mels: int
    frame_length_ms: float
    frame_shift_ms: float
    low_freq_hz: float
    high_freq_hz: float

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
        """Samples by which a frame begins before its shift: both have the same middle."""
        return self.frame // 2 - self.shift // 2

    def num_frames(self, num_samples: int) -> int:
        return (num_samples + self.shift // 2) // self.shift


class LogMel:
    """Features of audio as it comes. The audio is mirrored at its two ends, as Kaldi does it."""

    def __init__(self, settings: FrontEnd) -> None:
        self.settings = settings
        self._mel_RF = _mel_matrix(settings)
        steps_K = np.arange(settings.frame)
        self._window_K = (0.5 - 0.5 * np.cos(2 * np.pi * steps_K / (settings.frame - 1))) ** POVEY_POWER
        self._held_N = np.zeros(0, np.float32)  # from one sample before the next frame's first
        self._heard = 0
        self._done = 0

    def push(self, samples_N: Samples, last: bool = False) -> Features:
        """The frames that these samples in [-1, 1] complete; with `last`, all that are left."""
        settings = self.settings
        begun = self._heard > settings.before
        self._held_N = np.concatenate([self._held_N, samples_N])
        self._heard += len(samples_N)
        if self._heard == 0 or (self._heard <= settings.before and not last):
            return np.zeros((0, settings.num_mels), np.float32)
        if not begun:
            self._held_N = np.pad(self._held_N, (settings.before + 1, 0), mode="symmetric")
        total = settings.num_frames(self._heard) if last else self._complete()
        if last:
            end = (total - 1) * settings.shift - settings.before + settings.frame
            self._held_N = np.pad(self._held_N, (0, max(0, end - self._heard)), mode="symmetric")
        count = max(0, total - self._done)
        features_TF = self._features(count)
        self._held_N = self._held_N[count * settings.shift :]
        self._done += count
        return features_TF

    def _complete(self) -> int:
        """Frames that lie wholly within the audio so far."""
        return max(0, (self._heard + self.settings.before - self.settings.frame) // self.settings.shift + 1)

    def _features(self, count: int) -> Features:
        features_TF = np.empty((count, self.settings.num_mels), np.float32)
        if count == 0:
            return features_TF
        frame, shift = self.settings.frame, self.settings.shift
        frames_TK = np.lib.stride_tricks.sliding_window_view(self._held_N[1:], frame)[::shift]
        for first in range(0, count, FRAMES_AT_ONCE):
            part = slice(first, min(first + FRAMES_AT_ONCE, count))
            features_TF[part] = self._log_mel(frames_TK[part].astype(np.float64))
        return features_TF

    def _log_mel(self, frames_TK: Matrix) -> Matrix:
        centred_TK = frames_TK - frames_TK.mean(axis=1, keepdims=True)
        emphasised_TK = centred_TK - PRE_EMPHASIS * np.concatenate([centred_TK[:, :1], centred_TK[:, :-1]], axis=1)
        num_bins = len(self._mel_RF)
        spectrum_TR = np.fft.rfft(emphasised_TK * self._window_K, n=2 * num_bins)[:, :num_bins]
        power_TR = spectrum_TR.real**2 + spectrum_TR.imag**2
        log_TF: Matrix = np.log(np.maximum(power_TR @ self._mel_RF, FLOOR))
        return log_TF


def _mel_matrix(settings: FrontEnd) -> Matrix:
    """(R, F): triangles that are even in mel, over all bins of the Fourier transform but Nyquist's."""
    fft, nyquist_hz = 1 << (settings.frame - 1).bit_length(), settings.sample_rate_hz / 2
    high_hz = settings.high_freq_hz + (nyquist_hz if settings.high_freq_hz <= 0 else 0)
    bins_R1 = _mel(np.arange(fft // 2) * settings.sample_rate_hz / fft)[:, None]
    low, high = _mel(np.array([settings.low_freq_hz, high_hz]))
    edges = np.linspace(low, high, settings.num_mels + 2)
    return np.asarray(np.minimum(bins_R1 - edges[:-2], edges[2:] - bins_R1).clip(min=0) / (edges[1] - edges[0]))


def _mel(freq_hz: Matrix) -> Matrix:
    return np.asarray(1127.0 * np.log1p(freq_hz / 700.0))
