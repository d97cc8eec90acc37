"""Training in 8 bits rounds the layers that the files hold in 8 bits, to the same numbers."""

from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
import pytest
from exportable import ENCODERS
from onnx import numpy_helper
from small_forms import Files, module_of

from kd.training.qat import fake_quantised, rounded_weight
from tasks.onnx.quantise.convert import Quantiser
from tasks.onnx.quantise.layers import layers

Array = npt.NDArray[Any]
ROUNDED = ("Conv", "MatMul", "Gemm")


def module_name(layer: str) -> str:
    """/model/encoder/linear/Gemm is of the module model.encoder.linear."""
    return layer.rsplit("/", 1)[0].strip("/").replace("/", ".")


@pytest.mark.parametrize("encoder", ENCODERS)
def test_the_same_layers(files: Files, encoder: str) -> None:
    module = module_of(encoder)
    with fake_quantised(module):
        trained = [name for name, layer in module.named_modules() if "forward" in vars(layer)]
    with Quantiser(files(encoder), []) as quantiser:
        static, dynamic = (quantiser.layers(form) for form in ("int8_static", "int8_dynamic"))
    assert [module_name(layer) for layer in static] == trained
    assert {layer for layer in dynamic if not layer.endswith("LSTM")} <= set(static)


@pytest.mark.parametrize("form", ["int8_dynamic", "int8_static"])
@pytest.mark.parametrize("encoder", ENCODERS)
def test_the_same_weights(files: Files, encoder: str, form: str) -> None:
    """To the last bits of float32; a weight halfway between two steps may go either way."""
    module, before = module_of(encoder), onnx.load(files(encoder))
    there = {tensor.name: numpy_helper.to_array(tensor) for tensor in onnx.load(files(encoder, form)).graph.initializer}
    with Quantiser(files(encoder), []) as quantiser:
        names = {layer for layer in quantiser.layers(form) if not layer.endswith("LSTM")}
    nodes = [node for node in layers(before, ROUNDED) if node.name in names]
    assert len(nodes) == len(names) > 0
    for node in nodes:
        weight = module.get_submodule(module_name(node.name)).weight.detach()
        found, step_O = dequantised(there, node)
        difference = np.abs(found - rounded_weight(weight).numpy())
        halfway = np.abs(np.abs(weight.numpy() / step_O % 1) - 0.5) < 1e-3
        assert (difference <= np.where(halfway, 1.01, 1e-4) * step_O).all()


def dequantised(there: dict[str, Array], node: Any) -> tuple[Array, Array]:
    """A layer's weight in a file, with outputs on its first axis, and the steps of these."""
    name = node.input[1]
    (plain,) = {plain for plain in (name, f"{name}_Transposed") if f"{plain}_quantized" in there}
    assert not there[f"{plain}_zero_point"].any()
    values, step_O = there[f"{plain}_quantized"], there[f"{plain}_scale"]
    if node.op_type == "MatMul" or plain != name:
        values = values.T
    step = step_O.reshape(-1, *[1] * (values.ndim - 1))
    return values * step, step
