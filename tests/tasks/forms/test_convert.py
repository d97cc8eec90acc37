"""Every family in every form: right layers in 8 bits, any batch and length, close to float32, the same bytes twice."""

import subprocess
import sys
from hashlib import md5
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from exportable import ENCODERS, checkpoint_of

from tasks.export import HALF_TOLERANCE, compare
from tasks.exported import TRACED_FRAMES, Exported, metadata
from tasks.forms.convert import Quantiser, write_half
from tasks.forms.layers import contents
from tasks.onnx_files import IR_VERSION, write_onnx

FORMS = ("float16", "int8_dynamic", "int8_static")
BATCHES = ((61,), (23, 90, 41))


def exported(folder: Path, encoder: str, problem: str = "transcription", frontend_included: bool = False) -> Exported:
    checkpoint = checkpoint_of(encoder, problem)
    module = Exported(checkpoint, frontend_included)
    properties = metadata(checkpoint, frontend_included)
    example = module.batch(TRACED_FRAMES, seed=0)
    write_onnx(folder / "model.onnx", module, example, module.inputs(), module.outputs(), properties)
    return module


def feed(module: Exported, frames: tuple[int, ...], seed: int) -> dict[str, Any]:
    x, lengths_B = module.batch(frames, seed)
    return dict(zip(module.inputs(), (x.numpy(), lengths_B.numpy()), strict=True))


def write(folder: Path, module: Exported, form: str) -> Path:
    target = folder / f"{form}.onnx"
    if form == "float16":
        write_half(folder / "model.onnx", target)
        return target
    feeds = [feed(module, (frames,), seed) for seed, frames in enumerate((30, 75, 120, 50))]
    with Quantiser(folder / "model.onnx", feeds) as quantiser:
        quantiser.write(form, target, quantiser.layers(form))
    return target


def run(path: Path, given: dict[str, Any]) -> list[Any]:
    return onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"]).run(None, given)


CASES = [*((encoder, False) for encoder in ENCODERS), ("cnn", True)]


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize(("encoder", "frontend_included"), CASES)
def test_any_batch_and_length_close_to_float32(
    tmp_path: Path, encoder: str, form: str, frontend_included: bool
) -> None:
    problem = "keyword" if encoder == "patch_cnn" else "transcription"
    module = exported(tmp_path, encoder, problem, frontend_included)
    target = write(tmp_path, module, form)
    for seed, frames in enumerate(BATCHES):
        given = feed(module, frames, seed)
        before, after = run(tmp_path / "model.onnx", given), run(target, given)
        assert [a.shape for a in after] == [b.shape for b in before]
        assert [a.dtype for a in after] == [b.dtype for b in before]
        if problem == "transcription":
            assert after[1].tolist() == before[1].tolist()
        rows = before[1].tolist() if problem == "transcription" else [None] * len(frames)
        for row, length in enumerate(rows):
            probability = np.exp(before[0][row][:length]), np.exp(after[0][row][:length])
            assert np.abs(probability[0] - probability[1]).max() < (0.01 if form == "float16" else 0.15)


@pytest.mark.parametrize("encoder", ENCODERS)
def test_which_layers_have_8_bits(tmp_path: Path, encoder: str) -> None:
    module = exported(tmp_path, encoder, "keyword" if encoder == "patch_cnn" else "transcription")
    dynamic, static = (contents(write(tmp_path, module, form)) for form in ("int8_dynamic", "int8_static"))
    whole = contents(tmp_path / "model.onnx")
    assert whole.share_8_bit == 0
    assert set(dynamic.float_layers) < set(whole.float_layers)
    kinds = {name.rsplit("/", 1)[1] for name in dynamic.float_layers}
    assert kinds <= {"GRU", "Conv"}
    assert ("GRU" in kinds) == ("gru" in encoder)
    kinds = {name.rsplit("/", 1)[1] for name in static.float_layers}
    assert kinds <= {"GRU", "LSTM", "Conv"}
    assert all("depthwise" in name for name in static.float_layers if name.endswith("Conv"))
    assert 0 < dynamic.share_8_bit < 1
    assert static.share_8_bit > 0.7 or encoder in ("gru", "lstm", "one-way gru")


