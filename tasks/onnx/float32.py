"""A checkpoint as an ONNX file in float32: what the stage export releases, and all smaller forms are made from."""

from pathlib import Path

from kd.runtime.bundle import Bundle
from tasks.checkpoint import Checkpoint
from tasks.onnx.onnx_module import write_traced
from tasks.onnx.parity import parity
from tasks.onnx.quantise.bundle import bundle


def write_float32(checkpoint: Checkpoint, folder: Path, frontend_included: bool = False) -> Bundle:
    """Write folder/model.onnx, proven to equal the PyTorch model, and nothing beside it.

    Raises RuntimeError where they differ by more than is allowed.
    """
    file = folder / "model.onnx"
    parity(write_traced(checkpoint, file, frontend_included), file)
    return bundle(checkpoint, folder, frontend_included)
