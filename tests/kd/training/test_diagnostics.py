"""Diagnostics worked by hand."""

import math

import pytest
import torch
from torch import Tensor

from kd.training.diagnostics import Spike, delays, divergence_by_kind, entropy, gradient_norm, histogram_median, spikes

SPOKEN, SILENT, HALF = (0.2, 0.8), (0.9, 0.1), (0.5, 0.5)


def logits(*probabilities: tuple[float, ...]) -> Tensor:
    return torch.tensor([probabilities]).log()


def path(*units: int, num_units: int = 4) -> Tensor:
    """One utterance whose likeliest path this is."""
    return 5.0 * torch.nn.functional.one_hot(torch.tensor([units]), num_units).float()


def test_divergence_is_told_apart_by_what_the_teacher_says() -> None:
    teacher, student = logits(SPOKEN, SILENT, SILENT, SPOKEN), logits(HALF, HALF, SILENT, HALF)
    blank, spoken = divergence_by_kind(student, teacher, torch.tensor([3]))
    silent_half = 0.9 * math.log(0.9 / 0.5) + 0.1 * math.log(0.1 / 0.5)
    torch.testing.assert_close(blank, torch.tensor([silent_half, 0.0]))
    torch.testing.assert_close(spoken, torch.tensor([0.2 * math.log(0.2 / 0.5) + 0.8 * math.log(0.8 / 0.5)]))


def test_entropy_of_the_even_and_the_certain() -> None:
    found = entropy(torch.tensor([[[0.0, 0, 0, 0], [90.0, 0, 0, 0], [1.0, 2, 3, 4]]]), torch.tensor([2]))
    torch.testing.assert_close(found, torch.tensor([math.log(4), 0.0]))


def test_a_spike_is_where_a_run_begins() -> None:
    both = torch.cat([path(0, 1, 1, 0, 1, 2), path(3, 3, 0, 2, 1, 1)])
    assert spikes(both, torch.tensor([6, 4])) == [
        [Spike(1, 1), Spike(4, 1), Spike(5, 2)],
        [Spike(0, 3), Spike(3, 2)],
    ]
    both[1, 4:] = float("nan")
    assert spikes(both, torch.tensor([6, 4]))[1] == [Spike(0, 3), Spike(3, 2)]


def test_delays_are_of_spikes_that_both_have_in_order() -> None:
    """The student says 1 two frames late, leaves 2 out, says 3 one frame early, and makes a 1 up."""
    teacher = [Spike(2, 1), Spike(5, 2), Spike(9, 3)]
    student = [Spike(4, 1), Spike(8, 3), Spike(11, 1)]
    assert delays(student, teacher) == [2, -1]
    assert delays([], teacher) == delays(student, []) == []


def test_the_gradient_is_that_of_the_logits() -> None:
    """Of one valid frame; the second is padding."""
    x, one = torch.tensor([[[3.0, 4.0], [9.0, 9.0]]], requires_grad=True), torch.tensor([1])
    assert gradient_norm((x * x).sum() / 2, x, one).item() == 5
    assert gradient_norm(torch.ones((), requires_grad=True) * 2, x, one).item() == 0
    assert x.grad is None


@pytest.mark.parametrize(
    ("numbers", "expected"), [([-1], -1), ([0, 2], 1), ([2, 2, -3], 2), ([-1, 0, 1, 1], 0.5), ([1, 2, 2, 2, 3], 2)]
)
def test_the_middle_of_a_histogram(numbers: list[int], expected: float) -> None:
    counts = torch.zeros(7)
    for number in numbers:
        counts[number + 3] += 1
    assert histogram_median(counts, -3) == expected


def test_nothing_has_no_middle() -> None:
    assert math.isnan(histogram_median(torch.zeros(7), -3))
