"""Weights that were pruned to zero are zero in what is delivered, after training and in 8 bits."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
import pytest
import torch
from exportable import checkpoint_of
from onnx import numpy_helper
from tiny_training import tiny_fit

from kd.config.propagation import PruneWeights
from kd.propagation import Propagated, propagate
from tasks.checkpoint import Checkpoint, save_checkpoint
from tasks.onnx.quantise.convert import Quantiser
from tasks.onnx.quantise.layers import WEIGHT_INPUTS, layers
from tasks.params.pipeline import ExportParams, Params
from tasks.runner.paths import Paths
from tasks.stages import export

AMOUNTS: dict[str, dict[str, Any]] = {"share": {"sparsity": 0.6}, "pattern": {"pattern": [2, 4]}}

Array = npt.NDArray[Any]


def trained(encoder: str, amount: dict[str, Any]) -> Checkpoint:
    """Pruned, then trained for a few epochs."""
    dense = checkpoint_of(encoder, "transcription")
    prune = PruneWeights.model_validate({"op": "prune_weights", **amount})
    pruned = propagate(Propagated(dense.model.eval()), [prune])
    head = pruned.model.head.weight.detach().clone()
    list(tiny_fit(pruned.model, masks=pruned.masks))
    assert not torch.equal(pruned.model.head.weight, head)
    return Checkpoint(
        pruned.model, dense.frontend, dense.vocabulary, role="student", init="random", objective="labels",
        masks=dict(pruned.masks),
    )  # fmt: skip


def exported(paths: Paths, checkpoint: Checkpoint) -> Path:
    save_checkpoint(paths.model("tiny"), checkpoint)
    params = Params.model_construct(export=ExportParams(forms=("float32",)))
    export.run(params, paths, "tiny")
    return paths.export("tiny") / "model.onnx"


def constants(model: Any) -> dict[str, Array]:
    return {tensor.name: numpy_helper.to_array(tensor) for tensor in model.graph.initializer}


def eight_bits(model: Any) -> Iterator[tuple[str, Array, Array, Array]]:
    """Of each matrix in 8 bits its name in the float file, its bytes, their zero points and scales."""
    there = constants(model)
    for name in there:
        if name.endswith("_quantized"):
            plain = name.removesuffix("_quantized")
            zero, scale = (there[f"{plain}_{part}"][..., None, :] for part in ("zero_point", "scale"))
            yield plain.removesuffix("_Transposed"), there[name], zero, scale


@pytest.mark.parametrize("amount", AMOUNTS.values(), ids=AMOUNTS)
@pytest.mark.parametrize("encoder", ["cnn", "gru", "lstm", "conformer"])
def test_what_is_pruned_is_zero_in_every_file(tmp_path: Path, encoder: str, amount: dict[str, Any]) -> None:
    checkpoint = trained(encoder, amount)
    file = exported(Paths(tmp_path), checkpoint)
    model = onnx.load(file)
    there = constants(model)
    matrices = {node.input[i]: there[node.input[i]] for node in layers(model) for i in WEIGHT_INPUTS[node.op_type]}
    assert sum(matrix.size for matrix in matrices.values()) == sum(m.numel() for m in checkpoint.masks.values())
    zeros = sum(int((matrix == 0).sum()) for matrix in matrices.values())
    assert zeros == sum(int((mask == 0).sum()) for mask in checkpoint.masks.values()) > 0

    with Quantiser(file, []) as quantiser:
        quantiser.write("int8_dynamic", tmp_path / "int8.onnx", quantiser.layers("int8_dynamic"))
    small = list(eight_bits(onnx.load(tmp_path / "int8.onnx")))
    assert small
    for name, values, zero, scale in small:
        matrix = matrices[name] if matrices[name].shape == values.shape else matrices[name].swapaxes(-1, -2)
        assert (np.abs((values.astype(float) - zero) * scale - matrix) <= scale).all()
        assert (values == zero)[matrix == 0].all()
