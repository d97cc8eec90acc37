"""Decoupled distillation: the target against the rest, and the rest among itself, weighed apart.

Legend: B utterances, T padded frames, V units, N valid frames.
"""

import torch
from torch import Tensor
from torch.nn import functional as F

from kd.config.losses import Decoupled
from kd.losses.frames import tempered, valid_frames


def decoupled(student_BTV: Tensor, teacher_BTV: Tensor, lengths_B: Tensor, *, settings: Decoupled) -> Tensor:
    """T^2 * [target * KL(binary target) + others * KL(non-target units)], in nats, mean over valid frames.

    Zhao et al. 2022 (arXiv:2203.08679, eq. 7). We take the teacher's likeliest unit for the target, so that
    it needs no label. With both weights such that `others` is the teacher's non-target probability it is
    soft targets again. Returns a 0-dim float32 tensor, differentiable in student_BTV only.
    """
    student_NV = tempered(valid_frames(student_BTV, lengths_B), settings).log_softmax(-1)
    teacher_NV = tempered(valid_frames(teacher_BTV.detach(), lengths_B), settings).log_softmax(-1)
    if teacher_NV.shape[1] < 3:
        raise ValueError(
            f"decoupled distillation needs at least 3 units, found {teacher_NV.shape[1]}: use soft_targets"
        )
    target_N1 = teacher_NV.argmax(-1, keepdim=True)
    binary = _kl(_binary(teacher_NV, target_N1), _binary(student_NV, target_N1))
    rest = _kl(_others(teacher_NV, target_N1), _others(student_NV, target_N1))
    return (settings.target * binary + settings.others * rest) * settings.t**2


def _kl(teacher_NK: Tensor, student_NK: Tensor) -> Tensor:
    return F.kl_div(student_NK, teacher_NK, reduction="batchmean", log_target=True)


def _binary(log_probs_NV: Tensor, target_N1: Tensor) -> Tensor:
    """(N, 2) log-probabilities of the target, and of everything else."""
    target = log_probs_NV.gather(1, target_N1)
    return torch.cat([target, _without(log_probs_NV, target_N1).logsumexp(1, keepdim=True)], dim=1)


def _others(log_probs_NV: Tensor, target_N1: Tensor) -> Tensor:
    """(N, V - 1) log-probabilities of the other units, given that it is not the target."""
    return _without(log_probs_NV, target_N1).log_softmax(-1)


def _without(x_NV: Tensor, target_N1: Tensor) -> Tensor:
    keep = torch.ones_like(x_NV, dtype=torch.bool).scatter_(1, target_N1, False)
    return x_NV[keep].view(len(x_NV), -1)
