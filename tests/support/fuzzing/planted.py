"""Cases that go wrong on purpose, each in its way: what the tests of the fuzzer let it find.

Those that never end let their time run out at once: no test waits for a limit, and no limit is so short that a slow
machine meets it.
"""

import ctypes
import json
import os
import signal
import sys
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from random import Random

from fuzzing.outcomes import exit_code, refusal
from fuzzing.watching import Attempt


def prepared(shared: Path, room: Path) -> Attempt:
    def attempt(rng: Random, folder: Path) -> str:
        """The ways in their order, whichever process they are met in."""
        (folder / "input").write_bytes(b"planted")
        begun = room / "begun"
        number = len(begun.read_bytes()) if begun.exists() else 0
        begun.write_bytes(b"." * (number + 1))
        list(WAYS.values())[number]()
        return "done"

    return attempt


def _traceback() -> None:
    raise KeyError("planted")


def _wrong_type_of_refusal() -> None:
    refusal(lambda: json.loads("{"))


def _several_lines() -> None:
    def refuse() -> None:
        raise ValueError("one\ntwo")

    refusal(refuse)


def _printed_traceback() -> None:
    print("Traceback (most recent call last):", file=sys.stderr)


def _long_line() -> None:
    print("short\n" + "x" * 501, file=sys.stderr)


def _long_line_of_a_library() -> None:
    os.write(2, b"x" * 501)


def _warning() -> None:
    warnings.warn("planted", DeprecationWarning, stacklevel=1)


def _busy() -> None:
    _run_out(signal.ITIMER_PROF)
    while True:
        pass


def _waiting() -> None:
    _run_out(signal.ITIMER_REAL)
    time.sleep(6000)


def _deaf() -> None:
    """As a library that does not come back: no signal is heard."""
    signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGALRM, signal.SIGPROF])
    Path("deaf").touch()
    time.sleep(6000)


def _run_out(timer: int) -> None:
    """Let a timer ring in a moment; an error where it is not set."""
    assert signal.setitimer(timer, 0.05)[0] > 0, "no limit"


def _crash() -> None:
    ctypes.string_at(0)


def _exit_code() -> None:
    exit_code(lambda: 3)


def _fine() -> None:
    print("x" * 500)


WAYS: dict[str, Callable[[], None]] = {
    "traceback": _traceback,
    "wrong type of refusal": _wrong_type_of_refusal,
    "several lines": _several_lines,
    "printed traceback": _printed_traceback,
    "long line": _long_line,
    "long line of a library": _long_line_of_a_library,
    "warning": _warning,
    "busy": _busy,
    "waiting": _waiting,
    "deaf": _deaf,
    "crash": _crash,
    "exit code": _exit_code,
    "fine": _fine,
}
