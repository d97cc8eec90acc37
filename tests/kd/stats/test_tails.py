"""The same points as scipy.stats gives, and a case worked by hand each."""

import math

import pytest
from scipy import stats

from kd.stats.tails import beyond_normal, clopper_pearson, normal_above, sign_test, t_above

TAILS = (1e-9, 1e-4, 0.0125, 0.025, 0.2, 0.5, 0.8)


@pytest.mark.parametrize("tail", TAILS)
@pytest.mark.parametrize("freedom", [1, 2, 5, 23, 10_000])
def test_students_t(tail: float, freedom: int) -> None:
    assert t_above(tail, freedom) == pytest.approx(stats.t.isf(tail, freedom), rel=1e-9, abs=1e-12)


def test_t_of_one_degree_is_cauchys() -> None:
    assert t_above(0.25, 1) == pytest.approx(1.0)


@pytest.mark.parametrize("tail", TAILS)
def test_normal(tail: float) -> None:
    assert normal_above(tail) == pytest.approx(stats.norm.isf(tail), rel=1e-12, abs=1e-15)
    assert beyond_normal(normal_above(tail / 2)) == pytest.approx(tail)


@pytest.mark.parametrize("z", [-40.0, -3.0, 0.0, 1.5, 40.0])
def test_beyond_normal(z: float) -> None:
    assert beyond_normal(z) == pytest.approx(2 * stats.norm.sf(abs(z)), rel=1e-12)


@pytest.mark.parametrize(("wrong", "count"), [(0, 1), (1, 1), (3, 10), (2.5, 10), (1, 1000), (999, 1000), (0, 5000)])
@pytest.mark.parametrize("tail", [1e-4, 0.025, 0.2])
def test_exact_binomial_bounds(wrong: float, count: int, tail: float) -> None:
    low, high = clopper_pearson(wrong, count, tail)
    assert low == pytest.approx(stats.beta.ppf(tail, wrong, count - wrong + 1) if wrong else 0.0, rel=1e-9)
    assert high == pytest.approx(stats.beta.isf(tail, wrong + 1, count - wrong) if wrong < count else 1.0, rel=1e-9)


def test_bound_of_none_wrong() -> None:
    """None of 10 wrong has probability (1 - high) ** 10."""
    assert clopper_pearson(0, 10, 0.025) == (0.0, pytest.approx(1 - 0.025**0.1))


@pytest.mark.parametrize(("first", "second"), [(1, 0), (5, 5), (0, 7), (8, 2), (40, 61)])
def test_sign_test(first: int, second: int) -> None:
    assert sign_test(first, second) == pytest.approx(stats.binomtest(first, first + second).pvalue)


def test_sign_test_of_ten_coins() -> None:
    """At most 1 head, or at most 1 tail, in ten: 2 * (1 + 10) of 1024."""
    assert sign_test(1, 9) == pytest.approx(2 * (1 + math.comb(10, 1)) / 2**10)
