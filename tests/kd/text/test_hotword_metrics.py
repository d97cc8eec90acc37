"""Errors in favoured phrases and elsewhere: by hand, and their sum is that of all words."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kd.text.hotword_metrics import HotwordCounts, hotword_counts
from kd.text.metrics import Edits, word_edits

texts = st.lists(st.sampled_from("abc"), max_size=8).map(" ".join)
phrases = st.lists(st.lists(st.sampled_from("abc"), min_size=1, max_size=3).map(" ".join), max_size=4, unique=True)


@pytest.mark.parametrize(
    ("reference", "hypothesis", "names", "expected"),
    [
        ("call ann now", "call ann now", ["ann"], HotwordCounts(1, 1, Edits(0, 0, 0, 1), Edits(0, 0, 0, 2))),
        ("call ann now", "call an now", ["ann"], HotwordCounts(1, 0, Edits(1, 0, 0, 1), Edits(0, 0, 0, 2))),
        ("call ann now", "call now", ["ann"], HotwordCounts(1, 0, Edits(0, 1, 0, 1), Edits(0, 0, 0, 2))),
        # a phrase that was not said: the word it replaced, or its insertion, is an error of the rest
        ("call him now", "call ann now", ["ann"], HotwordCounts(0, 0, Edits(), Edits(1, 0, 0, 3))),
        ("call now", "call ann now", ["ann"], HotwordCounts(0, 0, Edits(), Edits(0, 0, 1, 2))),
        ("new york city", "new york", ["new york"], HotwordCounts(1, 1, Edits(0, 0, 0, 2), Edits(0, 1, 0, 1))),
        # a word put into a phrase breaks it
        ("new york", "new old york", ["new york"], HotwordCounts(1, 0, Edits(0, 0, 0, 2), Edits(0, 0, 1, 0))),
        ("new york", "old new york", ["new york"], HotwordCounts(1, 1, Edits(0, 0, 0, 2), Edits(0, 0, 1, 0))),
        ("ann and ann", "ann and an", ["ann"], HotwordCounts(2, 1, Edits(1, 0, 0, 2), Edits(0, 0, 0, 1))),
    ],
)
def test_by_hand(reference, hypothesis, names, expected):
    assert hotword_counts(reference, hypothesis, names) == expected


@given(reference=texts, hypothesis=texts, names=phrases)
def test_phrases_and_the_rest_are_all_words(reference, hypothesis, names):
    counts, whole = hotword_counts(reference, hypothesis, names), word_edits(reference, hypothesis)
    assert counts.named + counts.rest == whole
    assert 0 <= counts.recalled <= counts.phrases
    if reference == hypothesis:
        assert counts.recalled == counts.phrases


@given(reference=texts, hypothesis=texts)
def test_without_phrases_all_is_the_rest(reference, hypothesis):
    assert hotword_counts(reference, hypothesis, []) == HotwordCounts(rest=word_edits(reference, hypothesis))
