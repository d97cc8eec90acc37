"""What models heard, word by word, and which utterances are shown."""

from report_models import BASELINE, STUDENT, TEACHER, make_model

from tasks.reporting.transcripts import AlignedWord, align, most_disputed, unchosen


def test_alignment_names_each_kind_of_error() -> None:
    assert align("turn on the light please", "turn off light please now") == (
        AlignedWord("right", "turn"), AlignedWord("wrong", "off", "on"), AlignedWord("missing", "the"),
        AlignedWord("right", "light"), AlignedWord("right", "please"), AlignedWord("added", "now"),
    )  # fmt: skip
    assert align("one", "") == (AlignedWord("missing", "one"),)
    assert align("", "") == ()


def test_disputed_utterances_come_from_different_speakers_first() -> None:
    disputed = most_disputed([TEACHER, BASELINE, STUDENT], 5)
    assert len(disputed) == 5
    assert {one.speaker for one in disputed[:4]} == {"s0", "s2", "s4", "s6"}
    assert disputed[0].speaker == "s2"
    assert most_disputed([TEACHER, TEACHER], 5) == []


def test_unchosen_utterances_lie_at_even_distances() -> None:
    assert [one.id for one in unchosen([TEACHER], 3)] == ["u6", "u12", "u17"]
    assert [one.id for one in unchosen([make_model("a", "teacher", [1])], 3)] == ["u0"]
