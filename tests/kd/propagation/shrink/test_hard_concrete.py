"""Hard-concrete gates against hand-worked values and against many draws of them."""

import math

import pytest
import torch

from kd.propagation.shrink.hard_concrete import OPEN, REACH, at_rest, open_probability, sampled


def test_by_hand() -> None:
    """log a = 0 and u = 1/2: s = 1/2, stretched to 1.2 / 2 - 0.1."""
    zero = torch.zeros(1)
    torch.testing.assert_close(sampled(zero, torch.tensor([0.5])), torch.tensor([0.5]))
    torch.testing.assert_close(at_rest(zero), torch.tensor([0.5]))
    torch.testing.assert_close(open_probability(zero), torch.tensor([1 / (1 + 11 ** (-2 / 3))]))
    one = sampled(torch.tensor([1.0]), torch.tensor([0.2]))  # 1.2 / (1 + exp(1.5 * 0.386294)) - 0.1
    torch.testing.assert_close(one, torch.tensor([0.330872]), atol=1e-5, rtol=0)


def test_it_begins_open_and_can_close() -> None:
    assert at_rest(torch.tensor([OPEN, REACH])).tolist() == [1.0, 1.0]
    assert at_rest(torch.tensor([-REACH])).tolist() == [0.0]
    assert open_probability(torch.tensor([OPEN])) > 0.98


@pytest.mark.parametrize("log_alpha", [-4.0, -1.0, 0.0, 1.5, 3.0])
def test_the_open_probability_is_the_share_of_draws_that_are_not_zero(log_alpha: float) -> None:
    draws = 200_000
    uniform = torch.rand(draws, generator=torch.Generator().manual_seed(1))
    share = (sampled(torch.full((draws,), log_alpha), uniform) != 0).double().mean().item()
    expected = open_probability(torch.tensor(log_alpha)).item()
    assert abs(share - expected) < 4 * math.sqrt(expected * (1 - expected) / draws)


def test_gradients_pass_where_a_gate_is_neither_open_nor_shut() -> None:
    log_alpha = torch.zeros(3, requires_grad=True)
    gates = sampled(log_alpha, torch.tensor([0.5, 0.0, 1.0]))
    gates.sum().backward()
    assert gates.tolist() == [0.5, 0.0, 1.0]
    assert log_alpha.grad is not None
    assert log_alpha.grad[0] > 0
    assert log_alpha.grad[1:].tolist() == [0.0, 0.0]
