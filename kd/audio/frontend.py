"""Log-mel filter banks as Kaldi and Whisper compute them, or samples as they are. Padding does not change a frame; in
an exported file filter banks are matrix products.

Mel filters, windows and floors are defined once, in numpy, in kd.runtime, which is shipped without torch.

Legend: B utterances, N samples, T frames, K samples of a frame, S samples of a shift, R bins of the DFT, F mel bins.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from kd.audio.spectra import mirrored, power_spectra, reflected
from kd.config.frontend import FrontEndSettings
from kd.padding import frame_mask
from kd.runtime.frontend import (
    FLOOR,
    PRE_EMPHASIS,
    WHISPER_FLOOR,
    Matrix,
    hann_window,
    kaldi_mel_filters,
    povey_window,
    slaney_mel_filters,
)

Mirror = Callable[[Tensor, Tensor], Tensor]
"""Positions, which may lie outside an utterance, and lengths to positions inside: see kd.audio.spectra."""


class FrontEnd(nn.Module, ABC):
    """Features of waveforms. Nothing is learnt and nothing is stored in a state dict; float32 under mixed precision."""

    def __init__(self, settings: FrontEndSettings, as_exported: bool = False) -> None:
        """as_exported: by the matrix products of an exported file in PyTorch too."""
        super().__init__()
        self.settings, self.as_exported = settings, as_exported
        self.shift = settings.samples_per_shift
        self.frame = settings.samples_per_frame

    def forward(self, waveform_BN: Tensor, lengths_B: Tensor) -> tuple[Tensor, Tensor]:
        """Waveforms in [-1, 1] with their lengths in samples to features_BTF with their lengths in frames.

        Frames beyond an utterance's length are exactly zero, whatever the padding of the waveform holds.
        Raises ValueError if a length is not within the waveform.
        """
        _check_lengths(waveform_BN, lengths_B)
        with torch.autocast(waveform_BN.device.type, enabled=False):
            features_BTF = self._features(waveform_BN.float(), lengths_B)
        frames_B = self.output_lengths(lengths_B)
        inside_BT = frame_mask(frames_B, features_BTF.shape[1])
        return features_BTF.masked_fill(~inside_BT[..., None], 0.0), frames_B

    def output_lengths(self, num_samples_B: Tensor) -> Tensor:
        """Frames of so many samples, as `FrontEndSettings.num_frames`."""
        return self.settings.num_frames(num_samples_B)

    @abstractmethod
    def _features(self, waveform_BN: Tensor, lengths_B: Tensor) -> Tensor:
        """(B, T, F), anything in the padding."""

    def _cut(
        self, waveform_BN: Tensor, lengths_B: Tensor, count: int, size: int, before: int, mirror: Mirror
    ) -> Tensor:
        """(B, count, size): a piece for each shift, which begins `before` samples ahead of it.

        Each utterance goes on behind its own two ends as its mirror image.
        """
        device = lengths_B.device
        start_T1 = torch.arange(count, device=device)[:, None] * self.shift - before
        position_BTK = mirror(start_T1 + torch.arange(size, device=device), lengths_B[:, None, None])
        first_B11 = torch.arange(waveform_BN.shape[0], device=device)[:, None, None] * waveform_BN.shape[1]
        return waveform_BN.take(first_B11 + position_BTK)

    @property
    def _by_matrices(self) -> bool:
        return self.as_exported or _exporting()

    def _constant(self, name: str, values: Matrix) -> None:
        self.register_buffer(name, torch.tensor(values, dtype=torch.float32), persistent=False)


class KaldiFbank(FrontEnd):
    """Log-mel features, as kaldi-native-fbank computes them with `snip_edges=False`, no dither and no energy.

    Removing the mean, pre-emphasis, the window and the Fourier transform are linear, so they are one matrix, made
    once in float64, which any ONNX runtime has. PyTorch itself takes the FFT (kd.audio.spectra), three times as fast.
    """

    analysis_KR: Tensor
    mel_RF: Tensor
    window_K: Tensor
    every_mel_RF: Tensor

    def __init__(self, settings: FrontEndSettings, as_exported: bool = False) -> None:
        super().__init__(settings, as_exported)
        mels = settings.num_mels, settings.low_freq_hz, settings.band_end_hz
        mel_RF = kaldi_mel_filters(settings.sample_rate_hz, settings.fft_size, *mels)
        used = mel_RF.any(axis=1)
        analysis = _analysis_matrix(self.frame, 2 * len(mel_RF))[:, used]
        self._constant("analysis_KR", np.concatenate([analysis.real, analysis.imag], axis=1))
        self._constant("mel_RF", mel_RF[used])
        self._constant("window_K", povey_window(self.frame))
        self._constant("every_mel_RF", np.pad(mel_RF, ((0, 1), (0, 0))))

    def _features(self, waveform_BN: Tensor, lengths_B: Tensor) -> Tensor:
        return self._mel(waveform_BN, lengths_B).clamp(min=FLOOR).log()

    def _mel(self, waveform_BN: Tensor, lengths_B: Tensor) -> Tensor:
        if not self._by_matrices:
            fft = self.settings.fft_size
            power_BTR = power_spectra(waveform_BN, lengths_B, self.window_K, self.shift, fft, PRE_EMPHASIS)
            return power_BTR @ self.every_mel_RF
        frames_BTK = self._frames(waveform_BN, lengths_B)
        real_BTR, imaginary_BTR = (frames_BTK @ self.analysis_KR).chunk(2, dim=-1)
        return (real_BTR.square() + imaginary_BTR.square()) @ self.mel_RF

    def _frames(self, waveform_BN: Tensor, lengths_B: Tensor) -> Tensor:
        """Overlapping frames_BTK, centred on the shifts, each utterance reflected at its own two ends."""
        num_frames = (waveform_BN.shape[1] + self.shift // 2) // self.shift
        blocks_a_frame = -(-self.frame // self.shift)
        num_blocks = num_frames + blocks_a_frame - 1
        before = self.frame // 2 - self.shift // 2
        samples_BTS = self._cut(waveform_BN, lengths_B, num_blocks, self.shift, before, mirrored)
        overlapping = [samples_BTS[:, i : i + num_frames] for i in range(blocks_a_frame)]
        return torch.cat(overlapping, dim=-1)[..., : self.frame]


class WhisperLogMel(FrontEnd):
    """Whisper's log-mel features (openai/whisper, `log_mel_spectrogram`), without the floor below an utterance's peak.

    Hann windows of 400 samples every 160, slaney's mel filters, (log10 + 4) / 4. The floor depends on the whole
    utterance, so it is the recogniser's: `ModelSettings.dynamic_range`. Each utterance is reflected at its own two
    ends, as Whisper reflects what it is given; nothing is padded to 30 s.
    """

    window_K: Tensor
    mel_RF: Tensor
    analysis_KR: Tensor

    def __init__(self, settings: FrontEndSettings, as_exported: bool = False) -> None:
        super().__init__(settings, as_exported)
        window = hann_window(self.frame)
        analysis = np.fft.rfft(np.diag(window), axis=1)
        self._constant("window_K", window)
        self._constant("analysis_KR", np.concatenate([analysis.real, analysis.imag], axis=1))
        self._constant("mel_RF", slaney_mel_filters(settings.sample_rate_hz, settings.fft_size, settings.num_mels))

    def _features(self, waveform_BN: Tensor, lengths_B: Tensor) -> Tensor:
        num_frames, before = waveform_BN.shape[1] // self.shift, self.frame // 2
        if self._by_matrices:
            frames_BTK = self._cut(waveform_BN, lengths_B, num_frames, self.frame, before, reflected)
            real_BTR, imaginary_BTR = (frames_BTK @ self.analysis_KR).chunk(2, dim=-1)
        elif num_frames == 0:  # MKL cannot transform an empty batch
            return waveform_BN.new_zeros(waveform_BN.shape[0], 0, self.settings.num_mels)
        else:
            span = (num_frames - 1) * self.shift + self.frame
            signal_BN = self._cut(waveform_BN, lengths_B, 1, span, before, reflected)[:, 0]
            spectrum_BTR = torch.fft.rfft(signal_BN.unfold(1, self.frame, self.shift) * self.window_K)
            real_BTR, imaginary_BTR = spectrum_BTR.real, spectrum_BTR.imag
        mel_BTF = (real_BTR.square() + imaginary_BTR.square()) @ self.mel_RF
        return (mel_BTF.clamp(min=WHISPER_FLOOR).log10() + 4) / 4


class Waveform(FrontEnd):
    """Samples, each a frame of one feature: the recogniser's own convolutions make frames of them."""

    def _features(self, waveform_BN: Tensor, lengths_B: Tensor) -> Tensor:
        return waveform_BN[..., None]


