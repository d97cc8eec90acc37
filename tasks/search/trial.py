"""One trial: the student of one point, made, trained and judged on the validation part in a folder of its own.

`python -m tasks.search.trial SEARCH FOLDER LABEL [PROJECT]`; FOLDER holds point.json. The corpus and
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
from hashlib import blake2b
from pathlib import Path
from typing import Any

import pandas as pd
from filelock import FileLock

from tasks.fresh import write_whole
from tasks.guard import end_with
from tasks.kept_files import read_whole_json
from tasks.params.errors import ParamsError
from tasks.params.graph import needs
from tasks.params.pipeline import Params
from tasks.paths import Paths
from tasks.search.candidate import candidate_params, settle
from tasks.search.settings import Point, Search, load_search
from tasks.spool import SpoolWriter
from tasks.studies.cell import commit, steps_in_order
from tasks.studies.sharing import link_corpus_and_teacher
from tasks.watch import Lines

RESULT, EVENTS, POINT = "result.json", "events.jsonl", "point.json"


class RefusedError(Exception):
    """Of this point nothing can come: it is impossible, too large, or its training diverges."""


def trial_folder(search: Search, point: Point, project: Path) -> Path:
    """The same for the same params, so that no student is trained twice."""
    try:
        values = settle(search, point)
    except ParamsError:
        values = dict(point)
    digest = blake2b(json.dumps(values, sort_keys=True).encode(), digest_size=6).hexdigest()
    return search_folder(search, project) / "trials" / digest


def search_folder(search: Search, project: Path) -> Path:
    return project / "scratch" / "searches" / f"{search.name}-{search.digest}"


def run_trial(search: Search, folder: Path, project: Path, label: str = "trial") -> dict[str, Any]:
    """Write and return what came of a point: its errors and measure, or `refused` with the reason.

    One process at a time: a second one waits, and then finds the work done.
    """
    point = json.loads((folder / POINT).read_text(encoding="utf-8"))
    with FileLock(folder / "lock"):
        done = read_result(folder)
        if done is not None:
            return done
        spool = SpoolWriter(folder / EVENTS)
        spool.write("start", stage=label, experiment=f"search-{search.name}", params=point, pid=os.getpid())
        status = "FAILED"
        try:
            result = _result(search, point, folder, project, spool)
            write_whole(folder / RESULT, json.dumps(result, indent=1))
            status = "FINISHED"
        finally:
            spool.write("end", status=status)
            spool.close()
    return result


def read_result(folder: Path) -> dict[str, Any] | None:
    """What came of a trial; None where it is not over."""
    return read_whole_json(folder / RESULT)


def _result(search: Search, point: Point, folder: Path, project: Path, spool: SpoolWriter) -> dict[str, Any]:
    started_s = time.monotonic()
    try:
        params = candidate_params(search, point, project)
        figures = _try(search, params, folder, project, spool)
    except (ParamsError, RefusedError) as error:
        return {"refused": " ".join(str(error).split())}
    figures = {**figures, "seconds": round(time.monotonic() - started_s, 1), "commit": commit()}
    spool.write("metrics", step=0, values={k: v for k, v in figures.items() if isinstance(v, int | float)})
    return figures


def _try(search: Search, params: Params, folder: Path, project: Path, spool: SpoolWriter) -> dict[str, Any]:
    from tasks import distil, ensembles, propagate, teachers

    paths, watch = Paths(folder), partial(TrialWatch, folder)
    link_corpus_and_teacher(params, folder, project / "scratch" / "studies", watch)
    made_from = _made_from(params, search.student)
    for name in (step for step in steps_in_order(params) if step in made_from):
        if name in params.students and not (paths.model(name) / "history.csv").is_file():
            propagate.run(params, paths, name, watch(f"initial-{name}"))
            distil.run(params, paths, name, watch(name))
        elif name in params.teachers and not paths.model(name).exists():
            teachers.run(params, paths, name, watch(name))
        elif name in params.ensembles and not paths.model(name).exists():
            ensembles.run(params, paths, name, watch(name))
    with _refusals():
        propagate.run(params, paths, search.student, watch(f"initial-{search.student}"))
    shrinks = params.students[search.student].shrink is not None  # then it has its size only in the end
    if not shrinks:
        size = _cost_within(search, params, paths, paths.initial(search.student))
    with _refusals():
        distil.run(params, paths, search.student, TrialWatch(folder, search.student, spool))
    if shrinks:
        size = _cost_within(search, params, paths, paths.model(search.student))
    return {search.measure: size, **_errors(paths, search.student)}


@contextmanager
def _refusals() -> Iterator[None]:
    """What the point itself is to blame for; any other error is a failure, which is not kept."""
    from kd.propagation import CannotShrinkError
    from kd.training import TrainingDivergedError

    try:
        yield
    except (CannotShrinkError, TrainingDivergedError) as error:
        raise RefusedError(str(error)) from None


def _errors(paths: Paths, student: str) -> dict[str, Any]:
    best = _best_epoch(paths.model(student))
    initial = json.loads((paths.initial(student) / "config.json").read_text(encoding="utf-8")).get("facts", {})
    return {
        "valid_error": float(best["valid_error"]),
        "best_epoch": int(best["epoch"]),
        "initial_valid_error": initial.get("initial_valid_error"),
        "teacher_valid_error": float(_best_epoch(paths.model("teacher"))["valid_error"]),
    }


def _best_epoch(folder: Path) -> Any:
    """Of a model that shrank, among the epochs of its last phase."""
    history = pd.read_csv(folder / "history.csv")
    if "phase" in history:
        history = history[history["phase"] == history["phase"].iloc[-1]]
    return history.sort_values(["valid_error", "valid_loss"]).iloc[0]


def _cost_within(search: Search, params: Params, paths: Paths, model: Path) -> float:
    """Raises RefusedError for one above the search's limit."""
    size = _cost(search, params, paths, model)
    if search.at_most is not None and size > search.at_most:
        raise RefusedError(f"{search.measure} {size:.12g} is above {search.at_most:.12g}")
    return size


def _cost(search: Search, params: Params, paths: Paths, model: Path) -> float:
    from tasks.checkpoint import load_checkpoint
    from tasks.cost import cost_of
    from tasks.data import PreparedData

    data = PreparedData.load(paths.prepared, sample_rate_hz=params.frontend.sample_rate_hz)
    return cost_of(load_checkpoint(model), search.measure, data)


def _made_from(params: Params, student: str) -> set[str]:
    """All that must be there before the student, the first teacher left out."""
    found, waiting = set[str](), [student]
    while waiting:
        for name in needs(params, waiting.pop()):
            if name in {**params.students, **params.teachers, **params.ensembles} and name not in found:
                found.add(name)
                waiting.append(name)
    return found


class TrialWatch(Lines):
    """Plain lines, resume states beside the trial's models, and the candidate's curves for MLflow."""

    def __init__(self, folder: Path, step: str, spool: SpoolWriter | None = None) -> None:
        super().__init__(folder / "scratch" / step, step)
        self._spool = spool

    def metrics(self, values: Mapping[str, float], step: int) -> None:
        super().metrics(values, step)
        if self._spool is not None:
            self._spool.write("metrics", step=step, values=dict(values))


if __name__ == "__main__":
    end_with(os.getppid())
    search_file, trial, label_text, *root = sys.argv[1:]
    run_trial(load_search(Path(search_file)), Path(trial), Path(*root), label_text)
