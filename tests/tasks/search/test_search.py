"""Searches: files are checked, points become params, trials resume, and nothing is scored on the test part."""

import json
from pathlib import Path
from typing import Any

import optuna
import pandas as pd
import pytest
import yaml
from optuna.trial import TrialState

from flows.search import detach
from tasks.data import PreparedData
from tasks.params.errors import ParamsError
from tasks.search import loop
from tasks.search import trial as trial_module
from tasks.search.candidate import check_space, recipe_yaml, settle
from tasks.search.loop import run_search
from tasks.search.results import on_front, results_file, winner
from tasks.search.sampling import open_study
from tasks.search.settings import Knob, Search, check_jobs, load_search, random_points
from tasks.search.trial import POINT, read_result, run_trial, search_folder

REPO = Path(__file__).parents[3]
HERE = "students.candidate."
TEACHER = {"family": "cnn", "stem": 6, "width": 8, "layers": 2, "hidden": 8, "kernel": 3}
TRAINING = {"epochs": 2, "batch_seconds": 10, "optimiser": {"name": "adam", "rate": 0.01}}


def design(**changes: Any) -> dict[str, Any]:
    params = {
        "problem": {"kind": "keyword"},
        "corpus": {"kind": "manifest", "root": "corpus", "file": "manifest.jsonl"},
        "preprocess": {"workers": 1},
        "frontend": {"num_mels": 16},
        "teacher": {"source": "train", "model": TEACHER, "training": TRAINING},
        "student_training": TRAINING,
        "student_augment": {},
        "students": {
            "candidate": {
                "init": "teacher",
                "operators": [{"op": "slice", "keep": {"hidden": 4}}],
                "teacher": "teacher",
                "objective": {"labels": 1.0, "beta": 1.0},
            },
            "bystander": {"init": "random", "model": TEACHER, "teacher": "none"},
        },
        "export": {},
        "evaluation": {},
    }
    space = {
        f"{HERE}operators.0.keep.hidden": {"from": 1, "to": 7},
        f"{HERE}objective.beta": {"from": 0.5, "to": 2.0, "log": True},
    }
    found = {"name": "tiny", "params": params, "student": "candidate", "space": space, "trials": 4, **changes}
    return json.loads(json.dumps(found))


@pytest.fixture
def project(project: Any) -> Any:
    """A corpus of two words in all three parts."""
    rows = []
    for i in range(24):
        name, split = f"{i}.wav", ("train", "train", "valid", "test")[i // 6]
        project.record(name, 0.4)
        rows.append({"id": str(i), "path": name, "text": ("yes", "no")[i % 2], "speaker": split, "split": split})
    project.manifest(rows)
    return project


def written(root: Path, **changes: Any) -> Path:
    file = root / "tiny.yaml"
    file.write_text(yaml.safe_dump(design(**changes), sort_keys=False))
    return file


def here(file: Path, root: Path) -> Any:
    """Trials in this process: a second one would spend its time loading torch."""

    def attempt(folder: Path, label: str, stop: Any) -> int:
        run_trial(load_search(file), folder, root, label)
        return 0

    return attempt


@pytest.mark.parametrize("file", sorted((REPO / "searches").glob("*.yaml")), ids=lambda f: f.stem)
def test_every_committed_search_is_valid(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(REPO)
    search = load_search(file)
    check_space(search)
    for point in random_points(search):
        trial_module.candidate_params(search, point, REPO)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"space": {"x": {"from": 2, "to": 1}}}, "space.x: a range needs from below to"),
        ({"space": {"x": {"from": 0, "to": 1, "log": True}}}, "space.x: log: true needs from above 0"),
        ({"space": {"x": {"choices": [1], "from": 2}}}, "space.x: give either choices"),
        ({"space": {"x": {"choices": [[1]]}}}, "space.x: the choice [1] needs a name"),
        ({"space": {"x": {"choices": [1], "when": {"y": [1]}}}}, "space.x.when: y is no choice that stands above"),
        ({"student": "nobody"}, "student: params has no student 'nobody'"),
        ({"minimise": "measure"}, "minimise: measure alone ends at a student that hears nothing"),
        ({"goal": {"relative": 0.1, "points": 1}}, "goal: give either relative or points"),
        ({"overrides": {"students.candidate.operators.7.op": 1}}, "there is no item 7 in a list of 1"),
        ({"space": {f"{HERE}objektive.beta": {"choices": [1]}}}, "students.candidate.objektive: unknown key"),
        ({"space": {f"{HERE}operators.3.op": {"choices": [1]}}}, "there is no item 3 in a list of 1"),
        (
            {"overrides": {f"{HERE}training": TRAINING}, "space": {"student_training.epochs": {"from": 1, "to": 2}}},
            "space.student_training.epochs: does nothing, since students.candidate.training is given",
        ),
    ],
)
def test_what_is_wrong_is_named(changes: dict[str, Any], message: str, tmp_path: Path) -> None:
    with pytest.raises(ParamsError) as caught:
        check_space(load_search(written(tmp_path, **changes)))
    assert message in str(caught.value)


