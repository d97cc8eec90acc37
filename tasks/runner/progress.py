"""How far work is, as rich counts and estimates it: a bar in a terminal, a plain line now and then elsewhere."""

import sys
from collections.abc import Iterable, Iterator
from contextlib import suppress
from typing import TypeVar

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    Task,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.text import Text

from tasks.runner.event_log import EventWriter
from tasks.runner.reporter import NullReporter

T = TypeVar("T")

LINE_EVERY_S = 15.0
EVENT_EVERY_S = 0.5
SPEED_OVER_S = 3600.0
"""rich reckons the time left by the steps of so long: an epoch may take minutes."""


def show_progress(
    items: Iterable[T], total: int | None, label: str, event_log: EventWriter, followed: bool = False
) -> Iterator[T]:
    """Pass items through; a bar on a terminal, else a line every LINE_EVERY_S; an event in the log either way.

    followed: somebody who reads the log shows it: no line.
    """
    if total is None:
        with suppress(TypeError):
            total = len(items)  # type: ignore[arg-type]
    event_log.write("progress", label=label, done=0, total=total)
    with bars(Console(stderr=True)) as progress:
        last_line = last_event = progress.get_time()
        task = progress.add_task(label, total=total)
        for done, item in enumerate(items, start=1):
            yield item
            progress.advance(task)
            now = progress.get_time()
            if now - last_event >= EVENT_EVERY_S or done == total:
                event_log.write("progress", label=label, done=done, total=total)
                last_event = now
            if progress.disable and not followed and now - last_line >= LINE_EVERY_S:
                print(plain(progress.tasks[0]), file=sys.stderr, flush=True)
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
        TextColumn("{task.description}", markup=False),
        BarColumn(bar_width=24),
        *_figures(),
        console=console,
        transient=True,
        disable=not console.is_terminal,
        speed_estimate_period=SPEED_OVER_S,
    )


def plain(task: Task) -> str:
    """A bar's figures as one line of plain text, such as `epochs 3/10 in 0:01:12 left 0:02:48`."""
    figures = (str(column.render(task)).strip() for column in _figures())
    return " ".join([task.description, *filter(None, figures)])


class _TimeLeftColumn(TimeRemainingColumn):
    """Empty for work without a known end."""

    def render(self, task: Task) -> Text:
        return Text.assemble("left ", super().render(task)) if task.total else Text()


def _figures() -> list[ProgressColumn]:
    return [MofNCompleteColumn(), TextColumn("in"), TimeElapsedColumn(), _TimeLeftColumn()]
