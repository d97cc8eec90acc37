"""How far a stage is: a bar in a terminal, a line now and then elsewhere."""

import sys
import time
from collections.abc import Iterable, Iterator
from contextlib import suppress
from typing import TypeVar

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from tasks.runner.event_log import EventWriter
from tasks.runner.reporter import NullReporter

T = TypeVar("T")

LINE_EVERY_S = 15.0
EVENT_EVERY_S = 0.5


def show_progress(items: Iterable[T], total: int | None, label: str, event_log: EventWriter) -> Iterator[T]:
    """Pass items through; a bar on a terminal, else a line every LINE_EVERY_S; an event in the log either way."""
    if total is None:
        with suppress(TypeError):
            total = len(items)  # type: ignore[arg-type]
    started = last_line = last_event = time.monotonic()
    event_log.write("progress", label=label, done=0, total=total)
    with bars(Console(stderr=True)) as progress:
        task = progress.add_task(label, total=total)
        for done, item in enumerate(items, start=1):
            yield item
            progress.advance(task)
            now = time.monotonic()
            if now - last_event >= EVENT_EVERY_S or done == total:
                event_log.write("progress", label=label, done=done, total=total)
                last_event = now
            if progress.disable and now - last_line >= LINE_EVERY_S:
                print(line(label, done, total, now - started), file=sys.stderr, flush=True)
                last_line = now


class TerminalReporter(NullReporter):
    """Bars and lines in the terminal alone, for what is done by hand."""

    def progress(self, items: Iterable[T], total: int | None = None, label: str = "") -> Iterator[T]:
        with bars(Console(stderr=True)) as progress:
            yield from progress.track(items, total=total, description=label)

    def say(self, message: str) -> None:
        print(message, file=sys.stderr, flush=True)


def bars(console: Console) -> Progress:
    """A set of bars with what is done, time gone by and time left; it draws nothing where there is no terminal."""
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
        console=console,
        transient=True,
        disable=not console.is_terminal,
    )


def line(label: str, done: int, total: int | None, elapsed_s: float) -> str:
    """One line of plain text in place of a bar."""
    if not total:
        return f"{label}: {done} done in {minutes(elapsed_s)}"
    left_s = elapsed_s / done * (total - done)
    return f"{label}: {done} of {total} in {minutes(elapsed_s)}, about {minutes(left_s)} left"


def minutes(seconds: float) -> str:
    """Such as 2:05."""
    whole = round(seconds)
    return f"{whole // 60}:{whole % 60:02d}"
