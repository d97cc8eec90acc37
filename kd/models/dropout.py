"""Dropout that draws few random bits.

Legend: B utterances, T frames, D features.
"""

import torch
from torch import Tensor, nn

BITS = 16
LEVELS = 2**BITS
"""Of a drawn number, from -LEVELS / 2 on."""


class Dropout(nn.Dropout):
    """`nn.Dropout`; on a CPU p is drawn with 16 bits for a feature, where torch takes 64 and four times as long.

    So p is rounded to 65536ths; what stays is scaled by exactly what it was drawn with.
    """

    def forward(self, input: Tensor) -> Tensor:
        return input * self.factors(input) if self.draws(input) else super().forward(input)

    def draws(self, like: Tensor) -> bool:
        """Whether it draws its own bits, in place of torch."""
        return self.training and self.p > 0 and like.device.type == "cpu"

    def factors(self, like: Tensor) -> Tensor:
        """In the shape of `like`, 0 for what is dropped, for the rest the scale that keeps the mean."""
        dropped = min(round(self.p * LEVELS), LEVELS - 1)
        words = torch.empty(-(-like.numel() * BITS // 64), dtype=torch.int64).random_(-(2**63), None)
        drawn = words.view(torch.int16)[: like.numel()].view(like.shape).float()
        return drawn.ge_(dropped - LEVELS // 2).mul_(LEVELS / (LEVELS - dropped)).to(like.dtype)


def added(x_BTD: Tensor, y_BTD: Tensor, mask_BT1: Tensor, dropout: Dropout) -> Tensor:
    """(x + dropout(y)) * mask, for a mask of 0 and 1 and an x that is zero where it is."""
    if dropout.draws(y_BTD):
        return torch.addcmul(x_BTD, y_BTD, dropout.factors(y_BTD).mul_(mask_BT1))
    masked_BTD: Tensor = (x_BTD + dropout(y_BTD)) * mask_BT1
    return masked_BTD
