"""All that surrounds a stage: parameters, threads, resume folder, events for MLflow, and an orderly death."""

import os
import random
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
from tasks.params.errors import LINE_CHARACTERS, ParamsError, shown
from tasks.params.pipeline import Params, TrainedTeacher, load_params
from tasks.runner.distributed import Along, divides_work, is_first_process
from tasks.runner.dvc_graph import look_up, read_spec
from tasks.runner.event_log import EventWriter
from tasks.runner.orphan_guard import end_with
from tasks.runner.paths import Paths
from tasks.runner.resume import note_begun, open_scratch, scratch_key
from tasks.runner.stage_durations import Timing, add_timing
from tasks.runner.telemetry import stay_offline

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
    "evaluate": "tasks.stages.evaluate",
    "profile": "tasks.stages.profile",
    "report": "tasks.stages.report",
}

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
    """Reporter of a real run: events to their log, progress to the terminal."""

    event_log: EventWriter
    make_scratch: Callable[[], Path]

    @cached_property
    def scratch(self) -> Path | None:
        """Made, with a hash of all inputs, only where a stage asks for it."""
        return self.make_scratch()

    def metrics(self, values: Mapping[str, float], step: int) -> None:
        self.event_log.write("metrics", step=step, values=dict(values))

    def progress(self, items: Iterable[T], total: int | None = None, label: str = "") -> Iterator[T]:
        return progress_display.show_progress(items, total, label, self.event_log)

    def say(self, message: str) -> None:
        print(message, flush=True)


def run_stage(command: str, name: str = "", root: Path = Path(), follow: Follow | None = None) -> int:
    """Run one stage under `root`; gives the exit code: 0 done, 2 wrong parameters. Other failures raise.

    follow: what passes the stage's events on while no flow does it; None: they stay in their file.
    """
    if command not in STAGES:
        print(f"no stage {shown(command)}; there are {', '.join(STAGES)}", file=sys.stderr)
        return 2
    stay_offline()
    try:
        params = load_params(Paths(root).params)
        spec = read_spec(root, command, name)
    except ParamsError as error:
        print(*error.lines, sep="\n", file=sys.stderr)
        return 2
    except ValueError as error:
        print(shown(str(error), LINE_CHARACTERS, plain=True), file=sys.stderr)
        return 2
    values = params.model_dump(mode="json")
    used = {key: look_up(values, key) for key in spec.params}
    stage = f"{command}/{name}" if name else command

    def make_scratch() -> Path:
        return open_scratch(root, stage, scratch_key(root, spec.deps, used))

    signal.signal(signal.SIGTERM, _raise_killed)
    if FLOW_VARIABLE in os.environ:
        end_with(int(os.environ[FLOW_VARIABLE]))
    if is_first_process():
        note_begun(root, stage)
        _run_recorded(command, name, params, used, root, make_scratch, follow)
    elif divides_work(command, params):
        _fix_threads(_threads(params, command, name))
        import_module(STAGES[command]).run(params, Paths(root), name, Along(make_scratch()))
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
        _fix_threads(_threads(params, command, name))
        module = import_module(STAGES[command])
        started_s, clock_s = time.time(), time.perf_counter()
        metrics = module.run(params, Paths(root), name, StageReporter(event_log, make_scratch))
        seconds = time.perf_counter() - clock_s
        add_timing(root, Timing(stage=stage, started_s=started_s, seconds=seconds))
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
        return _threads(load_params(Paths(root).params), command, name)
    except (ParamsError, KeyError, ValueError):
        return 0


def _threads(params: Params, command: str, name: str) -> int:
    """Weights differ in their last bits with the number of threads, so params fix it for every stage."""
    if command == "teacher" and isinstance(params.teacher, TrainedTeacher):
        return params.teacher.training.threads
    if command in ("propagate", "distil"):
        return params.training_of(name).threads
    return params.evaluation.threads


def _fix_threads(threads: int) -> None:
    """Fix the threads of all numeric libraries, before any is loaded, and Python's own random numbers."""
    for variable in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
        os.environ[variable] = str(threads)
    if "torch" in sys.modules:
        sys.modules["torch"].set_num_threads(threads)
    random.seed(0)


def _raise_killed(number: int, frame: FrameType | None) -> None:
    raise Killed(f"signal {number}")
