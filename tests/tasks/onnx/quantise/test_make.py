"""Forms of a model in a project: made, held at the gate, put away; a touchy layer is found and left in float."""

import json
from hashlib import md5
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import torch
from workspace import make_params, make_workspace

from kd.audio.frontend import make_front_end
from tasks.checkpoint import Checkpoint, load_checkpoint, save_checkpoint
from tasks.data.prepared import PreparedData, Utterance
from tasks.metric_names import error_name
from tasks.onnx.form_files import files_of, read_released
from tasks.onnx.quantise.mixed import first_that_passes
from tasks.params.pipeline import Params
from tasks.runner.paths import Paths
from tasks.stages import evaluate, export

ALL = ("float32", "float16", "int8_dynamic", "int8_static")
LENIENT, HARSH = {"kind": "absolute", "value": 0.99}, {"kind": "absolute", "value": 1e-9}


def params_of(problem: str, margin: dict[str, Any], **changes: Any) -> Params:
    return make_params(
        problem, export={"forms": ALL, "calibration_utterances": 4, **changes}, evaluation={"margin": margin}
    )


def made(root: Path, margin: dict[str, Any], problem: str = "transcription", **changes: Any) -> tuple[Params, Paths]:
    params, paths = params_of(problem, margin, **changes), make_workspace(root, problem)
    export.run(params, paths, "teacher")
    return params, paths


@pytest.mark.parametrize("frontend_included", [False, True], ids=["features", "audio"])
@pytest.mark.parametrize("problem", ["transcription", "keyword"])
def test_forms_within_the_margin_are_released(tmp_path: Path, problem: str, frontend_included: bool) -> None:
    params, paths = made(tmp_path, LENIENT, problem, frontend_included=frontend_included)
    folder = paths.export("teacher")
    released = read_released(folder)
    assert {form: facts["released"] for form, facts in released["forms"].items()} == dict.fromkeys(ALL, True)
    assert [file.name for file in files_of(folder).values()] == [
        "model.onnx", "model.fp16.onnx", "model.int8_dynamic.onnx", "model.int8_static.onnx",
    ]  # fmt: skip
    assert all(file.is_file() for file in files_of(folder).values())
    assert not (folder / "refused").exists()
    best = folder / released["forms"][released["best_int8"]]["file"]
    assert (folder / "model.int8.onnx").read_bytes() == best.read_bytes()
    errors = {form: facts["valid_error"] for form, facts in released["forms"].items() if form.startswith("int8")}
    assert errors[released["best_int8"]] == min(errors.values())
    described = json.loads((folder / "export.json").read_text(encoding="utf-8"))["forms"]
    for form, facts in described.items():
        assert facts["size_bytes"] == files_of(folder)[form].stat().st_size
        assert any("GRU" in layer for layer in facts["layers_in_float32"]) == (form != "float16")
        assert facts["divergence_nats"] == 0 if form == "float32" else 0 <= facts["divergence_nats"] < 0.1
        assert 0 < facts["same_best_unit"] <= 1
    assert described["float16"]["parity"]["max_abs_difference"] <= described["float16"]["parity"]["allowed"]
    metrics = evaluate.run(params, paths, "teacher")
    assert {f"{form}/test_error" for form in ALL[1:]} <= metrics.keys()


def test_errors_of_the_float32_file_are_those_of_pytorch(tmp_path: Path) -> None:
    params, paths = made(tmp_path, LENIENT)
    metrics = evaluate.run(params, paths, "teacher")
    folder = paths.evaluation("teacher")
    found = json.loads((folder / "forms.json").read_text(encoding="utf-8"))["forms"]
    for key in ("test_wer", "test_wer_low", "test_wer_high", "valid_wer"):
        assert found["float32"][key] == metrics[error_name(key, "error")]
    assert found["float32"]["rise"] == 0
    table = pd.read_parquet(folder / "forms.parquet")
    theirs = pd.read_parquet(folder / "utterances.parquet").set_index("id")
    ours = table[table["form"] == "float32"].set_index("id")
    assert ours["hypothesis"].to_dict() == theirs["hypothesis"].to_dict()
    for form, facts in found.items():
        part = table[(table["form"] == form) & (table["split"] == "test")]
        assert facts["test_wer"] == part["errors"].sum() / part["reference_units"].sum()
        assert facts["rise"] == pytest.approx(facts["test_wer"] - found["float32"]["test_wer"])
        assert facts["released"] is True


