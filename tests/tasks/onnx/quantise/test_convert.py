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
from exportable import ENCODERS
from small_forms import Files, feed, module_of, problem_of

from tasks.onnx.onnx_files import IR_VERSION
from tasks.onnx.parity import HALF_TOLERANCE, compare
from tasks.onnx.quantise.convert import Quantiser
from tasks.onnx.quantise.layers import contents

FORMS = ("float16", "int8_dynamic", "int8_static")
BATCHES = ((61,), (23, 90, 41))


def run(path: Path, given: dict[str, Any]) -> list[Any]:
    return onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"]).run(None, given)


CASES = [*((encoder, False) for encoder in ENCODERS), ("cnn", True)]


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize(("encoder", "frontend_included"), CASES)
def test_any_batch_and_length_close_to_float32(files: Files, encoder: str, form: str, frontend_included: bool) -> None:
    module, problem = module_of(encoder, frontend_included), problem_of(encoder)
    whole, target = (files(encoder, which, frontend_included) for which in ("float32", form))
    for seed, frames in enumerate(BATCHES):
        given = feed(module, frames, seed)
        before, after = run(whole, given), run(target, given)
        assert [a.shape for a in after] == [b.shape for b in before]
        assert [a.dtype for a in after] == [b.dtype for b in before]
        if problem == "transcription":
            assert after[1].tolist() == before[1].tolist()
        rows = before[1].tolist() if problem == "transcription" else [None] * len(frames)
        for row, length in enumerate(rows):
            probability = np.exp(before[0][row][:length]), np.exp(after[0][row][:length])
            assert np.abs(probability[0] - probability[1]).max() < (0.01 if form == "float16" else 0.15)


@pytest.mark.parametrize("encoder", ENCODERS)
def test_which_layers_have_8_bits(files: Files, encoder: str) -> None:
    whole, dynamic, static = (contents(files(encoder, form)) for form in ("float32", "int8_dynamic", "int8_static"))
    assert whole.share_8_bit == 0
    assert set(dynamic.float_layers) < set(whole.float_layers)
    dynamic_layers, static_layers = (
        [name for name in form.float_layers if "/positions/" not in name] for form in (dynamic, static)
    )  # wav2vec2's positional convolution, in groups, and WavLM's gates
    kinds = {name.rsplit("/", 1)[1] for name in dynamic_layers}
    assert kinds <= {"GRU", "Conv"}
    assert ("GRU" in kinds) == ("gru" in encoder)
    kinds = {name.rsplit("/", 1)[1] for name in static_layers}
    assert kinds <= {"GRU", "LSTM", "Conv"}
    assert all("depthwise" in name for name in static_layers if name.endswith("Conv"))
    assert 0 < dynamic.share_8_bit < 1
    assert static.share_8_bit > 0.7 or encoder in ("gru", "lstm", "one-way gru")


@pytest.mark.parametrize("form", FORMS)
def test_an_included_front_end_stays_as_it_is(files: Files, form: str) -> None:
    before, after = (onnx.load(files("cnn", which, frontend_included=True)) for which in ("float32", form))

    def tensors(model: Any) -> dict[str, bytes]:
        constants = (n for n in model.graph.node if n.op_type == "Constant" and n.name.startswith("/frontend/"))
        return {n.output[0]: n.attribute[0].t.raw_data for n in constants if len(n.attribute[0].t.dims) == 2}

    assert len(tensors(before)) == 2
    assert tensors(after) == tensors(before)


@pytest.mark.parametrize("form", FORMS)
def test_what_stands_beside_the_weights(files: Files, form: str) -> None:
    model = onnx.load(files("cnn", form))
    assert model.ir_version == IR_VERSION
    assert {o.version for o in model.opset_import if o.domain == ""} == {17}
    properties = {p.key: p.value for p in model.metadata_props}
    assert (properties["model_type"], properties["vocab_size"], properties["form"]) == ("zipformer2_ctc", "6", form)
    assert not [key for key in properties if key.startswith("onnx.")]


@pytest.mark.parametrize("encoder", ENCODERS)
def test_16_bits_keep_parity_with_pytorch(files: Files, encoder: str) -> None:
    found = compare(module_of(encoder), files(encoder, "float16"), HALF_TOLERANCE)
    assert 1e-6 < found.difference <= found.allowed == HALF_TOLERANCE
    assert found.fault == ""


def test_another_model_has_no_parity(files: Files) -> None:
    module = module_of("cnn")
    module.model.head.bias.data[0] += 1
    found = compare(module, files("cnn", "float16"), HALF_TOLERANCE)
    assert "log-probabilities differ from PyTorch's by up to" in found.fault


def test_only_the_layers_asked_for(files: Files, tmp_path: Path) -> None:
    whole = contents(files("cnn")).float_layers
    with Quantiser(files("cnn"), [feed(module_of("cnn"), (50,), 0)]) as quantiser:
        for form in ("int8_dynamic", "int8_static"):
            for layer in quantiser.layers(form):
                quantiser.write(form, tmp_path / "one.onnx", [layer])
                assert set(whole) - set(contents(tmp_path / "one.onnx").float_layers) == {layer}


def test_two_processes_write_the_same_bytes(tmp_path: Path) -> None:
    """Whatever the order in which sets are walked."""
    sums = []
    for seed in ("1", "2"):
        folder = tmp_path / seed
        code = (
            "import sys; from pathlib import Path; sys.path[:0] = sys.argv[2:]; import small_forms as s\n"
            "for encoder in ('cnn', 'lstm'):\n"
            "    root = Path(sys.argv[1]) / encoder; s.exported(root, encoder)\n"
            f"    [s.write(root, encoder, form) for form in {FORMS}]"
        )
        paths = [str(folder), str(Path(__file__).parents[3] / "support")]
        environment = {"PYTHONHASHSEED": seed, "PYTHONPATH": str(Path(__file__).parents[4])}
        subprocess.run([sys.executable, "-c", code, *paths], check=True, env=environment)
        files = sorted(folder.rglob("*.onnx"))
        sums.append({file.relative_to(folder): md5(file.read_bytes()).hexdigest() for file in files})
    assert len(sums[0]) == 8
    assert sums[0] == sums[1]
