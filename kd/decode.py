"""From logits to unit indices. Legend: B utterances, T padded frames, V units."""

from collections.abc import Callable
from typing import Literal

import torch
from torch import Tensor

BLANK_INDEX = 0
Decoder = Callable[[Tensor, Tensor], list[list[int]]]


def ctc_greedy(logits_BTV: Tensor, lengths_B: Tensor) -> list[list[int]]:
    """Best path of CTC: the likeliest unit of each frame, repeats merged, blanks dropped.

    Graves et al. 2006, "Connectionist temporal classification", sec. 3.2. Frames from lengths_B on
    are never looked at. Logits, log-probabilities and probabilities give the same answer.
    """
    best_BT = _best_units(logits_BTV, lengths_B)
    hypotheses = []
    for best_T, length in zip(best_BT, lengths_B.tolist(), strict=True):
        merged = torch.unique_consecutive(best_T[:length])
        hypotheses.append(merged[merged != BLANK_INDEX].tolist())
    return hypotheses


def keyword(logits_BTV: Tensor, lengths_B: Tensor) -> list[list[int]]:
    """The likeliest label of each utterance, which is a sequence of one frame (T = 1)."""
    if logits_BTV.ndim != 3 or logits_BTV.shape[1] != 1:
        raise ValueError(f"keyword logits have shape {tuple(logits_BTV.shape)}; expected (B, 1, V): one frame each")
    best_BT: list[list[int]] = _best_units(logits_BTV, lengths_B).tolist()
    return best_BT


DECODERS: dict[Literal["transcription", "keyword"], Decoder] = {"transcription": ctc_greedy, "keyword": keyword}


def _best_units(logits_BTV: Tensor, lengths_B: Tensor) -> Tensor:
    """Index of each frame's greatest logit, shape (B, T), on the CPU; refuses NaN in valid frames."""
    if logits_BTV.ndim != 3 or lengths_B.shape != logits_BTV.shape[:1]:
        raise ValueError(
            f"logits {tuple(logits_BTV.shape)} and lengths {tuple(lengths_B.shape)} do not fit: "
            "expected (B, T, V) and (B,)"
        )
    num_frames = logits_BTV.shape[1]
    if lengths_B.numel() and int(lengths_B.max()) > num_frames:
        raise ValueError(
            f"lengths {lengths_B.tolist()} exceed the {num_frames} frames of the logits. "
            "Pass the lengths that the model returned, not those of its input"
        )
    valid_BT = torch.arange(num_frames, device=logits_BTV.device) < lengths_B.to(logits_BTV.device)[:, None]
    broken_B = (logits_BTV.isnan().any(dim=2) & valid_BT).any(dim=1)
    if broken_B.any():
        raise ValueError(
            f"logits of utterances {broken_B.nonzero().flatten().tolist()} of this batch hold NaN: "
            "the model has diverged. Train it again with a lower rate or clip_norm"
        )
    return logits_BTV.argmax(dim=2).cpu()
