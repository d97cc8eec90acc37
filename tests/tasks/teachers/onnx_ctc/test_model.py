"""ONNX files as they come: what they give of audio, and what is refused in one line."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from exportable import FRONTEND, checkpoint_of
from tiny_export import export_tiny
from tiny_onnx_ctc import METADATA, make_onnx_ctc, speech_like, with_metadata, write_tokens
from torch import nn

from kd.config.frontend import FrontEndSettings
from kd.models import build
from tasks.checkpoint import Checkpoint, load_checkpoint, save_checkpoint
from tasks.onnx.onnx_files import write_onnx
from tasks.params.pipeline import ExportParams, Params
from tasks.runner.paths import Paths
from tasks.stages import export
from tasks.teachers.onnx_ctc.model import OnnxCtc
from tasks.teachers.posterior_teacher import CheckpointPosteriorTeacher

RATE_HZ = 16_000
REFUSALS = Path(__file__).parents[4] / "docs" / "refusals.md"
ROUNDING = 1e-3
"""Of features in float32: torch takes the FFT here, and matrix products in the files that hold the front end."""
OURS: dict[str, tuple[str, dict[str, bool], str]] = {
    "features": ("cnn", {}, "model.onnx"),
    "recurrent": ("gru", {}, "model.onnx"),
    "attention": ("conformer", {}, "model.onnx"),
    "Whisper's features": ("whisper", {}, "model.onnx"),
    "front end inside": ("cnn", {"frontend_included": True}, "model.onnx"),
    "samples alone": ("cnn", {"audio_file": True}, "audio.onnx"),
}


def made_here(root: Path, encoder: str, settings: dict[str, bool]) -> Checkpoint:
    paths, checkpoint = Paths(root), checkpoint_of(encoder, "transcription")
    if settings.get("audio_file"):  # sherpa-onnx scales its audio, so a gain must change nothing
        blind = checkpoint.model.settings.model_copy(update=FRONTEND.level()._asdict())
        checkpoint = replace(checkpoint, model=build(blind))
    if encoder == "whisper":
        checkpoint = replace(checkpoint, frontend=FrontEndSettings(kind="whisper", num_mels=FRONTEND.num_mels))
    save_checkpoint(paths.model("tiny"), checkpoint)
    export.run(Params.model_construct(export=ExportParams(forms=("float32",), **settings)), paths, "tiny")
    return load_checkpoint(paths.model("tiny"))


@pytest.mark.parametrize("case", OURS)
def test_an_export_of_ours_says_what_its_checkpoint_says(case: str, tmp_path: Path) -> None:
    encoder, settings, file = OURS[case]
    teacher = CheckpointPosteriorTeacher(made_here(tmp_path, encoder, settings))
    model = OnnxCtc(tmp_path / "exports" / "tiny", file, "tokens.txt", None)
    assert model.signature.type == ("omnilingual" if file == "audio.onnx" else "kd")
    for seed, seconds in enumerate((0.5, 1.25, 2.0)):
        samples = torch.from_numpy(speech_like(seconds, seed))
        expected, frames = teacher.posteriors(samples[None], torch.tensor([len(samples)]))
        found = model.scores(samples, RATE_HZ).log_softmax(-1)
        assert len(found) == int(frames)
        torch.testing.assert_close(found, expected[0], atol=ROUNDING, rtol=0)


def test_an_export_without_its_description_is_one_of_zipformers_type(tmp_path: Path) -> None:
    folder = export_tiny(tmp_path)
    expected = OnnxCtc(folder, "model.onnx", "tokens.txt", None)
    (folder / "export.json").unlink()
    found = OnnxCtc(folder, "model.onnx", "tokens.txt", None)
    assert (found.signature.type, found.signature.num_mels) == ("zipformer_ctc", FRONTEND.num_mels)
    samples = torch.from_numpy(speech_like(1.0, 0))
    torch.testing.assert_close(found.scores(samples, RATE_HZ), expected.scores(samples, RATE_HZ))


@pytest.mark.parametrize(("kind", "ends"), [("zipformer_ctc", (1, 1)), ("wenet_ctc", (0, 1))])
def test_what_unpadded_convolutions_lose_is_repeated_at_both_ends(
    kind: str, ends: tuple[int, int], tmp_path: Path
) -> None:
    model = OnnxCtc(make_onnx_ctc(tmp_path, kind), "model.onnx", "tokens.txt", None)
    samples = torch.from_numpy(speech_like(10, 1))
    (before, after), found = ends, model.scores(samples, RATE_HZ)
    inner = model.session.run(None, {"x": model.inputs(samples)[None], "x_lens": torch.tensor([1000]).numpy()})[0][0]
    assert (model.stride, len(found), len(inner)) == (4, 250, 250 - before - after)
    assert torch.equal(found[before : 250 - after], torch.from_numpy(inner))
    assert torch.equal(found[:before], found[before : 2 * before])
    assert torch.equal(found[-1], found[-1 - after])


def test_audio_at_a_higher_rate_is_brought_to_the_models(tmp_path: Path) -> None:
    model = OnnxCtc(make_onnx_ctc(tmp_path, "omnilingual"), "model.onnx", "tokens.txt", None)
    model.require_rate(32_000)
    assert len(model.scores(torch.from_numpy(speech_like(1.0, 0, 32_000)), 32_000)) == (16_000 - 400) // 320 + 1


def test_half_precision_is_given_half_precision(tmp_path: Path) -> None:
    class Half(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x[:, : x.shape[1] // 4 * 4].reshape(1, -1, 4)

    example = (torch.zeros(1, 400, dtype=torch.float16),)
    write_onnx(tmp_path / "model.onnx", Half(), example, {"x": ("N", "S")}, {"y": ("N", "T")}, {})
    write_tokens(tmp_path / "tokens.txt", ["<pad>", "a", "b", "c"])
    model = OnnxCtc(tmp_path, "model.onnx", "tokens.txt", None)
    assert model.scores(torch.from_numpy(speech_like(1.0, 0)), RATE_HZ).dtype == torch.float32


class NotCtc(nn.Module):
    """One vector for the whole utterance, as a classifier's."""

    def forward(self, x: torch.Tensor, x_lens: torch.Tensor) -> torch.Tensor:
        return x.mean(1) + 0 * x_lens.sum()


