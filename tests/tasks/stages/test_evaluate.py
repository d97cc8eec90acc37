import json
from hashlib import md5
from pathlib import Path

import jiwer
import pandas as pd
import pytest
import torch
from workspace import make_params, make_workspace

from kd.audio.frontend import make_front_end
from kd.stats import error_interval
from kd.text.decoding import DECODERS
from kd.text.vocabulary import Vocabulary
from tasks.checkpoint import load_checkpoint, save_checkpoint
from tasks.data.prepared import PreparedData
from tasks.metric_names import error_name
from tasks.runner.paths import Paths
from tasks.stages import evaluate, export

KEYS = {
    "error_kind", "test_wer", "test_wer_low", "test_wer_high", "valid_wer", "cer", "params",
    "nonzero_params", "size_bytes", "macs_per_audio_second",
}  # fmt: skip


def evaluated(root: Path, problem: str = "transcription", name: str = "teacher") -> tuple[Paths, dict[str, float]]:
    paths, params = make_workspace(root, problem), make_params(problem)
    export.run(params, paths, name)
    return paths, evaluate.run(params, paths, name)


def test_error_rates_are_those_of_jiwer(tmp_path: Path) -> None:
    paths, metrics = evaluated(tmp_path)
    table = pd.read_parquet(paths.evaluation("teacher") / "utterances.parquet")
    for split, key in (("test", "test_error"), ("valid", "valid_error")):
        part = table[table["split"] == split]
        assert metrics[key] == pytest.approx(jiwer.wer(part["reference"].tolist(), part["hypothesis"].tolist()))
    test = table[table["split"] == "test"]
    assert metrics["cer"] == pytest.approx(jiwer.cer(test["reference"].tolist(), test["hypothesis"].tolist()))
    interval = error_interval(test["errors"].tolist(), test["reference_units"].tolist(), test["speaker"].tolist())
    assert (metrics["test_error_low"], metrics["test_error_high"]) == (interval.low, interval.high)


def test_writes_what_the_architecture_promises(tmp_path: Path) -> None:
    paths, metrics = evaluated(tmp_path)
    written = json.loads((paths.evaluation("teacher") / "metrics.json").read_text(encoding="utf-8"))
    assert written.keys() >= KEYS
    assert written["error_kind"] == "wer"
    assert {k: v for k, v in written.items() if not isinstance(v, str)} == {
        error_name(k, "wer"): v for k, v in metrics.items() if "/" not in k
    }
    assert written["size_bytes"] == (paths.export("teacher") / "model.onnx").stat().st_size
    assert written["params"] == sum(p.numel() for p in load_checkpoint(paths.model("teacher")).model.parameters())
    table = pd.read_parquet(paths.evaluation("teacher") / "utterances.parquet")
    assert list(table.columns) == [
        "id", "split", "speaker", "reference", "hypothesis", "errors", "reference_units", "char_errors",
        "char_units", "snr_db", "duration_s",
    ]  # fmt: skip
    data = PreparedData.load(paths.prepared)
    assert table["id"].tolist() == [u.id for u in (*data.split("valid"), *data.split("test"))]


def test_a_keyword_is_right_or_wrong(tmp_path: Path) -> None:
    paths, metrics = evaluated(tmp_path, "keyword")
    table = pd.read_parquet(paths.evaluation("teacher") / "utterances.parquet").query("split == 'test'")
    assert metrics["test_error"] == pytest.approx((table["reference"] != table["hypothesis"]).mean())
    assert set(table["reference_units"]) == {1}
    written = json.loads((paths.evaluation("teacher") / "metrics.json").read_text(encoding="utf-8"))
    assert written["error_kind"] == "keyword_error"
    assert written["test_keyword_error"] == metrics["test_error"]
    forms = json.loads((paths.evaluation("teacher") / "forms.json").read_text(encoding="utf-8"))["forms"]
    assert forms["float32"]["test_keyword_error"] == metrics["test_error"]


def test_a_batch_decodes_as_one_utterance_alone_does(tmp_path: Path) -> None:
    paths, _ = evaluated(tmp_path)
    checkpoint, data = load_checkpoint(paths.model("teacher")), PreparedData.load(paths.prepared)
    table = pd.read_parquet(paths.evaluation("teacher") / "utterances.parquet").set_index("id")
    for utterance in data.split("test"):
        waveform = torch.from_numpy(data.waveform(utterance))[None]
        with torch.inference_mode():
            logits_BTV, lengths_B = checkpoint.model(
                *make_front_end(checkpoint.frontend)(waveform, torch.tensor([waveform.shape[1]]))
            )
        ((*units,),) = DECODERS["transcription"](logits_BTV, lengths_B)
        assert data.vocabulary.decode(units) == table.loc[utterance.id, "hypothesis"]


def test_runs_again_to_the_same_bytes(tmp_path: Path) -> None:
    paths, _ = evaluated(tmp_path)
    files = sorted(paths.evaluation("teacher").iterdir())
    before = [md5(file.read_bytes()).hexdigest() for file in files]
    evaluate.run(make_params(), paths, "teacher")
    assert [md5(file.read_bytes()).hexdigest() for file in files] == before


def test_counts_zeroed_weights(tmp_path: Path) -> None:
    paths, before = evaluated(tmp_path)
    checkpoint = load_checkpoint(paths.model("teacher"))
    with torch.no_grad():
        checkpoint.model.head.weight.zero_()
    save_checkpoint(paths.model("teacher"), checkpoint)
    after = evaluate.run(make_params(), paths, "teacher")
    assert after["params"] == before["params"]
    assert before["nonzero_params"] - after["nonzero_params"] == checkpoint.model.head.weight.numel()


def test_an_export_is_needed(tmp_path: Path) -> None:
    paths = make_workspace(tmp_path)
    with pytest.raises(ValueError, match="Run the stage export first"):
        evaluate.run(make_params(), paths, "teacher")


def test_a_model_of_other_units_is_refused(tmp_path: Path) -> None:
    paths, _ = evaluated(tmp_path)
    file = paths.prepared / "prepared.json"
    description = json.loads(file.read_text(encoding="utf-8"))
    description["vocabulary"] = Vocabulary.characters(" 'uhrtwone").to_dict()
    file.write_text(json.dumps(description), encoding="utf-8")
    with pytest.raises(ValueError, match="was trained for 11 units"):
        evaluate.run(make_params(), paths, "teacher")
