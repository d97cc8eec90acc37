"""Which frames of a padded batch are valid. Legend: B utterances, T padded frames."""

import torch
from torch import Tensor


def frame_mask(lengths_B: Tensor, num_frames: int) -> Tensor:
    """(B, T) bool, true on valid frames."""
    return torch.arange(num_frames, device=lengths_B.device) < lengths_B[:, None]
