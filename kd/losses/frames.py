"""Selection of valid frames, and their distributions, which every loss begins with."""

from torch import Tensor

from kd.config.losses import Tempered
from kd.padding import frame_mask

EPSILON = 1e-12


def valid_frames(x_BTV: Tensor, lengths_B: Tensor) -> Tensor:
    """(N, V): the frames within each utterance's length, in order; padding is dropped.

    Raises ValueError for an empty batch, and for lengths beyond the padded frames.
    """
    require_valid(x_BTV, lengths_B)
    return x_BTV[frame_mask(lengths_B, x_BTV.shape[1])]


def utterance_means(x_BTV: Tensor, lengths_B: Tensor) -> Tensor:
    """(B, V) float32: the mean of each utterance's valid frames; padding is dropped, and 0 stands for no frame."""
    within_BT = frame_mask(lengths_B, x_BTV.shape[1])
    sums_BV = x_BTV.float().masked_fill(~within_BT[..., None], 0.0).sum(1)
    return sums_BV / lengths_B.clamp(min=1)[:, None]


def require_valid(x_BTV: Tensor, lengths_B: Tensor) -> None:
    """Raises ValueError for an empty batch, and for lengths beyond the padded frames."""
    if lengths_B.numel() == 0 or int(lengths_B.max()) == 0:
        raise ValueError("the batch has no valid frame: nothing to compare. Are all utterances empty?")
    require_within(lengths_B, x_BTV.shape[1])


def require_within(lengths_B: Tensor, num_frames: int) -> None:
    """Raises ValueError where an utterance is longer than the padded frames."""
    if int(lengths_B.max()) > num_frames:
        raise ValueError(
            f"lengths {lengths_B.tolist()} exceed the {num_frames} frames in the batch. "
            "Did you pass waveform samples? Convert them with the model's output_lengths()"
        )


def tempered(logits: Tensor, settings: Tempered) -> Tensor:
    """Logits divided by the temperature, in float32, to be given to softmax over the last axis.

    With `standardise`, z of each frame is first brought to mean 0 and deviation 1 over its units, so that neither
    the range of the teacher's logits nor that of the student's counts (Sun et al. 2024, arXiv:2403.01732, eq. 10).
    """
    z = logits.float()
    if settings.standardise:
        z = (z - z.mean(-1, keepdim=True)) * (z.var(-1, correction=0, keepdim=True) + EPSILON).rsqrt()
    return z / settings.t
