"""Log-mel features relative to the level around them, so that a recogniser does not care how loud it is spoken to.

A gain adds one constant, in nats, to every bin of every frame; what is left after the mean of the frames around is
taken away does not change. It is Kaldi's sliding-window mean normalisation (apply-cmvn-sliding) of the level alone:
one mean over all bins, so that neither the spectrum of a short utterance nor its contour of energy is flattened.
Digital silence has no level: such frames are left out of the mean, and what lies further than DEPTH below it is
raised to there, wherever the floor of the front end may be.

Legend: B utterances, T frames, F mel bins.
"""

import torch
from torch import Tensor
from torch.nn import functional as F

SILENCE = -15.9
"""Just above the logarithm of the front end's floor (kd.runtime.frontend.FLOOR): a frame with all below is silent.

A literal, since the weights of a trained model go with it: another floor must not change what that model calls silent.
"""
LEAST = -1e4
"""Below every feature, and finite: of an utterance without frames nothing becomes NaN."""
DEPTH = 12.0
"""In nats, 52 dB of power."""
VARIANCE_FLOOR = 1e-7
"""transformers' feature extractor has it: at -70 dB of full scale it is half of what is there."""


def level_of(features_BTF: Tensor, valid_BT: Tensor) -> Tensor:
    """(B, 2, T): of each frame that is there and not silent its mean over bins, and 1; of all others zeros.

    features_BTF: finite everywhere. valid_BT: true on frames that are there.
    """
    counts_BT = (valid_BT & (features_BTF.amax(2) > SILENCE)).to(features_BTF.dtype)
    return torch.stack([features_BTF.mean(2) * counts_BT, counts_BT], dim=1)


def relative(features_BTF: Tensor, counted_B2T: Tensor) -> Tensor:
    """Features less the mean over each frame's window, and no more than DEPTH below it.

    counted_B2T: what `level_of` gives, with the windows' sides: T + frames - 1 frames long. Where a window holds
    nothing, the level is 0.
    """
    frames = counted_B2T.shape[2] - features_BTF.shape[1] + 1
    if torch.onnx.is_in_onnx_export():  # ONNX knows no windows, but pooling
        sums_B2T = F.avg_pool1d(counted_B2T, frames, stride=1) * frames
    else:  # a twentieth of pooling's time on a CPU
        sums_B2T = counted_B2T.unfold(2, frames, 1).sum(3)
    level_BT = sums_B2T[:, 0] / sums_B2T[:, 1].clamp(min=1.0)
    return (features_BTF - level_BT[..., None]).clamp(min=-DEPTH)


def below_peak(features_BTF: Tensor, mask_BT: Tensor, dynamic_range: float, peak: float | None) -> Tensor:
    """Features of which none lies further than `dynamic_range` below the greatest of its utterance.

    Whisper's floor (8 in log10 of power, 2 as it scales them), by each utterance's own frames: neither batch-mates nor
    padding count, and of long audio that comes in chunks each has its own, as Whisper's windows of 30 s have.
    peak: where the greatest is moved to; None: it stays, and so does what a gain does.
    """
    greatest_B11 = features_BTF.masked_fill(~mask_BT[..., None], LEAST).amax((1, 2), keepdim=True)
    raised_BTF = torch.maximum(features_BTF, greatest_B11 - dynamic_range)
    return raised_BTF if peak is None else raised_BTF - greatest_B11 + peak


def normalised(features_BTF: Tensor, mask_BT: Tensor) -> Tensor:
    """Samples of which each utterance's valid ones have a mean of 0 and a variance of 1, as wav2vec 2.0's.

    Silence stays near zero: VARIANCE_FLOOR is added to the variance.
    """
    valid_BT1 = mask_BT[..., None].to(features_BTF.dtype)
    share_BT1 = valid_BT1 / valid_BT1.sum(1, keepdim=True).clamp(min=1)
    centred_BTF = features_BTF - (features_BTF * share_BT1).sum(1, keepdim=True)
    variance_B1F = (centred_BTF.square() * share_BT1).sum(1, keepdim=True)
    return centred_BTF * torch.rsqrt(variance_B1F + VARIANCE_FLOOR)
