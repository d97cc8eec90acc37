from types import ModuleType

import numpy as np
import pytest
from benchmark import load_benchmark
from scipy import stats

from kd.stats import error_interval, paired_interval


@pytest.fixture(scope="module")
def simulation() -> ModuleType:
    return load_benchmark("interval_coverage")


def test_hand_worked_jackknife() -> None:
    # Speakers a: 1 of 10, b: 3 of 10. Rate 0.2; leaving one out gives 0.3 and 0.1, so the standard error is
    # sqrt(1/2 · (0.1² + 0.1²)) = 0.1. Single utterances (1, 0, 3, 0 of 5 each) spread more: 0.1414.
    interval = error_interval([1, 0, 3, 0], [5, 5, 5, 5], ["a", "a", "b", "b"])
    without = np.array([3, 4, 1, 4]) / 15
    spread = np.sqrt(3 / 4 * np.square(without - without.mean()).sum())
    factor = np.exp(stats.t.ppf(0.975, 1) * spread / 0.2)
    assert spread > 0.1
    assert interval.estimate == pytest.approx(0.2)
    assert interval.low == pytest.approx(0.2 / factor)
    assert interval.high == 1.0
    assert interval.method == "jackknife over 2 speakers"


def test_differing_speakers_widen_it() -> None:
    errors, units = [2, 0] * 20, [5] * 40
    alike = error_interval(errors, units, [str(i // 4) for i in range(40)])
    apart = error_interval(sorted(errors), units, [str(i // 4) for i in range(40)])
    assert apart.high - apart.low > 1.5 * (alike.high - alike.low)


def test_no_error_is_not_certainty() -> None:
    interval = error_interval([0] * 30, [4] * 30, ["a"] * 15 + ["b"] * 15)
    assert interval.low == interval.estimate == 0
    assert interval.high == pytest.approx(1 - 0.025 ** (1 / 30))  # Clopper–Pearson at 0 of 30
    assert 3 / 30 < interval.high < 4 / 30  # somewhat wider than the one-sided rule of three


def test_all_wrong_is_not_certainty() -> None:
    interval = error_interval([1] * 30, [1] * 30, ["a"] * 15 + ["b"] * 15)
    assert interval.high == 1
    assert interval.low == pytest.approx(0.025 ** (1 / 30))


def test_one_speaker_falls_back_to_utterances() -> None:
    interval = error_interval([0, 1, 0, 2, 0, 0], [4] * 6, ["a"] * 6)
    assert interval.method == "jackknife over utterances of one speaker"
    assert interval.low < 3 / 24 < interval.high


def test_one_utterance_tells_next_to_nothing() -> None:
    interval = error_interval([1], [4], ["a"])
    assert interval.low < 0.05
    assert interval.high > 0.9


def test_unknown_speakers_count_one_each() -> None:
    errors, units = [0, 1, 0, 2, 0, 0], [4.0] * 6
    unknown = error_interval(errors, units, [None] * 6)
    named = error_interval(errors, units, list("abcdef"))
    assert (unknown.low, unknown.high) == (named.low, named.high)
    assert "unknown" in unknown.method


def test_more_confidence_is_wider() -> None:
    data = ([0, 1, 0, 2, 1, 0], [4] * 6, list("aabbcc"))
    assert error_interval(*data, confidence=0.99).low < error_interval(*data, confidence=0.8).low


def test_rates_above_one_are_kept() -> None:
    interval = error_interval([9, 8, 12, 7], [4] * 4, list("abcd"))
    assert interval.high > interval.estimate == 36 / 16 > interval.low


def test_speakers_with_empty_references_do_not_break_it() -> None:
    interval = error_interval([1, 2, 0], [5, 5, 0], list("abc"))
    assert np.isfinite([interval.low, interval.high]).all()


@pytest.mark.parametrize("wrong", [0.0, 1.0])
def test_utterances_without_a_unit_are_no_evidence(wrong: float) -> None:
    """By hand: of 11 utterances without an error Clopper and Pearson leave 1 - 0.025^(1/11) = 28.5 %."""
    speakers = [str(i % 10) for i in range(130)]
    units = [1.0] * 11 + [0.0] * 119
    found = error_interval([wrong * n for n in units], units, speakers)
    alone = error_interval([wrong] * 11, [1.0] * 11, speakers[:11])
    assert found == alone
    assert (found.high if wrong == 0 else 1 - found.low) == pytest.approx(1 - 0.025 ** (1 / 11))
    same = paired_interval([wrong * n for n in units], [wrong * n for n in units], units, speakers)
    assert same.high == pytest.approx(1 - 0.025 ** (1 / 11))


@pytest.mark.parametrize(("errors", "units"), [([], []), ([0.0], [0.0])])
def test_nothing_measured_is_refused(errors: list[float], units: list[float]) -> None:
    with pytest.raises(ValueError, match="Is the split empty"):
        error_interval(errors, units, ["a"] * len(errors))


def test_columns_of_unlike_length_are_refused() -> None:
    with pytest.raises(ValueError, match="2 errors, 2 units and 1 speakers"):
        error_interval([1, 2], [3, 4], ["a"])


def test_pairing_removes_what_speakers_share() -> None:
    rng = np.random.default_rng(1)
    speakers = [str(i // 10) for i in range(100)]
    hard = np.repeat(rng.integers(0, 4, 10), 10)
    worse = hard + (rng.random(100) < 0.5)
    units = [5.0] * 100
    difference = paired_interval(hard.tolist(), worse.tolist(), units, speakers)
    alone = error_interval(hard.tolist(), units, speakers)
    assert difference.high < 0
    assert difference.high - difference.low < 0.5 * (alone.high - alone.low)


def test_pairing_is_antisymmetric_and_identity_is_not_certain() -> None:
    a, b, units, speakers = [0, 1, 2, 0], [1, 1, 0, 0], [4.0] * 4, list("aabb")
    forth, back = paired_interval(a, b, units, speakers), paired_interval(b, a, units, speakers)
    assert (forth.low, forth.high) == pytest.approx((-back.high, -back.low))
    same = paired_interval(a, a, units, speakers)
    assert same.estimate == 0
    assert same.low < 0 < same.high


@pytest.mark.parametrize("rate", [0.01, 0.05, 0.2])
@pytest.mark.parametrize("num_speakers", [2, 3, 6, 10, 25])
def test_covers_the_truth_though_speakers_are_few(simulation: ModuleType, num_speakers: int, rate: float) -> None:
    ours, bootstrap = simulation.coverage(num_speakers, rate, runs=300)
    assert ours >= 0.92
    assert bootstrap < ours
