"""Whisper's encoder through the stages: fine-tuned, sliced, gated, distilled, exported and scored."""

from pathlib import Path
from typing import Any

import pytest
import torch
from tiny_stages import TRAINING, KillingReporter, weights
from whisper_oracle import whisper_workspace
from workspace import STILL, make_params

from kd.audio.frontend import make_front_end
from kd.config.frontend import FrontEndSettings
from kd.config.models import WhisperSettings
from kd.runtime.recogniser import Recogniser
from tasks.checkpoint import load_checkpoint
from tasks.data.prepared import PreparedData
from tasks.onnx.onnx_decoder import OnnxDecoder
from tasks.params.errors import ParamsError
from tasks.params.load import load_params
from tasks.params.pipeline import Params
from tasks.runner.paths import Paths
from tasks.stages import distil, evaluate, export, fine_tune, propagate, teacher

pytest.importorskip("transformers", reason="make test installs it (requirements-test.lock)")

SHARP = {"label_weight": 1.0, "beta": 1.0}
STUDENTS: dict[str, Any] = {
    "sliced": {
        "init": "teacher", "teacher": "teacher", "objective": SHARP,
        "operators": [{"op": "slice", "keep": {"layers": 2, "heads": 2, "width": 12, "feed_forward": 0.5, "stem": 10}}],
    },
    "gated": {
        "init": "teacher", "teacher": "teacher",
        "objective": {**SHARP, "distill": [{"name": "soft_targets"}, {"name": "features"}]},
        "shrink": {"how": "gates", "dims": ["heads", "feed_forward", "width", "stem"], "sparsity": 0.4, "epochs": 2},
    },
    "from_raw": {"init": "raw", "teacher": "teacher", "objective": SHARP},
    "other_ears": {
        "init": "random", "teacher": "teacher", "objective": SHARP, "frontend": {"num_mels": 20},
        "model": {"family": "cnn", "stem": 4, "width": 6, "layers": 1, "hidden": 5, "subsampling": 2},
    },
}  # fmt: skip


def params(**changes: Any) -> Params:
    training = {**TRAINING, "epochs": 3, "batch_seconds": 1.5}
    fine_tune = {"training": {**training, "head_lr": 0.02, "layer_decay": 0.9, "frozen_epochs": 1}, "augment": STILL}
    whisper = {"source": "pretrained", "path": "theirs", "pooling": 1}
    given = {
        "frontend": {"kind": "whisper"},
        "teacher": {**whisper, "fine_tune": fine_tune},
        "teachers": {"raw": {**whisper, "fine_tune": None}},
        "students": STUDENTS,
        "student_training": training,
    }
    return make_params(**{**given, **changes})


@pytest.fixture
def paths(tmp_path: Path) -> Paths:
    return whisper_workspace(tmp_path)


def test_every_way_through_the_stages(paths: Paths) -> None:
    given, reporter = params(), KillingReporter()
    teacher.run(given, paths, reporter=reporter)
    fine_tune.run(given, paths, "raw")
    assert reporter.said[0].startswith("theirs: Whisper's encoder with a new head, ")
    tuned, raw = load_checkpoint(paths.model("teacher")), load_checkpoint(paths.model("raw"))
    assert (tuned.init, tuned.frontend) == ("pretrained theirs", FrontEndSettings(kind="whisper"))
    assert tuned.model.settings.dynamic_range == 2.0
    assert torch.equal(raw.model.state_dict()["encoder.layers.2.expand.weight"], theirs(paths, "layers.2.fc1.weight"))
    assert not torch.equal(tuned.model.head.weight, raw.model.head.weight)
    for name in STUDENTS:
        propagate.run(given, paths, name)
        distil.run(given, paths, name)
    sliced = load_checkpoint(paths.model("sliced")).model.settings.encoder
    assert isinstance(sliced, WhisperSettings)
    assert (sliced.layers, sliced.width, sliced.stem, sliced.heads) == (2, 12, 10, (2, 2))
    assert load_checkpoint(paths.model("other_ears")).frontend == FrontEndSettings(num_mels=20)
    sizes = {name: sum(t.numel() for t in weights(paths.model(name)).values()) for name in ("teacher", "gated")}
    assert sizes["gated"] < 0.7 * sizes["teacher"]


