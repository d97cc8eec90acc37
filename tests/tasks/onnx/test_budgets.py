"""Budgets in the stage propagate: met by the model, and by the file that is exported of it."""

import itertools
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from exportable import FRONTEND
from tiny_stages import LEARNS, stage_params
from workspace import ENCODERS, make_workspace

from kd.config.models import ModelSettings
from kd.config.propagation import Budget, PruneUnits
from kd.models import build
from kd.models.macs import count_params, macs_per_audio_second
from kd.propagation import Propagated
from kd.propagation import propagate as kd_propagate
from tasks.checkpoint import Checkpoint, load_checkpoint
from tasks.data.prepared import PreparedData
from tasks.onnx import latency
from tasks.onnx.budgets import cost_for, fitted, sampled, shrunk
from tasks.onnx.onnx_session import OnnxRecogniser
from tasks.params.pipeline import Params
from tasks.runner.paths import Paths
from tasks.stages import distil, export, propagate

DIMS: Any = ("layers", "width", "stem", "hidden")


def student(budget: dict[str, float]) -> Params:
    operator = {"op": "prune_units", "dims": list(DIMS), "budget": budget}
    recipe = {"init": "teacher", "operators": [operator], "teacher": "teacher", "objective": LEARNS}
    baseline = {"init": "random", "model": ENCODERS["baseline"], "teacher": "none"}
    return stage_params("transcription", students={"one": recipe, "baseline": baseline})


FRONTEND_OF_STAGES = student({"params": 1}).frontend


def halfway(paths: Paths, measure: str) -> float:
    """Between what the teacher costs and the smallest that can be made of it."""
    settings = load_checkpoint(paths.model("teacher")).model.settings
    data = PreparedData.load(paths.prepared)
    cost = cost_for(student({"params": 1}).frontend, data, settings, DIMS, Budget(**{measure: 10**6}))
    real = cost.check or cost.of
    return round((real(settings) + real(shrunk(settings, DIMS, 0.01))) / 2)


@pytest.mark.parametrize("measure", ["params", "macs_per_audio_second", "size_bytes"])
def test_the_stage_meets_a_budget(measure: str, tmp_path: Any) -> None:
    paths = make_workspace(tmp_path)
    most = halfway(paths, measure)
    params = student({measure: most})
    propagate.run(params, paths, "one")
    made = load_checkpoint(paths.initial("one"))
    if measure == "params":
        found = float(count_params(made.model)[0])
    elif measure == "macs_per_audio_second":
        found = macs_per_audio_second(made.model, made.model.settings, made.frontend)
    else:
        distil.run(params, paths, "one")
        export.run(params, paths, "one")
        found = (paths.export("one") / "model.onnx").stat().st_size
    assert 0.75 * most <= found <= most
    assert f"to budget {measure}" in made.lineage[-1]


@pytest.mark.parametrize("how", ["group_lasso", "gradual"])
@pytest.mark.parametrize("measure", ["macs_per_audio_second", "size_bytes"])
def test_a_student_that_shrinks_meets_a_budget(measure: str, how: str, tmp_path: Any) -> None:
    paths = make_workspace(tmp_path)
    budget = {measure: halfway(paths, measure)}
    amount: dict[str, Any] = {"dims": list(DIMS[1:]), "budget": budget}
    if how == "gradual":
        amount = {"steps": 2, "prune": {"op": "prune_units", "importance": {"by": "taylor", "batches": 1}, **amount}}
    shrink = {"how": how, "epochs": 2, **amount}
    recipe = {"init": "teacher", "shrink": shrink, "teacher": "teacher", "objective": LEARNS}
    baseline = {"init": "random", "model": ENCODERS["baseline"], "teacher": "none"}
    params = stage_params("transcription", students={"one": recipe, "baseline": baseline})
    propagate.run(params, paths, "one")
    distil.run(params, paths, "one")
    made = load_checkpoint(paths.model("one"))
    if measure == "size_bytes":
        export.run(params, paths, "one")
        found = float((paths.export("one") / "model.onnx").stat().st_size)
    else:
        found = macs_per_audio_second(made.model, made.model.settings, made.frontend)
    assert 0.75 * budget[measure] <= found <= budget[measure]
    assert f"to budget {measure} {budget[measure]:,}" in made.lineage[-1]


