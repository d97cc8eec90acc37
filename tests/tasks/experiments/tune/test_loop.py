"""Searches: they end at a front, go on after a kill, and score nothing on the test part."""

import json
from pathlib import Path
from typing import Any, ClassVar

import optuna
import pandas as pd
import pytest
from optuna.trial import TrialState
from tiny_search import HERE, written

from flows.tune import told
from tasks.data.prepared import PreparedData
from tasks.experiments.tune import loop
from tasks.experiments.tune.folders import POINT, search_folder
from tasks.experiments.tune.loop import run_search
from tasks.experiments.tune.results import results_file, winner
from tasks.experiments.tune.sampling import open_study
from tasks.experiments.tune.settings import Search, load_search
from tasks.experiments.tune.trial import run_trial
from tasks.metric_names import error_name


def here(file: Path, root: Path) -> Any:
    """Trials in this process: a second one would spend its time loading torch."""

    def attempt(folder: Path, label: str, stop: Any) -> int:
        run_trial(load_search(file), folder, root, label)
        return 0

    return attempt


def test_a_search_ends_at_a_front_goes_on_and_never_uses_the_test_part(
    project: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(project.root)
    split = PreparedData.split

    def no_test(data: PreparedData, name: Any) -> Any:
        assert name != "test"
        return split(data, name)

    monkeypatch.setattr(PreparedData, "split", no_test)
    file = written(project.root, trials=2, goal={"points": 100})
    search, table = run_search(file, project.root, say=project.say, attempt=here(file, project.root))
    folder = search_folder(search, project.root)
    assert table["state"].tolist() == ["complete"] * 2
    assert table["meets_goal"].all()
    assert {f.name for f in folder.glob("front.*")} == {"front.svg", "front.png"}
    columns = pd.read_csv(results_file(search, project.root)).columns
    assert [error_name(column, "error") for column in columns] == list(table)
    assert {"valid_keyword_error", "teacher_valid_keyword_error"} <= {*columns}
    assert "test_error" not in table
    best = winner(search, table)
    assert best is not None
    assert best["params"] == table["params"].min()
    logged = logged_runs(project.root, "search-tiny")
    assert sorted(run.info.status for run in logged) == ["FINISHED"] * 3
    parent = next(run for run in logged if run.data.tags.get("kd.kind") == "search")
    children = [run for run in logged if run is not parent]
    assert {run.data.tags["mlflow.parentRunId"] for run in children} == {parent.info.run_id}
    assert all(
        "valid_keyword_error" in run.data.metrics and f"{HERE}objective.beta" in run.data.params for run in children
    )

    search, more = run_search(file, project.root, trials=3, say=project.say, attempt=here(file, project.root))
    assert more["params"].tolist()[:2] == table["params"].tolist()
    assert len(more) == 3
    assert len([r for r in logged_runs(project.root, "search-tiny") if r.data.tags.get("kd.kind") == "search"]) == 1


def logged_runs(root: Path, experiment: str) -> list[Any]:
    from tasks.tracking.runs import open_store

    client = open_store(root)
    return list(client.search_runs([client.get_experiment_by_name(experiment).experiment_id]))


class Figures:
    """Trials that take no time: the wider, the better; it can be told to be killed, to fail, or to refuse."""

    def __init__(self, search: Search, root: Path) -> None:
        self.search, self.root = search, root
        self.kill_at: int | None = None
        self.fail = False
        self.tried: list[dict[str, Any]] = []

    def __call__(self, folder: Path, label: str, stop: Any) -> int:
        point = json.loads((folder / POINT).read_text())
        self.tried.append(point)
        if len(self.tried) == self.kill_at:
            raise KeyboardInterrupt
        if self.fail:
            return 1
        width = point[f"{HERE}operators.0.keep.hidden"]
        too_large = self.search.at_most is not None and width > self.search.at_most
        figures = {"params": width, "valid_error": 1 / width, "teacher_valid_error": 1 / 8}
        (folder / "result.json").write_text(json.dumps({"refused": "too large"} if too_large else figures))
        return 0


class Unrecorded:
    """In place of MLflow, whose database takes seconds to make."""

    run_id = "none"
    ends: ClassVar[list[tuple[str, str]]] = []
    """Status and note of each end."""

    def __init__(self, *_: Any) -> None:
        pass

    def follow(self, events: Path) -> "Unrecorded":
        return self

    def finish(self, *told: Any) -> None:
        """Told nothing where a trial ends."""
        if told:
            self.ends.append((told[0], told[-1]))


def searched(root: Path, monkeypatch: pytest.MonkeyPatch, **changes: Any) -> tuple[Path, Figures]:
    monkeypatch.chdir(root)
    monkeypatch.setattr(loop, "Record", Unrecorded)
    monkeypatch.setattr(Unrecorded, "ends", [])
    file = written(root, **changes)
    return file, Figures(load_search(file), root)


def test_a_killed_trial_is_repeated_with_its_own_point(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file, attempt = searched(tmp_path, monkeypatch)
    attempt.kill_at = 2
    with pytest.raises(KeyboardInterrupt):
        run_search(file, tmp_path, attempt=attempt)
    search, table = run_search(file, tmp_path, attempt=attempt)
    assert attempt.tried[2] == attempt.tried[1]
    assert table["state"].value_counts().to_dict() == {"complete": 4, "failed": 1}
    states = [t.state for t in open_study(search, search_folder(search, tmp_path)).get_trials()]
    assert TrialState.RUNNING not in states


def test_trials_that_keep_failing_end_the_search(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file, attempt = searched(tmp_path, monkeypatch)
    attempt.fail = True
    with pytest.raises(RuntimeError, match=r"3 trials in a row failed; 0 of 4 were finished; .*log\.txt"):
        run_search(file, tmp_path, attempt=attempt)
    assert len(attempt.tried) == 3
    ((status, note),) = Unrecorded.ends
    assert status == "FAILED"
    assert note.startswith("3 trials in a row failed; ")


def test_a_search_that_gives_up_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every point is too large: ten refused ones for each trial wanted are enough."""
    file, attempt = searched(tmp_path, monkeypatch, at_most=0.5, trials=2)
    search, table = run_search(file, tmp_path, attempt=attempt)
    assert table["state"].tolist() == ["refused"] * 20
    line = "0 of 2 trials were finished, then the search gave up: 20 refused (`reason` in the table). Narrow the space"
    assert told(search, table, tmp_path, 2).splitlines()[-1].startswith(line)
    ((status, note),) = Unrecorded.ends
    assert status == "FAILED"
    assert note.startswith(line)


def test_a_search_that_has_what_was_asked_says_no_more(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file, attempt = searched(tmp_path, monkeypatch)
    search, table = run_search(file, tmp_path, attempt=attempt, trials=2)
    assert Unrecorded.ends == [("FINISHED", "")]
    assert told(search, table, tmp_path, 2).splitlines()[-1].startswith("Table: ")
    assert "2 of 4 trials were finished" in told(search, table, tmp_path, 4)


def test_what_is_too_large_does_not_count_and_the_smallest_good_one_wins(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file, attempt = searched(tmp_path, monkeypatch, at_most=5, goal={"relative": 3.0}, trials=6)
    search, table = run_search(file, tmp_path, attempt=attempt, jobs=2)
    assert (table["state"] == "complete").sum() == 6
    assert (table[table["state"] == "complete"]["params"] <= 5).all()
    best = winner(search, table)
    assert best is not None
    done = table[table["state"] == "complete"]
    assert best["params"] == done[done["valid_error"] <= 4 / 8]["params"].min()
    assert set(table[table["on_front"]]["params"]) == set(table["params"].dropna())


def test_a_single_objective_is_told_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file, attempt = searched(tmp_path, monkeypatch, minimise="valid_keyword_error", stop_early=True)
    search, table = run_search(file, tmp_path, attempt=attempt, trials=5)
    study = open_study(search, search_folder(search, tmp_path))
    assert study.directions == [optuna.study.StudyDirection.MINIMIZE]
    assert study.best_value == table["valid_error"].min()
