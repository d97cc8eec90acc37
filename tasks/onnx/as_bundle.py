"""An export as the runtime reads it, made from the checkpoint: for whoever runs files before all are written."""

from dataclasses import fields
from pathlib import Path
from typing import Any

from kd.runtime.bundle import Bundle
from kd.runtime.frontend import FrontEndSettings
from kd.runtime.words import SPACE
from tasks.checkpoint import Checkpoint


def framing(checkpoint: Checkpoint) -> dict[str, Any]:
    """How output frames lie upon feature frames, which tells where long audio may be cut: see kd.runtime.bundle."""
    settings = checkpoint.model.settings.encoder
    if settings.family == "patch_cnn":
        return {"subsampling": 1, "block_frames": 1, "receptive_field_frames": None}
    frames = {"subsampling": settings.subsampling, "block_frames": settings.block_frames}
    return {**frames, "receptive_field_frames": checkpoint.model.receptive_field()}


def bundle(checkpoint: Checkpoint, folder: Path, frontend_included: bool) -> Bundle:
    """The folder that a checkpoint is exported to, as the runtime will read it from its export.json and tokens.txt."""
    frontend = FrontEndSettings(
        **checkpoint.frontend.model_dump(include={field.name for field in fields(FrontEndSettings)})
    )
    tokens = tuple(token.replace(" ", SPACE) for token in checkpoint.vocabulary.tokens)
    problem = checkpoint.model.settings.problem
    return Bundle(folder, problem, frontend_included, frontend, **framing(checkpoint), tokens=tokens)
