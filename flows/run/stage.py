"""Run one stage as `dvc repro` in a subprocess: its verdict, its lines, its events, its end."""

import os
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Literal

from flows.environment import our_python_first
from tasks.runner.harness import EVENTS_VARIABLE, FLOW_VARIABLE
from tasks.runner.supervisor import kill_tree, terminate_by_environment
from tasks.runner.warm_client import VARIABLE as WARM_VARIABLE
from tasks.tracking.runs import PARENT_VARIABLE

Verdict = Literal["ran", "restored", "cached"]

POLL_S = 0.1
TICK_S = 0.5
TAIL_LINES = 30

_VERDICTS: dict[str, Verdict] = {
    "Running stage '": "ran",
    "is cached - skipping run": "restored",
    "didn't change, skipping": "cached",
}
_CHATTER = (
    "> python",
    "Updating lock file",
    "Generating lock file",
    "To track the changes with git",
    "To enable auto staging",
    "\tgit add",
    "\tdvc config",
    "Use `dvc push`",
)


class StageError(RuntimeError):
    """A stage did not end well; `tail` holds the last lines it wrote."""

    def __init__(self, stage: str, why: str, tail: list[str]) -> None:
        self.stage, self.why, self.tail = stage, why, tail
        super().__init__("\n".join([f"{stage} {why}", *tail]))


class StoppedError(RuntimeError):
    """The whole run is being stopped."""


@dataclass(frozen=True)
class Job:
    """One stage to run: `events` is where it reports to, `parent` its MLflow parent run, `warm` a warm process."""

    stage: str
    root: Path
    events: Path
    parent: str | None = None
    timeout_s: float | None = None
    force: bool = False
    warm: str | None = None


def run_job(
    job: Job,
    stop: threading.Event,
    on_line: Callable[[str], None],
    on_tick: Callable[[], None] = lambda: None,
) -> Verdict:
    """Run the stage to its end.

    Raises StageError where it fails or takes longer than `timeout_s`, StoppedError once `stop` is set;
    in every case no process of it is left behind. `on_tick` is called about twice a second.
    """
    process = subprocess.Popen(
        _command(job), cwd=job.root, env=_environment(job), text=True, errors="replace",
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    )  # fmt: skip
    tail: deque[str] = deque(maxlen=TAIL_LINES)
    verdicts: list[Verdict] = []
    assert process.stdout is not None
    reader = threading.Thread(target=_read, args=(process.stdout, tail, verdicts, on_line), daemon=True)
    reader.start()
    try:
        _wait(process, job, stop, on_tick, tail)
    finally:
        kill_tree(process.pid)
        if process.wait() < 0:  # DVC was killed: its stage runs on, as nobody's child
            terminate_by_environment(EVENTS_VARIABLE, _events(job))
        reader.join()  # ends with the last process that holds the pipe
        process.stdout.close()
    on_tick()
    if process.returncode != 0:
        raise StageError(job.stage, f"failed (exit code {process.returncode})", list(tail))
    return verdicts[-1] if verdicts else "cached"


def _wait(
    process: "subprocess.Popen[str]", job: Job, stop: threading.Event, on_tick: Callable[[], None], tail: deque[str]
) -> None:
    started = ticked = time.monotonic()
    while process.poll() is None:
        if stop.wait(POLL_S):
            raise StoppedError(f"{job.stage} was stopped")
        now = time.monotonic()
        if job.timeout_s is not None and now - started > job.timeout_s:
            raise StageError(job.stage, f"took longer than its {job.timeout_s:g} s", list(tail))
        if now - ticked >= TICK_S:
            on_tick()
            ticked = now


def _command(job: Job) -> list[str]:
    force = ["--force"] if job.force else []
    return [sys.executable, "-m", "dvc", "--wait-for-lock", "repro", "--single-item", *force, job.stage]


def _environment(job: Job) -> dict[str, str]:
    """Ours, with our Python first (dvc.yaml says `python`), and where the stage's events and its run belong."""
    own = {EVENTS_VARIABLE: _events(job), FLOW_VARIABLE: str(os.getpid()), "PYTHONUNBUFFERED": "1"}
    if job.parent is not None:
        own[PARENT_VARIABLE] = job.parent
    if job.warm is not None:
        own[WARM_VARIABLE] = job.warm
    return {**our_python_first(), **own}


def _events(job: Job) -> str:
    return str(job.events.resolve())


def _read(lines: IO[str], tail: deque[str], verdicts: list[Verdict], on_line: Callable[[str], None]) -> None:
    for line in lines:
        line = line.rstrip()
        verdicts.extend(verdict for phrase, verdict in _VERDICTS.items() if phrase in line)
        if line and not line.startswith(_CHATTER) and not any(phrase in line for phrase in _VERDICTS):
            tail.append(line)
            on_line(line)
