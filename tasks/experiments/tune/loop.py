"""The search itself: ask for a point, try it in a process of its own, tell what came of it, until there are enough."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from threading import Event, Lock

import optuna
import pandas as pd
from filelock import FileLock, Timeout
from optuna.trial import Trial, TrialState

from tasks.experiments.tune.folders import EVENTS, POINT, read_result, search_folder, trial_folder
from tasks.experiments.tune.picture import draw_front
from tasks.experiments.tune.record import Record
from tasks.experiments.tune.results import ERROR, collect, results_file, shortfall
from tasks.experiments.tune.sampling import OVER, draw, open_study, repeat_interrupted, values
from tasks.experiments.tune.settings import Search, check_jobs, load_search
from tasks.experiments.tune.trial_params import check_space
from tasks.metric_names import ERROR_WORDS, error_name, named_errors, plain_errors
from tasks.runner.atomic_io import write_whole
from tasks.runner.event_log import EventReader

ATTEMPTS = 10
"""For each trial wanted: so many points may be invalid, too large or failed before the search gives up."""
FAILURES = 3
LOOK_EVERY_S = 0.5
OVER_STATES = (TrialState.COMPLETE, TrialState.PRUNED, TrialState.FAIL)

STOPPED = -1

Stop = Callable[[], bool]
"""Asked now and then: whether to end the trial."""
Attempt = Callable[[Path, str, Stop], int]
"""Tries the point of a folder under a label; gives an exit code, or STOPPED."""


@dataclass
class Searching:
    """One call of a search, with what its threads share."""

    search: Search
    project: Path
    study: optuna.Study
    record: Record
    attempt: Attempt
    most: int
    say: Callable[[str], None]
    lock: Lock = field(default_factory=Lock)
    ending: Event = field(default_factory=Event)
    failures: int = 0

    def work(self) -> None:
        """Try points until enough trials are finished."""
        while (trial := self._next()) is not None:
            self._try(trial)

    def _next(self) -> Trial | None:
        with self.lock:
            if self.ending.is_set():
                return None
            trials = self.study.get_trials(deepcopy=False)
            done = sum(t.state == TrialState.COMPLETE for t in trials)
            running = sum(t.state == TrialState.RUNNING for t in trials)
            over = sum(t.state in OVER_STATES for t in trials)
            if done + running >= self.most or over >= ATTEMPTS * self.most or self.failures >= FAILURES:
                return None
            return self.study.ask()

    def _try(self, trial: Trial) -> None:
        with self.lock:
            point = draw(self.search, trial)
            folder = trial_folder(self.search, point, self.project)
            folder.mkdir(parents=True, exist_ok=True)
            write_whole(folder / POINT, json.dumps(point))
            trial.set_user_attr("folder", folder.name)
        label = f"trial {trial.number}"
        shown = (f"{key.removeprefix(f'students.{self.search.student}.')} {value}" for key, value in point.items())
        self.say(f"{label}: {', '.join(shown)}")
        code = self._attempt(trial, folder, label)
        if code == STOPPED and self.ending.is_set():
            return  # it stays open, and is repeated by the next call
        with self.lock:
            self.say(f"{label}: {self._tell(trial, folder, code)}")
            write_results(self.search, self.study, self.project)

    def _attempt(self, trial: Trial, folder: Path, label: str) -> int:
        if read_result(folder) is not None:
            return 0
        (folder / EVENTS).unlink(missing_ok=True)
        following = self.record.follow(folder / EVENTS)

        events = EventReader(folder / EVENTS)

        def stop() -> bool:
            return self.ending.is_set() or self._errs_too_much(trial, events)

        try:
            return self.attempt(folder, label, stop)
        finally:
            following.finish()

    def _errs_too_much(self, trial: Trial, events: EventReader) -> bool:
        if not self.search.stop_early:
            return False
        epochs = [e for e in events.new_events() if e["event"] == "metrics" and e["step"] > 0]
        with self.lock:
            for epoch in epochs:
                trial.report(plain_errors(epoch["values"])[ERROR], epoch["step"])
            return bool(epochs) and trial.should_prune()

    def _tell(self, trial: Trial, folder: Path, code: int) -> str:
        result = read_result(folder)
        if result is None:
            stopped = code == STOPPED
            state = TrialState.PRUNED if stopped else TrialState.FAIL
            self.failures += not stopped
            reason = "stopped early" if stopped else f"failed with exit code {code}: see {folder / 'log.txt'}"
            trial.set_user_attr("reason", reason)
            self.study.tell(trial, state=state)
            return reason
        if "refused" in result:
            trial.set_user_attr("reason", result["refused"])
            self.study.tell(trial, state=TrialState.PRUNED)
            return f"refused: {result['refused']}"
        self.failures = 0
        trial.set_user_attr("figures", named_errors(result, self.search.error_kind))
        error, cost = result[ERROR], result[self.search.measure]
        if self.search.goal is not None:
            trial.set_user_attr(OVER, error - self.search.goal.limit(result["teacher_valid_error"]))
        self.study.tell(trial, values(self.search, error, cost))
        return f"validation {ERROR_WORDS[self.search.error_kind]} {error:.2%}, {self.search.measure} {cost:,.6g}"


def run_search(
    file: Path,
    project: Path,
    *,
    trials: int | None = None,
    jobs: int = 1,
    say: Callable[[str], None] = print,
    attempt: Attempt | None = None,
) -> tuple[Search, pd.DataFrame]:
    """Go on until `trials` (or the file's number) are finished; gives the table of all that are over.

    It gives up where ATTEMPTS times as many points are over: see `tasks.experiments.tune.results.shortfall`.
    Raises ParamsError where the search is wrong, RuntimeError where it runs already or where trials keep failing.
    """
    search = load_search(file)
    check_jobs(search, jobs)
    check_space(search)
    folder = search_folder(search, project)
    folder.mkdir(parents=True, exist_ok=True)
    try:
        with FileLock(folder / "lock", timeout=0):
            study = open_study(search, folder)
            if interrupted := repeat_interrupted(study):
                say(f"{interrupted} trials were interrupted: they are repeated")
            record = Record(search, project, study.user_attrs.get("mlflow_run"))
            study.set_user_attr("mlflow_run", record.run_id)
            attempt = attempt or _processes(file, project)
            searching = Searching(search, project, study, record, attempt, trials or search.trials, say)
            return search, _work(searching, jobs, folder)
    except Timeout:
        raise RuntimeError(
            f"the search {search.name} runs already: wait until it ends, or end it (Ctrl-C where it runs, it can go on)"
        ) from None


def _work(searching: Searching, jobs: int, folder: Path) -> pd.DataFrame:
    ended = False
    try:
        with ThreadPoolExecutor(jobs) as pool:
            try:
                for worker in [pool.submit(searching.work) for _ in range(jobs)]:
                    worker.result()
            finally:
                searching.ending.set()  # on Ctrl-C the others end their trials
        ended = True
    finally:
        table = write_results(searching.search, searching.study, searching.project)
        counts = {f"trials_{state}": float(n) for state, n in table["state"].value_counts().items()}
        files = [results_file(searching.search, searching.project), folder / "front.svg", folder / "front.png"]
        note = _why_short(searching, table) if ended else ""
        status = "FAILED" if note else "FINISHED" if ended else "KILLED"
        searching.record.finish(status, counts, files, note)
    if searching.failures >= FAILURES:
        raise RuntimeError(note)
    return table


def _why_short(searching: Searching, table: pd.DataFrame) -> str:
    """Why a search ended before it had the trials wanted; empty where it has them."""
    if searching.failures < FAILURES:
        return shortfall(table, searching.most)
    done = (table["state"] == "complete").sum()
    reason = table[table["state"] == "failed"]["reason"].iloc[-1]
    return f"{FAILURES} trials in a row failed; {done} of {searching.most} were finished; the last one {reason}"


def write_results(search: Search, study: optuna.Study, project: Path) -> pd.DataFrame:
    """The table under docs/results/ and the picture in the search's folder, as they are now."""
    table, file = collect(search, study), results_file(search, project)
    file.parent.mkdir(parents=True, exist_ok=True)
    named = table.rename(columns=lambda column: error_name(column, search.error_kind))
    write_whole(file, named.to_csv(index=False))
    draw_front(search, table, search_folder(search, project))
    return table


def _processes(file: Path, project: Path) -> Attempt:
    """Tries points in processes of their own, one thread each, which end when this one does."""

    def attempt(folder: Path, label: str, stop: Stop) -> int:
        environment = {**os.environ, "OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}
        command = [sys.executable, "-m", "tasks.experiments.tune.trial", str(file), str(folder), label, str(project)]
        with (folder / "log.txt").open("a") as out:
            process = subprocess.Popen(command, cwd=project, stdout=out, stderr=out, env=environment)
            while process.poll() is None:
                time.sleep(LOOK_EVERY_S)
                if stop():
                    process.terminate()
                    process.wait()
                    return STOPPED
        return process.returncode

    return attempt