class Hidden(nn.Module):
    """A head on hidden states."""

    def forward(self, x: torch.Tensor, x_lens: torch.Tensor) -> torch.Tensor:
        return x[..., :32] + 0 * x_lens.sum()


class Cached(nn.Module):
    """As a streaming model: what it knows of before comes in, too."""

    def forward(self, x: torch.Tensor, *states: torch.Tensor) -> torch.Tensor:
        return x + sum(state.sum() for state in states)


class OneFrame(nn.Module):
    """As many outputs as samples."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x[:, None]


def _classifier(folder: Path) -> None:
    example = (torch.zeros(1, 33, 80), torch.tensor([33]))
    inputs, outputs = {"x": ("N", "T"), "x_lens": ("N",)}, {"y": ("N",)}
    write_onnx(folder / "model.onnx", NotCtc(), example, inputs, outputs, METADATA["zipformer_ctc"])


def _hidden(folder: Path) -> None:
    example = (torch.zeros(1, 33, 512), torch.tensor([33]))
    inputs, outputs = {"x": ("N", "T"), "x_lens": ("N",)}, {"y": ("N", "T")}
    write_onnx(folder / "model.onnx", Hidden(), example, inputs, outputs, METADATA["zipformer_ctc"])


def _streaming(folder: Path) -> None:
    names = [f"cached_{i}" for i in range(5)]
    example = (torch.zeros(1, 33, 80), *(torch.zeros(1, 4) for _ in names))
    inputs = {"x": ("N", "T"), **dict.fromkeys(names, ("N",))}
    write_onnx(folder / "model.onnx", Cached(), example, inputs, {"y": ("N", "T")}, METADATA["zipformer_ctc"])


def _tokens(*tokens: str) -> Callable[[Path], None]:
    return lambda folder: write_tokens(folder / "tokens.txt", list(tokens))


def _metadata(**changes: str | None) -> Callable[[Path], None]:
    return lambda folder: with_metadata(folder / "model.onnx", **changes)


def _no_size(folder: Path) -> None:
    """The number of its outputs is known when it runs, and not before."""
    outputs = {"y": ("N", "T", "W")}
    write_onnx(folder / "model.onnx", OneFrame(), (torch.zeros(1, 400),), {"x": ("N", "S")}, outputs, {})
    write_tokens(folder / "tokens.txt", ["<blk>", "a"])


BAD: dict[str, tuple[str, Callable[[Path], object], str]] = {
    "a model's file that is not there": (
        "zipformer_ctc",
        lambda folder: (folder / "model.onnx").rename(folder / "other.onnx"),
        r"model.onnx: no such file; its folder holds other.onnx: name one as model",
    ),
    "a file that ONNX Runtime does not open": (
        "zipformer_ctc",
        lambda folder: (folder / "model.onnx").write_bytes(b"nothing"),
        r"model.onnx is no ONNX file that ONNX Runtime .* opens: .*Copy it again",
    ),
    "a table of tokens that is not there": (
        "zipformer_ctc",
        lambda folder: (folder / "tokens.txt").unlink(),
        r"tokens.txt: no such file, where a recogniser's table of tokens is expected",
    ),
    "a table of more or fewer tokens than the model has outputs": (
        "zipformer_ctc",
        _tokens("<blk>", "a", "b"),
        r"model.onnx gives 32 outputs a frame, but its table has 3 tokens: name the tokens.txt of this model",
    ),
    "a model without an output for each frame and token": (
        "zipformer_ctc",
        _classifier,
        r"gives y \[N, 80\], where a CTC model gives log_probs \[N, T'",
    ),
    "a model that streams, or takes what no type takes": (
        "zipformer_ctc",
        _streaming,
        r"takes x \[N, T, 80\], cached_0 \[N, 4\], cached_1 \[N, 4\] and 3 more, where zipformer_ctc takes x",
    ),
    "metadata without model_type, where inputs do not tell the type": (
        "wenet_ctc",
        _metadata(model_type=None),
        r"its metadata has no model_type, and it takes x \[N, T, 80\], x_lens \[N\]: .* set type: zipformer_ctc, wenet",
    ),
    "a model_type that is none of these types": (
        "wenet_ctc",
        _metadata(model_type="sense_voice_ctc"),
        r"its metadata has model_type sense_voice_ctc, and it takes",
    ),
    "NeMo's without normalize_type or subsampling_factor": (
        "nemo_ctc",
        _metadata(normalize_type=None),
        r"its metadata lacks normalize_type, which nemo_ctc needs: add it as sherpa-onnx's scripts/nemo do",
    ),
    "NeMo's with another normalize_type than per_feature or none": (
        "nemo_ctc",
        _metadata(normalize_type="all_features"),
        r"normalize_type is all_features, where per_feature or none are computed",
    ),
    "NeMo's with a subsampling_factor that is no whole number": (
        "nemo_ctc",
        _metadata(subsampling_factor="?"),
        r"subsampling_factor is \?: set",
    ),
    "a model of GigaAM": ("nemo_ctc", _metadata(is_giga_am="1"), r"is GigaAM's, whose features are not computed here"),
    "features that are no mel filters": (
        "zipformer_ctc",
        _hidden,
        r"takes 512 features a frame at 16000 Hz, which are no mel filters: .*Give a model of mel filters",
    ),
    "a sample rate in the metadata that is none": (
        "zipformer_ctc",
        _metadata(sample_rate="16k"),
        r"its metadata has sample rate 16k: set Hz, such as 16000",
    ),
}


def test_what_is_refused_is_listed() -> None:
    section = REFUSALS.read_text(encoding="utf-8").split("## CTC models in ONNX")[1].split("\n## ")[0]
    rows = [line.split("|")[1].strip() for line in section.splitlines() if line.startswith("| ")]
    assert rows[1:] == list(BAD)


@pytest.mark.parametrize("case", BAD)
def test_what_cannot_teach_is_one_line_with_a_remedy(case: str, tmp_path: Path) -> None:
    kind, spoil, message = BAD[case]
    spoil(make_onnx_ctc(tmp_path, kind))
    with pytest.raises(ValueError, match=message) as found:
        OnnxCtc(tmp_path, "model.onnx", "tokens.txt", None)
    assert "\n" not in str(found.value)


def test_a_type_that_its_metadata_contradict_is_refused(tmp_path: Path) -> None:
    make_onnx_ctc(tmp_path, "nemo_ctc")
    with pytest.raises(ValueError, match=r"type is wenet_ctc, but its model_type EncDecCTCModelBPE is nemo_ctc: rem"):
        OnnxCtc(tmp_path, "model.onnx", "tokens.txt", "wenet_ctc")


def test_a_type_that_is_given_needs_no_model_type(tmp_path: Path) -> None:
    make_onnx_ctc(tmp_path, "wenet_ctc", metadata={})
    assert OnnxCtc(tmp_path, "model.onnx", "tokens.txt", "wenet_ctc").signature.type == "wenet_ctc"


def test_audio_without_the_models_upper_frequencies_is_refused(tmp_path: Path) -> None:
    model = OnnxCtc(make_onnx_ctc(tmp_path, "zipformer_ctc"), "model.onnx", "tokens.txt", None)
    with pytest.raises(ValueError, match=r"takes audio of 16000 Hz, and this pipeline's has 8000 Hz, so nothing above"):
        model.require_rate(8_000)


def test_what_only_running_it_shows_is_one_line_too(tmp_path: Path) -> None:
    _no_size(tmp_path)
    model = OnnxCtc(tmp_path, "model.onnx", "tokens.txt", None)
    with pytest.raises(ValueError, match=r"gives 16000 outputs a frame, but its table has 2 tokens"):
        model.scores(torch.zeros(16_000), RATE_HZ)
    model = OnnxCtc(make_onnx_ctc(tmp_path / "samples", "omnilingual"), "model.onnx", "tokens.txt", None)
    with pytest.raises(ValueError, match=r"does not take 0.02 s of audio: .*raise preprocess.min_seconds"):
        model.scores(torch.zeros(300), RATE_HZ)


def test_a_keyword_model_is_no_ctc(tmp_path: Path) -> None:
    folder = export_tiny(tmp_path, problem="keyword")
    (folder / "tokens.txt").write_text("<blk> 0\nyes 1\nno 2\n", encoding="utf-8")
    with pytest.raises(ValueError, match="recognises keywords and has no CTC: name a model that transcribes"):
        OnnxCtc(folder, "model.onnx", "tokens.txt", None)


def test_without_the_library_of_nemos_features_its_extra_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_onnx_ctc(tmp_path, "nemo_ctc")
    monkeypatch.setattr("tasks.teachers.onnx_ctc.features.find_spec", lambda name: None)
    with pytest.raises(ValueError, match=r"nemo_ctc needs kaldi-native-fbank: pip install -e '.\[nemo\]' -c require"):
        OnnxCtc(tmp_path, "model.onnx", "tokens.txt", None)
