"""Every rule drops what it is for and nothing else, by its own knob; none looks at a reference."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kd.config.filtering import FilterSettings
from kd.teachers.filtering import (
    CHOSEN,
    NEEDED,
    Drop,
    FilterInput,
    compression_ratio,
    disagreement,
    filter_hypothesis,
    longest_loop,
    range_db,
)

RATE_HZ = 16_000
GOOD = FilterInput(
    text="turn on the light",
    raw="Turn on the light.",
    seconds=2.0,
    frames=50,
    frames_needed=17,
    range_db=30.0,
    confidence=0.9,
    no_speech=0.05,
    opinions=("turn on the light",),
)
STRICT = FilterSettings(min_confidence=0.5, max_disagreement=0.2, min_seconds=1.0)
# rule -> what makes it fire, and the settings that switch it off
BAD: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "not_asked": ({"refused": "0.40 s, below min_seconds 1"}, {}),
    "nothing_heard": ({"raw": " ", "text": None}, {}),
    "out_of_vocabulary": ({"text": None, "raw": "7 %"}, {}),
    "not_alignable": ({"frames": 16}, {}),
    "too_short": ({"seconds": 0.9}, {"min_seconds": 0.0}),
    "no_sound": ({"range_db": 1.5}, {"min_range_db": None}),
    "no_speech": ({"no_speech": 0.81}, {"max_no_speech": None}),
    "loop": ({"raw": "no " * 7}, {"max_repeats": None}),
    "compressible": ({"raw": "a b c d e " * 6, "seconds": 9.0}, {"max_compression": None}),
    "too_fast": ({"seconds": 1.0, "raw": "thank you very much for watching this"}, {"max_characters_per_second": None}),
    "unsure": ({"confidence": 0.4}, {"min_confidence": None}),
    "disagreement": ({"opinions": ("turn on the light", "turn off a fight")}, {"max_disagreement": None}),
}


def test_a_good_hypothesis_is_kept() -> None:
    assert filter_hypothesis(GOOD, STRICT) is None
    assert filter_hypothesis(GOOD, None) is None


def test_no_rule_goes_without_a_test() -> None:
    assert BAD.keys() == NEEDED.keys() | CHOSEN.keys()


@pytest.mark.parametrize("reason", BAD)
def test_every_rule_drops_what_it_is_for(reason: str) -> None:
    changes, off = BAD[reason]
    bad = replace(GOOD, **changes)
    drop = filter_hypothesis(bad, STRICT)
    assert drop is not None
    assert drop.reason == reason
    assert drop.detail
    assert (filter_hypothesis(bad, None) == drop) == (reason in NEEDED)
    if off:
        assert filter_hypothesis(bad, STRICT.model_copy(update=off)) is None


def test_the_detail_says_what_was_found() -> None:
    assert filter_hypothesis(replace(GOOD, confidence=0.4), STRICT) == Drop("unsure", "confidence 0.40, below 0.5")


def test_a_recogniser_that_is_never_sure_of_anything_cannot_be_judged_by_it() -> None:
    with pytest.raises(ValueError, match=r"filter\.min_confidence is set, but this teacher gives no confidence"):
        filter_hypothesis(replace(GOOD, confidence=None), STRICT)


def test_without_a_second_opinion_there_is_no_agreement() -> None:
    assert filter_hypothesis(replace(GOOD, opinions=()), STRICT) == Drop("disagreement", "there is no second opinion")


def test_disagreement_by_hand() -> None:
    assert disagreement("one two", "one two") == 0
    assert disagreement("abcd", "abxd") == 0.25
    assert disagreement("", "abc") == 1
    assert disagreement("ab", "abcd") == 0.5


@given(st.text(max_size=20), st.text(max_size=20))
def test_disagreement_is_symmetric_and_a_share(a: str, b: str) -> None:
    assert disagreement(a, b) == disagreement(b, a)
    assert 0 <= disagreement(a, b) <= 1


@pytest.mark.parametrize(
    ("text", "times"),
    [("", 0), ("a", 1), ("a b c", 1), ("a a a", 3), ("a b a b c", 2), ("x a b c a b c a b c a", 3), ("a b b a", 2)],
)
def test_loops_by_hand(text: str, times: int) -> None:
    assert longest_loop(text.split()) == times


@given(st.lists(st.sampled_from("abc"), max_size=12))
def test_loops_against_every_window(words: list[str]) -> None:
    """An oracle that looks at every start, every size and every number of repeats."""
    most = min(1, len(words))
    for size in (1, 2, 3, 4):
        for start in range(len(words)):
            times = 1
            while words[start : start + size] == words[start + times * size : start + (times + 1) * size] != []:
                times += 1
            most = max(most, times)
    assert longest_loop(words) == most


def test_a_loop_compresses_and_a_sentence_does_not() -> None:
    assert compression_ratio("I'm sorry. " * 20) > 5
    assert compression_ratio("he looked away from it and went on to the village") < 1.2


def test_steady_noise_and_silence_have_no_range_and_syllables_have_one() -> None:
    noise = np.random.default_rng(0).normal(0, 0.1, 2 * RATE_HZ).astype(np.float32)
    syllables = noise * np.repeat([1.0, 0.03] * 8, RATE_HZ // 8).astype(np.float32)
    assert range_db(noise, RATE_HZ) < 3
    assert range_db(np.zeros(RATE_HZ, np.float32), RATE_HZ) == 0
    assert range_db(syllables, RATE_HZ) == pytest.approx(20 * np.log10(1 / 0.03), abs=2)
    assert range_db(noise[:1000], RATE_HZ) == float("inf"), "too short to tell"
