"""All that surrounds a stage: parameters, threads, resume folder, events for MLflow, and an orderly death."""

import os
import signal
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from importlib import import_module
from pathlib import Path
from types import FrameType
from typing import Any, Protocol, TypeVar

import tasks.runner.progress as progress_display
from tasks.metric_names import ERROR_KINDS, named_errors
from tasks.params.errors import LINE_CHARACTERS, ParamsError, format_value
from tasks.params.load import load_params
from tasks.params.pipeline import Params
from tasks.runner.distributed import FollowingProcessReporter, divides_work, is_first_process
from tasks.runner.dvc_graph import look_up, read_spec
from tasks.runner.event_log import EventWriter
from tasks.runner.paths import Paths
from tasks.runner.resume import note_begun, open_scratch, scratch_key
from tasks.runner.supervisor import terminate_after
from tasks.runner.telemetry import stay_offline
from tasks.runner.threads import fix_threads, threads_of_stage

T = TypeVar("T")

STAGES = {
    "corpus": "tasks.stages.corpus",
    "preprocess": "tasks.stages.preprocess",
    "teacher": "tasks.stages.teacher",
    "cache_logits": "tasks.stages.cache_logits",
    "adopt_teacher": "tasks.stages.adopt_teacher",
    "ensembles": "tasks.stages.ensembles",
    "propagate": "tasks.stages.propagate",
    "distil": "tasks.stages.distil",
    "export": "tasks.stages.export",
    "canary": "tasks.stages.canary",
    "evaluate": "tasks.stages.evaluate",
    "profile": "tasks.stages.profile",
    "report": "tasks.stages.report",
}

BY_SOURCE = {"pretrained": "tasks.stages.fine_tune"}
"""Modules of the stage adopt_teacher for sources that have one of their own."""


def stage_module(params: Params, command: str, name: str) -> str:
    """The module whose `run` is a stage."""
    if command != "adopt_teacher":
        return STAGES[command]
    return BY_SOURCE.get(params.teachers[name].source, STAGES[command])


EVENTS_VARIABLE = "KD_EVENTS"
"""Set by the flow: the file a stage writes its events to; the flow then passes them on to MLflow."""

FLOW_VARIABLE = "KD_FLOW_PID"
"""Set by the flow: its process; a stage ends when that is gone, so that `kill -9` leaves no orphan."""


class Follower(Protocol):
    """Passes a stage's events on, until `finish`."""

    def finish(self) -> None: ...


Follow = Callable[[Path, Path], Follower]
"""Starts to follow a file of events of the project under the second path."""


class Killed(BaseException):
    """SIGTERM arrived."""


@dataclass
class StageReporter:
    """Reporter of a real run: events to their log, progress to the terminal, unless it is `followed` by a flow."""

    event_log: EventWriter
    make_scratch: Callable[[], Path]
    followed: bool = False

    @cached_property
    def scratch(self) -> Path | None:
        """Made, with a hash of all inputs, only where a stage asks for it."""
        return self.make_scratch()

    def metrics(self, values: Mapping[str, float], step: int) -> None:
        self.event_log.write("metrics", step=step, values=dict(values))

    def progress(self, items: Iterable[T], total: int | None = None, label: str = "") -> Iterator[T]:
        return progress_display.show_progress(items, total, label, self.event_log, self.followed)

    def say(self, message: str) -> None:
        print(message, flush=True)


def run_stage(command: str, name: str = "", root: Path = Path(), follow: Follow | None = None) -> int:
    """Run one stage under `root`; gives the exit code: 0 done, 2 wrong parameters. Other failures raise.

    follow: what passes the stage's events on while no flow does it; None: they stay in their file.
    """
    if command not in STAGES:
        print(f"no stage {format_value(command)}; there are {', '.join(STAGES)}", file=sys.stderr)
        return 2
    stay_offline()
    try:
        params = load_params(Paths(root).params)
        spec = read_spec(root, command, name)
    except ParamsError as error:
        print(*error.lines, sep="\n", file=sys.stderr)
        return 2
    except ValueError as error:
        print(format_value(str(error), LINE_CHARACTERS, plain=True), file=sys.stderr)
        return 2
    values = params.model_dump(mode="json")
    used = {key: look_up(values, key) for key in spec.params}
    stage = f"{command}/{name}" if name else command

    def make_scratch() -> Path:
        return open_scratch(root, stage, scratch_key(root, spec.deps, used))

    signal.signal(signal.SIGTERM, _raise_killed)
    if FLOW_VARIABLE in os.environ:
        terminate_after(int(os.environ[FLOW_VARIABLE]))
    if is_first_process():
        note_begun(root, stage)
        _run_recorded(command, name, params, used, root, make_scratch, follow)
    elif divides_work(command, params, name):
        fix_threads(threads_of_stage(params, command, name))
        import_module(stage_module(params, command, name)).run(
            params, Paths(root), name, FollowingProcessReporter(make_scratch())
        )
    return 0  # scratch stays: killed before DVC has recorded the outputs, the stage is run again


def _run_recorded(
    command: str,
    name: str,
    params: Params,
    used: dict[str, Any],
    root: Path,
    make_scratch: Callable[[], Path],
    follow: Follow | None,
) -> None:
    """Run the stage, telling the event log how it begins and ends, whatever ends it."""
    given = os.environ.get(EVENTS_VARIABLE)
    events = Path(given) if given else root / "scratch" / "events" / f"{command}-{name}-{os.getpid()}.jsonl"
    event_log = EventWriter(events)
    stage = f"{command}/{name}" if name else command
    event_log.write("start", stage=stage, experiment=params.name, params=used, pid=os.getpid())
    follower = None if given or follow is None else follow(events, root)
    status = "FAILED"
    try:
        fix_threads(threads_of_stage(params, command, name))
        module = import_module(stage_module(params, command, name))
        clock_s = time.perf_counter()
        found = module.run(params, Paths(root), name, StageReporter(event_log, make_scratch, bool(given)))
        metrics = named_errors(found, ERROR_KINDS[params.problem.kind])
        seconds = time.perf_counter() - clock_s
        event_log.write("metrics", step=0, values={**metrics, "run_seconds": seconds})
        status = "FINISHED"
    except (Killed, KeyboardInterrupt):
        status = "KILLED"
        raise
    finally:
        event_log.write("end", status=status)
        event_log.close()
        if follower is not None:
            follower.finish()


def threads_of(command: str, name: str = "", root: Path = Path()) -> int:
    """Threads of the numeric libraries in a stage under `root`; 0 where params.yaml is wrong."""
    try:
        return threads_of_stage(load_params(Paths(root).params), command, name)
    except (ParamsError, KeyError, ValueError):
        return 0


def _raise_killed(number: int, frame: FrameType | None) -> None:
    signal.signal(number, signal.SIG_IGN)  # what puts things in order is not to be interrupted again
    raise Killed(f"signal {number}")
