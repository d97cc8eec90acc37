"""The streaming form of an export: one block of features with the model's memory as inputs and outputs.

    x [N, T, mels] float32, position [N] int64, memory…  ->  log_probs [N, T', V], next_position [N], next memory…

T is subsampling * T'; kd.models.streaming says which features a block holds. A stream begins with zeros everywhere.
"""

from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from kd.config.frontend import FrontEndSettings
from kd.models.streaming import Streaming, latency_ms, why_not
from kd.runtime.bundle import STREAMING
from kd.runtime.session import open_session
from tasks.checkpoint import Checkpoint
from tasks.onnx.onnx_files import write_onnx

TOLERANCE = 1e-4
PARITY_BLOCKS = 40


def export_stream(checkpoint: Checkpoint, folder: Path, properties: dict[str, str]) -> dict[str, Any] | None:
    """Write streaming.onnx and prove it equal to the whole utterance; what export.json says of it, or None.

    None, and no file, where the model is not causal. Raises RuntimeError where the two differ.
    """
    (folder / STREAMING).unlink(missing_ok=True)
    if why_not(checkpoint.model):
        return None
    module = Streaming(checkpoint.model)
    example = (torch.zeros(2, module.block_frames * module.subsampling, checkpoint.frontend.num_mels), *module.start(2))
    names = [f"memory.{name}" for name in module.shapes]
    inputs = {"x": ("N", "T"), "position": ("N",), **dict.fromkeys(names, ("N",))}
    outputs = {"log_probs": ("N", "T'"), "next_position": ("N",), **{f"next_{name}": ("N",) for name in names}}
    write_onnx(folder / STREAMING, module, example, inputs, outputs, {**properties, "model_type": "kd_streaming"})
    return {
        "file": STREAMING,
        "latency_ms": latency_ms(checkpoint.model, checkpoint.frontend),
        "size_bytes": (folder / STREAMING).stat().st_size,
        "max_abs_difference": _parity(module, folder / STREAMING, checkpoint.frontend),
    }


def _parity(module: Streaming, file: Path, frontend: FrontEndSettings) -> float:
    """How far the file's stream lies from the model on the whole, at most."""
    num_frames = PARITY_BLOCKS * module.block_frames * module.subsampling + 1
    generator = torch.Generator().manual_seed(0)
    features_BTF = torch.randn(1, num_frames, frontend.num_mels, generator=generator)
    features_BTF = features_BTF / module.model.scale_F + module.model.mean_F
    with torch.no_grad():
        whole_BTV = module.model(features_BTF, torch.tensor([num_frames]))[0].log_softmax(2)
    streamed_BTV = run_blocks(module, file, features_BTF)
    difference = float((whole_BTV - streamed_BTV).abs().max())
    if not difference <= TOLERANCE:
        raise RuntimeError(
            f"{file}: streamed log-probabilities differ from those of the whole by {difference:.2g}; at most "
            f"{TOLERANCE:.2g} is allowed. The file cannot be used. Has the training diverged?"
        )
    return difference


def run_blocks(module: Streaming, file: Path, features_BTF: Tensor) -> Tensor:
    """Log-probabilities of features that come block by block through the file."""
    session, size = open_session(file), module.block_frames * module.subsampling
    names = [given.name for given in session.get_inputs()]
    state = [tensor.numpy() for tensor in module.start(len(features_BTF))]
    before = torch.zeros(len(features_BTF), module.subsampling - 1, features_BTF.shape[2])
    padded_BTF = torch.cat([before, features_BTF], dim=1)
    whole = padded_BTF.shape[1] // module.subsampling * module.subsampling
    found = []
    for first in range(0, whole, size):
        block_BTF = padded_BTF[:, first : min(first + size, whole)]
        log_probs_BTV, *state = session.run(None, dict(zip(names, [block_BTF.numpy(), *state], strict=True)))
        found.append(log_probs_BTV)
    return torch.from_numpy(np.concatenate(found, axis=1))
