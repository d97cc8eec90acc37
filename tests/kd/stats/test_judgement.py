from types import ModuleType
from typing import Any

import numpy as np
import pytest
from benchmark import load_benchmark

from kd.stats import Difference, adjusted, holm_tails, judge
from kd.stats.judgement import least_speakers


@pytest.fixture(scope="module")
def simulation() -> ModuleType:
    return load_benchmark("interval_coverage")


def each_a_speaker(values: list[float]) -> Difference:
    count = len(values)
    return Difference.of(values, [0.0] * count, [1.0] * count, [str(i) for i in range(count)])


def make(mean: float, spread: float, num_speakers: int = 30, seed: int = 1) -> Difference:
    """Speakers whose differences have this mean and standard deviation, exactly."""
    drawn = np.random.default_rng(seed).standard_normal(num_speakers)
    values = mean + spread * (drawn - drawn.mean()) / drawn.std(ddof=1)
    return Difference.of(
        values.tolist(), [0.0] * num_speakers, [1.0] * num_speakers, list(map(str, range(num_speakers)))
    )


def claim(difference: Difference, margin: float = 0.01) -> str:
    return judge([difference], [margin], 0.95)[0].claim


def test_hand_worked_holm() -> None:
    # 4 tests: 0.01 · 4, 0.02 · 3, 0.03 · 2, 0.005 · 4 sorted as 0.005, 0.01, 0.02, 0.03 -> 0.02, 0.03, 0.04, 0.04
    assert adjusted([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert adjusted([0.6, 0.9]) == [1.0, 1.0]
    assert adjusted([]) == []


@pytest.mark.parametrize("seed", range(20))
def test_levels_that_are_passed_on_agree_with_adjusted_p_values(seed: int) -> None:
    p_values = np.random.default_rng(seed).uniform(0, 0.05, 6).tolist()
    tails = holm_tails(lambda i, level: p_values[i] <= level, len(p_values), 0.05)
    passed = [p <= tail for p, tail in zip(p_values, tails, strict=True)]
    assert passed == [p <= 0.05 for p in adjusted(p_values)]


def test_the_first_claim_that_is_met_is_made() -> None:
    assert claim(make(-0.02, 0.01)) == "better"
    assert claim(make(0.0, 0.01)) == "not worse"
    assert claim(make(0.005, 0.01)) == "not worse"
    assert claim(make(0.02, 0.01)) == "worse"
    assert claim(make(0.01, 0.01)) == "too little data to tell"
    assert claim(make(-0.005, 0.05)) == "too little data to tell"


def test_a_margin_of_its_own_for_each() -> None:
    same = make(0.02, 0.01)
    assert [j.claim for j in judge([same, same], [0.01, 0.05], 0.95)] == ["worse", "not worse"]


def test_company_makes_claims_harder_and_decided_company_does_not() -> None:
    barely = make(-0.004, 0.01)
    undecided = make(0.0, 0.01)
    assert claim(barely, 0.0) == "better"
    assert judge([barely, *[undecided] * 9], [0.0] * 10, 0.95)[0].claim != "better"
    assert judge([barely, *[make(-1.0, 0.01)] * 9], [0.0] * 10, 0.95)[0].claim == "better"


def test_bounds_hold_the_estimate_and_order_the_claims() -> None:
    for judgement in judge([make(m, 0.03, seed=i) for i, m in enumerate((-0.03, 0.0, 0.01, 0.05))], [0.01] * 4, 0.95):
        assert judgement.low < judgement.estimate < judgement.high


def test_so_many_more_speakers_do_settle_it() -> None:
    open_question = judge([make(0.0, 0.05)], [0.01], 0.95)[0]
    assert open_question.claim == "too little data to tell"
    assert open_question.more_speakers is not None
    enough = 30 + open_question.more_speakers
    # (1.96 + 0.84)² · 0.05² / 0.01² = 196 speakers by the normal approximation, a few more by t
    assert 196 <= enough <= 202
    assert claim(make(0.0, 0.05, num_speakers=enough)) == "not worse"
    rng = np.random.default_rng(1)
    settled = [claim(each_a_speaker(v.tolist())) for v in rng.normal(0, 0.05, (400, enough))]
    assert 0.74 <= np.mean([c != "too little data to tell" for c in settled]) <= 0.86


def test_no_number_of_speakers_settles_a_difference_of_just_the_margin() -> None:
    judgement = judge([make(0.25, 0.05)], [make(0.25, 0.05).estimate], 0.95)[0]
    assert (judgement.claim, judgement.more_speakers) == ("too little data to tell", None)


def test_what_is_settled_needs_no_more() -> None:
    assert judge([make(-0.02, 0.01)], [0.01], 0.95)[0].more_speakers is None


@pytest.mark.parametrize(("num_speakers", "possible"), [(5, False), (6, True)])
def test_few_speakers_cannot_settle_anything(num_speakers: int, possible: bool) -> None:
    plain = judge([make(0.5, 0.001, num_speakers)], [0.01], 0.95)[0]
    assert (plain.claim == "worse") == possible
    assert least_speakers(0.025) == 6
    if not possible:
        assert plain.more_speakers == 1


def test_one_speaker_settles_nothing() -> None:
    one = Difference.of([9.0] * 50, [0.0] * 50, [10.0] * 50, ["a"] * 50)
    assert judge([one], [0.01], 0.95)[0].claim == "too little data to tell"


def test_columns_of_unlike_length_are_refused() -> None:
    with pytest.raises(ValueError, match="1 differences and 2 margins"):
        judge([make(0.0, 0.01)], [0.01, 0.02], 0.95)


@pytest.mark.parametrize("case", ["margin", "both"])
@pytest.mark.parametrize("num_speakers", [9, 24])
def test_any_false_claim_among_several_is_rare(simulation: Any, num_speakers: int, case: str) -> None:
    """At 95 % confidence, at the differences where false claims are easiest; 150 runs, so 0.05 ± 0.036."""
    true = {"margin": [0.01] * 5, "both": [0.0, 0.0, 0.0, 0.01, 0.01]}[case]
    assert simulation.false_claims(num_speakers, true, runs=150) <= 0.086
