"""Confidence of a best path, by hand."""

import math

import pytest
import torch
from precision import FLOAT32

from kd.teachers.confidence import best_path_confidence, label_confidence


def log_probs(rows: list[list[float]]) -> torch.Tensor:
    return torch.tensor(rows).log()[None]


def test_units_count_once_each_at_their_most_confident_frame() -> None:
    """Path: blank, a, a, blank, b. Of a's two frames the surer counts; blanks do not."""
    frames = [[0.6, 0.2, 0.2], [0.3, 0.5, 0.2], [0.1, 0.8, 0.1], [0.9, 0.05, 0.05], [0.3, 0.2, 0.5]]
    (found,) = best_path_confidence(log_probs(frames), torch.tensor([5]))
    assert found == pytest.approx(math.sqrt(0.8 * 0.5), rel=FLOAT32)


def test_without_units_the_blanks_count_and_padding_never_does() -> None:
    frames = [[0.9, 0.1], [0.4, 0.6], [float("nan"), float("nan")]]
    assert best_path_confidence(log_probs(frames), torch.tensor([1])) == pytest.approx([0.9], rel=FLOAT32)
    assert best_path_confidence(log_probs(frames), torch.tensor([2])) == pytest.approx([0.6], rel=FLOAT32)
    assert best_path_confidence(log_probs(frames), torch.tensor([0])) == [0.0]


def test_a_keyword_is_as_sure_as_its_label() -> None:
    assert label_confidence(log_probs([[0.7, 0.2, 0.1]]), torch.tensor([1])) == pytest.approx([0.7], rel=FLOAT32)
