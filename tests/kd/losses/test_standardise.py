"""Logit standardisation by hand."""

import math

import torch

from kd.config.losses import SoftTargets
from kd.losses.frames import tempered


def test_by_hand() -> None:
    """(1, 2, 6) has mean 3 and deviation sqrt(14 / 3); a frame of equal logits has none, and stays even."""
    settings = SoftTargets(temperature=2.0, standardise=True)
    found = tempered(torch.tensor([[1.0, 2.0, 6.0], [5.0, 5.0, 5.0]]), settings)
    deviation = math.sqrt(14 / 3)
    torch.testing.assert_close(found, torch.tensor([[-2.0, -1.0, 3.0], [0.0, 0.0, 0.0]]) / deviation / 2)


def test_even_frames_have_a_finite_gradient() -> None:
    logits = torch.full((1, 4), 2.0, requires_grad=True)
    tempered(logits, SoftTargets(standardise=True)).log_softmax(-1)[0, 0].backward()
    assert logits.grad is not None
    assert logits.grad.isfinite().all()