def test_a_point_becomes_params_and_a_recipe_that_is_ready(tmp_path: Path) -> None:
    space = {
        f"{HERE}operators": {"choices": {"cut": [{"op": "slice", "keep": {"hidden": 0.5}}], "none": []}},
        f"{HERE}operators.0.keep.hidden": {"choices": [2, 3], "when": {f"{HERE}operators": ["cut"]}},
        "student_training.epochs": {"from": 3, "to": 5},
    }
    search = load_search(written(tmp_path, space=space))
    for point in random_points(search):
        assert (f"{HERE}operators.0.keep.hidden" in point) == (point[f"{HERE}operators"] == "cut")
    point = {f"{HERE}operators": "cut", f"{HERE}operators.0.keep.hidden": 3, "student_training.epochs": 4}
    found = settle(search, point)
    assert found["students"]["candidate"]["operators"] == [{"op": "slice", "keep": {"hidden": 3}}]
    assert "bystander" not in found["students"], "it would only change the hash of what is shared"
    recipe = yaml.safe_load(recipe_yaml(search, point))["students"]["candidate"]
    assert recipe["training"]["epochs"] == 4
    assert Search.model_validate(design()).digest != Search.model_validate(design(space=space)).digest
    assert Search.model_validate(design()).digest == Search.model_validate(design(trials=9)).digest


def test_a_shared_training_may_vary_where_some_student_reads_it(tmp_path: Path) -> None:
    own = {f"{HERE}training": {"choices": {"own": TRAINING, "shared": None}}}
    varied = {"student_training.epochs": {"from": 3, "to": 5, "when": {f"{HERE}training": ["shared"]}}}
    search = load_search(written(tmp_path, space={**own, **varied}))
    check_space(search)
    point = {f"{HERE}training": "shared", "student_training.epochs": 4}
    assert yaml.safe_load(recipe_yaml(search, point))["students"]["candidate"]["training"]["epochs"] == 4
    made_from_another = {
        f"{HERE}training": TRAINING,
        f"{HERE}init": "bystander",
        f"{HERE}operators": [{"op": "slice", "keep": {"hidden": 2}}],
    }
    check_space(
        load_search(
            written(tmp_path, overrides=made_from_another, space={"student_training.epochs": {"choices": [1, 2]}})
        )
    )


def test_a_recipe_holds_the_sections_that_were_overridden(tmp_path: Path) -> None:
    overrides = {"outputs": {"keep": 1}, "student_augment.time_masks": 1}
    search = load_search(written(tmp_path, overrides=overrides))
    recipe = yaml.safe_load(recipe_yaml(search, next(random_points(search))))
    assert recipe["outputs"] == {"keep": 1}
    assert recipe["student_augment"] == {"time_masks": 1}
    assert {*recipe} == {"outputs", "student_augment", "students"}
    applied = design()
    applied["params"] |= {"outputs": {"keep": 1}, "student_augment": {"time_masks": 1}}
    assert search.digest == Search.model_validate(applied).digest


def test_latency_is_not_timed_beside_other_trainings(tmp_path: Path) -> None:
    file = written(tmp_path, measure="latency_ms")
    with pytest.raises(ParamsError, match=r"^measure: latency_ms would be timed beside other trainings: --jobs 2 must"):
        run_search(file, tmp_path, jobs=2)
    with pytest.raises(ParamsError, match="latency_ms"):
        detach(file, tmp_path, trials=None, jobs=2)
    check_jobs(load_search(file), 1)
    check_jobs(load_search(written(tmp_path)), 2)