@pytest.mark.parametrize("form", FORMS)
def test_an_included_front_end_stays_as_it_is(tmp_path: Path, form: str) -> None:
    module = exported(tmp_path, "cnn", frontend_included=True)
    before, after = onnx.load(tmp_path / "model.onnx"), onnx.load(write(tmp_path, module, form))

    def tensors(model: Any) -> dict[str, bytes]:
        constants = (n for n in model.graph.node if n.op_type == "Constant" and n.name.startswith("/frontend/"))
        return {n.output[0]: n.attribute[0].t.raw_data for n in constants if len(n.attribute[0].t.dims) == 2}

    assert len(tensors(before)) == 2
    assert tensors(after) == tensors(before)


@pytest.mark.parametrize("form", FORMS)
def test_what_stands_beside_the_weights(tmp_path: Path, form: str) -> None:
    module = exported(tmp_path, "cnn")
    model = onnx.load(write(tmp_path, module, form))
    assert model.ir_version == IR_VERSION
    assert {o.version for o in model.opset_import if o.domain == ""} == {17}
    properties = {p.key: p.value for p in model.metadata_props}
    assert (properties["model_type"], properties["vocab_size"], properties["form"]) == ("zipformer2_ctc", "6", form)
    assert not [key for key in properties if key.startswith("onnx.")]


@pytest.mark.parametrize("encoder", ENCODERS)
def test_16_bits_keep_parity_with_pytorch(tmp_path: Path, encoder: str) -> None:
    module = exported(tmp_path, encoder, "keyword" if encoder == "patch_cnn" else "transcription")
    found = compare(module, write(tmp_path, module, "float16"), HALF_TOLERANCE)
    assert 1e-6 < found.difference <= found.allowed == HALF_TOLERANCE
    assert found.fault == ""


def test_another_model_has_no_parity(tmp_path: Path) -> None:
    module = exported(tmp_path, "cnn")
    target = write(tmp_path, module, "float16")
    module.model.head.bias.data[0] += 1
    assert "log-probabilities differ from PyTorch's by up to" in compare(module, target, HALF_TOLERANCE).fault


def test_only_the_layers_asked_for(tmp_path: Path) -> None:
    module = exported(tmp_path, "cnn")
    whole = contents(tmp_path / "model.onnx").float_layers
    with Quantiser(tmp_path / "model.onnx", [feed(module, (50,), 0)]) as quantiser:
        for form in ("int8_dynamic", "int8_static"):
            for layer in quantiser.layers(form):
                quantiser.write(form, tmp_path / "one.onnx", [layer])
                assert set(whole) - set(contents(tmp_path / "one.onnx").float_layers) == {layer}


@pytest.mark.parametrize("encoder", ["cnn", "lstm"])
def test_two_processes_write_the_same_bytes(tmp_path: Path, encoder: str) -> None:
    """Whatever the order in which sets are walked."""
    sums = []
    for seed in ("1", "2"):
        folder = tmp_path / seed
        code = (
            "import sys; from pathlib import Path; sys.path[:0] = sys.argv[2:]; import test_convert as t;"
            f"m = t.exported(Path(sys.argv[1]), '{encoder}'); [t.write(Path(sys.argv[1]), m, f) for f in t.FORMS]"
        )
        here = Path(__file__).parent
        paths = [str(folder), str(here), str(here.parents[1] / "support")]
        environment = {"PYTHONHASHSEED": seed, "PYTHONPATH": str(here.parents[2])}
        subprocess.run([sys.executable, "-c", code, *paths], check=True, env=environment)
        sums.append([md5(file.read_bytes()).hexdigest() for file in sorted(folder.iterdir())])
    assert len(sums[0]) == 4
    assert sums[0] == sums[1]
