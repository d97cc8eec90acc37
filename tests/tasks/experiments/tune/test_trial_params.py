"""What a search may vary: wrong spaces are named, a point becomes parameters and a recipe."""

from pathlib import Path
from typing import Any

import pytest
import yaml
from tiny_search import HERE, TRAINING, design, written

from flows.tune import detach
from tasks.experiments.tune import trial as trial_module
from tasks.experiments.tune.loop import run_search
from tasks.experiments.tune.settings import Search, check_jobs, load_search, random_points
from tasks.experiments.tune.trial_params import check_space, recipe_yaml, settle
from tasks.params.errors import ParamsError

REPO = Path(__file__).parents[4]


@pytest.mark.parametrize("file", sorted((REPO / "searches").glob("*.yaml")), ids=lambda f: f.stem)
def test_every_committed_search_is_valid(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(REPO)
    search = load_search(file)
    check_space(search)
    for point in random_points(search):
        trial_module.trial_params(search, point, REPO)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"space": {"x": {"from": 2, "to": 1}}}, "space.x: a range needs from below to"),
        ({"space": {"x": {"from": -1e308, "to": 1e308}}}, "space.x: from -1e+308 to 1e+308 by 1 are more steps"),
        ({"space": {"x": {"from": 1, "to": 9, "step": 1e-320}}}, "space.x: from 1 to 9 by 1e-320 are more steps"),
        ({"space": {"x": {"from": 0, "to": 1, "log": True}}}, "space.x: log: true needs from above 0"),
        ({"space": {"x": {"choices": [1], "from": 2}}}, "space.x: give either choices"),
        ({"space": {"x": {"choices": [[1]]}}}, "space.x: the choice [1] needs a name"),
        ({"space": {"x": {"choices": [1], "when": {"y": [1]}}}}, "space.x.when: y is no choice that stands above"),
        ({"student": "nobody"}, "student: params has no student 'nobody'"),
        ({"minimise": "measure"}, "minimise: measure alone ends at a student that recognises nothing"),
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
    overrides = {"logit_cache": {"top_k": 1}, "student_augment.time_masks": 1}
    search = load_search(written(tmp_path, overrides=overrides))
    recipe = yaml.safe_load(recipe_yaml(search, next(random_points(search))))
    assert recipe["logit_cache"] == {"top_k": 1}
    assert recipe["student_augment"] == {"time_masks": 1}
    assert {*recipe} == {"logit_cache", "student_augment", "students"}
    applied = design()
    applied["params"] |= {"logit_cache": {"top_k": 1}, "student_augment": {"time_masks": 1}}
    assert search.digest == Search.model_validate(applied).digest


def test_latency_is_not_timed_beside_other_trainings(tmp_path: Path) -> None:
    file = written(tmp_path, measure="latency_ms")
    with pytest.raises(
        ParamsError, match=r"^measure: latency_ms would be timed beside other trainings of --jobs 2: set"
    ):
        run_search(file, tmp_path, jobs=2)
    with pytest.raises(ParamsError, match="latency_ms"):
        detach(file, tmp_path, trials=None, jobs=2)
    check_jobs(load_search(file), 1)
    check_jobs(load_search(written(tmp_path)), 2)
