"""Relational distillation: utterances of a batch shall lie to one another as they do for the teacher.

Legend: B utterances, T padded frames, D features (student and teacher may differ in them).
"""

import torch
from torch import Tensor
from torch.nn import functional as F

from kd.config.losses import Relational
from kd.losses.frames import require_valid, utterance_means

EPSILON = 1e-8


def relational(student_BTD: Tensor, teacher_BTD: Tensor, lengths_B: Tensor, *, settings: Relational) -> Tensor:
    """RKD (Park et al. 2019, arXiv:1904.05068): distance * L_distance + angle * L_angle, each a mean Huber loss.

    An utterance is the mean of its valid frames; one without any is left out. L_distance compares the distances of all
    pairs, each divided by its side's mean distance (eq. 5-8); L_angle the cosines of the angles at the middle one
    of all triples (eq. 9-10). Fewer than two utterances have no distance, fewer than three no angle: that term
    is 0. Returns a 0-dim float32 tensor, differentiable in student_BTD only.
    """
    require_valid(student_BTD, lengths_B)
    there_B = lengths_B > 0
    student_BD = utterance_means(student_BTD, lengths_B)[there_B]
    teacher_BD = utterance_means(teacher_BTD.detach(), lengths_B)[there_B]
    terms = [student_BD[:0].sum()]
    if settings.distance and len(student_BD) > 1:
        terms.append(settings.distance * F.huber_loss(distances(student_BD), distances(teacher_BD)))
    if settings.angle and len(student_BD) > 2:
        terms.append(settings.angle * F.huber_loss(angles(student_BD), angles(teacher_BD)))
    return torch.stack(terms).sum()


def distances(x_BD: Tensor) -> Tensor:
    """The Euclidean distance of every pair, over their mean: 1-dim."""
    first, second = torch.triu_indices(len(x_BD), len(x_BD), offset=1, device=x_BD.device)
    apart: Tensor = torch.linalg.vector_norm(x_BD[first] - x_BD[second], dim=1)
    return apart / apart.mean().clamp(min=EPSILON)


def angles(x_BD: Tensor) -> Tensor:
    """The cosine of the angle at b between a and c, for every b and every pair a < c of the others: 1-dim."""
    ahead_BBD = F.normalize(x_BD[None] - x_BD[:, None], dim=2, eps=EPSILON)  # [b, a]: from b to a
    cosines_BBB = ahead_BBD @ ahead_BBD.transpose(1, 2)  # [b, a, c]
    at = torch.arange(len(x_BD), device=x_BD.device)
    apart = (at[:, None, None] != at[:, None]) & (at[:, None, None] != at) & (at[:, None] < at)
    return cosines_BBB[apart]
