"""Hard-concrete gates: random numbers in [0, 1], often exactly 0 or 1, through which gradients pass.

Louizos et al. 2018, arXiv:1712.01312 (equations there), with their stretch (-0.1 to 1.1) and temperature (2/3).
Legend: N gates.
"""

import math

import torch
from torch import Tensor

LOW, HIGH, TEMPERATURE = -0.1, 1.1, 2 / 3
OPEN = 2.5
"""A log alpha at which a gate at rest is 1, and open with a probability of 0.98."""
REACH = 4.6
"""Log alpha stays between its negative and it, so that a gate that is nearly sure of itself can still turn."""
EPSILON = 1e-6


def sampled(log_alpha_N: Tensor, uniform_N: Tensor) -> Tensor:
    """(N,) gates in [0, 1] for uniform_N in [0, 1), differentiable in log_alpha_N (eq. 10 to 12)."""
    uniform_N = uniform_N.clamp(EPSILON, 1 - EPSILON)
    return _stretched(torch.sigmoid((uniform_N.logit() + log_alpha_N) / TEMPERATURE))


def at_rest(log_alpha_N: Tensor) -> Tensor:
    """(N,) gates in [0, 1] without chance, for evaluation (eq. 13)."""
    return _stretched(torch.sigmoid(log_alpha_N))


def open_probability(log_alpha_N: Tensor) -> Tensor:
    """(N,) probability that a sampled gate is not 0 (eq. 12)."""
    return torch.sigmoid(log_alpha_N - TEMPERATURE * math.log(-LOW / HIGH))


def _stretched(gates_N: Tensor) -> Tensor:
    return (gates_N * (HIGH - LOW) + LOW).clamp(0, 1)
