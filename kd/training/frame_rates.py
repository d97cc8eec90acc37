"""One frame rate for teacher and student whose subsampling differs, such that spikes survive.

The faster of the two is brought to the frames of the slower; probabilities are never interpolated, and only states,
which have no spikes, are averaged.
Legend: B utterances, T frames, K faster frames in one of the slower, V units (0 = blank), D features of
a state.
"""

import torch
from torch import Tensor

from kd.config.losses import FRAME_RATIOS, Align
from kd.losses.frames import utterance_means


def aligned(
    student_BTV: Tensor, student_B: Tensor, teacher_BTV: Tensor, teacher_B: Tensor, how: Align
) -> tuple[Tensor, Tensor, Tensor]:
    """Logits of student and teacher at the slower one's frames, and how many each utterance has.

    student_B, teacher_B: lengths in their own frames. A student that is faster is grouped too, and differentiably.
    Raises ValueError where the lengths fit no ratio of 1, 2, 4 or 8 to within a frame.
    """
    if torch.equal(student_B, teacher_B):
        return student_BTV, teacher_BTV, student_B
    if int(student_B.sum()) > int(teacher_B.sum()):
        return grouped(student_BTV, student_B, teacher_B, how), teacher_BTV[:, : int(teacher_B.max())], teacher_B
    return student_BTV[:, : int(student_B.max())], grouped(teacher_BTV, teacher_B, student_B, how), student_B


def averaged(
    student_BTD: Tensor, student_B: Tensor, teacher_BTD: Tensor, teacher_B: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """States of student and teacher at the slower one's frames, each the mean of those that it stands for.

    Where one side has a single frame for every utterance (patch_cnn), the other is the mean of all its valid ones.
    Raises ValueError as `aligned`.
    """
    if torch.equal(student_B, teacher_B):
        return student_BTD, teacher_BTD, student_B
    if int(student_B.sum()) > int(teacher_B.sum()):
        return _means(student_BTD, student_B, teacher_B), teacher_BTD[:, : int(teacher_B.max())], teacher_B
    return student_BTD[:, : int(student_B.max())], _means(teacher_BTD, teacher_B, student_B), student_B


def common_frames(student_B: Tensor, teacher_B: Tensor) -> Tensor:
    """The lengths over which `aligned` and `averaged` compare: the slower one's."""
    return teacher_B if int(student_B.sum()) > int(teacher_B.sum()) else student_B


def _means(fast_BTD: Tensor, fast_B: Tensor, slow_B: Tensor) -> Tensor:
    if int(slow_B.max()) == 1:
        return utterance_means(fast_BTD, fast_B)[:, None]
    return _groups(fast_BTD, fast_B, slow_B).float().mean(2)


def grouped(fast_BTV: Tensor, fast_B: Tensor, slow_B: Tensor, how: Align) -> Tensor:
    """(B, slow T, V) logits, one frame for each group of `ratio` frames.

    maximum: of each non-blank unit the largest probability in the group, of the blank the least, renormalised.
    strongest: the frame of the group in which the blank has the least probability, as it is.
    """
    frames_BTKV = _groups(fast_BTV, fast_B, slow_B)
    log_probs = frames_BTKV.float().log_softmax(-1)
    if how == "maximum":
        blank, units = log_probs[..., :1].amin(2), log_probs[..., 1:].amax(2)
        return torch.cat([blank, units], dim=-1).log_softmax(-1)
    best_BT = log_probs[..., 0].argmin(2)
    index = best_BT[..., None, None].expand(-1, -1, 1, fast_BTV.shape[2])
    return frames_BTKV.gather(2, index)[:, :, 0]


def ratio_of(fast_B: Tensor, slow_B: Tensor) -> int:
    """How many of the faster frames make one of the slower: a stride of r leaves ceil(n / r) of n frames."""
    off = {ratio: int((-(-fast_B // ratio) - slow_B).abs().max()) for ratio in FRAME_RATIOS}
    ratio = min(FRAME_RATIOS, key=lambda r: off[r])
    if off[ratio] > 1:
        raise ValueError(
            f"frames of student and teacher, {fast_B.tolist()} and {slow_B.tolist()}, fit no ratio of "
            f"{', '.join(map(str, FRAME_RATIOS))}: was one of them computed from other audio?"
        )
    return ratio


def _groups(fast_BTV: Tensor, fast_B: Tensor, slow_B: Tensor) -> Tensor:
    """(B, slow T, K, V); a group that the utterance does not fill repeats its last frame, so padding never counts."""
    ratio, num_units = ratio_of(fast_B, slow_B), fast_BTV.shape[2]
    place_TK = torch.arange(int(slow_B.max()) * ratio, device=fast_B.device)
    place_BT = torch.minimum(place_TK, (fast_B - 1).clamp(min=0)[:, None])
    frames = fast_BTV.gather(1, place_BT[..., None].expand(-1, -1, num_units))
    return frames.view(len(fast_B), -1, ratio, num_units)
