"""A checkpoint as an ONNX file in float32: what the stage export releases, and all smaller forms are made from."""

from pathlib import Path

from kd.runtime.bundle import FORMS, Bundle
from tasks.checkpoint import Checkpoint
from tasks.onnx.as_bundle import bundle
from tasks.onnx.onnx_module import write_traced
from tasks.onnx.parity import parity


def write_float32(checkpoint: Checkpoint, folder: Path, frontend_included: bool = False) -> Bundle:
    """Write folder/model.onnx, proven to equal the PyTorch model, and nothing beside it.

    Raises RuntimeError where they differ by more than is allowed.
    """
    file = folder / FORMS["float32"]
    parity(write_traced(checkpoint, file, frontend_included), file)
    return bundle(checkpoint, folder, frontend_included)
