"""KL that forgives a student for being late: the least, or soft-least, over delays.

Legend: B utterances, T padded frames, V units, D delays 0 to `max_delay`.
"""

import torch
from torch import Tensor

from kd.config.losses import ShiftTolerant
from kd.losses.frames import require_valid, tempered
from kd.padding import frame_mask


def shift_tolerant(student_BTV: Tensor, teacher_BTV: Tensor, lengths_B: Tensor, *, settings: ShiftTolerant) -> Tensor:
    """Per utterance, the least over d of T^2 * mean_t KL(teacher[t] || student[t + d]), in nats; mean over utterances.

    The mean is over the frames that both have, so an utterance of n frames allows delays up to n - 1. With
    `softness` s > 0 the least becomes -s * log mean_d exp(-KL_d / s), which is differentiable in every delay and lies
    above the least by at most s * log D; so at identity it is not 0.
    Returns a 0-dim float32 tensor, differentiable in student_BTV only.
    """
    require_valid(student_BTV, lengths_B)
    mask_BT1 = frame_mask(lengths_B, student_BTV.shape[1])[..., None]
    student, teacher = (
        tempered(x.masked_fill(~mask_BT1, 0.0), settings).log_softmax(-1) for x in (student_BTV, teacher_BTV.detach())
    )
    by_delay = [
        _delayed(student, teacher, lengths_B, d) for d in range(min(settings.max_delay, student.shape[1] - 1) + 1)
    ]
    divergence_BD = torch.stack(by_delay, dim=1) * settings.t**2
    return _least(divergence_BD, settings.softness)[lengths_B > 0].mean()


def _delayed(student_BTV: Tensor, teacher_BTV: Tensor, lengths_B: Tensor, delay: int) -> Tensor:
    """(B,) mean KL of the student `delay` frames later; infinite where the utterance is too short for that."""
    frames = student_BTV.shape[1] - delay
    left_B = lengths_B - delay
    log_t, log_s = teacher_BTV[:, :frames], student_BTV[:, delay:]
    each_BT = (log_t.exp() * (log_t - log_s)).sum(-1) * frame_mask(left_B, frames)
    mean_B = each_BT.sum(1) / left_B.clamp(min=1)
    return mean_B.masked_fill(left_B < 1, torch.inf)


def _least(divergence_BD: Tensor, softness: float) -> Tensor:
    if softness == 0:
        return divergence_BD.min(dim=1).values
    possible_B = divergence_BD.isfinite().sum(1)
    return -softness * ((-divergence_BD / softness).logsumexp(dim=1) - possible_B.log())
