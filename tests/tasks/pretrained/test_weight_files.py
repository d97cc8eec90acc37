"""Weights of Whisper that are damaged, of another kind, in parts, or on the hub: what is read, and what is said."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from whisper_oracle import oracle, write_ctranslate2, write_openai, write_transformers

from tasks.params.trained import PretrainedTeacher
from tasks.pretrained.weight_files import download_snapshot
from tasks.pretrained.whisper import read_whisper

pytest.importorskip("transformers", reason="make test installs it (requirements-test.lock)")


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The hub's cache, empty, without a network."""
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    return tmp_path / "hub"


def test_offline_what_the_cache_lacks_is_refused_with_the_remedy(hub: Path) -> None:
    with pytest.raises(
        ValueError, match=r"^openai/whisper-small cannot be downloaded: .*HF_HUB_OFFLINE=0 for this run"
    ):
        download_snapshot("openai/whisper-small")
    with pytest.raises(ValueError, match="give its folder as path"):
        download_snapshot("no name of a model")


def test_offline_what_the_cache_holds_is_read_by_its_revision(hub: Path) -> None:
    commit = "a" * 40
    repository = hub / "models--openai--whisper-small"
    write_transformers(oracle("one head", 10), repository / "snapshots" / commit)
    (repository / "refs").mkdir()
    (repository / "refs" / "v2").write_text(commit)
    for revision in ("v2", commit):
        assert read_whisper(download_snapshot("openai/whisper-small", revision)).heads == 1
    with pytest.raises(ValueError, match="cannot be downloaded"):
        download_snapshot("openai/whisper-small", "v3")


def test_a_revision_is_of_the_hub() -> None:
    given: dict[str, Any] = {"source": "pretrained", "path": "models/none", "hub": "openai/x", "fine_tune": None}
    assert "revision" not in PretrainedTeacher(**given).model_dump()
    assert PretrainedTeacher(**given, revision="v2").model_dump()["revision"] == "v2"
    with pytest.raises(ValueError, match="revision v2 is of a model on the hub"):
        PretrainedTeacher(**{**given, "path": "theirs", "hub": None}, revision="v2")


def test_a_model_cut_inside_a_tensor_is_named(tmp_path: Path) -> None:
    file = write_ctranslate2(oracle("one head", 10), tmp_path) / "model.bin"
    whole = file.read_bytes()
    for kept in (1_000, len(whole) // 2, len(whole) - 3):
        file.write_bytes(whole[:kept])
        with pytest.raises(ValueError, match=r"model\.bin is no whole model\.bin of CTranslate2 \(it ends \d+ bytes"):
            read_whisper(tmp_path)


def test_bfloat16_is_read(tmp_path: Path) -> None:
    encoder = oracle("one head", 10).bfloat16().float().half().float()
    found = read_whisper(write_ctranslate2(encoder, tmp_path, bfloat16=True))
    expected = encoder.layers[0].fc1.weight.bfloat16().float()
    assert torch.equal(found.tensors["layers.0.expand.weight"], expected)


def test_a_sharded_model_is_the_whole_one(tmp_path: Path) -> None:
    folder = write_transformers(oracle("one head", 10), tmp_path)
    whole = read_whisper(folder).tensors
    tensors = load_file(folder / "model.safetensors")
    (folder / "model.safetensors").unlink()
    parts = {name: f"model-0000{i % 2 + 1}-of-00002.safetensors" for i, name in enumerate(tensors)}
    for part in set(parts.values()):
        save_file({name: tensor for name, tensor in tensors.items() if parts[name] == part}, folder / part)
    index = folder / "model.safetensors.index.json"
    index.write_text(json.dumps({"weight_map": parts}))
    found = read_whisper(folder).tensors
    assert found.keys() == whole.keys()
    assert all(torch.equal(found[name], tensor) for name, tensor in whole.items())
    index.write_text("{}")
    with pytest.raises(ValueError, match=r"index\.json lacks weight_map"):
        read_whisper(folder)


@pytest.mark.parametrize(
    ("name", "array", "message"),
    [
        ("encoder/conv1/weight_scale", np.ones(3, np.float16), "weight_scale says that weights are in 8 bits"),
        ("encoder/layer_0/self_attention/linear_0/bias", np.ones(48, np.float16), "gives keys a bias"),
        ("encoder/num_heads", np.array(5, np.int16), "5 heads do not share a width of 16 evenly"),
        ("encoder/num_heads", np.array(0, np.int16), "0 heads do not share a width of 16 evenly"),
    ],
)
def test_another_ctranslate2_model_is_refused(name: str, array: Any, message: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=rf"model\.bin: .*{message}"):
        read_whisper(write_ctranslate2(oracle("one head", 10), tmp_path, changes={name: array}))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", r"config\.json is no JSON"),
        ("[]", r"config\.json holds a list, expected an object"),
        ('{"model_type": "whisper"}', r"config\.json lacks encoder_attention_heads"),
        (
            '{"model_type": "whisper", "encoder_attention_heads": "4"}',
            "encoder_attention_heads is a str, expected int",
        ),
    ],
)
def test_a_damaged_config_is_named(text: str, message: str, tmp_path: Path) -> None:
    folder = write_transformers(oracle("one head", 10), tmp_path)
    (folder / "config.json").write_text(text)
    with pytest.raises(ValueError, match=message):
        read_whisper(folder)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"dims": None}, r"model\.pt: dims is a NoneType, expected dict"),
        ({"dims": {"n_mels": 80}}, r"model\.pt lacks n_audio_head"),
    ],
)
def test_an_openai_file_without_its_dims_is_named(change: dict[str, Any], message: str, tmp_path: Path) -> None:
    file = write_openai(oracle("one head", 10), tmp_path / "model.pt")
    torch.save({**torch.load(file, weights_only=True), **change}, file)
    with pytest.raises(ValueError, match=message):
        read_whisper(file)
