"""A file is taken only where it computes what the PyTorch model does."""

from pathlib import Path

import pytest
import torch
from exportable import checkpoint_of

from tasks.onnx.float32 import write_float32
from tasks.onnx.onnx_module import write_traced
from tasks.onnx.parity import parity


def test_a_file_of_other_weights_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "model.onnx"
    module = write_traced(checkpoint_of("gru", "transcription"), file)
    with torch.no_grad():
        module.model.head.bias[0] += 0.01
    with pytest.raises(RuntimeError, match=r"differ from PyTorch's by up to 0\.00"):
        parity(module, file)


def test_a_diverged_model_is_refused(tmp_path: Path) -> None:
    checkpoint = checkpoint_of("gru", "transcription")
    with torch.no_grad():
        checkpoint.model.head.weight.fill_(float("nan"))
    with pytest.raises(RuntimeError, match="cannot be used"):
        write_float32(checkpoint, tmp_path)
