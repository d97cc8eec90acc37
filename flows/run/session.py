"""One run of the pipeline: what its stages share, and how one of them is run. Knows no Prefect."""

import os
import shutil
import threading
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

from flows.dvc_state.graph import State, stage_label
from flows.dvc_state.lock_file import keep_lock_file
from flows.run.display import Display
from flows.run.remarks import remarks
from flows.run.stage import Job, Verdict, run_job
from tasks.runner.event_log import EventReader
from tasks.runner.resume import remove_scratch
from tasks.tracking.runs import SHIP_EVERY_S, Follower


class Session:
    """State of one run. Its methods are called from the threads of all stages."""

    def __init__(self, root: Path, state: State, parent: str | None, jobs: int, force: bool, timeout_s: float) -> None:
        self.root, self.graph, self.parent, self.force = root, state.graph, parent, force
        self.todo = [name for name in state.graph.nodes if force or name in state.stale]
        self.display = Display(len(self.todo))
        self.verdicts: dict[str, str] = {}
        self.failures: dict[str, Exception] = {}
        self.seconds: dict[str, float] = {}
        self.stop = threading.Event()
        self.jobs, self._timeout_s = jobs, timeout_s
        self.warm: str | None = None
        self._events = root / "scratch" / "events" / f"flow-{os.getpid()}-{time.time_ns()}"

    def run(self, name: str, log: Callable[[str], None]) -> Verdict:
        """Run one stage; raises what `run_job` raises. `log` gets every line it writes."""
        events = self._events / f"{name}.jsonl"
        events.unlink(missing_ok=True)
        follower, reader = Follower(events, self.root, self.parent), EventReader(events)
        shipped_s = started_s = time.monotonic()

        def tick() -> None:
            nonlocal shipped_s
            for event in reader.new_events():
                self.display.on_event(name, event)
            if time.monotonic() - shipped_s > SHIP_EVERY_S:
                self._ship(follower.ship)
                shipped_s = time.monotonic()

        def line(text: str) -> None:
            self.display.print_line(text, name)
            log(text)

        timeout_s = self.graph.nodes[name].timeout_s or self._timeout_s
        job = Job(name, self.root, events, self.parent, timeout_s, self.force, self.warm)
        self.display.stage_started(name)
        how = "failed"
        try:
            how = verdict = run_job(job, self.stop, line, tick)
            self.failures.pop(name, None)
            keep_lock_file(self.root)
            remove_scratch(self.root, stage_label(name))
            if verdict != "ran":  # which says them itself
                self._remark(name)
        except Exception as error:
            self.failures[name] = error
            raise
        finally:
            self._ship(partial(follower.finish, "KILLED" if self.stop.is_set() else "FAILED"))
            self.display.stage_finished(name, how)
            self.seconds[name] = time.monotonic() - started_s
            self.verdicts[name] = how
        return verdict

    def remark_on_the_rest(self) -> None:
        """Remarks on what is up to date."""
        for name in self.graph.nodes:
            if name not in self.todo:
                self._remark(name)

    def _remark(self, name: str) -> None:
        for text in remarks(self.root, self.graph.nodes[name]):
            self.display.print_line(text, name)

    def _ship(self, ship: Callable[[], None]) -> None:
        """MLflow's troubles are no reason to lose a training."""
        try:
            ship()
        except Exception as error:
            self.display.print_line(f"not logged to MLflow: {type(error).__name__}: {error}")

    def succeeded(self, name: str) -> bool:
        """Whether a stage that ended, ended well (in its last attempt)."""
        if name not in self.verdicts:
            self.failures[name] = RuntimeError("Prefect did not run it; its own log says why")
        return name not in self.failures

    def ready(self, started: set[str], done: set[str]) -> list[str]:
        """Stages that may start now."""
        return [
            name
            for name in self.todo
            if name not in started and all(before in done for before in self.graph.wait_for(name, self.todo))
        ]

    def clean_up(self) -> None:
        """Remove the files of events, also those of runs that were killed: no other run is under way in this folder."""
        for events in self._events.parent.glob("flow-*"):
            shutil.rmtree(events, ignore_errors=True)
