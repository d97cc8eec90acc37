import json
import subprocess
import sys
from hashlib import md5
from pathlib import Path

import onnx
import onnxruntime
import pytest
import torch
from exportable import ENCODERS, FRONTEND, checkpoint_of

from kd.config.frontend import FrontEndSettings
from kd.text.vocabulary import Vocabulary
from tasks.checkpoint import save_checkpoint
from tasks.onnx.onnx_module import Exported
from tasks.onnx.parity import PARITY_TOLERANCE
from tasks.params.pipeline import ExportParams, Params
from tasks.runner.paths import Paths
from tasks.stages import export


def params_of(frontend_included: bool) -> Params:
    return Params.model_construct(export=ExportParams(frontend_included=frontend_included, forms=("float32",)))


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
    x, lengths = Exported(checkpoint_of("gru", "transcription"), False).batch((20, 61), seed=3)
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
        "import sys; from pathlib import Path; from tasks.stages import export; from tasks.runner.paths import Paths;"
        "from tasks.params.pipeline import ExportParams, Params;"
        "p = Params.model_construct(export=ExportParams(forms=('float32',)));"
        "export.run(p, Paths(Path(sys.argv[1])), 'tiny')"
    )
    sums = []
    for _ in range(2):
        subprocess.run([sys.executable, "-c", code, str(tmp_path)], check=True, cwd=Path(__file__).parents[3])
        files = sorted(Paths(tmp_path).export("tiny").iterdir())
        sums.append([md5(file.read_bytes()).hexdigest() for file in files])
    assert len(sums[0]) == 4
    assert sums[0] == sums[1]


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
    assert PARITY_TOLERANCE < found["max_abs_difference"] <= found["allowed"]
