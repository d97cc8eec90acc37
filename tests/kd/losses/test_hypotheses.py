"""CTC against hypotheses: by hand, against a sum over every alignment, and what it skips."""

import math
from itertools import groupby, product

import pytest
import torch
from precision import FLOAT32
from torch import Tensor

from kd.config.losses import FromHypotheses
from kd.losses import DISTILL_LOSSES, cross_entropy
from kd.losses.hypotheses import frames_needed_BN, from_hypotheses, keyword_from_hypotheses
from kd.teachers.hypotheses import Hypotheses, Row
from kd.text.vocabulary import frames_needed

SETTINGS = FromHypotheses(name="hypotheses")


def loss(logits: Tensor, rows: list[Row], *lengths: int) -> Tensor:
    return from_hypotheses(logits, Hypotheses.of(rows), torch.tensor(lengths), settings=SETTINGS)


def cost(logits_TV: Tensor, targets: list[int]) -> float:
    """-log of the summed probability of all paths that collapse to the targets."""
    log_probs = logits_TV.double().log_softmax(-1)
    total = sum(
        math.exp(sum(float(log_probs[t, unit]) for t, unit in enumerate(path)))
        for path in product(range(logits_TV.shape[1]), repeat=len(logits_TV))
        if [unit for unit, _ in groupby(path) if unit] == targets
    )
    return -math.log(total)


def test_by_hand() -> None:
    """Two frames, three units alike: '1' has 3 of 9 paths, '12' one, and nothing one; weights 3 : 1 make 3/4 and 1/4.
    The second utterance has no hypothesis, but counts: the mean is over both."""
    found = loss(torch.zeros(2, 2, 3), [[([1], 3.0), ([1, 2], 1.0)], []], 2, 2)
    assert found.item() == pytest.approx((0.75 * math.log(3) + 0.25 * math.log(9)) / 2, rel=FLOAT32)
    assert loss(torch.zeros(1, 2, 3), [[([], 1.0)]], 2).item() == pytest.approx(math.log(9), rel=FLOAT32)


def test_is_the_weighted_sum_over_all_alignments() -> None:
    logits = torch.randn(2, 5, 3, generator=torch.Generator().manual_seed(4))
    first, second = [1, 2, 1], [2, 2]
    found = loss(logits, [[(first, 1.0), (second, 4.0)], [([2], 1.0)]], 5, 3)
    expected = (0.2 * cost(logits[0], first) + 0.8 * cost(logits[0], second) + cost(logits[1, :3], [2])) / 2
    assert found.item() == pytest.approx(expected, rel=FLOAT32)


def test_what_the_frames_cannot_carry_is_skipped() -> None:
    """Of two hypotheses the one that fits counts whole; of one there is nothing left."""
    logits = torch.randn(1, 2, 3, generator=torch.Generator().manual_seed(1))
    fits: Row = [([1], 1.0), ([1, 1], 1.0)]
    assert loss(logits, [fits], 2).item() == pytest.approx(cost(logits[0], [1]), rel=FLOAT32)
    logits.requires_grad_()
    nothing = loss(logits, [[([1, 1], 1.0)]], 2)
    nothing.backward()
    assert nothing.item() == 0
    assert logits.grad is not None
    assert not logits.grad.any()


def test_frames_needed_are_those_of_the_text() -> None:
    rows = [[([1, 1, 2], 1.0), ([3], 1.0)], [([2, 2, 2], 1.0)], [([], 1.0)]]
    found = frames_needed_BN(Hypotheses.of(rows))
    for b, row in enumerate(rows):
        for n, (units, _) in enumerate(row):
            assert found[b, n] == max(1, frames_needed(units))


def test_weights_are_normalised_and_refused_where_they_mean_nothing() -> None:
    table = Hypotheses.of([[([1], 2.0), ([2], 6.0)], []])
    assert table.weights_BN.tolist() == [[0.25, 0.75], [0.0, 0.0]]
    assert len(table) == 2
    for weight in (0.0, -1.0, math.nan):
        with pytest.raises(ValueError, match="give it one above 0, or drop it"):
            Hypotheses.of([[([1], weight)]])


def test_another_number_of_utterances_is_refused() -> None:
    with pytest.raises(ValueError, match="hypotheses of 1 utterances do not fit a batch of 2"):
        loss(torch.zeros(2, 3, 3), [[([1], 1.0)]], 3, 3)


