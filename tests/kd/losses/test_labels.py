"""CTC against a sum over every alignment; cross-entropy by hand."""

import math
from itertools import groupby, product

import pytest
import torch
from precision import FLOAT32
from torch import Tensor

from kd.losses import cross_entropy, ctc
from kd.text.vocabulary import frames_needed


def by_brute_force(logits_TV: Tensor, targets: list[int]) -> float:
    """-log of the summed probability of all paths that collapse to the targets."""
    log_probs = logits_TV.double().log_softmax(-1)
    paths = product(range(logits_TV.shape[1]), repeat=len(logits_TV))
    total = 0.0
    for path in paths:
        if [unit for unit, _ in groupby(path) if unit != 0] == targets:
            total += math.exp(sum(float(log_probs[t, unit]) for t, unit in enumerate(path)))
    return -math.log(total) if total > 0 else math.inf


@pytest.mark.parametrize("targets", [[1], [1, 2], [1, 1], [2, 1, 2], [2, 2, 1], []])
@pytest.mark.parametrize("num_frames", [3, 5])
def test_is_the_sum_over_all_alignments(targets: list[int], num_frames: int) -> None:
    logits = torch.randn(1, num_frames, 3, generator=torch.Generator().manual_seed(len(targets)))
    loss = ctc(logits, torch.tensor([num_frames]), torch.tensor([targets]).long(), torch.tensor([len(targets)]))
    assert loss.item() == pytest.approx(by_brute_force(logits[0], targets), rel=FLOAT32)
    assert math.isinf(loss.item()) is (frames_needed(targets) > num_frames)


def test_is_the_mean_over_utterances_however_long() -> None:
    logits = torch.randn(2, 5, 3, generator=torch.Generator().manual_seed(4))
    loss = ctc(logits, torch.tensor([5, 2]), torch.tensor([[1, 2, 1], [2, 0, 0]]), torch.tensor([3, 1]))
    expected = (by_brute_force(logits[0], [1, 2, 1]) + by_brute_force(logits[1, :2], [2])) / 2
    assert loss.item() == pytest.approx(expected, rel=FLOAT32)


def test_by_hand() -> None:
    """Two frames, all three units alike: of 9 paths, (1, 1), (1, 0) and (0, 1) give '1'."""
    loss = ctc(torch.zeros(1, 2, 3), torch.tensor([2]), torch.tensor([[1]]), torch.tensor([1]))
    assert loss.item() == pytest.approx(math.log(3), rel=FLOAT32)


def test_what_cannot_be_aligned_is_not_hidden() -> None:
    loss = ctc(torch.zeros(2, 2, 3), torch.tensor([2, 2]), torch.tensor([[1, 1], [1, 2]]), torch.tensor([2, 2]))
    assert loss.item() == math.inf


def test_ctc_refuses_what_is_empty_or_too_long() -> None:
    none = torch.zeros(0, dtype=torch.long)
    with pytest.raises(ValueError, match="there is no utterance to align"):
        ctc(torch.zeros(0, 4, 3), none, none[:, None], none)
    with pytest.raises(ValueError, match=r"lengths \[320\] exceed the 4 frames"):
        ctc(torch.zeros(1, 4, 3), torch.tensor([320]), torch.tensor([[1]]), torch.tensor([1]))


def test_cross_entropy_by_hand() -> None:
    """Softmax of (ln 3, 0) is (3/4, 1/4), of (0, ln 4) is (1/5, 4/5)."""
    logits = torch.tensor([[[math.log(3), 0.0]], [[0.0, math.log(4)]]], requires_grad=True)
    one = torch.ones(2, dtype=torch.long)
    loss = cross_entropy(logits, one, torch.tensor([[0], [1]]), one)
    assert loss.item() == pytest.approx(-(math.log(0.75) + math.log(0.8)) / 2, rel=FLOAT32)
    loss.backward()
    torch.testing.assert_close(logits.grad, torch.tensor([[[-0.125, 0.125]], [[0.1, -0.1]]]))


@pytest.mark.parametrize(("frames", "labels"), [(2, 1), (1, 2)])
def test_a_keyword_is_one_frame_with_one_label(frames: int, labels: int) -> None:
    with pytest.raises(ValueError, match=f"found {frames} frames, {labels} labels"):
        cross_entropy(torch.zeros(1, frames, 3), torch.tensor([1]), torch.zeros(1, labels).long(), torch.tensor([1]))
