"""Fewer frames: how many are left, and their means. Legend: B utterances, T padded frames, D features."""

import torch
from torch import Tensor
from torch.nn import functional as F

from kd.padding import frame_mask


def ceil_div(lengths_B: Tensor, stride: int) -> Tensor:
    """Frames after a centred convolution of kernel 3, or after pooling: ceil(length / stride)."""
    return torch.div(lengths_B + (stride - 1), stride, rounding_mode="floor")


def mean_pooled(x_BTD: Tensor, lengths_B: Tensor, size: int) -> tuple[Tensor, Tensor]:
    """(B, ceil(T / size), D): means of `size` frames in a row, the last of an utterance over those that it has."""
    mask_BT1 = frame_mask(lengths_B, x_BTD.shape[1])[..., None].to(x_BTD.dtype)
    both_BTD = torch.cat([x_BTD.masked_fill(mask_BT1 == 0, 0.0), mask_BT1], dim=2)
    means_BTD = F.avg_pool1d(F.pad(both_BTD, (0, 0, 0, size - 1)).transpose(1, 2), size).transpose(1, 2)
    return means_BTD[..., :-1] / means_BTD[..., -1:].clamp(min=0.5 / size), ceil_div(lengths_B, size)
