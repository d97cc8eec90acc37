"""Stage `distil`: students learn, keep their zeros, and end the same whether killed or not."""

import json
from pathlib import Path
from typing import Any

import onnx
import pytest
import torch
from tiny_stages import LEARNS, Killed, KillingReporter, run_student, same, stage_params, weights
from workspace import ENCODERS, make_workspace

from kd.losses import DISTILL_LOSSES
from kd.training.qat import rounded_weight
from tasks.checkpoint import load_checkpoint
from tasks.metric_names import ERROR_KINDS
from tasks.stages import cache_logits, distil, export, propagate

FAMILIES: dict[str, dict[str, Any]] = {
    "cnn": {"family": "cnn", "stem": 4, "width": 6, "layers": 1, "hidden": 5, "kernel": 3},
    "lstm": {"family": "rnn", "cell": "lstm", "bidirectional": False, "stem": 4, "width": 6, "layers": 1, "hidden": 5},
    "conformer": {
        "family": "conformer", "stem": 4, "width": 6, "layers": 1, "heads": 2, "head_dim": 4, "feed_forward_1": 5,
        "feed_forward_2": 5, "channels": 5, "kernel": 3,
    },
    "patch_cnn": {"family": "patch_cnn", "frames": 32, "channels": [2, 3], "hidden": 6},
}  # fmt: skip


@pytest.mark.parametrize("problem", ["transcription", "keyword"])
def test_every_recipe_gives_its_role_and_files(problem: str, tmp_path: Path) -> None:
    paths = make_workspace(tmp_path, problem)
    params = stage_params(problem)
    roles = {}
    for name in params.students:
        propagate.run(params, paths, name)
        metrics = distil.run(params, paths, name)
        folder = paths.model(name)
        config = json.loads((folder / "config.json").read_text())
        roles[name] = (config["role"], config["init"], config["objective"])
        files = {"config.json", "model.safetensors", "history.csv"}
        assert {f.name for f in folder.iterdir()} == files | ({"masks.safetensors"} if name == "pruned" else set())
        assert metrics["epochs"] == 4
        assert not same(weights(folder), weights(paths.initial(name))), "it learnt"
        assert f"initial_valid_{ERROR_KINDS[problem]}" in config["facts"]
    assert roles == {
        "baseline": ("baseline", "random", "labels"),
        "distilled": ("student", "random", "labels + teacher"),
        "sliced": ("student", "teacher", "labels + teacher"),
        "pruned": ("student", "sliced", "teacher"),
    }
    pruned = load_checkpoint(paths.model("pruned"))
    assert pruned.lineage[:2] == (
        "from teacher",
        "slice by l2: layers 1/2, width 12/24, layers.0.hidden 12/24, layers.1.hidden 12/24",
    )
    parameters = dict(pruned.model.named_parameters())
    dead = sum(int((mask == 0).sum()) for mask in pruned.masks.values())
    assert dead == round(0.5 * sum(mask.numel() for mask in pruned.masks.values()))
    assert all(not parameters[name][mask == 0].any() for name, mask in pruned.masks.items())


@pytest.mark.parametrize("name", ["distilled", "pruned"])
@pytest.mark.parametrize("problem", ["transcription", "keyword"])
def test_a_killed_run_ends_as_if_never_killed(problem: str, name: str, tmp_path: Path) -> None:
    paths, params = make_workspace(tmp_path, problem), stage_params(problem)
    if name == "pruned":
        run_student(params, paths, "sliced")
    propagate.run(params, paths, name)
    distil.run(params, paths, name)
    files = ("model.safetensors", "config.json", "history.csv")
    expected = [(paths.model(name) / file).read_bytes() for file in files]
    for kill_at in (2, None):
        reporter = KillingReporter(tmp_path / "scratch", kill_at)
        if kill_at is None:
            distil.run(params, paths, name, reporter)
            assert list(reporter.curves) == [2, 3]
        else:
            (paths.model(name) / "model.safetensors").unlink()
            with pytest.raises(Killed):
                distil.run(params, paths, name, reporter)
    assert [(paths.model(name) / file).read_bytes() for file in files] == expected


TWO_LAYERS = {**ENCODERS["baseline"], "layers": 2}
HYPOTHESES = {"name": "hypotheses", "n_best": 2, "beam": 4}
OBJECTIVES: dict[str, dict[str, Any]] = {
    "several losses and schedules": {
        "beta": {"from": 0.1, "to": 1, "epochs": 2},
        "distill": [{"name": "soft_targets", "temperature": {"from": 4, "to": 1, "epochs": 3}}, HYPOTHESES],
    },
    "two views": {"beta": 0.5, "self_distillation": [{"name": "cr_ctc"}]},
    "inner layers": {"beta": 0.5, "self_distillation": [{"name": "intermediate_ctc", "head": "own"}]},
    "hypotheses and states": {
        "beta": 1,
        "distill": [HYPOTHESES, {"name": "features"}],
        "self_distillation": [{"name": "cr_ctc"}],
    },
    "hypotheses alone": {"label_weight": 0, "beta": 1, "distill": HYPOTHESES},
}


