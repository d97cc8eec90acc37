"""What a model learns from itself: two views that agree, and inner layers that transcribe.

Legend: B utterances, T padded frames, V units (0 = blank).
"""

from torch import Tensor
from torch.nn import functional as F

from kd.config.self_distillation import IntermediateCTC
from kd.losses.frames import valid_frames
from kd.losses.labels import ctc


def sequence_kl(student_BTV: Tensor, teacher_BTV: Tensor, lengths_B: Tensor) -> Tensor:
    """KL(teacher || student) in nats, summed over frames and mean over utterances, so that it counts as CTC does.

    0-dim float32, differentiable in student_BTV only.
    """
    student_NV = valid_frames(student_BTV, lengths_B).float().log_softmax(-1)
    teacher_NV = valid_frames(teacher_BTV.detach(), lengths_B).float().log_softmax(-1)
    return F.kl_div(student_NV, teacher_NV, reduction="sum", log_target=True) / len(lengths_B)


def consistency(first_BTV: Tensor, second_BTV: Tensor, lengths_B: Tensor) -> Tensor:
    """1/2 [KL(sg second || first) + KL(sg first || second)] of two views of a batch, per utterance; 0-dim float32.

    CR-CTC's regulariser (Yao et al. 2024, arXiv:2410.05101, eq. 4), sg being a stopped gradient.
    """
    there = sequence_kl(first_BTV, second_BTV, lengths_B)
    return 0.5 * (there + sequence_kl(second_BTV, first_BTV, lengths_B))


def intermediate_ctc(
    inner_BTV: Tensor,
    last_BTV: Tensor,
    lengths_B: Tensor,
    targets_BL: Tensor,
    target_lengths_B: Tensor,
    *,
    settings: IntermediateCTC,
) -> Tensor:
    """CTC of an inner layer's logits (Lee & Watanabe 2021, arXiv:2102.03216, eq. 11), in nats, mean over utterances.

    With `imitate` also that much of KL(sg last layer || inner layer), as in self-distillation between layers.
    """
    loss = ctc(inner_BTV, lengths_B, targets_BL, target_lengths_B)
    if settings.imitate > 0:
        loss = loss + settings.imitate * sequence_kl(inner_BTV, last_BTV, lengths_B)
    return loss
