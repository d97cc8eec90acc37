import torch

from kd.padding import frame_mask


def test_valid_frames_are_those_below_the_length() -> None:
    """As many rows as lengths, as many columns as asked for, whatever the longest is."""
    mask_BT = frame_mask(torch.tensor([3, 0, 1]), 4)
    assert mask_BT.tolist() == [[True, True, True, False], [False] * 4, [True, False, False, False]]