FRONT_ENDS: dict[str, type[FrontEnd]] = {"kaldi": KaldiFbank, "whisper": WhisperLogMel, "waveform": Waveform}


def make_front_end(settings: FrontEndSettings, as_exported: bool = False) -> FrontEnd:
    """The front end of these settings."""
    return FRONT_ENDS[settings.kind](settings, as_exported)


def _exporting() -> bool:
    return torch.onnx.is_in_onnx_export() or torch.compiler.is_compiling()


def _check_lengths(waveform_BN: Tensor, lengths_B: Tensor) -> None:
    if _exporting():
        return
    if waveform_BN.ndim != 2 or 0 in waveform_BN.shape or lengths_B.shape != waveform_BN.shape[:1]:
        raise ValueError(
            f"a waveform of shape {tuple(waveform_BN.shape)} with lengths of shape {tuple(lengths_B.shape)}; "
            "expected (utterances, samples) and (utterances,), none of them 0. Mix the channels down first"
        )
    if bool(((lengths_B < 0) | (lengths_B > waveform_BN.shape[1])).any()):
        raise ValueError(
            f"lengths {lengths_B.tolist()} are not within the {waveform_BN.shape[1]} samples of the batch. "
            "Lengths count samples, not frames, seconds or shares"
        )


def _analysis_matrix(frame: int, fft: int) -> npt.NDArray[np.complex128]:
    """(frame, fft / 2) complex: mean removal, pre-emphasis, Povey's window, then the DFT, in Kaldi's order."""
    centred = np.eye(frame) - 1.0 / frame
    emphasised = centred.copy()
    emphasised[1:] -= PRE_EMPHASIS * centred[:-1]
    emphasised[0] -= PRE_EMPHASIS * centred[0]
    return np.fft.rfft(emphasised * povey_window(frame)[:, None], n=fft, axis=0)[: fft // 2].T
