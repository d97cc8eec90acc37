import json
from math import inf
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from workspace import RATE_HZ, make_params, make_workspace

from kd.audio.frontend import make_front_end
from tasks.checkpoint import load_checkpoint
from tasks.data.prepared import PreparedData
from tasks.onnx import cold_start, latency
from tasks.onnx.onnx_session import OnnxRecogniser
from tasks.params.pipeline import Params
from tasks.runner.paths import Paths
from tasks.runner.reporter import NullReporter
from tasks.stages import export, profile


def exported(
    root: Path, frontend_included: bool = False, forms: tuple[str, ...] = ("float32",)
) -> tuple[Params, Paths]:
    paths = make_workspace(root)
    params = make_params(export={"frontend_included": frontend_included, "forms": forms})
    for name in ("teacher", *params.students):
        export.run(params, paths, name)
    return params, paths


@pytest.mark.parametrize("frontend_included", [False, True], ids=["features", "audio"])
def test_times_every_model(tmp_path: Path, frontend_included: bool) -> None:
    params, paths = exported(tmp_path, frontend_included)
    metrics = profile.run(params, paths)
    timings = json.loads((paths.reports / "timings.json").read_text(encoding="utf-8"))
    assert list(timings["models"]) == ["teacher", "baseline", "distilled"]
    assert (timings["utterances"], timings["repeats"], timings["threads"]) == (5, 2, 1)
    for name, figures in timings["models"].items():
        assert 0 < figures["latency_ms_p50"] <= figures["latency_ms_p95"] < inf
        assert 0 < figures["rtf"] < inf
        assert 20 < figures["baseline_memory_mb"] < figures["peak_memory_mb"] < 500
        assert metrics[f"{name}/rtf"] == figures["rtf"]


@pytest.mark.parametrize("frontend_included", [False, True], ids=["features", "audio"])
def test_what_is_timed_is_the_whole_recogniser(tmp_path: Path, frontend_included: bool) -> None:
    _, paths = exported(tmp_path, frontend_included)
    files = profile._files(paths.export("teacher"), tmp_path / "frontend.onnx")["float32"]
    assert (files[1] is None) == frontend_included
    checkpoint, data = load_checkpoint(paths.model("teacher")), PreparedData.load(paths.prepared)
    samples = data.waveform(data.split("test")[0])
    lengths = torch.tensor([len(samples)])
    with torch.inference_mode():
        logits_BTV, _ = checkpoint.model(*make_front_end(checkpoint.frontend)(torch.from_numpy(samples)[None], lengths))
    np.testing.assert_allclose(OnnxRecogniser.load(*files)(samples), logits_BTV.log_softmax(2).numpy(), atol=1e-3)


def test_every_form_is_timed_and_the_table_takes_float32(tmp_path: Path) -> None:
    params, paths = exported(tmp_path, forms=("float32", "float16", "int8_dynamic"))
    profile.run(params, paths)
    timings = json.loads((paths.reports / "timings.json").read_text(encoding="utf-8"))
    for name in ("teacher", "baseline", "distilled"):
        forms = timings["forms"][name]
        assert forms.keys() >= {"float32", "float16", "int8_dynamic"}
        assert timings["models"][name] == forms["float32"]
        for figures in forms.values():
            assert 0 < figures["latency_ms_p50"] < inf
            assert 0 < figures["startup_ms"] < inf
            assert 20 < figures["baseline_memory_mb"] < figures["peak_memory_mb"] < 500


def test_models_take_turns_and_the_slow_one_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """By a clock that only the models move."""
    heard: list[tuple[str, int]] = []
    now_s = [7.0]
    monkeypatch.setattr(latency, "time", SimpleNamespace(perf_counter=lambda: now_s[0]))

    def model(name: str, seconds: float):
        def hear(samples: np.ndarray) -> None:
            heard.append((name, len(samples)))
            now_s[0] += seconds * len(samples)

        return hear

    samples = [np.zeros(n, np.float32) for n in (10, 20, 30)]
    seconds = latency.time_interleaved({"a": model("a", 0.001), "b": model("b", 0.02)}, samples, 2, NullReporter())
    timed = heard[2 * latency.WARM_UP :]
    assert [length for _, length in timed] == [10, 10, 20, 20, 30, 30] * 2
    assert [{name for name, _ in timed[i : i + 2]} for i in range(0, 12, 2)] == [{"a", "b"}] * 6
    assert {timed[0][0], timed[2][0]} == {"a", "b"}  # the first place turns
    assert seconds["a"] == pytest.approx([0.01, 0.02, 0.03])
    assert seconds["b"] == pytest.approx([0.2, 0.4, 0.6])


def test_hand_worked_figures() -> None:
    figures = profile.latency_figures(np.array([0.010, 0.020, 0.030]), [1.0, 2.0, 3.0])
    assert figures["latency_ms_p50"] == pytest.approx(20)
    assert figures["latency_ms_p95"] == pytest.approx(29)
    assert figures["rtf"] == pytest.approx(0.010)


def test_utterances_spread_over_all_lengths(tmp_path: Path) -> None:
    data = PreparedData.load(make_workspace(tmp_path).prepared)
    lengths = sorted(u.num_samples for u in data.split("test"))
    chosen = [u.num_samples for u in profile.spread_over_lengths(data.split("test"), 5)]
    assert len(chosen) == 5
    assert (chosen[0], chosen[-1]) == (lengths[0], lengths[-1])
    assert len(profile.spread_over_lengths(data.split("test"), 1000)) == len(lengths)


def test_peak_memory_is_the_models_and_not_its_parents(tmp_path: Path) -> None:
    _, paths = exported(tmp_path)
    files = profile._files(paths.export("baseline"), tmp_path / "frontend.onnx")["float32"]
    samples = np.zeros(RATE_HZ, np.float32)
    small = cold_start.measure(*files, samples, threads=1)
    ballast = np.ones(400_000_000, np.uint8)
    assert cold_start.peak_mb() > 400
    again = cold_start.measure(*files, samples, threads=1)
    assert ballast.sum() == 400_000_000
    assert abs(again["peak_memory_mb"] - small["peak_memory_mb"]) < 20
    long = cold_start.measure(*files, np.zeros(120 * RATE_HZ, np.float32), threads=1)
    assert long["peak_memory_mb"] > small["peak_memory_mb"] + 10


def test_the_start_is_counted_from_the_opening_of_the_files_to_the_first_result(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    now_s = [7.0]

    def load(*_: object) -> Any:
        now_s[0] += 2

        def hear(samples: np.ndarray) -> None:
            now_s[0] += len(samples)

        return hear

    monkeypatch.setattr(cold_start, "time", SimpleNamespace(perf_counter=lambda: now_s[0]))
    monkeypatch.setattr(cold_start, "OnnxRecogniser", SimpleNamespace(load=load))
    np.save(tmp_path / "samples.npy", np.zeros(3, np.float32))
    cold_start.main(["1", str(tmp_path / "samples.npy"), "model.onnx"])
    assert json.loads(capsys.readouterr().out)["startup_ms"] == pytest.approx(5000)


def test_a_file_that_cannot_run_is_named(tmp_path: Path) -> None:
    broken = tmp_path / "model.onnx"
    broken.write_bytes(b"no model")
    with pytest.raises(RuntimeError, match=r"model\.onnx cannot be run in a fresh process"):
        cold_start.measure(broken, None, np.zeros(10, np.float32), threads=1)


def test_a_missing_export_is_named(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="Run the stage export for each model first"):
        profile.run(make_params(), make_workspace(tmp_path))
