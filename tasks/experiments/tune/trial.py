"""One trial: the student of one point, made, trained and judged on the validation part in a folder of its own.

`python -m tasks.experiments.tune.trial SEARCH FOLDER LABEL [PROJECT]`; FOLDER holds point.json. The corpus and
the teacher are made once and shared with all trials and studies that agree on them. A killed trial goes on after its
last epoch.
"""

import json
import os
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

from filelock import FileLock

from kd.propagation import CannotShrinkError
from kd.training import TrainingDivergedError
from kd.training.best import best_epoch
from tasks.checkpoint import load_checkpoint
from tasks.data.prepared import PreparedData
from tasks.experiments.chain import Chain
from tasks.experiments.study.design import commit
from tasks.experiments.study.sharing import SHARED_STAGES, link_corpus_and_teacher
from tasks.experiments.tune.folders import EVENTS, POINT, RESULT, read_result
from tasks.experiments.tune.settings import Point, Search, load_search
from tasks.experiments.tune.trial_params import trial_params
from tasks.metric_names import ERROR_KINDS, named_errors, plain_errors
from tasks.onnx.cost import cost_of
from tasks.params.errors import ParamsError
from tasks.params.pipeline import Params
from tasks.runner.atomic_io import write_whole
from tasks.runner.event_log import EventWriter
from tasks.runner.paths import Paths
from tasks.runner.reporter import LineReporter
from tasks.runner.supervisor import terminate_after
from tasks.training.history import read_history


class TrialRefusedError(Exception):
    """Of this point nothing can come: it is impossible, too large, or its training diverges."""


def run_trial(search: Search, folder: Path, project: Path, label: str = "trial") -> dict[str, Any]:
    """Write and return what came of a point: its errors and measure, or `refused` with the reason.

    One process at a time: a second one waits, and then finds the work done.
    """
    point = json.loads((folder / POINT).read_text(encoding="utf-8"))
    with FileLock(folder / "lock"):
        done = read_result(folder)
        if done is not None:
            return done
        event_log = EventWriter(folder / EVENTS)
        event_log.write("start", stage=label, experiment=f"search-{search.name}", params=point, pid=os.getpid())
        status = "FAILED"
        try:
            result = _result(search, point, folder, project, event_log)
            write_whole(folder / RESULT, json.dumps(result, indent=1))
            status = "FINISHED"
        finally:
            event_log.write("end", status=status)
            event_log.close()
    return result


def _result(search: Search, point: Point, folder: Path, project: Path, event_log: EventWriter) -> dict[str, Any]:
    started_s = time.monotonic()
    try:
        params = trial_params(search, point, project)
        figures = _try(search, params, folder, project, event_log)
    except (ParamsError, TrialRefusedError) as error:
        return {"refused": " ".join(str(error).split())}
    figures = named_errors(figures, ERROR_KINDS[params.problem.kind])
    figures |= {"seconds": round(time.monotonic() - started_s, 1), "commit": commit()}
    event_log.write("metrics", step=0, values={k: v for k, v in figures.items() if isinstance(v, int | float)})
    return figures


def _try(search: Search, params: Params, folder: Path, project: Path, event_log: EventWriter) -> dict[str, Any]:
    paths, student, reporter = Paths(folder), search.student, partial(TrialReporter, folder)
    link_corpus_and_teacher(params, folder, project / "scratch" / "studies", project, reporter)
    chain = Chain(params, folder, project, reporter, SHARED_STAGES)
    chain.make_before(f"propagate-{student}")
    with _refusals():
        chain.make(f"propagate-{student}")
    shrinks = params.students[student].shrink is not None  # then it has its size only in the end
    if not shrinks:
        size = _cost_within(search, params, paths, paths.initial(student))
    chain.make_before(f"distil-{student}")
    with _refusals():
        chain.make(f"distil-{student}", TrialReporter(folder, student, event_log))
    if shrinks:
        size = _cost_within(search, params, paths, paths.model(student))
    return {search.measure: size, **_errors(paths, student)}


@contextmanager
def _refusals() -> Iterator[None]:
    """What the point itself is to blame for; any other error is a failure, which is not kept."""
    try:
        yield
    except (CannotShrinkError, TrainingDivergedError) as error:
        raise TrialRefusedError(str(error)) from None


def _errors(paths: Paths, student: str) -> dict[str, Any]:
    best, teacher = (best_epoch(read_history(paths.model(name))) for name in (student, "teacher"))
    initial = json.loads((paths.initial(student) / "config.json").read_text(encoding="utf-8"))
    return {
        "valid_error": best["valid_error"],
        "best_epoch": int(best["epoch"]),
        "initial_valid_error": plain_errors(initial["facts"]).get("initial_valid_error"),
        "teacher_valid_error": teacher["valid_error"],
    }


def _cost_within(search: Search, params: Params, paths: Paths, model: Path) -> float:
    """Raises TrialRefusedError for one above the search's limit."""
    size = _cost(search, params, paths, model)
    if search.at_most is not None and size > search.at_most:
        raise TrialRefusedError(f"{search.measure} {size:.12g} is above {search.at_most:.12g}")
    return size


def _cost(search: Search, params: Params, paths: Paths, model: Path) -> float:
    data = PreparedData.load(paths.prepared, sample_rate_hz=params.frontend.sample_rate_hz)
    return cost_of(load_checkpoint(model), search.measure, data)


class TrialReporter(LineReporter):
    """Plain lines, resume states beside the trial's models, and the student's curves for MLflow."""

    def __init__(self, folder: Path, step: str, event_log: EventWriter | None = None) -> None:
        super().__init__(folder / "scratch" / step, step)
        self._event_log = event_log

    def metrics(self, values: Mapping[str, float], step: int) -> None:
        super().metrics(values, step)
        if self._event_log is not None:
            self._event_log.write("metrics", step=step, values=dict(values))


if __name__ == "__main__":
    terminate_after(os.getppid())
    search_file, trial, label_text, *root = sys.argv[1:]
    run_trial(load_search(Path(search_file)), Path(trial), Path(*root), label_text)
