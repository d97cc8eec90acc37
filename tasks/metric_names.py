"""What error rates are called where people read them: `test_wer` of words, `test_keyword_error` of keywords.

Code that compares, draws and chooses takes either kind of error rate, and calls it `valid_error` or `test_error`.
Whatever is written, logged or shown goes through `named_errors`; whatever is read goes through `plain_errors`, which
also leaves as they are the names `valid_error`, `test_error` of files from before.
"""

import re
from collections.abc import Mapping
from typing import TypeVar

T = TypeVar("T")

ERROR_KINDS: Mapping[str, str] = {"transcription": "wer", "keyword": "keyword_error"}
"""Problem -> what its errors are counted in, as names have it."""
ERROR_WORDS: Mapping[str, str] = {"wer": "WER", "keyword_error": "keyword error rate"}
"""Names of errors -> their words in print."""

_NAME = re.compile(
    r"((?:initial_|teacher_)?(?:valid|test|train|canary)_)(error|wer|keyword_error)((?:_low|_high|_at_cut)?)"
)


def error_name(name: str, kind: str) -> str:
    """`test_error_low` -> `test_wer_low`, `int8/test_error` -> `int8/test_wer`; other names stay.

    kind: one of ERROR_KINDS' values; "error" gives the name that code has for either.
    """
    parts = (_NAME.fullmatch(part) or part for part in name.split("/"))
    return "/".join(part if isinstance(part, str) else f"{part[1]}{kind}{part[3]}" for part in parts)


def named_errors(values: Mapping[str, T], kind: str) -> dict[str, T]:
    """Values by names that say what errors are counted in, such as `test_wer` for `test_error`."""
    return {error_name(key, kind): value for key, value in values.items()}


def plain_errors(values: Mapping[str, T]) -> dict[str, T]:
    """Values by the names that code has for them (`test_error`), whenever and of whatever problem they were written."""
    return named_errors(values, "error")
