"""What a run shows in the terminal: a bar for each stage under way and one for the whole, or plain lines."""

import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from threading import RLock

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn

from tasks.runner.event_log import Event
from tasks.runner.progress import minutes

LINE_EVERY_S = 30.0
WHOLE = "whole run"


@dataclass
class _Running:
    bar: TaskID
    started_s: float = field(default_factory=time.monotonic)
    note: str = ""
    label_started_s: dict[str, float] = field(default_factory=dict)
    progress: Event | None = None

    def own_seconds_left(self) -> float | None:
        """By what the stage says of its work under way; None before its first step, and where it has no end."""
        if self.progress is None or not self.progress["done"] or not self.progress["total"]:
            return None
        done, total, at_s = (self.progress[key] for key in ("done", "total", "time_s"))
        each_s: float = (at_s - self.label_started_s[self.progress["label"]]) / done
        return max(each_s * float(total - done) - (time.time() - float(at_s)), 1.0)


class Display:
    """Safe to call from the threads of all stages. Lines go to stdout, above the bars."""

    def __init__(self, stages: int) -> None:
        self._lock = RLock()
        self._console = Console(soft_wrap=True, highlight=False)
        self._bars = Progress(
            TextColumn("{task.description}"), BarColumn(bar_width=24), TextColumn("{task.fields[note]}"),
            TimeElapsedColumn(), TextColumn("{task.fields[left]}"),
            console=self._console, transient=True, disable=not self._console.is_terminal,
        )  # fmt: skip
        self._whole = self._bars.add_task(WHOLE, total=stages, note="", left="")
        self._running: dict[str, _Running] = {}
        self._ended: set[str] = set()
        self._stages = stages
        self._last_line_s = time.monotonic()

    def __enter__(self) -> "Display":
        self._bars.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._bars.stop()
        sys.stdout.flush()

    def line(self, text: str, stage: str = "") -> None:
        """One line of a stage, or of the run itself."""
        with self._lock:
            self._console.print(f"[cyan]{escape(stage)}[/cyan]: {escape(text)}" if stage else escape(text))

    def began(self, stage: str) -> None:
        with self._lock:
            self._running[stage] = _Running(self._bars.add_task(stage, total=None, note="", left=""))

    def told(self, stage: str, event: Event) -> None:
        """Show an event of the stage: only progress concerns the display."""
        with self._lock:
            running = self._running.get(stage)
            if event["event"] != "progress" or running is None:
                return
            if event["done"] == 0:
                running.label_started_s[event["label"]] = event["time_s"]
            running.progress = event
            of = f" of {event['total']}" if event["total"] else ""
            running.note = f"{event['label']} {event['done']}{of}"
            self._bars.update(running.bar, completed=event["done"], total=event["total"], note=running.note)

    def ended(self, stage: str, how: str) -> None:
        with self._lock:
            running = self._running.pop(stage)
            self._ended.add(stage)
            self._bars.remove_task(running.bar)
            self._bars.update(self._whole, completed=len(self._ended))
            self.line(
                f"{how} in {minutes(time.monotonic() - running.started_s)} ({len(self._ended)} of {self._stages})",
                stage,
            )

    def running_seconds(self) -> Mapping[str, float]:
        """Stages under way and for how long."""
        with self._lock:
            now = time.monotonic()
            return {stage: now - running.started_s for stage, running in self._running.items()}

    def own_seconds_left(self) -> Mapping[str, float]:
        """Stages under way that say how far they are, and how long they still take by that."""
        with self._lock:
            left = {stage: running.own_seconds_left() for stage, running in self._running.items()}
            return {stage: seconds for stage, seconds in left.items() if seconds is not None}

    def expect(self, seconds_left: float | None, each_s: Mapping[str, float], all_known: bool = True) -> None:
        """Show how long the run and its stages still take; now and then as a line where there are no bars.

        each_s: expected seconds from start to end of those stages for which they are known, which may not be all.
        """
        with self._lock:
            about = "about" if all_known else "at least"
            left = "" if seconds_left is None else f"{about} {minutes(seconds_left)} left"
            self._bars.update(self._whole, note=f"{len(self._ended)} of {self._stages} stages", left=left)
            for stage, gone_s in self.running_seconds().items():
                if stage in each_s:
                    stage_left = f"about {minutes(max(each_s[stage] - gone_s, 1))} left"
                    self._bars.update(self._running[stage].bar, left=stage_left)
            if self._bars.disable and time.monotonic() - self._last_line_s > LINE_EVERY_S:
                self._last_line_s = time.monotonic()
                notes = [f"{stage} {running.note}".strip() for stage, running in self._running.items()]
                done = f"{len(self._ended)} of {self._stages} stages done"
                self.line(f"{done}; now {', '.join(notes)}; {left or 'time left unknown'}")
