"""Logits for losses that compare two sides."""

import torch
from torch import Tensor


def pair_of_logits() -> tuple[Tensor, Tensor]:
    """Of student and teacher, of two views or of two layers: three utterances of at most 6 frames, 5 units."""
    generator = torch.Generator().manual_seed(5)
    return torch.randn(3, 6, 5, generator=generator), torch.randn(3, 6, 5, generator=generator)
