"""Pooling by hand: the last mean of an utterance is over the frames that it has."""

import torch

from kd.models.pooling import ceil_div, mean_pooled


def test_means_are_over_the_frames_that_are_there() -> None:
    x_BTD = torch.tensor([[1.0, 3.0, 5.0, 7.0, 9.0], [2.0, 4.0, 6.0, float("nan"), float("nan")]])[..., None]
    means_BTD, lengths_B = mean_pooled(x_BTD, torch.tensor([5, 3]), 2)
    assert lengths_B.tolist() == [3, 2]
    assert means_BTD[..., 0].tolist() == [[2.0, 6.0, 9.0], [3.0, 6.0, 0.0]]


def test_a_length_is_rounded_up() -> None:
    assert ceil_div(torch.tensor([0, 1, 4, 5]), 4).tolist() == [0, 1, 1, 2]
