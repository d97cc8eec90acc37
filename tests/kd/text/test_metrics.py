import jiwer
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from kd.text.metrics import Edits, char_edits, edits, error_rate, keyword_edits, word_edits

TEXTS = st.lists(st.sampled_from(["one", "two", "three", "tea"]), max_size=6).map(" ".join)


def test_hand_worked_words() -> None:
    assert word_edits("turn on the light", "turn off the light") == Edits(1, 0, 0, 4)
    assert word_edits("turn on the light please", "turn off light please now") == Edits(1, 1, 1, 5)
    assert word_edits("one two", "one two three") == Edits(0, 0, 1, 2)
    assert word_edits("one two", "two") == Edits(0, 1, 0, 2)
    assert word_edits("one", "") == Edits(0, 1, 0, 1)


def test_hand_worked_characters() -> None:
    assert char_edits("two", "to") == Edits(0, 1, 0, 3)
    assert char_edits("a b", "ab").errors == 1
    assert char_edits(" a  b ", "a b").errors == 0


def test_keyword_is_right_or_wrong() -> None:
    assert keyword_edits("yes", "yes") == Edits(0, 0, 0, 1)
    assert keyword_edits("yes please", "no") == Edits(1, 0, 0, 1)


@given(TEXTS)
def test_identity_has_no_errors(text: str) -> None:
    assert word_edits(text, text).errors == char_edits(text, text).errors == keyword_edits(text, text).errors == 0


@given(TEXTS, TEXTS)
def test_equals_jiwer(reference: str, hypothesis: str) -> None:
    assume(reference)
    words, chars = jiwer.process_words(reference, hypothesis), jiwer.process_characters(reference, hypothesis)
    ours = word_edits(reference, hypothesis)
    assert ours.errors == words.substitutions + words.deletions + words.insertions
    assert error_rate([ours]) == pytest.approx(words.wer)
    assert error_rate([char_edits(reference, hypothesis)]) == pytest.approx(chars.cer)


@given(TEXTS, TEXTS, TEXTS)
def test_is_a_distance(a: str, b: str, c: str) -> None:
    assert word_edits(a, b).errors == word_edits(b, a).errors
    assert word_edits(a, c).errors <= word_edits(a, b).errors + word_edits(b, c).errors


@given(st.lists(st.tuples(TEXTS, TEXTS), min_size=1, max_size=5))
def test_a_corpus_is_pooled_as_in_jiwer(pairs: list[tuple[str, str]]) -> None:
    pairs = [(r, h) for r, h in pairs if r]
    assume(pairs)
    references, hypotheses = map(list, zip(*pairs, strict=True))
    assert error_rate([word_edits(r, h) for r, h in pairs]) == pytest.approx(jiwer.wer(references, hypotheses))


def test_insertions_lift_the_rate_above_one() -> None:
    assert error_rate([edits("a", "bcd")]) == 3.0


def test_no_reference_is_refused() -> None:
    with pytest.raises(ValueError, match="Is the split empty"):
        error_rate([])
