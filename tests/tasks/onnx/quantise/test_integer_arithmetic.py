"""8-bit kernels against exact integers in numpy, with weights and inputs at the ends of their ranges.

Processors without VNNI add pairs of products u8 x s8 in 16 bits and cut off what does not fit: two of 255 x 127 do not,
two of 255 x 64 do.
"""

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
import onnxruntime
import pytest
from exportable import ENCODERS
from onnx import TensorProto, helper, numpy_helper
from small_forms import Files, feed, module_of

from kd.runtime.session import open_session
from kd.training.qat import WEIGHT_STEPS
from tasks.onnx.quantise.convert import Quantiser

Array = npt.NDArray[Any]
LOW, HIGH = -1.0, 3.0
"""The ends of the inputs' range: whole steps of 4/255 are no ties of rounding."""
OUTPUTS, HIDDEN = 8, 16
EXTREMES = ("all at the top", "all at the bottom", "each at either end")
INNER = (2, 3, 64, 1001, 4096)
WITHIN_16_BITS = 2**15 - 1


def at_the_ends(shape: tuple[int, ...], low: float, high: float, extreme: str, seed: int) -> Array:
    """Values at the ends of a range; all but the first, which opens the range at its other end."""
    if extreme == "each at either end":
        values = np.random.default_rng(seed).choice([low, high], shape)
    else:
        values = np.full(shape, high if extreme == "all at the top" else low)
    values[(0,) * len(shape)] = low
    values[(0,) * (len(shape) - 1) + (-1,)] = high
    return values.astype(np.float32)


