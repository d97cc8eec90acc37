"""DIST: match correlations, not values, within each frame and within each unit across the batch.

Legend: B utterances, T padded frames, V units, N valid frames; K rows of M values.
"""

import math

from torch import Tensor

from kd.config.losses import Dist
from kd.losses.frames import tempered, valid_frames

EPSILON = 1e-5
"""Deviation of a row, in units of its largest value, below which its differences are taken for rounding."""


def dist(student_BTV: Tensor, teacher_BTV: Tensor, lengths_B: Tensor, *, settings: Dist) -> Tensor:
    """T^2 * [between * (1 - mean row correlation) + within * (1 - mean column correlation)] of softmax outputs.

    Huang et al. 2022 (arXiv:2205.10536, eq. 9-11); Pearson over units (rows) and over the batch's valid
    frames (columns). Rows and columns in which the teacher does not vary have no correlation and are left out, as
    are columns of a single frame. However small a unit's probabilities are, its column counts as any other. Returns
    a 0-dim float32 tensor in [0, 2 T^2 (between + within)], differentiable in student_BTV only.
    """
    student_NV = tempered(valid_frames(student_BTV, lengths_B), settings).log_softmax(-1)
    teacher_NV = tempered(valid_frames(teacher_BTV.detach(), lengths_B), settings).log_softmax(-1)
    between, within = _distance(student_NV, teacher_NV), _distance(student_NV.T, teacher_NV.T)
    return (settings.between * between + settings.within * within) * settings.t**2


def _distance(student_KM: Tensor, teacher_KM: Tensor) -> Tensor:
    """1 - correlation of each row with the same row of the other, from logarithms; mean over rows that vary."""
    student, _ = _standard(student_KM)
    teacher, varies_K = _standard(teacher_KM)
    apart_K = 1 - (student * teacher).mean(1)
    return apart_K[varies_K].sum() / varies_K.sum().clamp(min=1)


def _standard(log_KM: Tensor) -> tuple[Tensor, Tensor]:
    """Each row at mean 0 and deviation 1, and whether it varies; one that does not stays near 0.

    It is divided by its largest value as a logarithm, so that the squares of small probabilities do not underflow.
    """
    x_KM = (log_KM - log_KM.detach().amax(1, keepdim=True)).exp()
    x_KM = x_KM - x_KM.mean(1, keepdim=True)
    deviation_K1 = x_KM.norm(dim=1, keepdim=True) / math.sqrt(x_KM.shape[1])
    return x_KM / deviation_K1.clamp(min=EPSILON), deviation_K1[:, 0] > EPSILON
