"""Stage `propagate`: a student's first weights, from random ones, a teacher or another student."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from tiny_stages import LEARNS, KillingReporter, same, stage_params, weights
from workspace import ENCODERS, make_workspace

from tasks.checkpoint import load_checkpoint
from tasks.params.pipeline import Params
from tasks.runner.paths import Paths
from tasks.stages import distil, propagate


def student(problem: str, operators: list[dict[str, Any]], init: str = "teacher") -> Params:
    recipe = {"init": init, "operators": operators, "teacher": "teacher", "objective": LEARNS}
    baseline = {"init": "random", "model": ENCODERS["baseline"], "teacher": "none"}
    return stage_params(problem, students={"one": recipe, "baseline": baseline})


@pytest.mark.parametrize("problem", ["transcription", "keyword"])
def test_random_weights_follow_the_seed_and_the_data(problem: str, tmp_path: Path) -> None:
    paths = make_workspace(tmp_path, problem)
    params = stage_params(problem)
    metrics = propagate.run(params, paths, "baseline")
    first = weights(paths.initial("baseline"))
    propagate.run(params, paths, "distilled")
    assert same(first, weights(paths.initial("distilled"))), "baseline and student begin alike"
    assert first["mean_F"].abs().min() > 0.1, "the features' statistics are set"
    assert metrics["params"] == sum(p.numel() for p in load_checkpoint(paths.initial("baseline")).model.parameters())
    assert {f.name for f in paths.initial("baseline").iterdir()} == {"config.json", "model.safetensors", "kept.json"}
    assert json.loads((paths.initial("baseline") / "kept.json").read_text()) == []


@pytest.mark.parametrize("problem", ["transcription", "keyword"])
def test_a_slice_is_part_of_the_teacher(problem: str, tmp_path: Path) -> None:
    paths = make_workspace(tmp_path, problem)
    params = student(problem, [{"op": "slice", "keep": {"width": 5, "layers": 1}, "choose": "last"}])
    reporter = KillingReporter()
    metrics = propagate.run(params, paths, "one", reporter)
    folder = paths.initial("one")
    kept = {"layers": [1], "width": [19, 20, 21, 22, 23]}
    assert json.loads((folder / "kept.json").read_text()) == [kept]
    source, initial = weights(paths.model("teacher")), load_checkpoint(folder)
    assert torch.equal(initial.model.head.weight, source["head.weight"][:, 19:])
    cell = "encoder.layers.{}.ahead.weight_ih_l0"
    assert torch.equal(weights(folder)[cell.format(0)], source[cell.format(1)][:, 19:])
    assert initial.lineage == ("from teacher", "slice last: layers 1/2, width 5/24")
    assert reporter.said == list(initial.lineage)
    assert (initial.role, initial.init, initial.objective) == ("student", "teacher", "none")
    assert initial.facts == {k: v for k, v in metrics.items() if k.startswith("initial_")}
    assert metrics.keys() == {"initial_valid_error", "initial_valid_loss", "params"}


def test_data_driven_pruning_is_the_same_each_time(tmp_path: Path) -> None:
    prune = {"op": "prune_weights", "sparsity": 0.5, "importance": {"by": "taylor", "batches": 2}}
    paths = make_workspace(tmp_path)
    found = []
    for by in ("taylor", "taylor", "gradient", "l1"):
        importance = {"by": by} if by == "l1" else {"by": by, "batches": 2}
        propagate.run(student("transcription", [{**prune, "importance": importance}]), paths, "one")
        found.append(load_checkpoint(paths.initial("one")).masks)
    taylor, again, gradient, magnitude = found
    assert same(taylor, again)
    assert not same(taylor, gradient)
    assert not same(taylor, magnitude)
    total = sum(m.numel() for m in taylor.values())
    assert sum(int((m == 0).sum()) for m in taylor.values()) == round(0.5 * total)


def test_masks_and_lineage_come_along_from_another_student(tmp_path: Path) -> None:
    paths = make_workspace(tmp_path)
    thin = {"op": "prune_weights", "sparsity": 0.5, "scope": "layer"}
    cut = {"op": "slice", "keep": {"width": 0.5}}
    recipe = {"teacher": "teacher", "objective": LEARNS}
    students = {
        "thin": {"init": "teacher", "operators": [thin], **recipe},
        "cut": {"init": "thin", "operators": [cut], **recipe},
    }
    params = stage_params("transcription", students=students)
    for name in ("thin", "cut"):
        propagate.run(params, paths, name)
        distil.run(params, paths, name)
    first, last = load_checkpoint(paths.model("thin")), load_checkpoint(paths.initial("cut"))
    assert last.lineage == (*first.lineage, "from thin", "slice by l2: width 12/24")
    parameters = dict(last.model.named_parameters())
    assert last.masks
    for name, mask in last.masks.items():
        assert mask.shape == parameters[name].shape
        assert not parameters[name][mask == 0].any()


@pytest.mark.parametrize(
    ("operator", "message"),
    [
        (
            {"op": "slice", "keep": {"layers": 9}},
            r"students.one.operators: slice keeps 9 of 'layers', which has only 2",
        ),
        ({"op": "prune_units", "dims": ["heads"], "sparsity": 0.5}, "students.one.operators: rnn has no dimension"),
        ({"op": "prune_weights", "threshold": 1e6}, r"students.one.operators: threshold 1000000.0 leaves no weight"),
    ],
)
def test_what_cannot_be_done_names_the_student(operator: dict[str, Any], message: str, tmp_path: Path) -> None:
    """A teacher from a checkpoint: params cannot know its shape, so the stage says it."""
    paths = make_workspace(tmp_path)
    recipe = {"init": "teacher", "operators": [operator], "teacher": "teacher", "objective": LEARNS}
    checkpoint = {"source": "checkpoint", "path": "models/teacher"}
    params = stage_params("transcription", teacher=checkpoint, students={"one": recipe})
    with pytest.raises(ValueError, match=message):
        propagate.run(params, paths, "one")
    assert not paths.initial("one").exists()


def test_a_missing_source_is_named(tmp_path: Path) -> None:
    paths = make_workspace(tmp_path)
    params = student("transcription", [], init="baseline")
    (paths.model("baseline") / "config.json").unlink()
    with pytest.raises(ValueError, match=r"is no model: config\.json is missing"):
        propagate.run(params, Paths(tmp_path), "one")
