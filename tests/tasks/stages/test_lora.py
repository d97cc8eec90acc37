"""`fine_tune: {lora: …}` through the stage: killed, resumed, saved as a plain recogniser."""

import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from tiny_stages import TRAINING, Killed, KillingReporter, same, weights
from whisper_oracle import whisper_workspace
from workspace import STILL, make_params

from tasks.params.errors import ParamsError
from tasks.params.pipeline import Params
from tasks.runner.paths import Paths
from tasks.stages import fine_tune, teacher

for needed in ("peft", "transformers"):
    pytest.importorskip(needed, reason="make test installs it (requirements-test.lock)")


def params(lora: dict[str, Any] | None, **training: Any) -> Params:
    whisper = {"source": "pretrained", "path": "theirs"}
    how = {"training": {**TRAINING, "epochs": 3, "batch_seconds": 1.5, "head_lr": 0.02, **training}, "augment": STILL}
    return make_params(
        frontend={"kind": "whisper"},
        teacher={**whisper, "fine_tune": {**how, "lora": lora}},
        teachers={"raw": {**whisper, "fine_tune": None}},
        students={"small": {"init": "teacher", "teacher": "teacher", "objective": {"beta": 1.0}}},
        student_training=TRAINING,
    )


@pytest.fixture
def paths(tmp_path: Path) -> Paths:
    return whisper_workspace(tmp_path)


def test_killed_and_resumed_it_is_the_same_plain_model(paths: Paths, tmp_path: Path) -> None:
    given = params({"rank": 2})
    teacher.run(given, paths)
    fine_tune.run(given, paths, "raw")
    whole, raw = weights(paths.model("teacher")), weights(paths.model("raw"))
    assert whole.keys() == raw.keys()
    changed = {name for name, tensor in whole.items() if not torch.equal(tensor, raw[name])}
    attention = {f"encoder.layers.{i}.attention.{t}.weight" for i in range(3) for t in ("query", "value")}
    assert changed == attention | {"head.weight", "head.bias"}
    scratch = tmp_path / "scratch"
    for kill_at in (1, 2):
        with pytest.raises(Killed):
            teacher.run(given, paths, reporter=KillingReporter(scratch, kill_at))
    reporter = KillingReporter(scratch)
    metrics = teacher.run(given, paths, reporter=reporter)
    assert min(reporter.curves) == 2, "goes on"
    assert same(weights(paths.model("teacher")), whole)
    finished = KillingReporter(scratch)
    assert teacher.run(given, paths, reporter=finished) == metrics
    assert not finished.curves
    assert same(weights(paths.model("teacher")), whole)


def test_without_peft_it_is_one_line(paths: Paths, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "peft", None)
    line = r"^teacher\.fine_tune\.lora: LoRA needs peft: pip install -e '\.\[lora\]' -c requirements\.lock$"
    with pytest.raises(ValueError, match=line):
        teacher.run(params({}), paths)


def test_without_lora_a_dump_says_nothing_of_it() -> None:
    fine_tune = params(None).model_dump(mode="json")["teacher"]["fine_tune"]
    assert "lora" not in fine_tune
    with pytest.raises(ParamsError) as caught:
        params({}, qat="int8")
    assert any("lora: qat int8 would round weights before they are merged" in line for line in caught.value.lines)
