"""A float32 ONNX file in fewer bits: 16-bit floats, or 8-bit weights by ONNX Runtime's quantiser.

Dynamic 8 bits: the range of every layer's input is found anew for each utterance. Static: ranges are fixed
beforehand from `calibration` audio, so convolutions gain from it too. Weights are signed, symmetric about 0, and take
7 of their 8 bits (-64 to 64): processors without VNNI instructions add pairs of products with unsigned inputs in 16
bits and cut off what does not fit there; 2 x 255 x 64 fits. So the same file computes the same everywhere.
"""

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import onnx
from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_dynamic, quantize_static
from onnxruntime.quantization.shape_inference import quant_pre_process

from tasks.onnx.onnx_files import IR_VERSION
from tasks.onnx.onnx_session import Feed
from tasks.onnx.quantise.layers import WEIGHT_INPUTS, layers
from tasks.runner.atomic_io import write_whole

DYNAMIC_KINDS = ("MatMul", "Gemm", "LSTM")
STATIC_KINDS = ("Conv", "MatMul", "Gemm")
"""What has an 8-bit kernel: ONNX Runtime has none for GRU."""


class Quantiser:
    """Makes 8-bit files of one float32 file; static ranges are found once. A context manager: it keeps files.

    reduce_range: False gives weights all 8 bits, to measure what the eighth is worth (benchmarks/seven_bits.py).
    """

    def __init__(self, source: Path, calibration: Iterable[Feed], reduce_range: bool = True) -> None:
        self._calibration = calibration
        self._reduce_range = reduce_range
        self._folder = TemporaryDirectory(prefix="quantise-")
        self._source = Path(self._folder.name) / "source.onnx"
        self._ranges = Path(self._folder.name) / "ranges.json"
        self._original = onnx.load(source)
        quant_pre_process(str(source), str(self._source), skip_optimization=True, skip_symbolic_shape=True)

    def __enter__(self) -> "Quantiser":
        return self

    def __exit__(self, *_: object) -> None:
        self._folder.cleanup()

    def layers(self, form: str) -> list[str]:
        """Names of the layers that a form holds in 8 bits."""
        kinds = DYNAMIC_KINDS if form == "int8_dynamic" else STATIC_KINDS
        return [node.name for node in layers(self._original, kinds) if _pays(node)]

    def write(self, form: str, target: Path, only: Sequence[str]) -> None:
        """Write `int8_dynamic` or `int8_static` with these layers in 8 bits and all others as they were."""
        made = Path(self._folder.name) / "made.onnx"
        make = self._dynamic if form == "int8_dynamic" else self._static
        make(made, list(only))
        _save(onnx.load(made), self._original, target, form)

    def _dynamic(self, made: Path, only: list[str]) -> None:
        # a Gemm is taken apart first, and its product then has another name
        names = [*only, *(f"{name}_MatMul" for name in only)]
        kinds = ["MatMul", "LSTM"]
        quantize_dynamic(
            self._source,
            made,
            kinds,
            per_channel=True,
            reduce_range=self._reduce_range,
            weight_type=QuantType.QInt8,
            nodes_to_quantize=names,
        )

    def _static(self, made: Path, only: list[str]) -> None:
        quantize_static(
            self._source,
            made,
            _Reader(iter(self._calibration)),
            quant_format=QuantFormat.QDQ,
            op_types_to_quantize=list(STATIC_KINDS),
            per_channel=True,
            reduce_range=self._reduce_range,
            activation_type=QuantType.QUInt8,
            weight_type=QuantType.QInt8,
            nodes_to_quantize=only,
            extra_options={"OpTypesToExcludeOutputQuantization": ["MatMul", "Gemm"], "MatMulConstBOnly": True},
            calibration_cache_path=self._ranges,
        )


class _Reader(CalibrationDataReader):  # type: ignore[misc]  # onnxruntime has no types
    def __init__(self, feeds: Iterator[Feed]) -> None:
        self._feeds = feeds

    def get_next(self) -> Feed | None:
        return next(self._feeds, None)


def write_half(source: Path, target: Path) -> None:
    """Weights in 16 bits, each with a cast to 32 that ONNX Runtime folds away when it opens the file.

    The arithmetic is that of float32: on the CPU there are next to no 16-bit kernels, and a whole graph in 16 bits
    (onnxruntime.transformers.float16) was slower, lost count of frames in angles, and crashed on a unidirectional GRU.
    """
    model = onnx.load(source)
    tensors = {tensor.name: tensor for tensor in model.graph.initializer}
    casts = []
    for name in dict.fromkeys(node.input[i] for node in layers(model) for i in WEIGHT_INPUTS[node.op_type]):
        values, half = onnx.numpy_helper.to_array(tensors[name]), f"{name}_float16"
        with np.errstate(over="ignore"):  # infinite weights are found out by whoever compares
            tensors[name].CopyFrom(onnx.numpy_helper.from_array(values.astype(np.float16), half))
        casts.append(onnx.helper.make_node("Cast", [half], [name], name=f"{name}_cast", to=onnx.TensorProto.FLOAT))
    nodes = [*casts, *model.graph.node]
    del model.graph.node[:]
    model.graph.node.extend(nodes)
    _save(model, onnx.load(source), target, "float16")


def _pays(node: Any) -> bool:
    """Convolutions in groups stay as they are: slower in 8 bits, and depthwise ones a hundredth of the weights.

    So do gates of positions, which no training changes (kd.models.gated_positions), and so none prepares for it.
    """
    return "/positions/" not in node.name and not any(
        attribute.name == "group" and attribute.i > 1 for attribute in node.attribute
    )


def _save(model: Any, original: Any, target: Path, form: str) -> None:
    """Write with the original's IR version and properties, the same bytes each time."""
    model.ir_version = IR_VERSION
    properties = {p.key: p.value for p in original.metadata_props} | {"form": form}
    onnx.helper.set_model_props(model, dict(sorted(properties.items())))
    onnx.checker.check_model(model, full_check=True)
    target.parent.mkdir(parents=True, exist_ok=True)
    write_whole(target, model.SerializeToString(deterministic=True))