def write_one(folder: Path, node: Any, shape: tuple[int | None, ...], constants: dict[str, Array]) -> Path:
    """A float32 file of one node, `layer`, from x to y."""
    graph = helper.make_graph(
        [node],
        "one",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)],
        [numpy_helper.from_array(values, name) for name, values in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.save(model, folder / "float.onnx")
    return folder / "float.onnx"


def quantised_file(source: Path, form: str, x: Array) -> Path:
    target = source.with_name("small.onnx")
    with Quantiser(source, [{"x": x}]) as quantiser:
        quantiser.write(form, target, quantiser.layers(form))
    return target


def run(path: Path, x: Array) -> Array:
    return np.asarray(open_session(path).run(None, {"x": x})[0])


def constants(path: Path) -> dict[str, Array]:
    return {tensor.name: numpy_helper.to_array(tensor) for tensor in onnx.load(path).graph.initializer}


def kernels(path: Path, folder: Path) -> set[str]:
    """What ONNX Runtime makes of a file's nodes on this machine."""
    options = onnxruntime.SessionOptions()
    options.optimized_model_filepath, options.log_severity_level = str(folder / "optimised.onnx"), 4
    onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    return {node.op_type for node in onnx.load(folder / "optimised.onnx").graph.node}


def steps(x: Array) -> tuple[Array, int, np.float32]:
    """What DynamicQuantizeLinear makes of x: whole numbers (int64), zero's among them, and the step."""
    low, high = min(x.min(), np.float32(0)), max(x.max(), np.float32(0))
    step = np.float32((high - low) / np.float32(255)) or np.float32(1)
    zero = int(np.rint(-low / step))
    return np.clip(np.rint(x / step) + zero, 0, 255).astype(np.int64), zero, step


def static_steps(x: Array, there: dict[str, Array], name: str = "x") -> tuple[Array, int, np.float32]:
    zero, step = int(there[f"{name}_zero_point"]), np.float32(there[f"{name}_scale"])
    return np.clip(np.rint(x / step) + zero, 0, 255).astype(np.int64), zero, step


@pytest.mark.parametrize("extreme", EXTREMES)
@pytest.mark.parametrize("inner", INNER)
@pytest.mark.parametrize(
    ("op", "form", "kernel"),
    [
        ("MatMul", "int8_dynamic", "DynamicQuantizeMatMul"),
        ("Gemm", "int8_dynamic", "DynamicQuantizeMatMul"),
        ("MatMul", "int8_static", "MatMulIntegerToFloat"),
        ("Gemm", "int8_static", "QGemm"),
    ],
)
def test_products(tmp_path: Path, op: str, form: str, kernel: str, inner: int, extreme: str) -> None:
    x_TI = at_the_ends((5, inner), LOW, HIGH, extreme, seed=1)
    weights = {"w": at_the_ends((inner, OUTPUTS), -1e-3, 1e-3, extreme, seed=2)}
    if op == "Gemm":
        weights["b"] = np.linspace(-0.5, 0.5, OUTPUTS, dtype=np.float32)
    node = helper.make_node(op, ["x", *weights], ["y"], name="layer")
    file = quantised_file(write_one(tmp_path, node, (None, inner), weights), form, x_TI)
    assert kernel in kernels(file, tmp_path)
    there = constants(file)
    whole_IO, step_O = there["w_quantized"].astype(np.int64), there["w_scale"]
    assert np.abs(whole_IO).max() == WEIGHT_STEPS
    whole_TI, zero, step = steps(x_TI) if form == "int8_dynamic" else static_steps(x_TI, there)
    assert (whole_TI.min(), whole_TI.max()) == (0, 255)
    sums_TO = (whole_TI - zero) @ whole_IO
    assert np.abs(sums_TO).max() < 2**31
    if op == "Gemm" and form == "int8_static":
        sums_TO += there["b_quantized"]
    expected = sums_TO * (float(step) * step_O.astype(np.float64))
    if op == "Gemm" and form == "int8_dynamic":
        expected += weights["b"]
    found = run(file, x_TI)
    # float32 rounds the sum, the product of the steps, theirs with the sum, and what the bias is added to: 4 * 6e-8
    np.testing.assert_allclose(found, expected, rtol=1e-6, atol=1e-6)
    np.testing.assert_allclose(found, x_TI @ weights["w"] + weights.get("b", 0), rtol=0.01, atol=0.01)


@pytest.mark.parametrize("extreme", EXTREMES)
@pytest.mark.parametrize(
    ("channels", "kernel_shape", "strides"),
    [
        (1, (3,), (1,)),
        (64, (1,), (1,)),
        (257, (5,), (1,)),
        (800, (3,), (2,)),
        (3, (3, 3), (2, 2)),
        (96, (4, 3), (1, 2)),
    ],
)
def test_convolutions_to_the_bit(
    tmp_path: Path, channels: int, kernel_shape: tuple[int, ...], strides: tuple[int, ...], extreme: str
) -> None:
    """On every processor: sums are whole numbers, and one number in float32 times another is what IEEE 754 says."""
    axes = len(kernel_shape)
    x = at_the_ends((1, channels, *[9] * axes), LOW, HIGH, extreme, seed=1)
    w = at_the_ends((OUTPUTS, channels, *kernel_shape), -1e-3, 1e-3, extreme, seed=2)
    b = np.linspace(-0.5, 0.5, OUTPUTS, dtype=np.float32)
    node = helper.make_node("Conv", ["x", "w", "b"], ["y"], name="layer", strides=strides)
    source = write_one(tmp_path, node, (1, channels, *[None] * axes), {"w": w, "b": b})
    file = quantised_file(source, "int8_static", x)
    assert "QLinearConv" in kernels(file, tmp_path)
    there = constants(file)
    whole_w, step_O = there["w_quantized"].astype(np.int64), there["w_scale"]
    assert np.abs(whole_w).max() == WEIGHT_STEPS
    whole_x, zero, step = static_steps(x, there)
    views = np.lib.stride_tricks.sliding_window_view(whole_x[0] - zero, kernel_shape, axis=tuple(range(1, axes + 1)))
    views = views[:, *(slice(None, None, stride) for stride in strides)]
    inner = [0, *range(axes + 1, 2 * axes + 1)]
    sums = np.tensordot(whole_w, views, (list(range(1, axes + 2)), inner)) + there["b_quantized"].reshape(
        -1, *[1] * axes
    )
    step_y, zero_y = np.float32(there["y_scale"]), int(there["y_zero_point"])
    factor = (step * step_O / step_y).astype(np.float32).reshape(-1, *[1] * axes)
    whole_y = np.clip(np.rint(sums.astype(np.float32) * factor) + zero_y, 0, 255)
    found = np.rint(run(file, x)[0] / step_y) + zero_y
    np.testing.assert_array_equal(found, whole_y)


@pytest.mark.parametrize("extreme", EXTREMES)
@pytest.mark.parametrize("inner", INNER)
def test_recurrent_cells(tmp_path: Path, inner: int, extreme: str) -> None:
    """Weights so small that the gates stay in their linear part, where a lost product would show."""
    size = 1 / inner
    x_TI = at_the_ends((4, inner), LOW, HIGH, extreme, seed=1)
    w_GI = at_the_ends((4 * HIDDEN, inner), -size, size, extreme, seed=2)
    r_GH = at_the_ends((4 * HIDDEN, HIDDEN), -0.1, 0.1, extreme, seed=3)
    node = helper.make_node("LSTM", ["x", "w", "r"], ["y"], name="layer", hidden_size=HIDDEN)
    source = write_one(tmp_path, node, (None, 1, inner), {"w": w_GI[None], "r": r_GH[None]})
    file = quantised_file(source, "int8_dynamic", x_TI[:, None])
    assert "DynamicQuantizeLSTM" in kernels(file, tmp_path)
    there = constants(file)
    assert np.abs(there["w_quantized"].astype(np.int64)).max() == WEIGHT_STEPS
    np.testing.assert_allclose(run(file, x_TI[:, None])[:, 0, 0], lstm(x_TI, there), atol=1e-5)


def lstm(x_TI: Array, there: dict[str, Array]) -> Array:
    """Hidden states (T, H) with products of whole numbers: gates stand as in, out, forget, cell."""

    def product(values: Array, name: str) -> Array:
        whole, zero, step = steps(values.astype(np.float32))
        sums = (whole - zero) @ there[f"{name}_quantized"][0].astype(np.int64)
        return np.asarray(sums * (float(step) * there[f"{name}_scale"][0].astype(np.float64)))

    hidden, cell, found = np.zeros(HIDDEN), np.zeros(HIDDEN), []
    for x_G in product(x_TI, "w"):
        enter, leave, keep, new = np.split(x_G + product(hidden, "r"), 4)
        cell = cell / (1 + np.exp(-keep)) + np.tanh(new) / (1 + np.exp(-enter))
        hidden = np.tanh(cell) / (1 + np.exp(-leave))
        found.append(hidden)
    return np.array(found)


def test_two_products_fit_into_16_bits() -> None:
    assert 2 * 255 * WEIGHT_STEPS <= WITHIN_16_BITS < 2 * 255 * 127


@pytest.mark.parametrize("form", ["int8_dynamic", "int8_static"])
@pytest.mark.parametrize("encoder", ENCODERS)
def test_every_family_is_the_same_where_products_are_cut_off_and_where_not(
    files: Files, encoder: str, form: str
) -> None:
    """All weights lie within the steps; and on a processor that cuts off, kernels that do not give the same bits."""
    small = [values for name, values in constants(files(encoder, form)).items() if is_weight(name, values)]
    assert {values.dtype for values in small} == {np.dtype(np.int8)}
    assert max(np.abs(values.astype(int)).max() for values in small) == WEIGHT_STEPS
    exact = onnxruntime.SessionOptions()
    exact.add_session_config_entry("session.x64quantprecision", "1")
    exact.intra_op_num_threads = 1
    sessions = (
        open_session(files(encoder, form)),
        onnxruntime.InferenceSession(files(encoder, form), exact, providers=["CPUExecutionProvider"]),
    )
    given = feed(module_of(encoder), (23, 90, 41), 7)
    for found, expected in zip(*(session.run(None, given) for session in sessions), strict=True):
        np.testing.assert_array_equal(found, expected)


def is_weight(name: str, values: Array) -> bool:
    return name.endswith("_quantized") and values.ndim >= 2
