import math
from types import ModuleType

import numpy as np
import pytest
from benchmark import load_benchmark
from scipy import stats

from kd.stats import Difference, average_seeds, paired_interval
from kd.stats.difference import FEW_SPEAKERS


@pytest.fixture(scope="module")
def simulation() -> ModuleType:
    return load_benchmark("interval_coverage")


def by_speaker(values: list[float], units: float = 10.0) -> Difference:
    """Each speaker with one utterance of so many more errors."""
    count = len(values)
    return Difference.of(values, [0.0] * count, [units] * count, [f"s{i}" for i in range(count)])


def test_hand_worked_sign_flips() -> None:
    # Three speakers of 10 units each, differences 1, 2 and 6: the seven sets of speakers have the ratios
    # 0.1, 0.2, 0.6, 0.15, 0.35, 0.4, 0.3. Of 8 sign patterns, a level of 1/8 leaves out one (the empty set), so
    # the bound is the greatest ratio, 0.6; a level of 2/8 gives the next, 0.4; below 1/8 there is none.
    # The guard by single utterances is off: it asks for less here than the sets do.
    difference = by_speaker([1.0, 2.0, 6.0])
    assert difference.estimate == pytest.approx(0.3)
    assert difference.upper(1 / 8) == pytest.approx(max(0.6, 0.3 + guard(difference, 1 / 8)))
    assert difference.upper(2 / 8) == pytest.approx(max(0.4, 0.3 + guard(difference, 2 / 8)))
    assert difference.upper(0.12) == math.inf
    assert difference.lower(0.12) == -math.inf
    assert difference.method == "sign flips over 3 speakers"


def guard(difference: Difference, tail: float) -> float:
    return float(stats.t.isf(tail, difference.num_utterances - 1) * difference.utterance_spread)


def test_bounds_are_where_scipys_permutation_test_turns() -> None:
    rng = np.random.default_rng(3)
    units = rng.integers(20, 60, 8).astype(float)
    more = rng.integers(-3, 6, 8).astype(float)
    difference = Difference.of(more.tolist(), [0.0] * 8, units.tolist(), list("abcdefgh"))
    tail = 0.05
    for bound, alternative, side in ((difference.upper(tail), "less", 1), (difference.lower(tail), "greater", -1)):
        for shift, refuted in ((-1e-6, False), (1e-6, True)):
            values = more - (bound + side * shift) * units
            p = stats.permutation_test(
                (values,), np.sum, permutation_type="samples", alternative=alternative, n_resamples=np.inf
            ).pvalue
            assert (p <= tail) == refuted


def test_speakers_of_many_utterances_are_the_blocks() -> None:
    alike = Difference.of([1, 0] * 30, [0, 0] * 30, [5.0] * 60, [f"s{i // 4}" for i in range(60)])
    apart = Difference.of([1] * 30 + [0] * 30, [0] * 60, [5.0] * 60, [f"s{i // 4}" for i in range(60)])
    assert alike.num_speakers == apart.num_speakers == 15
    assert apart.upper(0.025) - apart.estimate > 1.9 * (alike.upper(0.025) - alike.estimate)


def test_many_speakers_have_the_interval_of_student() -> None:
    rng = np.random.default_rng(1)
    errors, others = rng.integers(0, 4, (2, 80)).astype(float).tolist()
    speakers = [f"s{i // 4}" for i in range(80)]
    difference = Difference.of(errors, others, [5.0] * 80, speakers)
    interval = paired_interval(errors, others, [5.0] * 80, speakers)
    assert difference.num_speakers > FEW_SPEAKERS
    assert (difference.lower(0.025), difference.upper(0.025)) == pytest.approx((interval.low, interval.high))


@pytest.mark.parametrize("num_speakers", [7, 20])
def test_swapping_the_models_mirrors_the_bounds(num_speakers: int) -> None:
    rng = np.random.default_rng(num_speakers)
    a, b = rng.integers(0, 4, (2, 5 * num_speakers)).astype(float).tolist()
    units, speakers = [6.0] * len(a), [f"s{i // 5}" for i in range(len(a))]
    forth, back = Difference.of(a, b, units, speakers), Difference.of(b, a, units, speakers)
    assert (forth.lower(0.02), forth.upper(0.02)) == pytest.approx((-back.upper(0.02), -back.lower(0.02)))


@pytest.mark.parametrize("num_speakers", [6, 20])
def test_a_smaller_level_reaches_further(num_speakers: int) -> None:
    difference = by_speaker(np.random.default_rng(0).normal(1, 1, num_speakers).tolist())
    bounds = [difference.upper(tail) for tail in (0.5, 0.2, 0.1, 0.02, 1e-3, 1e-9)]
    assert bounds == sorted(bounds)
    assert bounds[0] >= difference.estimate


def test_one_speaker_says_nothing_of_others() -> None:
    difference = Difference.of([0.0, 1.0, 2.0], [0.0] * 3, [4.0] * 3, ["a"] * 3)
    assert difference.num_speakers == 1
    assert (difference.lower(0.4), difference.upper(0.4)) == (-math.inf, math.inf)
    assert difference.method == "sign flips over 1 speaker"


def test_unknown_speakers_are_one_an_utterance() -> None:
    difference = Difference.of([0.0, 1.0] * 10, [0.0] * 20, [4.0] * 20, [None] * 20)
    assert difference.num_speakers == 20
    assert difference.upper(0.025) < 0.3
    assert "unknown" in difference.method


@pytest.mark.parametrize("num_speakers", [6, 20])
def test_the_same_model_twice_is_not_certainty(num_speakers: int) -> None:
    errors, speakers = [1.0, 0.0] * 20, [f"s{i % num_speakers}" for i in range(40)]
    difference = Difference.of(errors, errors, [5.0] * 40, speakers)
    assert difference.estimate == 0
    assert difference.upper(0.025) == pytest.approx(1 - 0.025 ** (1 / 40))


def test_speakers_without_words_do_not_break_it() -> None:
    difference = Difference.of([1.0] + [0.0, 1.0] * 4, [0.0] * 9, [0.0] + [5.0] * 8, list("abcdefghi"))
    assert np.isfinite([difference.estimate, difference.lower(0.1), difference.upper(0.1)]).all()
    assert difference.upper(1 / 512) == math.inf


def test_seeds_steady_an_estimate_and_are_no_speakers() -> None:
    first, second = [2.0, 0.0, 1.0], [0.0, 0.0, 2.0]
    assert average_seeds([first, second]) == [1.0, 0.0, 1.5]
    many = Difference.of(average_seeds([first, second] * 50), [0.0] * 3, [5.0] * 3, list("abc"))
    once = Difference.of([1.0, 0.0, 1.5], [0.0] * 3, [5.0] * 3, list("abc"))
    assert many.num_speakers == once.num_speakers == 3
    assert many.upper(0.2) == pytest.approx(once.upper(0.2))


@pytest.mark.parametrize("seeds", [[], [[1.0], [1.0, 2.0]]])
def test_seeds_that_cannot_be_averaged_are_refused(seeds: list[list[float]]) -> None:
    with pytest.raises(ValueError, match="give at least one seed, and the same for each"):
        average_seeds(seeds)


@pytest.mark.parametrize("rate", [0.05, 0.2])
@pytest.mark.parametrize("num_speakers", [6, 9, 12, 13, 25])
def test_covers_the_true_difference(simulation: ModuleType, num_speakers: int, rate: float) -> None:
    ours, _ = simulation.difference_coverage(num_speakers, rate, runs=200)
    assert ours >= 0.92
