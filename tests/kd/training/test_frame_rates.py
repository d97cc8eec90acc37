"""Frames of teacher and student brought to one rate: by hand, and the laws of both ways."""

import pytest
import torch
from torch import Tensor

from kd.config.losses import Align
from kd.training.frame_rates import aligned, grouped, ratio_of

every_way = pytest.mark.parametrize("how", ["maximum", "strongest"])
BLANK, ONE, TWO = (0.9, 0.05, 0.05), (0.2, 0.7, 0.1), (0.1, 0.1, 0.8)


def logits(*probabilities: tuple[float, ...]) -> Tensor:
    return torch.tensor([probabilities]).log()


def lengths(*n: int) -> Tensor:
    return torch.tensor(n)


def test_by_hand() -> None:
    """Frames in pairs, the last alone. Of blank and ONE: units' maxima 0.7, 0.1, the blank's least 0.2, which add up
    to 1; of ONE and TWO 0.7, 0.8 and 0.1, divided by 1.6."""
    fast = logits(BLANK, ONE, ONE, TWO, BLANK)
    most = grouped(fast, lengths(5), lengths(3), "maximum")[0].exp()
    expected = torch.tensor([[0.2, 0.7, 0.1], [0.1 / 1.6, 0.7 / 1.6, 0.8 / 1.6], BLANK])
    torch.testing.assert_close(most, expected)
    strongest = grouped(fast, lengths(5), lengths(3), "strongest")[0].exp()
    torch.testing.assert_close(strongest, torch.tensor([ONE, TWO, BLANK]))


@every_way
@pytest.mark.parametrize("ratio", [2, 4])
def test_no_spike_is_lost_and_silence_stays_silent(how: Align, ratio: int) -> None:
    """A lone spike in any frame is the likeliest unit of its group, and of no other."""
    for place in range(8):
        frames = [BLANK] * 8
        frames[place] = ONE
        slow = grouped(logits(*frames), lengths(8), lengths(8 // ratio), how)
        expected = [0] * (8 // ratio)
        expected[place // ratio] = 1
        assert slow.argmax(-1)[0].tolist() == expected
        torch.testing.assert_close(slow.softmax(-1).sum(-1), torch.ones(1, 8 // ratio))


@every_way
def test_padding_never_counts(how: Align) -> None:
    fast = torch.randn(2, 8, 4, generator=torch.Generator().manual_seed(1))
    clean = grouped(fast, lengths(8, 5), lengths(4, 3), how)
    fast[1, 5:] = float("nan")
    dirty = grouped(fast, lengths(8, 5), lengths(4, 3), how)
    assert torch.equal(clean[0], dirty[0])
    assert torch.equal(clean[1, :3], dirty[1, :3])


@every_way
def test_a_faster_student_gets_a_gradient_and_the_teacher_stays(how: Align) -> None:
    student = torch.randn(1, 7, 4, generator=torch.Generator().manual_seed(1)).requires_grad_()
    teacher = torch.randn(1, 5, 4)
    ours, theirs, frames = aligned(student, lengths(7), teacher, lengths(4), how)
    assert (ours.shape, frames.tolist()) == ((1, 4, 4), [4])
    assert torch.equal(theirs, teacher[:, :4])
    ours.square().sum().backward()
    assert student.grad is not None
    assert student.grad[0].any()
    assert student.grad.isfinite().all()


def test_equal_rates_are_left_alone() -> None:
    student, teacher = torch.randn(2, 6, 4), torch.randn(2, 6, 4)
    ours, theirs, frames = aligned(student, lengths(6, 3), teacher, lengths(6, 3), "maximum")
    assert ours is student
    assert theirs is teacher
    assert frames.tolist() == [6, 3]


def test_the_ratio_follows_from_the_lengths_to_within_a_frame() -> None:
    for ratio in (1, 2, 4, 8):
        for length in range(16, 60):
            assert ratio_of(lengths(length), lengths(-(-length // ratio))) == ratio
    assert ratio_of(lengths(99, 50), lengths(49, 24)) == 2
    with pytest.raises(ValueError, match="fit no ratio of 1, 2, 4, 8: was one of them computed from other audio"):
        ratio_of(lengths(90), lengths(30))
