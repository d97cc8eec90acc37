"""What a stage tells its surroundings while it runs."""

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Protocol, TypeVar

T = TypeVar("T")

SHOWN = ("train_loss", "valid_wer", "valid_keyword_error")
"""Metrics of an epoch that stand in its line."""


class Reporter(Protocol):
    """Given to each stage by the harness: where to report to, and a place for resume states."""

    @property
    def scratch(self) -> Path | None:
        """Where to keep resume states. The first time it is asked for, all inputs are hashed."""

    def metrics(self, values: Mapping[str, float], step: int) -> None:
        """Curves: values at one epoch or step."""

    def progress(self, items: Iterable[T], total: int | None = None, label: str = "") -> Iterator[T]:
        """Pass items through, showing how far the work is and how long it still takes."""

    def say(self, message: str) -> None:
        """One line for the log."""


class NullReporter:
    """A reporter that shows and keeps nothing: for tests, and for use as a library."""

    scratch: Path | None = None

    def metrics(self, values: Mapping[str, float], step: int) -> None:
        pass

    def progress(self, items: Iterable[T], total: int | None = None, label: str = "") -> Iterator[T]:
        yield from items

    def say(self, message: str) -> None:
        pass


class LineReporter(NullReporter):
    """Progress as plain lines that begin with `label`; resume states under `scratch`."""

    def __init__(self, scratch: Path, label: str) -> None:
        self.scratch = scratch
        self.label = label

    def metrics(self, values: Mapping[str, float], step: int) -> None:
        shown = {key: round(value, 4) for key, value in values.items() if key in SHOWN}
        print(f"{self.label} epoch {step}: {shown}", flush=True)

    def say(self, message: str) -> None:
        print(f"{self.label}: {message}", flush=True)
