"""Losses against the label: CTC for transcripts, cross-entropy for keywords.

Legend: B utterances, T padded frames, V units (0 = blank, for CTC), L padded targets.
"""

from torch import Tensor
from torch.nn import functional as F

from kd.losses.frames import require_within, valid_frames
from kd.padding import frame_mask
from kd.text.vocabulary import BLANK_INDEX


def ctc(logits_BTV: Tensor, lengths_B: Tensor, targets_BL: Tensor, target_lengths_B: Tensor) -> Tensor:
    """-log p(targets) by CTC (Graves et al. 2006), in nats, mean over utterances; 0-dim float32.

    An utterance whose frames cannot carry its targets gives infinity: preprocessing refuses it, and
    nothing is hidden here. Differentiable in logits_BTV.
    """
    if lengths_B.numel() == 0:
        raise ValueError("the batch is empty: there is no utterance to align")
    require_within(lengths_B, logits_BTV.shape[1])
    log_probs_TBV = alignable_log_probs(logits_BTV, lengths_B)
    total = F.ctc_loss(log_probs_TBV, targets_BL, lengths_B, target_lengths_B, blank=BLANK_INDEX, reduction="sum")
    return total / len(lengths_B)


def cross_entropy(logits_BTV: Tensor, lengths_B: Tensor, targets_BL: Tensor, target_lengths_B: Tensor) -> Tensor:
    """-log p(label) of a keyword, in nats, mean over utterances; T = L = 1; 0-dim float32."""
    if logits_BTV.shape[1] != 1 or targets_BL.shape[1] != 1:
        raise ValueError(
            f"a keyword is one frame with one label; found {logits_BTV.shape[1]} frames, {targets_BL.shape[1]} labels"
        )
    return F.cross_entropy(valid_frames(logits_BTV, lengths_B).float(), targets_BL[:, 0])


def alignable_log_probs(logits_BTV: Tensor, lengths_B: Tensor) -> Tensor:
    """(T, B, V) log-probabilities for CTC; whatever padding holds (NaN too) reaches neither loss nor gradient."""
    dirty_BT1 = ~frame_mask(lengths_B, logits_BTV.shape[1])[..., None]
    return logits_BTV.masked_fill(dirty_BT1, 0.0).float().log_softmax(-1).transpose(0, 1)


LABEL_LOSSES = {
    "transcription": ctc,
    "keyword": cross_entropy,
}
"""By problem: (logits_BTV, lengths_B, targets_BL, target_lengths_B) -> 0-dim tensor, mean over utterances."""
