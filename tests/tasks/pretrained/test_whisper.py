"""Whisper's encoder against transformers' and CTranslate2's, from every file that holds its weights."""

import json
import pickle
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from whisper_oracle import SHAPES, features, oracle, write_ctranslate2, write_openai, write_transformers

from kd.audio.frontend import make_front_end
from kd.config.frontend import FrontEndSettings
from kd.config.models import ModelSettings, WhisperSettings
from kd.models import Recogniser, build
from kd.models.level import below_peak
from kd.propagation import apply
from kd.text.vocabulary import Vocabulary
from tasks.checkpoint import Checkpoint, load_checkpoint, save_checkpoint
from tasks.pretrained.encoder_weights import with_encoder_weights
from tasks.pretrained.whisper import WhisperEncoderWeights, read_whisper

TOLERANCE = 1e-4
REAL = Path(__file__).parents[4] / "shared" / "models" / "whisper-tiny.en-ct2"
real = pytest.mark.skipif(not REAL.is_dir(), reason="the weights of Whisper tiny.en are not there")
pytest.importorskip("transformers", reason="make test installs it (requirements-test.lock)")


def recogniser(weights: WhisperEncoderWeights, problem: str = "transcription", pooling: int = 1) -> Recogniser:
    """With a random head."""
    torch.manual_seed(1)
    encoder = weights.settings(pooling)
    sizes = {"num_features": weights.num_mels, "num_outputs": 5}
    model = build(ModelSettings.model_validate({"problem": problem, "encoder": encoder, **sizes}))
    model.load_state_dict(with_encoder_weights(model.state_dict(), weights))
    return model.eval()


@torch.no_grad()
def encoded(model: Recogniser, features_BTF: Tensor) -> Tensor:
    return model.encoder(features_BTF, torch.tensor([features_BTF.shape[1]]))[0]


def difference(model: Recogniser, encoder: Any, frames: int) -> float:
    x_BTF = features(model.settings.num_features, frames)
    with torch.no_grad():
        expected = encoder(x_BTF.transpose(1, 2)).last_hidden_state
    return float((encoded(model, x_BTF) - expected).abs().max())


@pytest.mark.parametrize("frames", [2, 8, 100])
@pytest.mark.parametrize("shape", SHAPES)
def test_equals_transformers_saved_loaded_and_sliced_to_everything(shape: str, frames: int, tmp_path: Path) -> None:
    encoder = oracle(shape, frames)
    model = recogniser(read_whisper(write_transformers(encoder, tmp_path / "theirs")))
    assert difference(model, encoder, frames) < TOLERANCE
    front_end = FrontEndSettings(kind="whisper", num_mels=model.settings.num_features)
    vocabulary = Vocabulary.characters("abcd")
    save_checkpoint(tmp_path / "ours", Checkpoint(model, front_end, vocabulary, "teacher", "pretrained", "none"))
    loaded = load_checkpoint(tmp_path / "ours")
    assert loaded.frontend == front_end
    assert difference(loaded.model, encoder, frames) < TOLERANCE
    whole = apply(loaded.model, {d.name: torch.arange(d.size) for d in loaded.model.dimensions()})
    assert difference(whole, encoder, frames) < TOLERANCE


@pytest.mark.parametrize("write", [write_openai, write_ctranslate2])
def test_openais_and_ctranslate2s_files_hold_the_same(write: Any, tmp_path: Path) -> None:
    """In half precision, as both are distributed."""
    encoder = oracle("small", 20).half().float()
    there = tmp_path / ("model.pt" if write is write_openai else "ct2")
    found, expected = read_whisper(write(encoder, there)), read_whisper(write_transformers(encoder, tmp_path / "hf"))
    assert found.heads == expected.heads
    assert found.tensors.keys() == expected.tensors.keys()
    for name, tensor in expected.tensors.items():
        assert torch.equal(found.tensors[name], tensor), name


def test_weights_in_pickle_are_read_and_code_in_it_is_not_run(tmp_path: Path) -> None:
    encoder = oracle("one head", 10)
    model = recogniser(read_whisper(write_transformers(encoder, tmp_path / "a", pickled=True)))
    assert difference(model, encoder, 10) < TOLERANCE
    folder = write_transformers(encoder, tmp_path / "b", pickled=True)
    with (folder / "pytorch_model.bin").open("wb") as file:
        pickle.dump({"x": Path("run me")}, file)
    with pytest.raises(ValueError, match=r"pytorch_model\.bin holds more than weights, or is damaged: "):
        read_whisper(folder)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            {"model_type": "wav2vec2"},
            r"config\.json: model_type is 'wav2vec2', expected 'whisper': give the folder of a Whisper model",
        ),
        ({"activation_function": "relu"}, r"config\.json: activation_function is 'relu', expected 'gelu'"),
    ],
)
def test_a_config_that_is_not_understood_is_named(change: dict[str, str], message: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=message):
        read_whisper(write_transformers(oracle("one head", 10), tmp_path / "x", config=change))


