"""Checkpoints: what is saved is what is read, and what does not fit is named."""

import json
from pathlib import Path

import pytest
import torch
from factories import ENCODERS, NUM_FEATURES, NUM_OUTPUTS, make_model, outputs
from safetensors.torch import load_file, save_file

import tasks.checkpoint
from kd.config.frontend import FrontEndSettings
from kd.text.vocabulary import Vocabulary
from tasks.checkpoint import Checkpoint, load_checkpoint, save_checkpoint

FRONTEND = FrontEndSettings(num_mels=NUM_FEATURES, sample_rate_hz=8_000)
LABELS = Vocabulary.labels([f"word {i}" for i in range(NUM_OUTPUTS)])


def make(name: str = "gru", **changes: object) -> Checkpoint:
    facts = {"model": make_model(name, "keyword"), "role": "student", "init": "teacher", "objective": "labels"}
    return Checkpoint(frontend=FRONTEND, vocabulary=LABELS, **(facts | changes))


@pytest.mark.parametrize("name", ENCODERS)
def test_reads_back_what_was_written(name: str, tmp_path: Path) -> None:
    mask = torch.rand(make().model.head.weight.shape) < 0.5
    saved = make(name, lineage=("a", "b"), masks={"head.weight": mask}, facts={"initial_valid_error": 0.5})
    save_checkpoint(tmp_path, saved)
    loaded = load_checkpoint(tmp_path)
    assert not loaded.model.training
    for got, expected in zip(outputs(loaded.model), outputs(saved.model), strict=True):
        assert torch.equal(got, expected)
    fields = ("frontend", "vocabulary", "role", "init", "objective", "lineage", "facts")
    assert [getattr(loaded, f) for f in fields] == [getattr(saved, f) for f in fields]
    assert loaded.model.settings == saved.model.settings
    assert loaded.masks["head.weight"].dtype == torch.uint8
    assert torch.equal(loaded.masks["head.weight"].bool(), mask)


def test_the_same_model_gives_the_same_bytes(tmp_path: Path) -> None:
    for folder in ("a", "b"):
        save_checkpoint(tmp_path / folder, make(masks={"head.weight": torch.ones(2, 2)}))
    for file in ("model.safetensors", "config.json", "masks.safetensors"):
        assert (tmp_path / "a" / file).read_bytes() == (tmp_path / "b" / file).read_bytes()


def test_masks_of_an_earlier_model_do_not_stay(tmp_path: Path) -> None:
    save_checkpoint(tmp_path, make(masks={"head.weight": torch.ones(2, 2)}))
    save_checkpoint(tmp_path, make())
    assert load_checkpoint(tmp_path).masks == {}


def test_a_file_that_reads_back_otherwise_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def failing_disk(state: dict[str, torch.Tensor], file: Path) -> None:
        save_file({name: tensor * 2 if name == "head.bias" else tensor for name, tensor in state.items()}, file)

    monkeypatch.setattr(tasks.checkpoint, "save_file", failing_disk)
    with pytest.raises(RuntimeError, match=r"'head.bias' reads back differently .* disk"):
        save_checkpoint(tmp_path, make())


@pytest.mark.parametrize("file", ["config.json", "model.safetensors"])
def test_a_missing_file_is_named(file: str, tmp_path: Path) -> None:
    save_checkpoint(tmp_path, make())
    (tmp_path / file).unlink()
    with pytest.raises(ValueError, match=f"is no model: {file} is missing"):
        load_checkpoint(tmp_path)


def spoil(folder: Path, how: str) -> None:
    config, weights = folder / "config.json", folder / "model.safetensors"
    data = json.loads(config.read_text())
    if how == "cut weights":
        weights.write_bytes(weights.read_bytes()[:-100])
    elif how == "pickle":
        torch.save({"head.bias": torch.ones(3)}, weights)
    elif how == "other weights":
        save_file({k: v for k, v in load_file(weights).items() if k != "head.bias"}, weights)
    elif how == "cut config":
        config.write_text(config.read_text()[:100])
    elif how == "other format":
        config.write_text(json.dumps(data | {"format": 2}))
    elif how == "no vocabulary":
        config.write_text(json.dumps({k: v for k, v in data.items() if k != "vocabulary"}))
    elif how == "typo":
        data["model"]["encoder"]["widht"] = 3
        config.write_text(json.dumps(data))


@pytest.mark.parametrize(
    ("how", "message"),
    [
        ("cut weights", "does not hold the weights"),
        ("pickle", "does not hold the weights"),
        ("other weights", r"Missing key\(s\) in state_dict: \"head.bias\""),
        ("cut config", "is not JSON"),
        ("other format", "has format 2; this version reads 1"),
        ("no vocabulary", "lacks vocabulary"),
        ("typo", "widht"),
    ],
)
def test_a_broken_model_is_refused_with_the_reason(how: str, message: str, tmp_path: Path) -> None:
    save_checkpoint(tmp_path, make())
    spoil(tmp_path, how)
    with pytest.raises(ValueError, match=message):
        load_checkpoint(tmp_path)
