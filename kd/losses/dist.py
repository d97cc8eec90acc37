"""DIST: match correlations, not values, within each frame and within each unit across the batch.

Legend: B utterances, T padded frames, V units, N valid frames.
"""

from torch import Tensor

from kd.losses.frames import tempered, valid_frames
from kd.settings.losses import Dist

EPSILON = 1e-8


def dist(student_BTV: Tensor, teacher_BTV: Tensor, lengths_B: Tensor, *, settings: Dist) -> Tensor:
    """T^2 * [between * (1 - mean row correlation) + within * (1 - mean column correlation)] of softmax outputs.

    Huang et al. 2022 (arXiv:2205.10536, eq. 9-11); Pearson over units (rows) and over the batch's valid
    frames (columns). With a single frame there are no columns and that term is left out. Returns a 0-dim
    float32 tensor in [0, 2 T^2 (between + within)], differentiable in student_BTV only.
    """
    student_NV = tempered(valid_frames(student_BTV, lengths_B), settings).softmax(-1)
    teacher_NV = tempered(valid_frames(teacher_BTV.detach(), lengths_B), settings).softmax(-1)
    loss = settings.between * (1 - _pearson(student_NV, teacher_NV).mean())
    if len(student_NV) > 1:
        loss = loss + settings.within * (1 - _pearson(student_NV.T, teacher_NV.T).mean())
    return loss * settings.t**2


def _pearson(a_KN: Tensor, b_KN: Tensor) -> Tensor:
    """(K,) correlation of each row of a with the same row of b."""
    a, b = a_KN - a_KN.mean(1, keepdim=True), b_KN - b_KN.mean(1, keepdim=True)
    correlation_K: Tensor = (a * b).sum(1) / (a.norm(dim=1) * b.norm(dim=1)).clamp(min=EPSILON)
    return correlation_K
