"""Two teachers as one, by hand."""

import pytest
import torch
from precision import FLOAT32

from kd.teachers.ensemble import mean_posteriors, most_confident_posteriors

FIRST = torch.tensor([[[0.7, 0.2, 0.1], [0.1, 0.8, 0.1]], [[0.5, 0.3, 0.2], [0.2, 0.2, 0.6]]])
SECOND = torch.tensor([[[0.1, 0.1, 0.8], [0.3, 0.4, 0.3]], [[0.9, 0.05, 0.05], [0.1, 0.1, 0.8]]])


def test_the_mean_is_of_probabilities() -> None:
    found = mean_posteriors(FIRST.log(), SECOND.log(), 0.25).exp()
    torch.testing.assert_close(found, 0.25 * FIRST + 0.75 * SECOND)
    torch.testing.assert_close(found.sum(-1), torch.ones(2, 2))


def test_a_unit_that_one_teacher_excludes_keeps_the_others_share() -> None:
    sure = torch.tensor([[[1.0, 0.0, 0.0]]])
    assert mean_posteriors(sure.log(), SECOND[:1, :1].log(), 0.5).exp().flatten().tolist() == pytest.approx(
        [0.55, 0.05, 0.4], rel=FLOAT32
    )


def test_the_surer_one_is_taken_utterance_by_utterance() -> None:
    found = most_confident_posteriors(FIRST.log(), SECOND.log(), [0.7, 0.5], [0.7, 0.8])
    assert torch.equal(found[0], FIRST[0].log())
    assert torch.equal(found[1], SECOND[1].log())
