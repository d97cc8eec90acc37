"""Why a student does or does not learn from its teacher: where they differ, how late it is, how sure the teacher is.

Pure functions. Legend: B utterances, T padded frames, V units (0 = blank), N valid frames.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher

import torch
from torch import Tensor

from kd.losses.frames import valid_frames
from kd.padding import frame_mask
from kd.text.vocabulary import BLANK_INDEX


@dataclass(frozen=True)
class Spike:
    """The frame in which a run of one non-blank unit begins on the best path."""

    frame: int
    unit: int


def divergence_by_kind(student_BTV: Tensor, teacher_BTV: Tensor, lengths_B: Tensor) -> tuple[Tensor, Tensor]:
    """KL(teacher || student) in nats at T = 1 of each frame where the teacher's likeliest unit is the blank, and of
    each other one: two 1-dim tensors without gradient. Their means may differ a hundredfold, and blanks are many."""
    student_NV = valid_frames(student_BTV.detach(), lengths_B).float().log_softmax(-1)
    teacher_NV = valid_frames(teacher_BTV.detach(), lengths_B).float().log_softmax(-1)
    each_N = (teacher_NV.exp() * (teacher_NV - student_NV)).sum(-1)
    silent_N = teacher_NV.argmax(-1) == BLANK_INDEX
    return each_N[silent_N], each_N[~silent_N]


def entropy(logits_BTV: Tensor, lengths_B: Tensor) -> Tensor:
    """(N,) entropy of each valid frame in nats, at T = 1: 0 where one unit is certain, log V where all are alike."""
    log_probs_NV = valid_frames(logits_BTV.detach(), lengths_B).float().log_softmax(-1)
    return -(log_probs_NV.exp() * log_probs_NV).sum(-1)


def spikes(logits_BTV: Tensor, lengths_B: Tensor) -> list[list[Spike]]:
    """Spikes of each utterance, in order."""
    best_BT = logits_BTV.detach().nan_to_num().argmax(-1)
    before_BT = torch.nn.functional.pad(best_BT[:, :-1], (1, 0), value=BLANK_INDEX)
    begins_BT = (best_BT != BLANK_INDEX) & (best_BT != before_BT) & frame_mask(lengths_B, best_BT.shape[1])
    found: list[list[Spike]] = [[] for _ in range(len(lengths_B))]
    for b, t in begins_BT.nonzero().tolist():
        found[b].append(Spike(t, int(best_BT[b, t])))
    return found


def delays(student: Sequence[Spike], teacher: Sequence[Spike]) -> list[int]:
    """Frames by which the student's spike comes after the teacher's, for each that both have in the same order."""
    matcher = SequenceMatcher(None, [s.unit for s in teacher], [s.unit for s in student], autojunk=False)
    return [
        student[block.b + i].frame - teacher[block.a + i].frame
        for block in matcher.get_matching_blocks()
        for i in range(block.size)
    ]


def gradient_norm(loss: Tensor, at_BTV: Tensor, lengths_B: Tensor) -> Tensor:
    """Euclidean norm of a loss's gradient with respect to the valid frames of logits or states; the graph is kept.

    0 where they have no part in it.
    """
    (gradient,) = torch.autograd.grad(loss, at_BTV, retain_graph=True, allow_unused=True)
    norm: Tensor = at_BTV.new_zeros(()) if gradient is None else valid_frames(gradient, lengths_B).float().norm()
    return norm


def histogram_median(counts: Tensor, lowest: int) -> float:
    """Median of whole numbers given as a histogram: counts[i] times the number lowest + i. NaN of nothing."""
    total = int(counts.sum())
    if not total:
        return float("nan")
    ends = counts.cumsum(0)
    low, high = (int((ends < rank).sum()) + lowest for rank in ((total + 1) // 2, total // 2 + 1))
    return (low + high) / 2