def test_a_cost_table_finds_what_time_is_made_of() -> None:
    """Times that are a sum of what the table knows are found again, at sizes that were not timed."""
    settings = ModelSettings.model_validate({
        "problem": "transcription", "num_features": FRONTEND.num_mels, "num_outputs": 9,
        "encoder": {"family": "cnn", "stem": 16, "width": 24, "layers": 4, "hidden": 40, "kernel": 5},
    })  # fmt: skip

    def time_ms(asked: ModelSettings) -> float:
        model = build(asked)
        return 0.3 + 1e-6 * macs_per_audio_second(model, asked, FRONTEND) + 0.2 * asked.encoder.layers

    estimate = fitted(time_ms, sampled(settings, DIMS), FRONTEND)
    for share in (0.9, 0.6, 0.35):
        unseen = shrunk(settings, DIMS, share)
        assert estimate(unseen) == pytest.approx(time_ms(unseen), rel=0.02)


def wide(data: PreparedData) -> ModelSettings:
    return ModelSettings.model_validate({
        "problem": "transcription", "num_features": FRONTEND_OF_STAGES.num_mels, "num_outputs": len(data.vocabulary),
        "encoder": {"family": "cnn", "stem": 64, "width": 128, "layers": 4, "hidden": 256, "kernel": 5},
    })  # fmt: skip


def test_a_latency_is_met_as_it_is_measured(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """On a machine made up: what it measures is a sum of what the table knows, but for jumps, as caches make them."""

    def latency_ms(file: Path, checkpoint: Checkpoint, _: PreparedData) -> float:
        macs = macs_per_audio_second(checkpoint.model, checkpoint.model.settings, checkpoint.frontend)
        return 0.2 + 1e-8 * macs + 0.2 * (file.stat().st_size // 150_000)

    monkeypatch.setattr("tasks.onnx.cost.latency_ms", latency_ms)
    data = PreparedData.load(make_workspace(tmp_path).prepared)
    settings = wide(data)
    cost = cost_for(FRONTEND_OF_STAGES, data, settings, DIMS, Budget(latency_ms=1.0))
    assert cost.check is not None
    whole, smallest = cost.check(settings), cost.check(shrunk(settings, DIMS, 0.001))
    assert whole > smallest > 0
    half = shrunk(settings, DIMS, 0.6)
    assert abs(cost.of(half) - cost.check(half)) > 0.01, "the table knows no jumps"
    most = (whole + smallest) / 2
    operator = PruneUnits(op="prune_units", dims=DIMS, budget=Budget(latency_ms=most))
    made = kd_propagate(Propagated(build(settings).eval()), [operator], costs=lambda *_: cost).model
    assert 0.75 * most <= cost.check(made.settings) <= most


def test_a_latency_is_that_of_the_exported_file_by_the_clock(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of a clock that goes on by itself 1 ms with each look, and 5 ms with each utterance that a file hears."""
    looks, heard, hear = itertools.count(), [0], OnnxRecogniser.__call__

    def counted(self: OnnxRecogniser, samples: Any) -> Any:
        heard[0] += 1
        return hear(self, samples)

    clock = SimpleNamespace(perf_counter=lambda: (next(looks) + 5 * heard[0]) / 1000)
    monkeypatch.setattr(latency, "time", clock)
    monkeypatch.setattr(OnnxRecogniser, "__call__", counted)
    data = PreparedData.load(make_workspace(tmp_path).prepared)
    settings = shrunk(wide(data), DIMS, 0.1)
    cost = cost_for(FRONTEND_OF_STAGES, data, settings, DIMS, Budget(latency_ms=1.0))
    assert cost.check is not None
    before = heard[0]
    assert cost.check(settings) == pytest.approx(6)
    assert cost.check(settings) == pytest.approx(6)
    assert heard[0] == before > 0, "each size is timed once"
