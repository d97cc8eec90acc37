"""MAPSSWE and McNemar against published and hand-worked cases."""

import math

import numpy as np
import pytest
from scipy import stats

from kd.stats import mapsswe, mcnemar, segments

REFERENCE = "it was the best of times it was the worst of times it was"
SYSTEM_A = "its the best of times it is the worst of times or it was"
SYSTEM_B = "it was the best times it won the test of times it was"


def test_the_published_example_has_its_four_segments() -> None:
    """NIST's example of the test, also in Jurafsky & Martin, "Speech and Language Processing", on word error rates."""
    found = segments(REFERENCE, SYSTEM_A, SYSTEM_B)
    assert found == [(2, 0), (0, 1), (1, 2), (1, 0)]
    assert [a - b for a, b in found] == [2, -1, -1, 1]


def test_statistic_of_the_published_example() -> None:
    # Z = 2, -1, -1, 1: mean 1/4, variance (49 + 25 + 25 + 9) / 16 / 3 = 2.25, so z = 0.25 / (1.5 / 2) = 1/3
    found = mapsswe([REFERENCE], [SYSTEM_A], [SYSTEM_B])
    assert (found.segments, found.mean, found.z) == (4, 0.25, pytest.approx(1 / 3))
    assert found.p == pytest.approx(2 * stats.norm.sf(1 / 3))


def test_one_right_word_between_errors_parts_nothing_and_two_do() -> None:
    assert segments("a b c d e", "x b y d e", "a b c d e") == [(2, 0)]
    assert segments("a b c d e", "x b c y e", "a b c d e") == [(1, 0), (1, 0)]
    assert segments("a b c d", "a b c d", "a b c d") == []


def test_insertions_lie_between_words() -> None:
    assert segments("a b c d", "new a b c d", "a b c d") == [(1, 0)]
    assert segments("a b", "new a b new", "a b") == [(1, 0), (1, 0)]
    assert segments("a", "new a new", "a") == [(2, 0)]
    assert segments("", "new", "") == [(1, 0)]


def test_segments_hold_all_errors_of_both() -> None:
    rng = np.random.default_rng(1)
    words = np.array(["a", "b", "c", "d", "e"])
    for _ in range(50):
        reference, first, other = (" ".join(rng.choice(words, rng.integers(0, 9))) for _ in range(3))
        from kd.text.metrics import word_edits

        found = segments(reference, first, other)
        assert sum(a for a, _ in found) == word_edits(reference, first).errors
        assert sum(b for _, b in found) == word_edits(reference, other).errors


def test_it_is_a_test_of_one_sample_in_the_limit() -> None:
    rng = np.random.default_rng(2)
    more = rng.integers(0, 3, 400)
    references = ["a b c d"] * 400
    hypotheses = [" ".join(["x"] * k + ["a", "b", "c", "d"][k:]) for k in more]
    others = [" ".join(["x"] * k + ["a", "b", "c", "d"][k:]) for k in rng.permutation(more)]
    found = mapsswe(references, hypotheses, others)
    z = [a - b for texts in zip(references, hypotheses, others, strict=True) for a, b in segments(*texts)]
    oracle = stats.ttest_1samp(z, 0)
    assert found.z == pytest.approx(oracle.statistic)
    assert found.p == pytest.approx(oracle.pvalue, abs=2e-3)


def test_swapping_the_models_changes_the_sign_alone() -> None:
    forth, back = mapsswe([REFERENCE], [SYSTEM_A], [SYSTEM_B]), mapsswe([REFERENCE], [SYSTEM_B], [SYSTEM_A])
    assert (forth.z, forth.p) == pytest.approx((-back.z, back.p))


def test_equal_models_do_not_differ() -> None:
    assert mapsswe([REFERENCE], [SYSTEM_A], [SYSTEM_A]).p == 1
    assert mapsswe(["a"], ["a"], ["a"]).segments == 0


def test_no_spread_is_no_certainty() -> None:
    found = mapsswe(["a"] * 5, ["b"] * 5, ["a"] * 5)
    assert found.p == pytest.approx(2 / 32)
    assert found.z == pytest.approx(stats.norm.isf(1 / 32))
    assert mapsswe(["a"], ["b"], ["a"]).p == 1


def test_mcnemar_by_hand() -> None:
    # Only this one wrong: 1, only the other: 8. P(X ≤ 1 of 9) = 10 / 512, twice that for both sides.
    found = mcnemar([1.0] + [0.0] * 8 + [1.0] * 5 + [0.0] * 30, [0.0] + [1.0] * 8 + [2.0] * 5 + [0.0] * 30)
    assert (found.only_this, found.only_other) == (1, 8)
    assert found.p == pytest.approx(2 * 10 / 512)


def test_mcnemar_sums_the_binomial_distribution() -> None:
    for this, other in ((3, 3), (0, 4), (7, 2), (12, 30)):
        p = mcnemar([1.0] * this + [0.0] * other, [0.0] * this + [1.0] * other).p
        count = this + other
        chances = [math.comb(count, k) / 2**count for k in range(count + 1)]
        assert p == pytest.approx(min(1.0, sum(c for c in chances if c <= chances[this] * (1 + 1e-9))))


def test_mcnemar_where_models_never_disagree() -> None:
    assert mcnemar([1.0, 0.0], [3.0, 0.0]).p == 1
    with pytest.raises(ValueError, match="shorter"):
        mcnemar([1.0, 0.0], [1.0])