CNN = {"family": "cnn", "stem": 4, "width": 6, "layers": 3, "hidden": 5, "kernel": 3}
STATES: dict[str, dict[str, Any]] = {
    "features": {"distill": {"name": "features"}},
    "features and soft targets": {"distill": [{"name": "features", "weight": 0.5}, {"name": "soft_targets"}]},
    "relational and features": {"distill": [{"name": "relational"}, {"name": "features", "pairs": [[1, 1], [3, 1]]}]},
}


@pytest.mark.parametrize("case", STATES)
@pytest.mark.parametrize("problem", ["transcription", "keyword"])
def test_a_student_of_another_family_learns_from_inner_states(problem: str, case: str, tmp_path: Path) -> None:
    """A cnn of a GRU, killed or not; the projections are gone from what is saved, and no output is stored."""
    paths = make_workspace(tmp_path, problem)
    objective = {"label_weight": 0, "beta": 1, **STATES[case]}
    recipe = {"init": "random", "model": CNN, "teacher": "teacher", "objective": objective}
    params = stage_params(problem, students={"one": recipe}, student_augment={"speeds": [0.9, 1.0]})
    assert cache_logits.run(params, paths)["computed"] == 0
    propagate.run(params, paths, "one")
    plain, reporter = KillingReporter(), KillingReporter(tmp_path / "scratch", 2)
    distil.run(params, paths, "one", plain)
    first, last = plain.curves[0], plain.curves[3]
    curves = [f"{name}_loss" for name in DISTILL_LOSSES if f"{name}_loss" in first]
    assert len(curves) == (1 if case == "features" else 2), "a curve for each"
    assert {"spike_f1", "teacher_entropy"} <= first.keys(), "diagnosed as any other"
    learnt = [curve for curve in [*curves, "distill_loss"] if curve != "relational_loss"]  # noise has few relations
    assert all(last[curve] < first[curve] for curve in learnt)
    expected = {file.name: file.read_bytes() for file in paths.model("one").iterdir()}
    assert weights(paths.model("one")).keys() == weights(paths.initial("one")).keys()
    with pytest.raises(Killed):
        distil.run(params, paths, "one", reporter)
    distil.run(params, paths, "one", KillingReporter(tmp_path / "scratch"))
    assert {file.name: file.read_bytes() for file in paths.model("one").iterdir()} == expected


@pytest.mark.parametrize("problem", ["transcription", "keyword"])
def test_an_export_has_no_projection(problem: str, tmp_path: Path) -> None:
    """Of the teacher's width there is nothing in the student's file."""
    paths = make_workspace(tmp_path, problem)
    objective = {"beta": 1, "distill": [{"name": "features"}, {"name": "relational"}]}
    recipe = {"init": "random", "model": CNN, "teacher": "teacher", "objective": objective}
    params = stage_params(problem, students={"one": recipe})
    run_student(params, paths, "one")
    assert export.run(params, paths, "one")["parity_max_abs_difference"] <= 1e-4
    tensors = onnx.load(paths.export("one") / "model.onnx").graph.initializer
    assert not any(ENCODERS["teacher"]["width"] in tensor.dims for tensor in tensors)
    assert any(CNN["width"] in tensor.dims for tensor in tensors)


@pytest.mark.parametrize(
    ("student", "teacher"), [("patch_cnn", "cnn"), ("lstm", "patch_cnn"), ("patch_cnn", "patch_cnn")]
)
def test_one_frame_meets_many(student: str, teacher: str, tmp_path: Path) -> None:
    paths = make_workspace(tmp_path, "keyword")
    big = {"init": "random", "model": FAMILIES[teacher], "teacher": "none"}
    objective = {"beta": 1, "distill": [{"name": "features"}, {"name": "relational"}]}
    small = {"init": "random", "model": FAMILIES[student], "teacher": "big", "objective": objective}
    params = stage_params("keyword", students={"big": big, "small": small})
    run_student(params, paths, "big")
    propagate.run(params, paths, "small")
    reporter = KillingReporter()
    distil.run(params, paths, "small", reporter)
    assert reporter.curves[3]["features_loss"] < reporter.curves[0]["features_loss"]


