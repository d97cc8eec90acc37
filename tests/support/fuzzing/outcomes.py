"""How a case may end: an exit code of ours, or a refusal of ours in one line."""

import sys
from collections.abc import Callable
from typing import Any

ALLOWED_CODES = (0, 1, 2)
OWN_ERRORS = ("ValueError", "ParamsError", "RefusedError", "AudioError", "RejectedError")
"""Names of the types that a caller catches; no subclass of ValueError but these says what to do."""


def exit_code(program: Callable[[], Any]) -> str:
    """`exit 0`, 1 or 2. Raises AssertionError for others, and whatever is no exit."""
    try:
        code = program()
    except SystemExit as error:
        code = error.code
    if code is None:
        code = 0
    assert code in ALLOWED_CODES, f"exit code {code!r}"
    return f"exit {code}"


def refusal(work: Callable[[], Any]) -> str:
    """`done`, or `refused` where an error of the project's own is raised, which is printed and must be one line."""
    try:
        work()
    except Exception as error:
        if type(error).__name__ not in OWN_ERRORS:
            raise
        print(error, file=sys.stderr)
        lines = getattr(error, "lines", None) or [str(error)]
        assert all(len(line.splitlines()) == 1 for line in lines), f"not one line: {lines}"
        return "refused"
    return "done"
