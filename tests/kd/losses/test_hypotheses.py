"""CTC against hypotheses: by hand, against a sum over every alignment, and what it skips."""

import math
from itertools import groupby, product

import pytest
import torch
from torch import Tensor

from kd.hypotheses import Hypotheses, Row
from kd.losses.hypotheses import frames_needed_BN, from_hypotheses
from kd.settings.losses import FromHypotheses
from kd.text import frames_needed

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
    assert found.item() == pytest.approx((0.75 * math.log(3) + 0.25 * math.log(9)) / 2, rel=1e-6)
    assert loss(torch.zeros(1, 2, 3), [[([], 1.0)]], 2).item() == pytest.approx(math.log(9), rel=1e-6)


def test_is_the_weighted_sum_over_all_alignments() -> None:
    logits = torch.randn(2, 5, 3, generator=torch.Generator().manual_seed(4))
    first, second = [1, 2, 1], [2, 2]
    found = loss(logits, [[(first, 1.0), (second, 4.0)], [([2], 1.0)]], 5, 3)
    expected = (0.2 * cost(logits[0], first) + 0.8 * cost(logits[0], second) + cost(logits[1, :3], [2])) / 2
    assert found.item() == pytest.approx(expected, rel=1e-5)


def test_what_the_frames_cannot_carry_is_skipped() -> None:
    """Of two hypotheses the one that fits counts whole; of one there is nothing left."""
    logits = torch.randn(1, 2, 3, generator=torch.Generator().manual_seed(1))
    fits: Row = [([1], 1.0), ([1, 1], 1.0)]
    assert loss(logits, [fits], 2).item() == pytest.approx(cost(logits[0], [1]), rel=1e-5)
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
