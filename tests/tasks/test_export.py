import json
import subprocess
import sys
from hashlib import md5
from pathlib import Path
from typing import Any

import onnx
import onnxruntime
import pytest
import torch
from pydantic import TypeAdapter

from kd.models import build
from kd.settings.frontend import FrontEndSettings
from kd.settings.models import EncoderSettings, ModelSettings
from kd.text import Vocabulary
from tasks import export
from tasks.checkpoint import Checkpoint, save_checkpoint
from tasks.params import ExportParams, Params
from tasks.paths import Paths

ENCODERS: dict[str, dict[str, Any]] = {
    "gru": {"family": "rnn", "cell": "gru", "stem": 4, "width": 8, "layers": 2, "hidden": 6},
    "lstm": {"family": "rnn", "cell": "lstm", "stem": 4, "width": 8, "layers": 1, "hidden": 6},
    "one-way gru": {"family": "rnn", "two_way": False, "stem": 4, "width": 8, "layers": 1, "hidden": [5]},
    "cnn": {"family": "cnn", "stem": 4, "width": 8, "layers": 2, "hidden": [6, 9], "subsampling": 2},
    "conformer": {
        "family": "conformer", "stem": 4, "width": 8, "layers": 1, "heads": 2, "head_dim": 4,
        "feed_forward_1": 6, "feed_forward_2": 6, "channels": 6,
    },
    "patch_cnn": {"family": "patch_cnn", "frames": 16, "channels": [2, 3], "hidden": 5},
}  # fmt: skip
FRONTEND = FrontEndSettings(num_mels=16)


def checkpoint_of(encoder: str, problem: str) -> Checkpoint:
    torch.manual_seed(1)
    labels = Vocabulary.labels(["yes", "turn on", "no"])
    vocabulary = labels if problem == "keyword" else Vocabulary.characters("abc '")
    settings = ModelSettings(
        problem=problem,  # type: ignore[arg-type]
        num_features=FRONTEND.num_mels,
        num_outputs=len(vocabulary),
        encoder=TypeAdapter(EncoderSettings).validate_python(ENCODERS[encoder]),
    )
    model = build(settings)
    model.set_statistics(torch.linspace(-9, -4, FRONTEND.num_mels), torch.full((FRONTEND.num_mels,), 3.0))
    return Checkpoint(model, FRONTEND, vocabulary, role="student", init="random", objective="labels")


def params_of(frontend_included: bool) -> Params:
    return Params.model_construct(export=ExportParams(frontend_included=frontend_included))


def exported(root: Path, encoder: str, problem: str, frontend_included: bool) -> tuple[Path, dict[str, float]]:
    paths = Paths(root)
    save_checkpoint(paths.model("tiny"), checkpoint_of(encoder, problem))
    metrics = export.run(params_of(frontend_included), paths, "tiny")
    return paths.export("tiny"), metrics


@pytest.mark.parametrize("frontend_included", [False, True], ids=["features", "audio"])
@pytest.mark.parametrize("problem", ["transcription", "keyword"])
@pytest.mark.parametrize("encoder", ENCODERS)
def test_every_family_keeps_parity(tmp_path: Path, encoder: str, problem: str, frontend_included: bool) -> None:
    if (encoder, problem) == ("patch_cnn", "transcription"):
        with pytest.raises(ValueError, match="cannot transcribe"):
            checkpoint_of(encoder, problem)
        return
    folder, metrics = exported(tmp_path, encoder, problem, frontend_included)
    assert 0 < metrics["parity_max_abs_difference"] <= 1e-4
    assert metrics["size_bytes"] == (folder / "model.onnx").stat().st_size
    session = onnxruntime.InferenceSession(folder / "model.onnx", providers=["CPUExecutionProvider"])
    assert [i.name for i in session.get_inputs()] == (["audio", "audio_lens"] if frontend_included else ["x", "x_lens"])
    log_probs = session.get_outputs()[0]
    assert log_probs.name == "log_probs"
    assert log_probs.shape == (["N", 3] if problem == "keyword" else ["N", "T'", 6])


