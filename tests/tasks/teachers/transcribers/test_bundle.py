"""torchaudio's bundles, through their own code: one of small random weights stands in, since none can be downloaded."""

from pathlib import Path
from typing import Any

import pytest
import soxr
import torch
from tiny_bundle import LABELS, make_tiny_bundle

from tasks.params.teachers import BundleTeacher
from tasks.runner.reporter import NullReporter
from tasks.teachers.transcribers import Clip
from tasks.teachers.transcribers.bundle import TorchaudioTranscriber


@pytest.fixture
def weights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    return make_tiny_bundle(tmp_path, monkeypatch).parent


def bundle(folder: Path, **changes: Any) -> TorchaudioTranscriber:
    settings = {"source": "torchaudio", "bundle": "TINY_ASR", "path": "tiny.pth", **changes}
    return TorchaudioTranscriber(BundleTeacher.model_validate(settings), folder)


def test_it_says_what_its_model_says_alone(weights: Path, clips: list[Clip]) -> None:
    """By hand: best path over the bundle's labels, repeats merged, blanks dropped, a bar between words."""
    transcriber = bundle(weights)
    found = dict(transcriber.transcribe(clips, NullReporter()))
    for clip in clips:
        with torch.no_grad():
            logits, _ = transcriber.model(torch.from_numpy(clip.waveform_N)[None])
        best = torch.unique_consecutive(logits[0].argmax(-1)).tolist()
        text = "".join(("-", *LABELS)[i] for i in best if i != 0).replace("|", " ").strip()
        assert found[clip.id].texts == ((text, 1.0),)
        assert 0 < (found[clip.id].confidence or 0) < 1
        assert text, "random weights say something"


def test_audio_at_another_rate_is_brought_to_the_bundles(weights: Path, clips: list[Clip]) -> None:
    (clip,) = clips[:1]
    slow = Clip("a", "", clip.seconds, 8_000, lambda: soxr.resample(clip.waveform_N, 16_000, 8_000))
    fast = Clip("a", "", clip.seconds, 16_000, lambda: soxr.resample(slow.waveform_N, 8_000, 16_000))
    transcriber = bundle(weights)
    assert list(transcriber.transcribe([slow], NullReporter())) == list(transcriber.transcribe([fast], NullReporter()))


def test_its_identity_is_that_of_its_weights(weights: Path) -> None:
    first = bundle(weights).identity
    assert bundle(weights).identity == first
    state = torch.load(weights / "tiny.pth", weights_only=True)
    state["aux.bias"][5] += 1
    torch.save(state, weights / "tiny.pth")
    assert bundle(weights).identity != first


class Harm:
    """What runs code where it is unpickled."""

    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __reduce__(self) -> tuple[object, tuple[Path]]:
        return Path.touch, (self.marker,)


def test_a_weight_file_runs_no_code(weights: Path) -> None:
    torch.save({"aux.weight": Harm(weights / "harm")}, weights / "other.pth")
    with pytest.raises(ValueError, match="the weights of TINY_ASR are not those in"):
        bundle(weights, path="other.pth")
    assert not (weights / "harm").exists()
    (weights / "other.pth").write_bytes(b"no weights")
    with pytest.raises(ValueError, match="the weights of TINY_ASR are not those in"):
        bundle(weights, path="other.pth")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"bundle": "WAV2VEC2_BASE"}, "'WAV2VEC2_BASE' is no CTC bundle.*WAV2VEC2_ASR_BASE_960H"),
        ({"bundle": "HUBERT"}, "'HUBERT' is no CTC bundle"),
        ({"path": "gone.pth"}, r"path .*gone\.pth: no such file"),
        ({"path": "other.pth"}, r"the weights of TINY_ASR are not those in .*other\.pth"),
    ],
)
def test_what_cannot_be_had_is_named(changes: dict[str, str], message: str, weights: Path) -> None:
    torch.save({"aux.weight": torch.zeros(32, 16), "aux.bias": torch.zeros(32)}, weights / "other.pth")
    with pytest.raises(ValueError, match=message):
        bundle(weights, **changes)