def test_a_search_ends_at_a_front_goes_on_and_never_hears_the_test_part(
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
    assert pd.read_csv(results_file(search, project.root)).shape == table.shape
    assert "test_error" not in table
    best = winner(search, table)
    assert best is not None
    assert best["params"] == table["params"].min()
    logged = logged_runs(project.root, "search-tiny")
    assert sorted(run.info.status for run in logged) == ["FINISHED"] * 3
    parent = next(run for run in logged if run.data.tags.get("kd.kind") == "search")
    children = [run for run in logged if run is not parent]
    assert {run.data.tags["mlflow.parentRunId"] for run in children} == {parent.info.run_id}
    assert all("valid_error" in run.data.metrics and f"{HERE}objective.beta" in run.data.params for run in children)

    search, more = run_search(file, project.root, trials=3, say=project.say, attempt=here(file, project.root))
    assert more["params"].tolist()[:2] == table["params"].tolist()
    assert len(more) == 3
    assert len([r for r in logged_runs(project.root, "search-tiny") if r.data.tags.get("kd.kind") == "search"]) == 1


def logged_runs(root: Path, experiment: str) -> list[Any]:
    from tasks.tracking import open_store

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

    def __init__(self, *_: Any) -> None:
        pass

    def follow(self, events: Path) -> "Unrecorded":
        return self

    def finish(self, *_: Any) -> None:
        pass


def searched(root: Path, monkeypatch: pytest.MonkeyPatch, **changes: Any) -> tuple[Path, Figures]:
    monkeypatch.chdir(root)
    monkeypatch.setattr(loop, "Record", Unrecorded)
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
    with pytest.raises(RuntimeError, match=r"3 trials in a row failed; .*log\.txt"):
        run_search(file, tmp_path, attempt=attempt)
    assert len(attempt.tried) == 3


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


def test_a_front_holds_what_nothing_beats() -> None:
    table = pd.DataFrame({"params": [1, 2, 3, 3, 4], "valid_error": [0.5, 0.6, 0.2, 0.2, 0.1]})
    assert on_front(table, "params").sort_index().tolist() == [True, False, True, False, True]


def test_a_trial_that_cannot_be_says_why(project: Any) -> None:
    """Before any training of its own."""
    file = written(project.root, at_most=50)
    search = load_search(file)
    for point, reason in [
        ({f"{HERE}operators.0.keep.hidden": 9}, "students.candidate.operators.0.keep.hidden: 9 of at most 8"),
        ({f"{HERE}operators.0.keep.hidden": 7}, "is above 50"),
    ]:
        folder = project.root / str(len(reason))
        folder.mkdir()
        (folder / POINT).write_text(json.dumps(point))
        assert reason in run_trial(search, folder, project.root)["refused"]
        assert read_result(folder) is not None
        assert not (folder / "models" / "candidate").exists()


def test_what_the_point_is_to_blame_for_is_refused_and_all_else_fails(
    project: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    search = load_search(written(project.root))
    search = search.model_copy(
        update={"space": {**search.space, **{k: Knob(choices={"a": v}) for k, v in BLAMED.items()}}}
    )
    for key, reason in zip(BLAMED, REASONS, strict=True):
        folder = at(project.root, {key: "a"})
        assert reason in run_trial(search, folder, project.root)["refused"]
        assert read_result(folder) is not None

    def broken(_: Path) -> Any:
        raise ValueError("models/teacher: broken")

    monkeypatch.setattr("tasks.propagate.load_checkpoint", broken)
    folder = at(project.root, {f"{HERE}objective.beta": 0.7})
    with pytest.raises(ValueError, match="broken"):
        run_trial(search, folder, project.root)
    assert read_result(folder) is None


BLAMED: dict[str, Any] = {
    f"{HERE}operators": [{"op": "prune_weights", "threshold": 1e6}],
    f"{HERE}shrink": {"how": "gates", "epochs": 1, "kinds": ["hidden"], "sparsity": 0.99},
    "student_training.optimiser": {"name": "sgd", "rate": 1e30},
}
REASONS = (
    "students.candidate.operators: threshold 1000000.0 leaves no weight alive",
    "shrink: sparsity 0.99 of",
    "the model has diverged",
)


def at(root: Path, point: dict[str, Any]) -> Path:
    """A trial's folder."""
    folder = root / f"trial-{len([*root.iterdir()])}"
    folder.mkdir()
    (folder / POINT).write_text(json.dumps(point))
    return folder


def test_a_single_objective_is_told_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file, attempt = searched(tmp_path, monkeypatch, minimise="error", stop_early=True)
    search, table = run_search(file, tmp_path, attempt=attempt, trials=5)
    study = open_study(search, search_folder(search, tmp_path))
    assert study.directions == [optuna.study.StudyDirection.MINIMIZE]
    assert study.best_value == table["valid_error"].min()