def test_batch_mates_and_padding_change_nothing(tmp_path: Path) -> None:
    folder, _ = exported(tmp_path, "gru", "transcription", frontend_included=False)
    session = onnxruntime.InferenceSession(folder / "model.onnx", providers=["CPUExecutionProvider"])
    x, lengths = export.Exported(checkpoint_of("gru", "transcription"), False).batch((20, 61), seed=3)
    together = session.run(None, {"x": x.numpy(), "x_lens": lengths.numpy()})
    alone = session.run(None, {"x": x[:1, :20].numpy(), "x_lens": lengths[:1].numpy()})
    frames = alone[1][0]
    assert together[1][0] == frames == 5
    torch.testing.assert_close(torch.tensor(together[0][0, :frames]), torch.tensor(alone[0][0]), atol=1e-5, rtol=0)


def test_what_stands_beside_the_weights(tmp_path: Path) -> None:
    folder, _ = exported(tmp_path, "cnn", "transcription", frontend_included=False)
    model = onnx.load(folder / "model.onnx")
    assert model.ir_version <= 13
    assert {o.domain: o.version for o in model.opset_import} == {"": 17}
    properties = {p.key: p.value for p in model.metadata_props}
    assert properties["model_type"] == "zipformer2_ctc"
    assert (properties["vocab_size"], properties["subsampling_factor"]) == ("6", "2")
    assert (folder / "tokens.txt").read_text(encoding="utf-8").splitlines() == [
        "<blk> 0", "a 1", "b 2", "c 3", "▁ 4", "' 5",
    ]  # fmt: skip
    description = json.loads((folder / "export.json").read_text(encoding="utf-8"))
    assert FrontEndSettings.model_validate(description["frontend"]) == FRONTEND
    assert str(tmp_path).encode() not in (folder / "model.onnx").read_bytes()


def test_two_processes_write_the_same_bytes(tmp_path: Path) -> None:
    save_checkpoint(Paths(tmp_path).model("tiny"), checkpoint_of("lstm", "transcription"))
    code = (
        "import sys; from pathlib import Path; from tasks import export; from tasks.paths import Paths;"
        "from tasks.params import ExportParams, Params;"
        "p = Params.model_construct(export=ExportParams()); export.run(p, Paths(Path(sys.argv[1])), 'tiny')"
    )
    sums = []
    for _ in range(2):
        subprocess.run([sys.executable, "-c", code, str(tmp_path)], check=True, cwd=Path(__file__).parents[2])
        files = sorted(Paths(tmp_path).export("tiny").iterdir())
        sums.append([md5(file.read_bytes()).hexdigest() for file in files])
    assert len(sums[0]) == 3
    assert sums[0] == sums[1]


def test_a_file_of_other_weights_is_refused(tmp_path: Path) -> None:
    folder, _ = exported(tmp_path, "gru", "transcription", frontend_included=False)
    module = export.Exported(checkpoint_of("gru", "transcription"), False)
    with torch.no_grad():
        module.model.head.bias[0] += 0.01
    with pytest.raises(RuntimeError, match=r"differ from PyTorch's by up to 0\.00"):
        export.parity(module, folder / "model.onnx")


def test_a_diverged_model_is_refused(tmp_path: Path) -> None:
    checkpoint = checkpoint_of("gru", "transcription")
    with torch.no_grad():
        checkpoint.model.head.weight.fill_(float("nan"))
    paths = Paths(tmp_path)
    paths.model("tiny").mkdir(parents=True)
    module = export.Exported(checkpoint, False)
    file = paths.export("tiny") / "model.onnx"
    export.write_onnx(file, module, module.batch((47, 31), 0), module.inputs(), module.outputs(), {})
    with pytest.raises(RuntimeError, match="cannot be used"):
        export.parity(module, file)


def test_sentencepiece_tokens_keep_their_marks() -> None:
    vocabulary = Vocabulary("sentencepiece", ("<blk>", "▁on", "e"), "unused")
    assert export.tokens_table(vocabulary) == "<blk> 0\n▁on 1\ne 2\n"
    assert export.tokens_table(Vocabulary.labels(["turn on"])) == "turn▁on 0\n"


def test_rounding_of_a_huge_model_is_no_difference(tmp_path: Path) -> None:
    """Weights a thousand times too big: PyTorch's own rounding exceeds the tolerance, and is allowed for."""
    checkpoint = checkpoint_of("cnn", "transcription")
    with torch.no_grad():
        checkpoint.model.head.weight.mul_(1e4)
    save_checkpoint(Paths(tmp_path).model("tiny"), checkpoint)
    export.run(params_of(False), Paths(tmp_path), "tiny")
    found = json.loads((Paths(tmp_path).export("tiny") / "export.json").read_text(encoding="utf-8"))["parity"]
    assert export.PARITY_TOLERANCE < found["max_abs_difference"] <= found["allowed"]
