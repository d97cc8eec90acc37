"""Which nodes of an ONNX file carry weights, and how many bits these have."""

from collections.abc import Collection
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any

import onnx

FRONTEND = "/frontend/"
"""How the names of an included front end's nodes begin: features are never made with fewer bits."""

WEIGHT_INPUTS = {"Conv": (1,), "MatMul": (1,), "Gemm": (1,), "GRU": (1, 2), "LSTM": (1, 2)}
FLOATS = (onnx.TensorProto.FLOAT, onnx.TensorProto.FLOAT16)
BYTES = (onnx.TensorProto.INT8, onnx.TensorProto.UINT8)


@dataclass(frozen=True)
class Contents:
    """float_layers: nodes whose weights have 32 bits; share_8_bit: of all weights, biases and scales not counted."""

    float_layers: tuple[str, ...]
    share_8_bit: float


def layers(model: Any, kinds: Collection[str] = tuple(WEIGHT_INPUTS)) -> list[Any]:
    """Nodes of these kinds outside the front end whose weights are constants, in the graph's order."""
    constants = {tensor.name for tensor in model.graph.initializer}
    return [
        node
        for node in model.graph.node
        if node.op_type in kinds
        and not node.name.startswith(FRONTEND)
        and all(node.input[i] in constants for i in WEIGHT_INPUTS[node.op_type])
    ]


def contents(path: Path) -> Contents:
    """What a file's weights are stored in."""
    model = onnx.load(path)
    types = {tensor.name: tensor.data_type for tensor in model.graph.initializer}
    full = [n.name for n in layers(model) if types[n.input[1]] == onnx.TensorProto.FLOAT]
    sizes = _weight_sizes(model)
    small = sum(size for name, size in sizes.items() if types[name] in BYTES)
    return Contents(tuple(full), small / sum(sizes.values()) if sizes else 0.0)


def _weight_sizes(model: Any) -> dict[str, int]:
    """Constants of two axes or more, in floats or bytes, with their numbers of elements; none of the front end's."""
    features = {name for node in model.graph.node if node.name.startswith(FRONTEND) for name in node.input}
    return {
        tensor.name: prod(tensor.dims)
        for tensor in model.graph.initializer
        if len(tensor.dims) >= 2
        and tensor.data_type in (*FLOATS, *BYTES)
        and tensor.name not in features
        and not tensor.name.endswith(("_zero_point", "_scale"))
    }
