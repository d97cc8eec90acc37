"""How sure a recogniser is of what it decodes by its best path. Legend: B utterances, T padded frames, V units."""

import torch
from torch import Tensor

from kd.text.vocabulary import BLANK_INDEX


def best_path_confidence(log_probs_BTV: Tensor, lengths_B: Tensor) -> list[float]:
    """Geometric mean of the probabilities of the units on CTC's best path, each at its frame of highest confidence.

    Where nothing is emitted, it is that of the blanks; without frames, 0. Frames from lengths_B on are never looked at.
    """
    best_BT, units_BT = (x.cpu() for x in log_probs_BTV.max(dim=-1))
    return [
        _confidence(best_BT[row, :length].double(), units_BT[row, :length])
        for row, length in enumerate(lengths_B.tolist())
    ]


def label_confidence(log_probs_BTV: Tensor, lengths_B: Tensor) -> list[float]:
    """Probability of a keyword's likeliest label (T = 1)."""
    confidences: list[float] = log_probs_BTV[:, 0].max(dim=-1).values.exp().cpu().tolist()
    return confidences


CONFIDENCES = {"transcription": best_path_confidence, "keyword": label_confidence}


def _confidence(best_T: Tensor, units_T: Tensor) -> float:
    if len(best_T) == 0:
        return 0.0
    units, counts = torch.unique_consecutive(units_T, return_counts=True)
    peaks = torch.stack([run.max() for run in torch.split(best_T, counts.tolist())])
    spoken = units != BLANK_INDEX
    chosen = peaks[spoken] if spoken.any() else best_T
    return float(chosen.mean().exp())
