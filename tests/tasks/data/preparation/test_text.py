"""Transcripts and their alignment."""

import unicodedata

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kd.config.frontend import FrontEndSettings
from kd.text.vocabulary import Vocabulary
from kd.text.writing import Writing, is_invisible
from tasks.data.preparation.quarantine import RejectedError
from tasks.data.preparation.text import check_alignable, normalise, output_frames
from tasks.params.pipeline import CharacterUnits

LETTERS = "abcdefghijklmnopqrstuvwxyz' "


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("  Turn ON\tthe light!\n", "turn on the light"),
        ("twenty-one, please", "twenty one please"),
        ("don’t", "don't"),
        ("ＡＢＣ ﬁne", "abc fine"),
    ],
)
def test_normal_form(given, expected):
    plain = normalise(given, Writing(LETTERS))
    assert plain == expected
    assert normalise(plain, Writing(LETTERS)) == plain


def test_settings_are_heeded():
    assert normalise("Yes, Sir", Writing(lowercase=False, strip_punctuation=False)) == "Yes, Sir"
    with pytest.raises(RejectedError, match="out_of_alphabet: ','"):
        normalise("yes, sir", Writing(LETTERS, strip_punctuation=False))
    assert normalise("a-b!", Writing("ab-")) == "a-b"


@pytest.mark.parametrize("kind", ["kaldi", "whisper"])
def test_frames_are_the_fewest_that_any_front_end_gives_subsampled_upwards(kind: str):
    frontend = FrontEndSettings.model_validate({"kind": kind})
    assert [output_frames(n, frontend, 10.0) for n in (159, 160, 319, 320, 16_000)] == [0, 1, 1, 2, 100]
    assert output_frames(16_000, frontend, 40.0) == output_frames(16_159, frontend, 40.0) == 25
    assert output_frames(16_160, frontend, 40.0) == 26
    assert all(output_frames(n, frontend, 10.0) <= frontend.num_frames(n) for n in range(700))


def test_a_repeat_needs_a_frame_for_the_blank_between():
    vocabulary, frontend = Vocabulary.characters(LETTERS), FrontEndSettings()
    four_frames = 4 * 4 * 160
    check_alignable("abca", four_frames, vocabulary, frontend, 40.0)
    with pytest.raises(RejectedError, match="not_alignable: 4 frames of 40 ms for 5 units and blanks of 'abbc'"):
        check_alignable("abbc", four_frames, vocabulary, frontend, 40.0)


@pytest.mark.parametrize("hidden", ["\u200b", "\ufeff", "\u00ad", "\u200e", "\u200f", "\u2060", "\u200d", "\ufe0f"])
def test_invisible_characters_put_no_transcript_aside(hidden):
    assert normalise(f"{hidden}on{hidden}e two{hidden}", Writing(LETTERS)) == "one two"


def test_joiners_are_kept_where_the_alphabet_has_them():
    assert normalise("\u0645\u06cc\u200c\u0634", Writing("\u0645\u06cc\u200c\u0634")) == "\u0645\u06cc\u200c\u0634"
    assert normalise("\u0645\u06cc\u200c\u0634", Writing("\u0645\u06cc\u0634")) == "\u0645\u06cc\u0634"


@pytest.mark.parametrize(
    ("alphabet", "said"),
    [
        ("\u0995\u09df", "\u0995\u09df"),
        ("\u0995\u09af\u09bc", "\u0995\u09df"),
        ("\u0e19\u0e33", "\u0e19\u0e33"),
        ("abce\u0301", "ac\u00e9"),
        ("abc\u00e9", "ace\u0301"),
    ],
)
def test_an_alphabet_in_another_normal_form_writes_the_same(alphabet, said):
    units = CharacterUnits(kind="characters", alphabet=alphabet)
    plain = normalise(said, Writing(units.alphabet))
    assert Vocabulary.characters(units.alphabet).encode(plain)
    assert Writing(units.alphabet).never_written() == []
    assert normalise(plain, Writing(units.alphabet)) == plain


def test_the_language_decides_small_letters():
    turkish = "abcdefghijklmnopqrstuvwxyz\u0131 "
    assert normalise("\u0130ZM\u0130R ISI", Writing(turkish, language="tr")) == "izmir \u0131s\u0131"
    assert normalise("I\u0307zmir", Writing(turkish, language="az")) == "izmir"
    assert normalise("ISI Straße", Writing("abcdefghijklmnopqrstuvwxyzß ", language="de")) == "isi straße"


@pytest.mark.parametrize("sign", "%&+=@#€$£¥°±٪")
def test_signs_that_are_spoken_are_refused_unless_it_is_said_how(sign):
    with pytest.raises(RejectedError, match=r"out_of_alphabet: .*preprocess\.replace can say how . is read"):
        normalise(f"ten{sign}", Writing(LETTERS))
    assert normalise(f"ten{sign}", Writing(LETTERS, replace={sign: "so"})) == "ten so"
    assert normalise(f"ten{sign}", Writing(LETTERS + sign)) == f"ten{sign}"
    assert normalise(f"ten{sign}", Writing()) == f"ten{sign}"  # of a keyword: another class than ten


def test_strange_characters_can_be_left_in():
    writing = Writing(LETTERS)
    assert writing.plain("Route 66, 5\u200b %!") == "route 66 5 %"
    assert writing.strange("route 66 5 %") == ["%", "5", "6"]
    assert writing.plain("?!") == ""


ALPHABETS = st.sampled_from([LETTERS, "\u0e19\u0e33\u0e01 ", "\u0995\u09af\u09bc ", "abc\u00e9\u200d ", None])
WRITINGS = st.builds(
    Writing,
    ALPHABETS,
    lowercase=st.booleans(),
    strip_punctuation=st.booleans(),
    language=st.sampled_from([None, "tr", "de"]),
)


@settings(deadline=None)
@given(st.text(max_size=20), WRITINGS)
def test_the_normal_form_is_one_whatever_form_a_text_comes_in(text, writing):
    plain = writing.plain(text)
    for form in ("NFC", "NFD"):
        assert writing.plain(unicodedata.normalize(form, text)) == plain
    assert unicodedata.is_normalized("NFC", plain)
    assert writing.plain(plain) == plain
    assert not any(is_invisible(c) for c in plain if c not in (writing.alphabet or ""))


@pytest.mark.parametrize("text", ["é" * 9_000, "?!" * 9_000, "".join(map(chr, range(0x4E00, 0x5200)))])
def test_what_is_said_of_a_transcript_that_is_put_aside_is_a_short_line(text):
    with pytest.raises(RejectedError) as caught:
        normalise(text, Writing(LETTERS))
    assert len(caught.value.detail) <= 500