@pytest.mark.parametrize("case", OBJECTIVES)
def test_every_objective_learns_and_ends_the_same_killed_or_not(case: str, tmp_path: Path) -> None:
    paths = make_workspace(tmp_path)
    recipe = {"init": "random", "model": TWO_LAYERS, "teacher": "teacher", "objective": OBJECTIVES[case]}
    params = stage_params("transcription", students={"one": recipe})
    run_student(params, paths, "one")
    files = ("model.safetensors", "config.json", "history.csv")
    expected = [(paths.model("one") / file).read_bytes() for file in files]
    assert not same(weights(paths.model("one")), weights(paths.initial("one")))
    assert weights(paths.model("one")).keys() == weights(paths.initial("one")).keys(), (
        "nothing beside the model is kept"
    )
    with pytest.raises(Killed):
        distil.run(params, paths, "one", KillingReporter(tmp_path / "scratch", 2))
    reporter = KillingReporter(tmp_path / "scratch")
    distil.run(params, paths, "one", reporter)
    assert list(reporter.curves) == [2, 3]
    assert [(paths.model("one") / file).read_bytes() for file in files] == expected


def test_distilling_draws_the_student_to_its_teacher(tmp_path: Path) -> None:
    paths = make_workspace(tmp_path)
    recipe = {
        "init": "random",
        "model": ENCODERS["baseline"],
        "teacher": "teacher",
        "objective": {"label_weight": 0, "beta": 1},
    }
    params = stage_params("transcription", students={"one": recipe})
    propagate.run(params, paths, "one")
    reporter = KillingReporter()
    distil.run(params, paths, "one", reporter)
    assert reporter.curves[3]["distill_loss"] < 0.8 * reporter.curves[0]["distill_loss"]
    assert reporter.curves[3]["label_loss"] == 0


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("problem", ["transcription", "keyword"])
def test_every_family_learns_from_a_teacher_of_another(problem: str, family: str, tmp_path: Path) -> None:
    if (problem, family) == ("transcription", "patch_cnn"):
        pytest.skip("patch_cnn does not transcribe, and params refuse it")
    paths = make_workspace(tmp_path, problem)
    recipe = {"init": "random", "model": FAMILIES[family], "teacher": "teacher", "objective": LEARNS}
    params = stage_params(problem, students={"one": recipe})
    run_student(params, paths, "one")
    state = weights(paths.model("one"))
    assert all(tensor.isfinite().all() for tensor in state.values())
    assert not torch.equal(state["head.weight"], weights(paths.initial("one"))["head.weight"])


@pytest.mark.parametrize("subsampling", [1, 2])
def test_a_faster_student_learns_from_a_slower_teacher(subsampling: int, tmp_path: Path) -> None:
    paths = make_workspace(tmp_path)
    model = {**ENCODERS["baseline"], "subsampling": subsampling}
    recipe = {"init": "random", "model": model, "teacher": "teacher", "objective": {"label_weight": 0, "beta": 1}}
    params = stage_params("transcription", students={"one": recipe})
    propagate.run(params, paths, "one")
    reporter = KillingReporter()
    distil.run(params, paths, "one", reporter)
    assert reporter.curves[3]["distill_loss"] < reporter.curves[0]["distill_loss"]


def test_a_slower_student_learns_from_a_faster_teacher(tmp_path: Path) -> None:
    paths = make_workspace(tmp_path)
    fast = {"init": "random", "model": {**ENCODERS["teacher"], "subsampling": 2}, "teacher": "none"}
    slow = {"init": "random", "model": ENCODERS["baseline"], "teacher": "fast"}
    objective = {"label_weight": 0, "beta": 1, "align": "strongest", "distill": {"name": "shift_tolerant"}}
    params = stage_params("transcription", students={"fast": fast, "slow": {**slow, "objective": objective}})
    run_student(params, paths, "fast")
    propagate.run(params, paths, "slow")
    reporter = KillingReporter()
    distil.run(params, paths, "slow", reporter)
    assert reporter.curves[3]["distill_loss"] < reporter.curves[0]["distill_loss"]


def test_a_student_trained_with_qat_is_another_and_is_kept_in_float(tmp_path: Path) -> None:
    """Its epochs are judged in 8 bits, and what is saved are the weights before rounding."""
    paths = make_workspace(tmp_path)
    plain = stage_params("transcription")
    training = plain.student_training.model_copy(update={"qat": "int8"})
    run_student(plain, paths, "baseline")
    before = weights(paths.model("baseline"))
    run_student(plain.model_copy(update={"student_training": training}), paths, "baseline")
    after = weights(paths.model("baseline"))
    assert not same(before, after)
    head = after["head.weight"]
    assert not torch.equal(head, rounded_weight(head))