KEYWORD = DISTILL_LOSSES["hypotheses"].of("keyword")
NAMED: list[Row] = [[([0], 3.0), ([2], 1.0)], [([1], 1.0)], [], [([1], 1.0)]]
THERE = torch.tensor([1, 1, 1, 0])


def keywords() -> Tensor:
    return torch.randn(4, 1, 3, generator=torch.Generator().manual_seed(7))


def named(logits: Tensor, rows: list[Row] = NAMED, lengths: Tensor = THERE) -> Tensor:
    return KEYWORD(logits, Hypotheses.of(rows), lengths, settings=SETTINGS)


def test_each_problem_has_its_own() -> None:
    assert KEYWORD.function is keyword_from_hypotheses
    assert DISTILL_LOSSES["hypotheses"].of("transcription").function is from_hypotheses
    assert DISTILL_LOSSES["dist"].of("keyword") == DISTILL_LOSSES["dist"]


def test_keywords_by_hand() -> None:
    """Softmax of (ln 2, 0, 0) is (1/2, 1/4, 1/4): weights 3 : 1 of the first and the last give (3 ln 2 + ln 4) / 4.
    The gradient is p less the weights, by the two utterances, of which one has no hypothesis."""
    logits = torch.tensor([[[math.log(2), 0.0, 0.0]], [[0.0, 0.0, 5.0]]], requires_grad=True)
    found = named(logits, [[([0], 3.0), ([2], 1.0)], []], torch.tensor([1, 1]))
    assert found.item() == pytest.approx((3 * math.log(2) + math.log(4)) / 4 / 2, rel=FLOAT32)
    found.backward()
    expected = torch.tensor([[[0.5 - 0.75, 0.25, 0.25 - 0.25]], [[0.0, 0.0, 0.0]]]) / 2
    torch.testing.assert_close(logits.grad, expected)


def test_a_hypothesis_that_names_nothing_teaches_no_keyword() -> None:
    logits = torch.zeros(2, 1, 4, requires_grad=True)
    found = named(logits, [[([], 1.0)], []], torch.tensor([1, 1]))
    found.backward()
    assert found.item() == 0.0
    assert logits.grad is not None
    assert not logits.grad.any()


def test_one_hypothesis_each_is_a_label_and_one_frame_is_ctc() -> None:
    logits, one = keywords(), torch.ones(4, dtype=torch.long)
    labels = torch.tensor([[2], [0], [1], [2]])
    found = named(logits, [[(row, 1.0)] for row in labels.tolist()], one)
    torch.testing.assert_close(found, cross_entropy(logits, one, labels, one))
    rows: list[Row] = [[([1], 2.0), ([2], 1.0)], [([2], 1.0)], [], [([1], 1.0)]]
    by_ctc = from_hypotheses(logits, Hypotheses.of(rows), one, settings=SETTINGS)
    torch.testing.assert_close(named(logits, rows, one), by_ctc)  # where no label is CTC's blank


def test_laws_of_keywords() -> None:
    """Padding, gradient, mean over utterances, precision."""
    logits = keywords()
    dirty = logits.clone()
    dirty[3] = float("nan")
    dirty.requires_grad_()
    loss = named(dirty)
    assert torch.equal(loss, named(logits))
    loss.backward()
    assert dirty.grad is not None
    assert dirty.grad.isfinite().all()
    assert [bool(row.any()) for row in dirty.grad] == [True, True, False, False]
    alone = [named(logits[b : b + 1], NAMED[b : b + 1], THERE[b : b + 1]) for b in range(3)]
    torch.testing.assert_close(loss, torch.stack(alone).sum() / 4)
    half = named(logits.bfloat16())
    assert (half.shape, half.dtype) == ((), torch.float32)


@pytest.mark.parametrize(
    ("frames", "rows", "lengths", "problem"),
    [
        (1, [[], []], [0, 0], "no valid frame"),
        (1, [[], []], [1, 2], r"lengths \[1, 2\] exceed the 1 frames"),
        (1, [[]], [1, 1], "hypotheses of 1 utterances do not fit a batch of 2"),
        (1, [[([1, 2], 1.0)], []], [1, 1], "found 1 frames, hypotheses of 2 units"),
        (2, [[([1], 1.0)], []], [2, 1], "found 2 frames, hypotheses of 1 units"),
    ],
)
def test_what_is_no_keyword_is_refused(frames: int, rows: list[Row], lengths: list[int], problem: str) -> None:
    with pytest.raises(ValueError, match=problem):
        named(torch.zeros(2, frames, 3), rows, torch.tensor(lengths))
