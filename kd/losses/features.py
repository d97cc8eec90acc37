"""Feature matching: a student's projected inner state is drawn to its teacher's, frame by frame.

Legend: B utterances, T padded frames, D features of the teacher, N valid frames.
"""

from torch import Tensor
from torch.nn import functional as F

from kd.config.losses import Features
from kd.losses.frames import valid_frames

EPSILON = 1e-8


def features(student_BTD: Tensor, teacher_BTD: Tensor, lengths_B: Tensor, *, settings: Features) -> Tensor:
    """l1 * mean|s - t| + cosine * (1 - cos(s, t)) + mse * mean (s - t)^2 per valid frame, means over features too.

    One layer of the student, projected to the teacher's width, and one of the teacher, over the same frames.
    l1 and cosine are DistilHuBERT's terms (Chang et al. 2022, arXiv:2110.01900, sec. 3.2), joined by a plain
    1 - cosine as in DPHuBERT (Peng et al. 2023, arXiv:2305.17651, eq. 1), where the first has -log sigmoid(cosine);
    mse is FitNet's (Romero et al. 2015, arXiv:1412.6550, eq. 3), there a sum. Padding is dropped. Returns a 0-dim
    float32 tensor, differentiable in student_BTD only.
    """
    student_ND = valid_frames(student_BTD, lengths_B).float()
    teacher_ND = valid_frames(teacher_BTD.detach(), lengths_B).float()
    loss = student_ND.new_zeros(())
    if settings.l1:
        loss = loss + settings.l1 * F.l1_loss(student_ND, teacher_ND)
    if settings.cosine:
        loss = loss + settings.cosine * (1 - F.cosine_similarity(student_ND, teacher_ND, eps=EPSILON).mean())
    if settings.mse:
        loss = loss + settings.mse * F.mse_loss(student_ND, teacher_ND)
    return loss