def test_what_errs_more_is_put_aside(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tasks.onnx.quantise.gate.rise", rise_of_eight_bits)
    _, paths = made(tmp_path, HARSH, mixed=False)
    folder = paths.export("teacher")
    released = read_released(folder)
    assert released["best_int8"] is None
    assert not (folder / "model.int8.onnx").exists()
    assert sorted(file.name for file in (folder / "refused").iterdir()) == [
        "model.int8_dynamic.onnx", "model.int8_static.onnx",
    ]  # fmt: skip
    assert released["forms"]["int8_static"]["file"] == "refused/model.int8_static.onnx"
    assert released["forms"]["int8_static"]["reason"] == "error rate +50.00 points, beyond the 0.00 allowed"
    assert released["tried"] == []


def rise_of_eight_bits(table: pd.DataFrame, form: str, confidence: float) -> Any:
    from kd.stats import Interval

    return Interval(0.5 if form.startswith("int8") else 0.0, 0.0, 0.6, "made up")


def test_fewest_layers_that_suffice() -> None:
    seen: list[tuple[str, ...]] = []

    def passes(left: Any) -> bool:
        seen.append(tuple(left))
        return "c" in left

    assert first_that_passes("abcdefgh", passes) == tuple("abcd")
    assert seen == [tuple("a"), tuple("ab"), tuple("abcd")]
    assert first_that_passes("ab", passes) is None


def test_a_second_run_leaves_nothing_of_the_first(tmp_path: Path) -> None:
    _, paths = made(tmp_path, LENIENT)
    folder = paths.export("teacher")
    before = {file.name: md5(file.read_bytes()).hexdigest() for file in folder.iterdir()}
    export.run(params_of("transcription", LENIENT), paths, "teacher")
    assert {file.name: md5(file.read_bytes()).hexdigest() for file in folder.iterdir()} == before
    (folder / "refused").mkdir()
    export.run(make_params(), paths, "teacher")
    assert sorted(file.name for file in folder.iterdir()) == [
        "export.json", "model.onnx", "released.json", "tokens.txt",
    ]  # fmt: skip
    assert list(read_released(folder)["forms"]) == ["float32"]


def test_an_export_of_before_is_named(tmp_path: Path) -> None:
    _, paths = made(tmp_path, LENIENT)
    (paths.export("teacher") / "released.json").unlink()
    with pytest.raises(ValueError, match=r"released\.json is missing.*Run the stage export"):
        files_of(paths.export("teacher"))


def balanced_and_spoiled(paths: Paths) -> None:
    """A model that hears each keyword now and then, is right about all, and has one layer that 8 bits ruin.

    A hidden unit that is always 0 meets weights so large that the others of their channel vanish beside them.
    """
    checkpoint, data = load_checkpoint(paths.model("teacher")), PreparedData.load(paths.prepared)
    layer = checkpoint.model.encoder.layers[1]
    hidden = layer.ahead.hidden_size
    with torch.no_grad():
        for tensor in layer.ahead.parameters():
            tensor[[0, hidden, 2 * hidden]] = 0
        layer.project.weight *= 8
        layer.project.weight[:, 0] = 1e5
        logits_NV = torch.cat([heard(checkpoint, data, u) for u in data.utterances])
        checkpoint.model.head.bias -= logits_NV.mean(0)
    save_checkpoint(paths.model("teacher"), checkpoint)
    table = pd.read_parquet(paths.prepared / "utterances.parquet")
    said = [data.vocabulary.tokens[int(heard(checkpoint, data, u).argmax())] for u in data.utterances]
    table.assign(text=said).to_parquet(paths.prepared / "utterances.parquet")


def heard(checkpoint: Checkpoint, data: PreparedData, utterance: Utterance) -> torch.Tensor:
    samples = torch.from_numpy(data.waveform(utterance))[None]
    with torch.inference_mode():
        logits: torch.Tensor = checkpoint.model(
            *make_front_end(checkpoint.frontend)(samples, torch.tensor([samples.shape[1]]))
        )[0]
    return logits[:, 0]


def test_a_touchy_layer_is_found_and_left_in_float(tmp_path: Path) -> None:
    params, paths = params_of("keyword", {"kind": "absolute", "value": 0.1}), make_workspace(tmp_path, "keyword", 48)
    balanced_and_spoiled(paths)
    export.run(params, paths, "teacher")
    folder, touchy = paths.export("teacher"), "/model/encoder/layers.1/project/MatMul"
    released = read_released(folder)
    assert {form: facts["released"] for form, facts in released["forms"].items()} == {
        "float32": True, "float16": False, "int8_dynamic": False, "int8_static": False, "int8_mixed": True,
    }  # fmt: skip
    assert "differ from PyTorch's by up to nan" in released["forms"]["float16"]["reason"], "1e5 has no 16 bits"
    ranks, attempt = released["tried"]
    touchiest, second, *_ = ranks["divergence_nats_of_one_layer"].items()
    assert touchiest[0] == touchy
    assert touchiest[1] > 100 * second[1]
    assert (attempt["left_in_float"], attempt["released"]) == ([touchy], True)
    described = json.loads((folder / "export.json").read_text(encoding="utf-8"))["forms"]["int8_mixed"]
    assert touchy in described["layers_in_float32"]
    assert 0 < described["share_of_weights_8_bit"] < 0.9
    assert (folder / "model.int8.onnx").read_bytes() == (folder / "model.int8_mixed.onnx").read_bytes()
