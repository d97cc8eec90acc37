"""Guided CTC: the student is drawn to spike where, and as what, its teacher spikes.

Legend: B utterances, T padded frames, V units (0 = blank).
"""

from torch import Tensor

from kd.config.losses import GuidedCTC
from kd.losses.blank_selected import nonblank_frames
from kd.losses.frames import require_valid


def guided_ctc(student_BTV: Tensor, teacher_BTV: Tensor, lengths_B: Tensor, *, settings: GuidedCTC) -> Tensor:
    """-sum_t p_s[t, v_t] over frames whose likeliest teacher unit v_t is not the blank; 0-dim float32, in [-1, 0].

    Kurata & Audhkhasi 2019 (arXiv:1904.08311, eq. 3): the mask is one-hot at the guide's non-blank argmax.
    We divide by all valid frames. No divergence: at identity it is minus the teacher's own confidence.
    Differentiable in student_BTV only.
    """
    require_valid(student_BTV, lengths_B)
    spoken_BT = nonblank_frames(teacher_BTV.detach(), lengths_B, 0)
    units_N1 = teacher_BTV.detach()[spoken_BT].argmax(-1, keepdim=True)
    chosen_N1 = student_BTV[spoken_BT].float().softmax(-1).gather(1, units_N1)
    return -chosen_N1.sum() / lengths_B.sum()
