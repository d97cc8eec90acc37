"""Alphabets of params.yaml: any normal form is taken, and letters that no transcript can hold are named."""

import re
import unicodedata

import pytest
from given_params import changed, lines

from tasks.params.load import parse_params


@pytest.mark.parametrize(
    ("alphabet", "message"),
    [
        ("ab\u200b ", r"U\+200B can never be written"),
        ("ab\t ", r"U\+0009 can never be written"),
        ("abC ", "holds capitals.*'C'"),
        ("abi\u0131 ", r"set it: tr or az"),
    ],
)
def test_what_no_transcript_can_hold_is_no_letter(alphabet: str, message: str) -> None:
    (line,) = lines(**{"problem.units": {"kind": "characters", "alphabet": alphabet}})
    assert re.search(message, line)


@pytest.mark.parametrize("alphabet", ["abce\u0301 ", "\u0995\u09df ", "\u0e19\u0e33 ", "\u0645\u06cc\u200c ", "ab%’ "])
def test_alphabets_are_taken_in_any_normal_form(alphabet: str) -> None:
    params = parse_params(changed({"problem.units": {"kind": "characters", "alphabet": alphabet}}))
    assert params.problem.kind == "transcription"
    assert unicodedata.is_normalized("NFC", params.problem.units.alphabet)
