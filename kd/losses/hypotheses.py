"""CTC, or for keywords cross-entropy, against what a teacher believes was said: the only way to learn from its text.

Legend: B utterances, T padded frames, V units (0 = blank), N hypotheses of an utterance, L padded targets,
K hypotheses of the whole batch that count.
"""

import torch
from torch import Tensor
from torch.nn import functional as F

from kd.config.losses import FromHypotheses
from kd.losses.frames import require_valid
from kd.losses.labels import alignable_log_probs
from kd.teachers.hypotheses import Hypotheses
from kd.text.vocabulary import BLANK_INDEX


def from_hypotheses(
    student_BTV: Tensor, hypotheses: Hypotheses, lengths_B: Tensor, *, settings: FromHypotheses
) -> Tensor:
    """sum_n w_n * CTC(hypothesis n), in nats, mean over all utterances; 0-dim float32, differentiable in student_BTV.

    Utterances without hypotheses give 0, and so do those whose every hypothesis is longer than their frames can carry;
    of several the others' weights are made to add up to 1 again. There is no T^2: targets are hard.
    """
    _require_fit(student_BTV, hypotheses, lengths_B)
    weights_BN = hypotheses.weights_BN * (frames_needed_BN(hypotheses) <= lengths_B[:, None])
    row_K, nth_K = weights_BN.nonzero(as_tuple=True)
    weights_BN = weights_BN / weights_BN.sum(1, keepdim=True).clamp(min=torch.finfo(weights_BN.dtype).tiny)
    log_probs_TKV = alignable_log_probs(student_BTV, lengths_B)[:, row_K]
    if not len(row_K):
        return log_probs_TKV.sum()
    targets_KL, target_lengths_K = hypotheses.targets_BNL[row_K, nth_K], hypotheses.lengths_BN[row_K, nth_K]
    each_K = F.ctc_loss(
        log_probs_TKV, targets_KL, lengths_B[row_K], target_lengths_K, blank=BLANK_INDEX, reduction="none"
    )
    return (each_K * weights_BN[row_K, nth_K]).sum() / len(lengths_B)


def keyword_from_hypotheses(
    student_BTV: Tensor, hypotheses: Hypotheses, lengths_B: Tensor, *, settings: FromHypotheses
) -> Tensor:
    """sum_n w_n * -log p(label n), in nats, mean over all utterances; T = L = 1, and no unit is a blank.

    Utterances without hypotheses, and hypotheses that name nothing, give 0. 0-dim float32, differentiable in
    student_BTV only.
    """
    _require_fit(student_BTV, hypotheses, lengths_B)
    longest = int(hypotheses.lengths_BN.max())
    if student_BTV.shape[1] != 1 or longest > 1:
        raise ValueError(
            f"a keyword is one frame with one label; found {student_BTV.shape[1]} frames, hypotheses of {longest} "
            "units: give one of each, or learn transcripts in a transcription problem"
        )
    log_probs_BV = alignable_log_probs(student_BTV, lengths_B)[0]
    weights_BN = hypotheses.weights_BN * (lengths_B > 0)[:, None] * (hypotheses.lengths_BN == 1)
    return -(log_probs_BV.gather(1, hypotheses.targets_BNL[..., 0]) * weights_BN).sum() / len(lengths_B)


def _require_fit(student_BTV: Tensor, hypotheses: Hypotheses, lengths_B: Tensor) -> None:
    require_valid(student_BTV, lengths_B)
    if len(hypotheses) != len(lengths_B):
        raise ValueError(
            f"hypotheses of {len(hypotheses)} utterances do not fit a batch of {len(lengths_B)}: give those of its "
            "utterances"
        )


def frames_needed_BN(hypotheses: Hypotheses) -> Tensor:
    """(B, N) frames that CTC needs at least: one a unit, and a blank between two that are alike; never less than 1."""
    targets_BNL, lengths_BN = hypotheses.targets_BNL, hypotheses.lengths_BN
    places = torch.arange(1, targets_BNL.shape[2], device=targets_BNL.device)
    repeats = (targets_BNL[..., 1:] == targets_BNL[..., :-1]) & (places < lengths_BN[..., None])
    return (lengths_BN + repeats.sum(-1)).clamp(min=1)
