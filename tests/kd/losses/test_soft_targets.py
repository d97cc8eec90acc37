"""Soft targets by hand: two units, two frames."""

import math

import pytest
import torch
from precision import FLOAT32

from kd.config.losses import SoftTargets
from kd.losses import soft_targets


def test_by_hand() -> None:
    """T = 2. Frame 1: teacher's logits (2 ln 3, 0) temper to (3/4, 1/4), student's (0, 0) to (1/2, 1/2):
    KL = 3/4 ln(3/2) + 1/4 ln(1/2) = 0.1308. Frame 2: the same distribution in both: KL = 0, although the logits
    differ by a constant. Mean over two frames, times T² = 4: 2 · 0.1308 = 0.2616."""
    teacher = torch.tensor([[[2 * math.log(3), 0.0], [1.0, 1.0], [9.0, -9.0]]])
    student = torch.tensor([[[0.0, 0.0], [7.0, 7.0], [-9.0, 9.0]]], requires_grad=True)
    loss = soft_targets(student, teacher, torch.tensor([2]), settings=SoftTargets(temperature=2.0))
    assert loss.item() == pytest.approx(2 * (0.75 * math.log(1.5) + 0.25 * math.log(0.5)), rel=FLOAT32)
    assert loss.item() == pytest.approx(0.261624, rel=FLOAT32)
    loss.backward()
    # d/ds of T² KL / N = T (softmax(s / T) - softmax(t / T)) / N = 2 · (1/2 - 3/4, 1/2 - 1/4) / 2
    torch.testing.assert_close(student.grad, torch.tensor([[[-0.25, 0.25], [0.0, 0.0], [0.0, 0.0]]]))


def test_the_gradient_keeps_its_size_at_high_temperatures() -> None:
    """Hinton et al., sec. 2.1: for T -> infinity the gradient is (s - t) / V for zero-mean logits, whatever T."""
    student = torch.tensor([[[0.3, -0.1, -0.2]]], requires_grad=True)
    teacher = torch.tensor([[[-0.4, 0.5, -0.1]]])
    for temperature in (50.0, 100.0):
        (gradient,) = torch.autograd.grad(
            soft_targets(student, teacher, torch.tensor([1]), settings=SoftTargets(temperature=temperature)), student
        )
        torch.testing.assert_close(gradient, (student.detach() - teacher) / 3, rtol=0.02, atol=1e-3)


def test_at_temperature_1_it_is_cross_entropy_less_entropy() -> None:
    generator = torch.Generator().manual_seed(2)
    student, teacher = torch.randn(1, 7, 4, generator=generator), torch.randn(1, 7, 4, generator=generator)
    probabilities = teacher[0].softmax(-1)
    cross = torch.nn.functional.cross_entropy(student[0], probabilities)
    entropy = -(probabilities * probabilities.log()).sum(-1).mean()
    loss = soft_targets(student, teacher, torch.tensor([7]), settings=SoftTargets(temperature=1.0))
    torch.testing.assert_close(loss, cross - entropy)
