"""A student that shrinks while it is distilled: its files, its lineage, and the same end killed or not."""

import csv
import json
from pathlib import Path
from typing import Any

import pytest
from tiny_stages import LEARNS, Killed, KillingReporter, run_student, stage_params
from workspace import ENCODERS, make_workspace

from tasks.checkpoint import load_checkpoint
from tasks.params.pipeline import Params
from tasks.runner.paths import Paths
from tasks.stages import distil

WAYS: dict[str, dict[str, Any]] = {
    "gates": {"how": "gates", "dims": ["hidden"], "sparsity": 0.5, "of": "units", "epochs": 2},
    "taylor": {
        "how": "gradual", "epochs": 2, "steps": 2,
        "prune": {
            "op": "prune_units", "dims": ["hidden"], "sparsity": 0.5, "importance": {"by": "taylor", "batches": 2},
        },
    },
    "weights": {"how": "l1", "sparsity": 0.5, "epochs": 2},
}  # fmt: skip
FILES = ("config.json", "model.safetensors", "history.csv", "kept.json")


def params_of(way: str, problem: str, **changes: Any) -> Params:
    recipe = {"init": "random", "model": ENCODERS["baseline"] | {"hidden": 8}, "teacher": "teacher"}
    one = {**recipe, "objective": LEARNS, "shrink": WAYS[way], **changes}
    again = {"init": "one", "operators": [{"op": "slice", "keep": {"stem": 2}}], "teacher": "none"}
    return stage_params(problem, students={"one": one, "again": again})


def files_of(paths: Paths) -> list[bytes]:
    return [(paths.model("one") / file).read_bytes() for file in FILES]


@pytest.mark.parametrize(
    ("way", "problem"), [("gates", "keyword"), ("taylor", "transcription"), ("weights", "keyword")]
)
def test_a_killed_student_ends_as_small_as_one_that_was_not(way: str, problem: str, tmp_path: Path) -> None:
    paths, params = make_workspace(tmp_path, problem), params_of(way, problem)
    run_student(params, paths, "one")
    expected = files_of(paths)
    for kill_at in (1, 3):  # before the first cut, and after it
        with pytest.raises(Killed):
            distil.run(params, paths, "one", KillingReporter(tmp_path / f"scratch-{kill_at}", kill_at))
        metrics = distil.run(params, paths, "one", KillingReporter(tmp_path / f"scratch-{kill_at}"))
        assert files_of(paths) == expected
    assert metrics["best_epoch"] >= 2
    assert metrics["epochs"] == 4


def test_a_student_shrinks_while_it_imitates_its_teachers_states(tmp_path: Path) -> None:
    paths = make_workspace(tmp_path, "keyword")
    objective = {"label_weight": 1.0, "beta": 0.5, "distill": [{"name": "soft_targets"}, {"name": "features"}]}
    params = params_of("gates", "keyword", objective=objective)
    run_student(params, paths, "one")
    assert load_checkpoint(paths.model("one")).model.settings.encoder.model_dump()["hidden"] == (4,)


def test_what_went_is_written_down(tmp_path: Path) -> None:
    paths, params = make_workspace(tmp_path, "keyword"), params_of("gates", "keyword")
    run_student(params, paths, "one")
    there = load_checkpoint(paths.model("one"))
    assert there.model.settings.encoder.model_dump()["hidden"] == (4,)
    assert there.lineage == ("remove units by gates: layers.0.hidden 4/8",)
    kept = json.loads((paths.model("one") / "kept.json").read_text())
    assert [list(choice) for choice in kept] == [["layers.0.hidden"]]
    assert len(kept[0]["layers.0.hidden"]) == 4
    with (paths.model("one") / "history.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["phase"] for row in rows] == ["0.0", "0.0", "1.0", "1.0"]
    assert [bool(row["valid_keyword_error_at_cut"]) for row in rows] == [False, False, True, False]
    assert all(row["expected_sparsity"] and row["penalty"] and row["multiplier"] for row in rows[:2])
    assert float(rows[-1]["params"]) == sum(p.numel() for p in there.model.parameters()) < float(rows[0]["params"])
    run_student(params, paths, "again")
    assert not (paths.model("again") / "kept.json").exists(), "it did not shrink while it was trained"
    assert load_checkpoint(paths.model("again")).lineage[:2] == (*there.lineage, "from one")


def test_masks_are_those_that_grew(tmp_path: Path) -> None:
    paths, params = make_workspace(tmp_path, "keyword"), params_of("weights", "keyword")
    run_student(params, paths, "one")
    there = load_checkpoint(paths.model("one"))
    weights = sum(p.numel() for p in there.model.parameters() if p.ndim > 1)
    assert sum(int((mask == 0).sum()) for mask in there.masks.values()) == round(0.5 * weights)
    assert all(not there.model.get_parameter(name)[mask == 0].any() for name, mask in there.masks.items())


def test_a_recipe_that_does_not_shrink_is_written_as_ever() -> None:
    params = params_of("gates", "keyword")
    assert "shrink" not in params.students["again"].model_dump()
    assert params.students["one"].model_dump()["shrink"]["how"] == "gates"
