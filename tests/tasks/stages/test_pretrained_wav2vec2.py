"""wav2vec 2.0 and WavLM through the stages: their own head fine-tuned, sliced, gated, distilled, exported, scored."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import sherpa_onnx
import torch
from tiny_bundle import make_tiny_bundle
from tiny_stages import TRAINING, KillingReporter, weights
from wav2vec2_oracle import oracle, waveform, write_transformers
from workspace import STILL, make_params, make_workspace

from kd.config.frontend import FrontEndSettings
from kd.config.models import Wav2Vec2Settings
from kd.runtime.greedy import Greedy
from kd.runtime.recogniser import Recogniser
from kd.runtime.words import to_words
from tasks.checkpoint import load_checkpoint
from tasks.data.prepared import PreparedData
from tasks.params.errors import ParamsError
from tasks.params.pipeline import Params
from tasks.pretrained.wav2vec2 import read_wav2vec2
from tasks.runner.paths import Paths
from tasks.stages import distil, evaluate, export, fine_tune, profile, propagate, report, teacher

pytest.importorskip("transformers", reason="make test installs it (requirements-test.lock)")
EXPAND = "encoder.layers.1.expand.weight"
SHARP = {"label_weight": 1.0, "beta": 1.0}
KEEP = {"layers": 2, "heads": 2, "width": 4, "feed_forward": 0.5, "channels": 6}
STUDENTS: dict[str, Any] = {
    "sliced": {
        "init": "teacher", "teacher": "raw", "operators": [{"op": "slice", "keep": KEEP}],
        "objective": {**SHARP, "distill": [{"name": "soft_targets"}, {"name": "features"}]},
    },
    "gated": {
        "init": "teacher", "teacher": "teacher", "objective": SHARP,
        "shrink": {
            "how": "gates", "dims": ["heads", "feed_forward", "width", "channels"], "sparsity": 0.4, "epochs": 2,
        },
    },
    "other_ears": {
        "init": "random", "teacher": "teacher", "objective": SHARP, "frontend": {"num_mels": 20},
        "model": {"family": "cnn", "stem": 4, "width": 6, "layers": 1, "hidden": 5, "subsampling": 1},
    },
}  # fmt: skip


def params(**changes: Any) -> Params:
    training = {**TRAINING, "epochs": 3, "batch_seconds": 1.5}
    fine_tune = {"training": {**training, "layer_decay": 0.9, "frozen_epochs": 1}, "augment": STILL}
    theirs = {"source": "pretrained", "path": "theirs", "pooling": 1, "head": "kept"}
    given = {
        "frontend": {"kind": "waveform"},
        "teacher": {**theirs, "fine_tune": fine_tune},
        "teachers": {"raw": {**theirs, "fine_tune": None}},
        "students": STUDENTS,
        "student_training": training,
        "export": {"forms": ["float32"], "audio_file": True, "transformers_folder": True},
    }
    return make_params(**{**given, **changes})


def workspace(root: Path, kind: str) -> Paths:
    """The tiny data, said to be of 16 kHz, and in `theirs` a tiny model with random weights."""
    paths = make_workspace(root)
    file = paths.prepared / "prepared.json"
    file.write_text(file.read_text(encoding="utf-8").replace("8000", "16000"), encoding="utf-8")
    write_transformers(oracle(kind), root / "theirs")
    return paths


@pytest.mark.parametrize("kind", ["wav2vec2 group", "wavlm layer"])
def test_every_way_through_the_stages(kind: str, tmp_path: Path) -> None:
    paths, given, reporter = workspace(tmp_path, kind), params(), KillingReporter()
    teacher.run(given, paths, reporter=reporter)
    fine_tune.run(given, paths, "raw")
    assert "'s encoder with its own head, " in reporter.said[0]
    tuned, raw = load_checkpoint(paths.model("teacher")), load_checkpoint(paths.model("raw"))
    assert (tuned.init, tuned.frontend) == ("pretrained theirs", FrontEndSettings(kind="waveform"))
    assert tuned.model.settings.normalised
    space = raw.vocabulary.tokens.index(" ")
    assert torch.equal(raw.model.head.weight[space], oracle(kind).lm_head.weight[3]), "its first letter is |"
    assert not torch.equal(tuned.model.head.weight, raw.model.head.weight)
    for name in STUDENTS:
        propagate.run(given, paths, name)
        distil.run(given, paths, name)
    sliced = load_checkpoint(paths.model("sliced")).model.settings.encoder
    assert isinstance(sliced, Wav2Vec2Settings)
    assert (sliced.layers, sliced.width, sliced.channels, sliced.heads) == (2, 12, (6, 6, 6), (2, 2))
    sizes = {name: sum(t.numel() for t in weights(paths.model(name)).values()) for name in ("teacher", "gated")}
    assert sizes["gated"] < 0.7 * sizes["teacher"]
    exported_everywhere(given, paths, "gated")
    export.run(given, paths, "teacher", reporter)
    back = read_wav2vec2(paths.export("teacher") / "transformers")
    assert torch.equal(back.tensors["layers.1.expand.weight"], tuned.model.get_parameter(EXPAND))
    export.run(given, paths, "other_ears", reporter)
    assert not (paths.export("other_ears") / "transformers").exists()
    assert any(
        line.startswith("other_ears: no transformers/: transformers cannot express it: ") for line in reporter.said
    )


def exported_everywhere(given: Params, paths: Paths, name: str) -> None:
    """The report, the prompt and sherpa-onnx write the same."""
    export.run(given, paths, name)
    assert 0 < evaluate.run(given, paths, name)["test_error"] <= 1.5
    folder, data = paths.export(name), PreparedData.load(paths.prepared)
    recogniser = Recogniser.load(folder)
    sherpa = sherpa_onnx.OfflineRecognizer.from_omnilingual_asr_ctc(
        model=str(folder / "audio.onnx"), tokens=str(folder / "tokens.txt"), num_threads=1
    )
    model = load_checkpoint(paths.model(name)).model
    for utterance in data.split("test")[:4]:
        samples_N = data.waveform(utterance)
        found = recogniser.log_probs(samples_N)
        with torch.no_grad():
            logits_BTV, _ = model(torch.from_numpy(samples_N)[None, :, None], torch.tensor([len(samples_N)]))
        torch.testing.assert_close(torch.from_numpy(found), logits_BTV[0].log_softmax(1), atol=2e-3, rtol=0)
        stream = sherpa.create_stream()
        stream.accept_waveform(16_000, samples_N)
        sherpa.decode_stream(stream)
        search = Greedy()
        search.push(found)
        words = to_words(search.units(), recogniser.bundle.tokens, recogniser.bundle.step_s)
        assert stream.result.text.split() == [word.text for word in words]


@pytest.mark.parametrize("included", [False, True])
def test_smaller_forms_are_timed_and_long_audio_comes_in_chunks(included: bool, tmp_path: Path) -> None:
    paths = workspace(tmp_path, "hubert layer")
    forms = ["float32", "float16", "int8_dynamic", "int8_static"]
    given = params(export={"forms": forms, "frontend_included": included})
    adopted = given.teacher.model_copy(update={"fine_tune": None})
    given = given.model_copy(update={"teacher": adopted, "students": {}, "teachers": {}})
    teacher.run(given, paths)
    metrics = export.run(given, paths, "teacher")
    assert {f"{form}/size_bytes" for form in forms[1:]} <= set(metrics)
    for form in ("float32", "float16"):
        recogniser = Recogniser.load(paths.export("teacher"), form, chunk_s=0.2, context_s=0.1)
        samples_N = waveform(40_000)[0].numpy() * 0.1
        pieces = np.concatenate(list(recogniser.stream(np.array_split(samples_N, 7))))
        np.testing.assert_allclose(pieces, recogniser.log_probs(samples_N), atol=1e-4)
        assert len(pieces) == (40_000 - 165) // 160 + 1
        bare = Recogniser.load(paths.export("teacher"), form, chunk_s=0.2, context_s=0)
        assert len(bare.log_probs(samples_N)) == len(pieces)
    profile.run(given, paths)
    evaluate.run(given, paths, "teacher")
    report.run(given, paths)
    card = (paths.cards / "teacher.md").read_text(encoding="utf-8")
    assert ("`x` (N × samples × 1, float32 in [-1, 1])" in card) != included
    assert "sherpa-onnx" not in card


def test_a_bundle_of_torchaudio_is_a_teacher_with_its_own_head(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    paths, reporter = workspace(tmp_path, "hubert group"), KillingReporter()
    make_tiny_bundle(tmp_path, monkeypatch)
    theirs = {"source": "pretrained", "path": "tiny.pth", "bundle": "TINY_ASR", "head": "kept", "pooling": 1}
    fine_tune.run(params(teachers={"raw": {**theirs, "fine_tune": None}}), paths, "raw", reporter)
    assert reporter.said[0].startswith("tiny.pth: the encoder of TINY_ASR with its own head, ")
    adopted = load_checkpoint(paths.model("raw"))
    weight = torch.load(tmp_path / "tiny.pth", weights_only=True)["aux.weight"]
    assert torch.equal(adopted.model.head.weight[adopted.vocabulary.tokens.index("e")], weight[5]), (
        "-, three of none, |"
    )


def test_a_gain_and_an_offset_of_the_audio_change_nothing(tmp_path: Path) -> None:
    paths = workspace(tmp_path, "wav2vec2 layer")
    fine_tune.run(params(), paths, "raw")
    model, samples_1N1 = load_checkpoint(paths.model("raw")).model, waveform(5_000)[..., None]
    with torch.no_grad():
        loud, quiet = (model(x_1N1, torch.tensor([5_000]))[0] for x_1N1 in (samples_1N1, 0.01 * samples_1N1 + 0.05))
    torch.testing.assert_close(loud, quiet, atol=2e-2, rtol=0)


@pytest.mark.parametrize(
    ("changes", "line"),
    [
        (
            {"teacher": {"source": "pretrained", "path": "theirs", "head": "kept", "fine_tune": None}},
            "head: kept has learnt frames of 20 ms, but pooling is 2: set pooling: 1",
        ),
        (
            {"students": {"other": {**STUDENTS["other_ears"], "frontend": {"kind": "waveform"}}}},
            "students.other.model.family: cnn, but its front end is of kind waveform: set students.other.frontend",
        ),
        (
            {"students": {"other": {**STUDENTS["other_ears"], "model": {
                "family": "wav2vec2", "channels": 4, "width_per_group": 4, "layers": 1, "heads": 1, "feed_forward": 4,
                "position_buckets": 16}, "frontend": {"kind": "waveform"}}}},
            "students.other.model.position_buckets: WavLM's position biases are not trained, so random ones would stay",
        ),
        (
            {"frontend": {"kind": "waveform", "num_mels": 80}},
            "num_mels 80: the front end of samples has 1 and no other: remove num_mels",
        ),
        ({"frontend": {"num_mels": 4}}, "frontend.num_mels: 4 is too few to tell sounds apart: use 8 or more"),
        (
            {"teachers": {"raw": {"source": "pretrained", "path": "models/none", "hub": "a/b", "bundle": "HUBERT_BASE",
                                  "fine_tune": None}}},
            "bundle HUBERT_BASE is a file of torchaudio, and hub of Hugging Face: give one of them",
        ),
    ],
)  # fmt: skip
def test_parameters_that_do_not_fit_are_one_line(changes: dict[str, Any], line: str) -> None:
    with pytest.raises(ParamsError) as caught:
        params(**changes)
    assert any(line in found for found in caught.value.lines), caught.value.lines


def test_a_head_without_our_characters_is_named_by_its_key(tmp_path: Path) -> None:
    paths = workspace(tmp_path, "hubert group")
    file = paths.root / "theirs" / "vocab.json"
    file.write_text(file.read_text(encoding="utf-8").replace('"W"', '"X"'), encoding="utf-8")
    with pytest.raises(ValueError, match=r"^teachers\.raw\.head: kept, but it never says 'w', of which we have a unit"):
        fine_tune.run(params(), paths, "raw")
