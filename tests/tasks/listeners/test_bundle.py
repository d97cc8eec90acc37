"""torchaudio's bundles, through their own code: one of small random weights stands in, since none can be downloaded."""

from pathlib import Path
from typing import Any

import pytest
import soxr
import torch
import torchaudio
from torchaudio.models import wav2vec2_model
from torchaudio.pipelines import Wav2Vec2ASRBundle

from tasks.listeners import Clip
from tasks.listeners.bundle import Bundle
from tasks.params_teachers import BundleTeacher
from tasks.watch import Silent

LABELS = ("|", *"ETAONIHSRDLUMWCFGYPBVK'XJQZ")
SHAPE: dict[str, Any] = {
    "extractor_mode": "group_norm",
    "extractor_conv_layer_config": [(8, 10, 5), (8, 3, 2), (8, 3, 2), (8, 3, 2), (8, 3, 2), (8, 2, 2), (8, 2, 2)],
    "extractor_conv_bias": False,
    "encoder_embed_dim": 16,
    "encoder_projection_dropout": 0.0,
    "encoder_pos_conv_kernel": 8,
    "encoder_pos_conv_groups": 2,
    "encoder_num_layers": 1,
    "encoder_num_heads": 2,
    "encoder_attention_dropout": 0.0,
    "encoder_ff_interm_features": 16,
    "encoder_ff_interm_dropout": 0.0,
    "encoder_dropout": 0.0,
    "encoder_layer_norm_first": False,
    "encoder_layer_drop": 0.0,
    "aux_num_out": 29,
}


@pytest.fixture
def weights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A file as torchaudio keeps it: the last layer has three rows more, which the bundle's own code removes."""
    bundle = Wav2Vec2ASRBundle(
        "tiny.pth", SHAPE, _sample_rate=16_000, _normalize_waveform=True, _model_type="Wav2Vec2", _labels=LABELS
    )
    monkeypatch.setattr(torchaudio.pipelines, "TINY_ASR", bundle, raising=False)
    torch.manual_seed(0)
    state = wav2vec2_model(**SHAPE).state_dict()
    for key in ("aux.weight", "aux.bias"):
        first, *rest = state[key] * 20
        state[key] = torch.stack([first, *[torch.zeros_like(first)] * 3, *rest])
    torch.save(state, tmp_path / "tiny.pth")
    return tmp_path


def bundle(folder: Path, **changes: Any) -> Bundle:
    settings = {"source": "torchaudio", "bundle": "TINY_ASR", "path": "tiny.pth", **changes}
    return Bundle(BundleTeacher.model_validate(settings), folder)


def test_it_says_what_its_model_says_alone(weights: Path, clips: list[Clip]) -> None:
    """By hand: best path over the bundle's labels, repeats merged, blanks dropped, a bar between words."""
    listener = bundle(weights)
    found = dict(listener.listen(clips, Silent()))
    for clip in clips:
        with torch.no_grad():
            logits, _ = listener.model(torch.from_numpy(clip.waveform_N)[None])
        best = torch.unique_consecutive(logits[0].argmax(-1)).tolist()
        text = "".join(("-", *LABELS)[i] for i in best if i != 0).replace("|", " ").strip()
        assert found[clip.id].texts == ((text, 1.0),)
        assert 0 < (found[clip.id].confidence or 0) < 1
        assert text, "random weights say something"


def test_audio_at_another_rate_is_brought_to_the_bundles(weights: Path, clips: list[Clip]) -> None:
    (clip,) = clips[:1]
    slow = Clip("a", "", clip.seconds, 8_000, lambda: soxr.resample(clip.waveform_N, 16_000, 8_000))
    fast = Clip("a", "", clip.seconds, 16_000, lambda: soxr.resample(slow.waveform_N, 8_000, 16_000))
    listener = bundle(weights)
    assert list(listener.listen([slow], Silent())) == list(listener.listen([fast], Silent()))


def test_its_identity_is_that_of_its_weights(weights: Path) -> None:
    first = bundle(weights).identity
    assert bundle(weights).identity == first
    state = torch.load(weights / "tiny.pth", weights_only=True)
    state["aux.bias"][5] += 1
    torch.save(state, weights / "tiny.pth")
    assert bundle(weights).identity != first


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"bundle": "WAV2VEC2_BASE"}, "'WAV2VEC2_BASE' is no CTC bundle.*WAV2VEC2_ASR_BASE_960H"),
        ({"bundle": "HUBERT"}, "'HUBERT' is no CTC bundle"),
        ({"path": "gone.pth"}, "path gone.pth: no such file"),
        ({"path": "other.pth"}, "the weights of TINY_ASR are not those in other.pth"),
    ],
)
def test_what_cannot_be_had_is_named(changes: dict[str, str], message: str, weights: Path) -> None:
    torch.save({"aux.weight": torch.zeros(32, 16), "aux.bias": torch.zeros(32)}, weights / "other.pth")
    with pytest.raises(ValueError, match=message):
        bundle(weights, **changes)
