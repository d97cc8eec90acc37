"""Power spectra of overlapping frames by the fast Fourier transform: three times as fast as matrices.

Legend: B utterances, N samples, M samples with their reflections, T frames, K samples of a frame, R bins of the DFT.
"""

import torch
from torch import Tensor


def power_spectra(
    waveform_BN: Tensor, lengths_B: Tensor, window_K: Tensor, shift: int, fft: int, pre_emphasis: float
) -> Tensor:
    """(B, T, fft / 2 + 1): mean removed, pre-emphasis, window, DFT, squared; frames are centred on the shifts.

    A frame that begins behind its utterance's end holds anything, NaN too.
    """
    signal_BM, num_frames = _reflected(waveform_BN, lengths_B, len(window_K), shift)
    change_BM = torch.cat([signal_BM[:, :1], signal_BM[:, 1:] - pre_emphasis * signal_BM[:, :-1]], dim=1)
    frames_BTK, change_BTK = (
        x.unfold(1, len(window_K), shift)[:, : max(num_frames, 1)] for x in (signal_BM, change_BM)
    )
    mean_BT1 = frames_BTK.mean(-1, keepdim=True)
    windowed_BTN = waveform_BN.new_zeros(*mean_BT1.shape[:2], fft)
    inside_BTK = windowed_BTN[..., : len(window_K)]
    torch.sub(change_BTK, (1 - pre_emphasis) * mean_BT1, out=inside_BTK)
    # before a frame's first sample stands that sample itself
    inside_BTK[..., :1] = (1 - pre_emphasis) * (frames_BTK[..., :1] - mean_BT1)
    inside_BTK *= window_K
    spectrum_BTR = torch.fft.rfft(windowed_BTN)
    # MKL cannot transform an empty batch: where there is no frame, one was, and goes here
    power_BTR: Tensor = spectrum_BTR.real.square() + spectrum_BTR.imag.square()
    return power_BTR[:, :num_frames]


def mirrored(position: Tensor, length: Tensor) -> Tensor:
    """Indices within a signal that goes on, before its first sample and behind its last, as its own reflection."""
    period = 2 * length.clamp(min=1)
    there = position % period
    return torch.minimum(there, period - 1 - there)


def reflected(position: Tensor, length: Tensor) -> Tensor:
    """Indices as `mirrored` gives them, but no edge sample occurs twice in a row, as numpy's `reflect` pads."""
    period = (2 * length - 2).clamp(min=1)
    there = position % period
    return torch.minimum(there, period - there)


def _reflected(waveform_BN: Tensor, lengths_B: Tensor, frame: int, shift: int) -> tuple[Tensor, int]:
    """Each utterance with its reflections at both ends, as far as a frame reaches; and the batch's frames."""
    num_utterances, num_samples = waveform_BN.shape
    before, num_frames = frame // 2 - shift // 2, (num_samples + shift // 2) // shift
    signal_BM = waveform_BN.new_zeros(num_utterances, before + num_samples + frame + shift)
    signal_BM[:, before : before + num_samples] = waveform_BN
    length_B1 = lengths_B[:, None]
    left_BK = torch.arange(-before, 0, device=lengths_B.device).expand(num_utterances, -1)
    right_BK = length_B1 + torch.arange(frame, device=lengths_B.device)
    position_BK = torch.cat([left_BK, right_BK], dim=1)
    signal_BM.scatter_(1, position_BK + before, waveform_BN.gather(1, mirrored(position_BK, length_B1)))
    return signal_BM, num_frames
