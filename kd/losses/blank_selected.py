"""CTC posteriors at the teacher's non-blank frames: blank-dominated frames are left out.

Legend: B utterances, T padded frames, V units (0 = blank), N valid frames.
"""

import torch
from torch import Tensor
from torch.nn import functional as F

from kd.config.losses import BlankSelected
from kd.losses.frames import require_valid, tempered
from kd.padding import frame_mask
from kd.text.vocabulary import BLANK_INDEX


def blank_selected(student_BTV: Tensor, teacher_BTV: Tensor, lengths_B: Tensor, *, settings: BlankSelected) -> Tensor:
    """T^2 * KL(teacher || student) over frames near a non-blank teacher argmax, in nats; 0-dim float32.

    Selected are the frames whose likeliest unit is not the blank, and `dilation` frames on both sides
    (Hilmes, Rossenbach & Schlüter 2025, "Analyzing the Importance of Blank for CTC-Based Knowledge Distillation",
    arXiv:2506.01503, with its k = 2). We divide by all valid frames rather than by the selected ones, so that
    utterances and processes add up; a batch in which the teacher has no non-blank frame gives 0.
    Differentiable in student_BTV only.
    """
    require_valid(student_BTV, lengths_B)
    selected_BT = nonblank_frames(teacher_BTV.detach(), lengths_B, settings.dilation)
    student_NV = tempered(student_BTV[selected_BT], settings).log_softmax(-1)
    teacher_NV = tempered(teacher_BTV.detach()[selected_BT], settings).log_softmax(-1)
    divergence = F.kl_div(student_NV, teacher_NV, reduction="sum", log_target=True)
    return divergence * settings.t**2 / lengths_B.sum()


def nonblank_frames(teacher_BTV: Tensor, lengths_B: Tensor, dilation: int) -> Tensor:
    """(B, T) bool: valid frames within `dilation` of one whose likeliest unit is not the blank."""
    valid_BT = frame_mask(lengths_B, teacher_BTV.shape[1])
    spoken_BT = (teacher_BTV.nan_to_num().argmax(-1) != BLANK_INDEX) & valid_BT
    if dilation:
        width = 2 * dilation + 1
        spoken_BT = F.max_pool1d(spoken_BT[:, None].float(), width, stride=1, padding=dilation)[:, 0] > 0
    return torch.logical_and(spoken_BT, valid_BT)
