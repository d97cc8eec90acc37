"""Soft targets: the student imitates the teacher's tempered distribution, frame by frame.

Legend: B utterances, T padded frames, V units, N valid frames.
"""

from torch import Tensor
from torch.nn import functional as F

from kd.config.losses import SoftTargets
from kd.losses.frames import tempered, valid_frames


def soft_targets(student_BTV: Tensor, teacher_BTV: Tensor, lengths_B: Tensor, *, settings: SoftTargets) -> Tensor:
    """T^2 * KL(teacher || student) of softmax(logits / T), in nats, summed over V, mean over valid frames.

    The factor T^2 keeps the gradient's size comparable across temperatures (Hinton et al. 2015,
    arXiv:1503.02531, sec. 2). Padding is dropped, not zeroed. Returns a 0-dim float32 tensor,
    differentiable in student_BTV only.
    """
    student_NV = tempered(valid_frames(student_BTV, lengths_B), settings).log_softmax(-1)
    teacher_NV = tempered(valid_frames(teacher_BTV.detach(), lengths_B), settings).log_softmax(-1)
    divergence = F.kl_div(student_NV, teacher_NV, reduction="sum", log_target=True)
    return divergence * (settings.t**2 / len(student_NV))
