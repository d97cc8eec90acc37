"""ONNX files: written from a PyTorch module, byte for byte the same each time."""

import io
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path

import onnx
import torch
from torch import Tensor, nn
from torch.jit._trace import TracerWarning

from tasks.runner.atomic_io import write_whole

OPSET = 17
IR_VERSION = 8
"""What opset 17 came with; sherpa-onnx 2.0 loads up to 13, while onnx would write a newer one."""

KNOWN_WARNINGS = (
    (DeprecationWarning, r"You are using the legacy TorchScript-based ONNX export"),
    (UserWarning, r"Exporting a model to ONNX with a batch_size other than 1, with a variable length with (GRU|LSTM)"),
    (DeprecationWarning, r"The feature will be removed. Please remove usage of this function"),
    (TracerWarning, r"Converting a tensor to a Python (boolean|integer)"),
    (UserWarning, r"Constant folding - Only steps=1 can be constant folded"),
)


def write_onnx(
    path: Path,
    module: nn.Module,
    example: tuple[Tensor, ...],
    inputs: Mapping[str, Sequence[str]],
    outputs: Mapping[str, Sequence[str]],
    metadata: Mapping[str, str],
) -> None:
    """Trace a module in evaluation mode into one ONNX file, without time stamps or paths in it.

    inputs and outputs: name to the names of its leading axes that vary, such as `{"x": ("N", "T")}`; further
    axes are fixed as in the example. The older exporter is used on purpose: the newer one fails on recurrent
    layers of varying length. Raises onnx.checker.ValidationError if the file would not be valid.
    """
    buffer = io.BytesIO()
    with warnings.catch_warnings(), torch.no_grad():
        for category, message in KNOWN_WARNINGS:
            warnings.filterwarnings("ignore", message=message, category=category)
        torch.onnx.export(
            module.eval(),
            example,
            buffer,  # type: ignore[arg-type]  # a stream works, and leaves no half-written file
            dynamo=False,
            opset_version=OPSET,
            input_names=list(inputs),
            output_names=list(outputs),
            dynamic_axes={name: dict(enumerate(axes)) for name, axes in {**inputs, **outputs}.items()},
        )
    model = onnx.load_from_string(buffer.getvalue())
    model.ir_version = IR_VERSION
    onnx.helper.set_model_props(model, dict(sorted(metadata.items())))
    onnx.checker.check_model(model, full_check=True)
    path.parent.mkdir(parents=True, exist_ok=True)
    write_whole(path, model.SerializeToString(deterministic=True))
