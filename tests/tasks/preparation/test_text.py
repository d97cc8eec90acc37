"""Transcripts and their alignment."""

import pytest

from kd.settings.frontend import FrontEndSettings
from kd.text import Vocabulary
from tasks.preparation.quarantine import RejectedError
from tasks.preparation.text import check_alignable, normalise, output_frames

LETTERS = "abcdefghijklmnopqrstuvwxyz' "


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("  Turn ON\tthe light!\n", "turn on the light"),
        ("twenty-one, please", "twenty one please"),
        ("don’t", "don't"),
        ("ＡＢＣ ﬁne", "abc fine"),
        ("$five", "five"),
    ],
)
def test_normal_form(given, expected):
    plain = normalise(given, lowercase=True, strip_punctuation=True, alphabet=LETTERS)
    assert plain == expected
    assert normalise(plain, lowercase=True, strip_punctuation=True, alphabet=LETTERS) == plain


def test_settings_are_heeded():
    assert normalise("Yes, Sir", lowercase=False, strip_punctuation=False, alphabet=None) == "Yes, Sir"
    with pytest.raises(RejectedError, match="out_of_alphabet: ','"):
        normalise("yes, sir", lowercase=True, strip_punctuation=False, alphabet=LETTERS)
    assert normalise("a-b!", lowercase=True, strip_punctuation=True, alphabet="ab-") == "a-b"


def test_frames_are_those_of_the_front_end_subsampled_upwards():
    frontend = FrontEndSettings()
    assert [output_frames(n, frontend, 10.0) for n in (79, 80, 239, 240, 16_000)] == [0, 1, 1, 2, 100]
    assert output_frames(16_000, frontend, 40.0) == 25
    assert output_frames(16_080, frontend, 40.0) == 26


def test_a_repeat_needs_a_frame_for_the_blank_between():
    vocabulary, frontend = Vocabulary.characters(LETTERS), FrontEndSettings()
    four_frames = 4 * 4 * 160
    check_alignable("abca", four_frames, vocabulary, frontend, 40.0)
    with pytest.raises(RejectedError, match="not_alignable: 4 frames of 40 ms for 5 units and blanks of 'abbc'"):
        check_alignable("abbc", four_frames, vocabulary, frontend, 40.0)
