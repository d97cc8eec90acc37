"""One case in this process, watched: what it printed, warned of and raised, and whether it came to an end."""

import os
import shutil
import signal
import sys
import traceback
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from random import Random
from tempfile import TemporaryFile
from types import FrameType
from typing import Any, BinaryIO

LONGEST_LINE = 500
SHOWN = 4_000  # characters of what was printed that a report keeps

Attempt = Callable[[Random, Path], str]


class Hang(BaseException):
    """The time is over; no `except Exception` stops it."""


@dataclass(frozen=True)
class Verdict:
    """outcome: what the case ended in. problem: what is wrong with that, or None. said: the end of what was printed."""

    outcome: str
    problem: str | None = None
    said: str = ""

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


class Watcher:
    """Takes standard output and standard error of the whole process, C libraries' too, into a file."""

    def __init__(self, limit_s: float, wait_s: float) -> None:
        self._limit_s, self._wait_s = limit_s, wait_s
        self._printed: BinaryIO = TemporaryFile()  # noqa: SIM115  # as long as the process
        for stream in (sys.stdout, sys.stderr):
            stream.flush()
            os.dup2(self._printed.fileno(), stream.fileno())
        signal.signal(signal.SIGPROF, _hang)
        signal.signal(signal.SIGALRM, _hang)

    def judge(self, attempt: Attempt, seed: str, folder: Path) -> Verdict:
        """Of a case, in a folder that is emptied for it."""
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        self._printed.seek(0)
        self._printed.truncate()
        with _restored(), warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            outcome, problem = self._tried(attempt, seed, folder)
        for stream in (sys.stdout, sys.stderr):
            stream.flush()
        self._printed.seek(0)
        printed = self._printed.read().decode("utf-8", "backslashreplace")
        problem = problem or _wrong_print(printed) or next((f"warning: {w.category.__name__}" for w in caught), None)
        told = [f"{w.filename}:{w.lineno}: {w.message}" for w in caught]
        return Verdict(outcome, problem, "\n".join([printed, *told])[-SHOWN:] if problem else "")

    def _tried(self, attempt: Attempt, seed: str, folder: Path) -> tuple[str, str | None]:
        try:
            signal.setitimer(signal.ITIMER_PROF, self._limit_s)
            signal.setitimer(signal.ITIMER_REAL, self._wait_s)
            try:
                return attempt(Random(seed), folder), None
            finally:
                signal.setitimer(signal.ITIMER_PROF, 0)
                signal.setitimer(signal.ITIMER_REAL, 0)
        except Hang:
            traceback.print_exc()
            return "hang", f"no end after {self._limit_s:g} s of the processor, or {self._wait_s:g} s of waiting"
        except BaseException as error:
            traceback.print_exc()
            return "traceback", f"{type(error).__name__} in {_place(error)}"


def _wrong_print(printed: str) -> str | None:
    longest = max(map(len, printed.splitlines()), default=0)
    if "Traceback (most recent call last)" in printed:
        return "a traceback is printed"
    return f"a line of {longest} characters" if longest > LONGEST_LINE else None


def _place(error: BaseException) -> str:
    """File and function of this project in which it was raised, by which failures of one cause are told."""
    frames = [f for f in traceback.extract_tb(error.__traceback__) if "/fuzzing/" not in f.filename]
    ours = [f for f in frames if "site-packages" not in f.filename and "/lib/python" not in f.filename]
    last = (ours or frames or traceback.extract_tb(error.__traceback__))[-1]
    return f"{Path(last.filename).name}:{last.name}"


def _hang(number: int, frame: FrameType | None) -> None:
    raise Hang


@contextmanager
def _restored() -> Iterator[None]:
    """The folder, the environment, the arguments and the streams of the process are as before afterwards."""
    folder, environment, arguments, streams = (
        Path.cwd(),
        dict(os.environ),
        sys.argv,
        (sys.stdin, sys.stdout, sys.stderr),
    )
    try:
        yield
    finally:
        os.chdir(folder)
        os.environ.clear()
        os.environ.update(environment)
        sys.argv = arguments
        sys.stdin, sys.stdout, sys.stderr = streams
