"""Kaldi's log-mel filter banks: exact, blind to padding, and in an exported file matrix products alone.

Legend: B utterances, N samples, T frames, K samples of a frame, S samples of a shift, R bins of the DFT, F mel bins.
"""

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from kd.audio.spectra import mirrored, power_spectra
from kd.config.frontend import FrontEndSettings

PRE_EMPHASIS = 0.97
POVEY_POWER = 0.85
FLOOR = float(np.finfo(np.float32).eps)

Matrix = npt.NDArray[np.float64]


class LogMel(nn.Module):
    """Log-mel features, as kaldi-native-fbank computes them with `snip_edges=False`, no dither and no energy.

    Removing the mean, pre-emphasis, the window and the Fourier transform are linear, so they are one matrix, made
    once in float64, which any ONNX runtime has. PyTorch itself takes the FFT (kd.audio.spectra), three times as fast.
    Nothing is learnt and nothing is stored in a state dict; the result is float32 under mixed precision too.
    """

    analysis_KR: Tensor
    mel_RF: Tensor
    window_K: Tensor
    every_mel_RF: Tensor

    def __init__(self, settings: FrontEndSettings, as_exported: bool = False) -> None:
        """as_exported: by matrices in PyTorch too."""
        super().__init__()
        self.as_exported = as_exported
        self.settings = settings
        self.shift = settings.samples_per_shift
        self.frame = settings.samples_per_frame
        mel_RF = _mel_matrix(settings)
        used = mel_RF.any(axis=1)
        analysis = _analysis_matrix(self.frame, 2 * len(mel_RF))[:, used]
        real_and_imaginary = np.concatenate([analysis.real, analysis.imag], axis=1)
        self.register_buffer("analysis_KR", torch.tensor(real_and_imaginary, dtype=torch.float32), persistent=False)
        self.register_buffer("mel_RF", torch.tensor(mel_RF[used], dtype=torch.float32), persistent=False)
        self.register_buffer("window_K", torch.tensor(_window(self.frame), dtype=torch.float32), persistent=False)
        with_nyquist = torch.tensor(np.pad(mel_RF, ((0, 1), (0, 0))), dtype=torch.float32)
        self.register_buffer("every_mel_RF", with_nyquist, persistent=False)

    def forward(self, waveform_BN: Tensor, lengths_B: Tensor) -> tuple[Tensor, Tensor]:
        """Waveforms in [-1, 1] with their lengths in samples to features_BTF with their lengths in frames.

        Frames beyond an utterance's length are exactly zero, whatever the padding of the waveform holds.
        Raises ValueError if a length is not within the waveform.
        """
        _check_lengths(waveform_BN, lengths_B)
        with torch.autocast(waveform_BN.device.type, enabled=False):
            features_BTF = self._mel(waveform_BN.float(), lengths_B).clamp(min=FLOOR).log()
        frames_B = self.output_lengths(lengths_B)
        inside_BT = torch.arange(features_BTF.shape[1], device=lengths_B.device) < frames_B[:, None]
        return features_BTF.masked_fill(~inside_BT[..., None], 0.0), frames_B

    def output_lengths(self, num_samples_B: Tensor) -> Tensor:
        """Frames of so many samples: one for each shift, rounded to the nearest."""
        return (num_samples_B + self.shift // 2) // self.shift

    def _mel(self, waveform_BN: Tensor, lengths_B: Tensor) -> Tensor:
        if not (self.as_exported or _exporting()):
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
        start_T1 = torch.arange(num_blocks, device=lengths_B.device)[:, None] * self.shift - before
        position_TS = start_T1 + torch.arange(self.shift, device=lengths_B.device)
        mirrored_BTS = mirrored(position_TS, lengths_B[:, None, None])
        first_B11 = torch.arange(waveform_BN.shape[0], device=lengths_B.device)[:, None, None] * waveform_BN.shape[1]
        samples_BTS = waveform_BN.take(first_B11 + mirrored_BTS)
        overlapping = [samples_BTS[:, i : i + num_frames] for i in range(blocks_a_frame)]
        return torch.cat(overlapping, dim=-1)[..., : self.frame]


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
    return np.fft.rfft(emphasised * _window(frame)[:, None], n=fft, axis=0)[: fft // 2].T


def _window(frame: int) -> Matrix:
    """(frame,): Povey's."""
    return np.asarray((0.5 - 0.5 * np.cos(2 * np.pi * np.arange(frame) / (frame - 1))) ** POVEY_POWER)


def _mel_matrix(settings: FrontEndSettings) -> Matrix:
    """(fft / 2, num_mels): triangles that are even in mel, over all bins of the DFT but Nyquist's."""
    fft = settings.fft_size
    bins_R1 = _mel(np.arange(fft // 2) * settings.sample_rate_hz / fft)[:, None]
    edges = np.linspace(_mel(settings.low_freq_hz), _mel(settings.band_end_hz), settings.num_mels + 2)
    width = edges[1] - edges[0]
    return np.asarray(np.minimum(bins_R1 - edges[:-2], edges[2:] - bins_R1).clip(min=0) / width)


def _mel(freq_hz: npt.ArrayLike) -> Matrix:
    return np.asarray(1127.0 * np.log1p(np.asarray(freq_hz, dtype=np.float64) / 700.0))
