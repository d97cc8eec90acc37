"""Models on disk: `{config.json, model.safetensors}`, reloaded strictly right after saving. No pickle."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from kd.config.frontend import FrontEndSettings
from kd.config.models import ModelSettings
from kd.config.renamed import in_new_words
from kd.models import Recogniser, build
from kd.text.vocabulary import Vocabulary
from tasks.metric_names import ERROR_KINDS, named_errors, plain_errors
from tasks.runner.atomic_io import whole_file, write_whole

FORMAT = 1
KEYS = ("model", "frontend", "vocabulary", "role", "init", "objective", "lineage", "facts")


@dataclass(frozen=True)
class Checkpoint:
    """A recogniser with all that is needed to use it.

    masks: parameter name to uint8 of its shape, 1 = alive; empty unless weights were pruned to zero.
    lineage: one line for each operator that led here.
    """

    model: Recogniser
    frontend: FrontEndSettings
    vocabulary: Vocabulary
    role: str
    init: str
    objective: str
    lineage: tuple[str, ...] = ()
    masks: dict[str, Tensor] = field(default_factory=dict)
    facts: dict[str, Any] = field(default_factory=dict)


def save_checkpoint(folder: Path, checkpoint: Checkpoint) -> None:
    """Write a checkpoint and prove that it reloads to the same weights."""
    folder.mkdir(parents=True, exist_ok=True)
    state = {name: tensor.contiguous().cpu() for name, tensor in checkpoint.model.state_dict().items()}
    with whole_file(folder / "model.safetensors") as beside:
        save_file(state, beside)
    masks = {name: mask.to(torch.uint8).contiguous().cpu() for name, mask in checkpoint.masks.items()}
    (folder / "masks.safetensors").unlink(missing_ok=True)
    if masks:
        with whole_file(folder / "masks.safetensors") as beside:
            save_file(masks, beside)
    config = {
        "format": FORMAT,
        "model": checkpoint.model.settings.model_dump(mode="json"),
        "frontend": checkpoint.frontend.model_dump(mode="json"),
        "vocabulary": checkpoint.vocabulary.to_dict(),
        "role": checkpoint.role,
        "init": checkpoint.init,
        "objective": checkpoint.objective,
        "lineage": list(checkpoint.lineage),
        "facts": named_errors(checkpoint.facts, ERROR_KINDS[checkpoint.model.settings.problem]),
    }
    write_whole(folder / "config.json", json.dumps(config, indent=1))
    again = load_checkpoint(folder).model.state_dict()
    for name, tensor in state.items():
        if not torch.equal(again[name], tensor):
            raise RuntimeError(
                f"{folder}: '{name}' reads back differently from what was saved. Is the disk full or failing?"
            )


def load_checkpoint(folder: Path) -> Checkpoint:
    """Read a checkpoint; raises ValueError naming what is missing or does not fit."""
    for file in ("config.json", "model.safetensors"):
        if not (folder / file).is_file():
            raise ValueError(
                f"{folder} is no model: {file} is missing. A model folder holds config.json and model.safetensors"
            )
    config = _read_config(folder / "config.json")
    model = build(settings_of(config["model"]))
    try:
        model.load_state_dict(load_file(folder / "model.safetensors"), strict=True)
    except (SafetensorError, RuntimeError) as error:
        raise ValueError(
            f"{folder}/model.safetensors does not hold the weights of its config.json's model: {error}. "
            "Copy both files from one folder again"
        ) from None
    masks = folder / "masks.safetensors"
    return Checkpoint(
        model=model.eval(),
        frontend=FrontEndSettings.model_validate(config["frontend"]),
        vocabulary=Vocabulary.from_dict(config["vocabulary"]),
        role=config["role"],
        init=config["init"],
        objective=config["objective"],
        lineage=tuple(config["lineage"]),
        masks=load_file(masks) if masks.is_file() else {},
        facts=plain_errors(config["facts"]),
    )


def _read_config(file: Path) -> dict[str, Any]:
    try:
        config: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
    except json.JSONDecodeError as error:
        raise ValueError(f"{file} is not JSON: {error}. Was it cut short?") from None
    if config.get("format") != FORMAT:
        raise ValueError(
            f"{file} has format {config.get('format')!r}; this version reads {FORMAT}. Make the model again, or use "
            "the version that wrote it"
        )
    if missing := [key for key in KEYS if key not in config]:
        raise ValueError(f"{file} lacks {', '.join(missing)}: it was not written by this project, or cut by hand")
    return config


def settings_of(stored: Mapping[str, Any]) -> ModelSettings:
    """Settings of a model as its config.json has them, by the names that they had when it was written."""
    return ModelSettings.model_validate({**stored, "encoder": in_new_words(stored["encoder"])})
