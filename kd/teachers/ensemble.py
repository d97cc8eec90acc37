"""Two teachers' posteriors as one. Legend: B utterances, T padded frames, V units."""

import math
from collections.abc import Sequence

import torch
from torch import Tensor


def mean_posteriors(first_BTV: Tensor, second_BTV: Tensor, weight: float) -> Tensor:
    """log(weight * p + (1 - weight) * q) of log-probabilities; each frame's probabilities sum to one."""
    return torch.logaddexp(first_BTV + math.log(weight), second_BTV + math.log1p(-weight))


def most_confident_posteriors(
    first_BTV: Tensor, second_BTV: Tensor, first_sure: Sequence[float], second_sure: Sequence[float]
) -> Tensor:
    """The log-probabilities of the teacher of higher confidence in each utterance; the first's where both are equal."""
    of_first_B = torch.tensor(first_sure) >= torch.tensor(second_sure)
    return torch.where(of_first_B.to(first_BTV.device)[:, None, None], first_BTV, second_BTV)