def test_a_model_that_the_hub_has_not_is_said_of_the_key_hub(paths: Paths, monkeypatch: pytest.MonkeyPatch) -> None:
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(paths.root / "hub"))
    here = {"source": "pretrained", "path": "models/none", "hub": "openai/whisper-small", "fine_tune": None}
    with pytest.raises(ValueError, match=r"^teachers\.raw\.hub: openai/whisper-small cannot be downloaded"):
        fine_tune.run(params(teachers={"raw": here}), paths, "raw")


def theirs(paths: Paths, name: str) -> torch.Tensor:
    from safetensors.torch import load_file

    return load_file(paths.root / "theirs" / "model.safetensors")[f"model.encoder.{name}"]


@pytest.mark.parametrize("included", [False, True])
def test_the_report_says_what_the_prompt_says(paths: Paths, included: bool) -> None:
    """By features from numpy, and by a file that holds the front end: the PyTorch model's own logits."""
    given = params(export={"forms": ["float32", "int8_dynamic"], "frontend_included": included})
    teacher.run(given, paths)
    export.run(given, paths, "teacher")
    metrics = evaluate.run(given, paths, "teacher")
    assert 0 < metrics["test_error"] <= 1.5
    data = PreparedData.load(paths.prepared)
    recogniser = Recogniser.load(paths.export("teacher"))
    decoder = OnnxDecoder(data, recogniser.bundle)
    checkpoint = load_checkpoint(paths.model("teacher"))
    front_end = make_front_end(checkpoint.frontend)
    for utterance in data.split("test")[:3]:
        found = torch.from_numpy(recogniser.of_inputs(decoder.inputs(utterance)))
        samples_N = torch.from_numpy(data.waveform(utterance))
        with torch.no_grad():
            logits_BTV, _ = checkpoint.model(*front_end(samples_N[None], torch.tensor([len(samples_N)])))
        torch.testing.assert_close(found, logits_BTV[0].log_softmax(1), atol=2e-3, rtol=0)


def test_a_gain_of_the_audio_changes_nothing(paths: Paths) -> None:
    teacher.run(params(), paths)
    checkpoint = load_checkpoint(paths.model("teacher"))
    front_end, noise_1N = make_front_end(checkpoint.frontend), 0.1 * torch.randn(1, 8_000)
    with torch.no_grad():
        loud, quiet = (checkpoint.model(*front_end(gain * noise_1N, torch.tensor([8_000])))[0] for gain in (1.0, 0.1))
    torch.testing.assert_close(loud, quiet, atol=1e-3, rtol=0)


def test_a_folder_that_is_not_understood_is_named(paths: Paths) -> None:
    (paths.root / "theirs" / "model.safetensors").unlink()
    with pytest.raises(ValueError, match=r"^teacher\.path: .*theirs holds neither model\.safetensors nor"):
        teacher.run(params(), paths)


CAUSAL = {"family": "cnn", "stem": 4, "width": 6, "layers": 1, "hidden": 5, "causal": True}
PRETRAINED = {"source": "pretrained", "path": "theirs", "fine_tune": None}


@pytest.mark.parametrize(
    ("changes", "line"),
    [
        (
            {"frontend": {"sample_rate_hz": 8_000, "num_mels": 16}},
            "frontend.sample_rate_hz: audio is prepared at 8000 Hz, but teacher takes 16000 Hz",
        ),
        (
            {"frontend": {"kind": "whisper", "low_freq_hz": 60.0}},
            "low_freq_hz 60.0: Whisper's front end has 0 and no other",
        ),
        (
            {"teacher": {**PRETRAINED, "hub": "openai/whisper-tiny"}},
            "give either a folder, or hub with path",
        ),
        (
            {"students": {"live": {**STUDENTS["other_ears"], "frontend": {"kind": "whisper"}, "model": CAUSAL}}},
            "students.live.model.causal: true depends on nothing later, but features of kind whisper",
        ),
        (
            {"teacher": {**PRETRAINED, "pooling": 8}},
            "preprocess.frame_ms: teacher.pooling has a frame every 160 ms",
        ),
    ],
)
def test_parameters_that_do_not_fit_are_one_line(changes: dict[str, Any], line: str) -> None:
    with pytest.raises(ParamsError) as caught:
        params(**changes)
    assert any(line in found for found in caught.value.lines), caught.value.lines


def test_the_preset_is_valid() -> None:
    preset = load_params(Path(__file__).parents[3] / "presets" / "whisper.yaml")
    assert preset.frontend.kind == "whisper"
    assert set(preset.students) == {"half", "quarter"}
