"""What a run shows: in a terminal rich's bars, one for each stage under way and one for the whole; else plain lines."""

import sys
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import timedelta
from threading import RLock

from rich.console import Console, Group
from rich.live import Live
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeElapsedColumn

from tasks.runner.event_log import Event
from tasks.runner.progress import LINE_EVERY_S, bars, plain


@dataclass
class _Running:
    bar: TaskID
    started_s: float
    line_s: float


class Display:
    """Safe to call from the threads of all stages. Lines go to stdout, above the bars."""

    def __init__(self, stages: int) -> None:
        self._lock = RLock()
        self._console = Console(soft_wrap=True, highlight=False)
        self._bars = bars(self._console)
        self._whole = Progress(
            TextColumn("whole run"),
            BarColumn(bar_width=24),
            MofNCompleteColumn(),
            TextColumn("stages in"),
            TimeElapsedColumn(),
        )
        self._whole_bar = self._whole.add_task("", total=stages)
        self._running: dict[str, _Running] = {}
        self._ended: set[str] = set()
        self._stages = stages
        self._drawing = ExitStack()

    def __enter__(self) -> "Display":
        if self._console.is_terminal:
            self._drawing.enter_context(Live(Group(self._bars, self._whole), console=self._console, transient=True))
        return self

    def __exit__(self, *_: object) -> None:
        self._drawing.close()
        sys.stdout.flush()

    def print_line(self, text: str, stage: str = "") -> None:
        """One line of a stage, or of the run itself."""
        with self._lock:
            self._console.print(f"[cyan]{escape(stage)}[/cyan]: {escape(text)}" if stage else escape(text))

    def stage_started(self, stage: str) -> None:
        with self._lock:
            now_s = self._bars.get_time()
            self._running[stage] = _Running(self._bars.add_task(stage, total=None), now_s, now_s)

    def on_event(self, stage: str, event: Event) -> None:
        """Show an event of the stage: only progress concerns the display."""
        with self._lock:
            running = self._running.get(stage)
            if event["event"] != "progress" or running is None:
                return
            if event["done"] == 0:  # other work, of another speed
                self._bars.remove_task(running.bar)
                running.bar = self._bars.add_task(f"{stage} {event['label']}".strip(), total=event["total"])
            self._bars.update(running.bar, completed=event["done"])
            now_s = self._bars.get_time()
            if not self._console.is_terminal and now_s - running.line_s >= LINE_EVERY_S:
                running.line_s = now_s
                (task,) = [task for task in self._bars.tasks if task.id == running.bar]
                self.print_line(plain(task))

    def stage_finished(self, stage: str, how: str) -> None:
        with self._lock:
            running = self._running.pop(stage)
            self._ended.add(stage)
            self._bars.remove_task(running.bar)
            self._whole.update(self._whole_bar, completed=len(self._ended))
            took = timedelta(seconds=round(self._bars.get_time() - running.started_s))
            self.print_line(f"{how} in {took} ({len(self._ended)} of {self._stages})", stage)