def test_a_key_that_is_unknown_or_missing_is_named(tmp_path: Path) -> None:
    from safetensors.torch import load_file, save_file

    folder = write_transformers(oracle("one head", 10), tmp_path / "x")
    tensors = load_file(folder / "model.safetensors")
    save_file({**tensors, "model.encoder.layers.0.adapter.weight": torch.zeros(2, 3)}, folder / "model.safetensors")
    with pytest.raises(ValueError, match=r"layers\.0\.adapter\.weight of shape \(2, 3\) is no tensor of Whisper's"):
        read_whisper(folder)
    del tensors["model.encoder.layers.0.fc2.bias"]
    save_file(tensors, folder / "model.safetensors")
    with pytest.raises(ValueError, match=r"lacks layers\.0\.contract\.bias of Whisper's encoder"):
        read_whisper(folder)
    (folder / "model.safetensors").write_bytes(b"cut")
    with pytest.raises(ValueError, match=r"model\.safetensors cannot be read"):
        read_whisper(folder)


def test_learnt_positions_are_refused(tmp_path: Path) -> None:
    encoder = oracle("one head", 10)
    with torch.no_grad():
        encoder.embed_positions.weight.add_(0.1)
    with pytest.raises(ValueError, match=r"is up to 0\.1 away from Whisper's sinusoids, expected at most 0\.002"):
        read_whisper(write_transformers(encoder, tmp_path / "x"))


def test_a_folder_of_something_else_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"holds neither config\.json nor model\.bin"):
        read_whisper(tmp_path)
    with pytest.raises(ValueError, match="is not there"):
        read_whisper(tmp_path / "nowhere")
    (tmp_path / "model.bin").write_bytes(b"\x06\0\0\0\x05")
    with pytest.raises(ValueError, match=r"no whole model\.bin of CTranslate2"):
        read_whisper(tmp_path)


OURS_TO_THEIRS = {
    r"^stem\.": "",
    r"^norm\.": "layer_norm.",
    r"\.attention\.(query|key|value)\.": lambda match: f".self_attn.{match[1][0]}_proj.",
    r"\.attention\.out\.": ".self_attn.out_proj.",
    r"\.attention_norm\.": ".self_attn_layer_norm.",
    r"\.feed_forward_norm\.": ".final_layer_norm.",
    r"\.expand\.": ".fc1.",
    r"\.contract\.": ".fc2.",
}


def theirs(name: str) -> str:
    for pattern, by in OURS_TO_THEIRS.items():
        name = re.sub(pattern, by, name)
    return name


@real
def test_the_real_encoder_equals_transformers() -> None:
    from transformers import WhisperConfig
    from transformers.models.whisper.modeling_whisper import WhisperEncoder

    weights = read_whisper(REAL)
    shape = {"d_model": 384, "encoder_layers": 4, "encoder_attention_heads": 6, "encoder_ffn_dim": 1536}
    encoder = WhisperEncoder(WhisperConfig(**shape, max_source_positions=150, attn_implementation="eager")).eval()
    loaded = encoder.load_state_dict({theirs(n): t for n, t in weights.tensors.items()}, strict=False)
    assert loaded.missing_keys == ["embed_positions.weight"]
    assert loaded.unexpected_keys == []
    assert difference(recogniser(weights), encoder, 300) < TOLERANCE


@real
def test_the_real_encoder_equals_ctranslate2_on_what_whisper_hears() -> None:
    """Features, floor and encoder together, against faster-whisper on 30 s of audio; its weights are of 16 bits."""
    whisper = pytest.importorskip("faster_whisper")
    steps_N = np.arange(480_000)
    samples_N = (0.1 * np.sin(steps_N / 9) * np.sin(steps_N / 4_000)).astype(np.float32)
    model = whisper.WhisperModel(str(REAL), compute_type="float32", cpu_threads=1)
    theirs_FT = model.feature_extractor(samples_N, padding=0)[:, :3000]
    front_end = make_front_end(FrontEndSettings(kind="whisper"))
    ours_BTF, _ = front_end(torch.from_numpy(samples_N)[None], torch.tensor([480_000]))
    floored_BTF = below_peak(ours_BTF, torch.ones(ours_BTF.shape[:2], dtype=torch.bool), 2.0, None)
    np.testing.assert_allclose(floored_BTF[0].T.numpy(), theirs_FT, atol=1e-4)
    expected_BTD = torch.from_numpy(np.array(model.encode(theirs_FT))).float()
    found_BTD = encoded(recogniser(read_whisper(REAL)), floored_BTF)
    assert float((found_BTD - expected_BTD.view_as(found_BTD)).abs().mean()) < 2e-3


def test_config_json_of_transformers_is_enough(tmp_path: Path) -> None:
    folder = write_transformers(oracle("small", 10), tmp_path / "x")
    assert json.loads((folder / "config.json").read_text())["encoder_layers"] == 3
    expected = WhisperSettings(
        stem=24, width=24, layers=3, heads=(4,) * 3, head_dim=6, feed_forward=(40,) * 3, pooling=4, dropout=0.2
    )
    assert read_whisper(folder).settings(pooling=4, dropout=0.2) == expected
