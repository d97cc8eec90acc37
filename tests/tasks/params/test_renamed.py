"""Keys that had another name: an error in params.yaml, and read in what was written then."""

import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import yaml

from flows.table import show_table
from kd.config.renamed import RENAMED, RENAMED_VALUES, in_new_words, in_old_words
from tasks.checkpoint import load_checkpoint
from tasks.experiments.tune.folders import read_result
from tasks.experiments.tune.settings import Search, load_search
from tasks.onnx.form_files import read_released
from tasks.params.errors import ParamsError
from tasks.params.load import parse_params
from tasks.training.history import best_metrics, read_history

REPO = Path(__file__).parents[3]
BEFORE = REPO / "tests" / "fixtures" / "before_renaming"
PRUNE = {"op": "prune_units", "dims": ["width"], "sparsity": 0.5}
OLD: dict[str, tuple[str, Any, str]] = {
    "rate": (
        "student_training.optimiser",
        {"name": "adamw", "rate": 1e-3},
        "student_training.optimiser.rate: renamed to 'lr'",
    ),
    "two_way": (
        "teacher.model",
        {"family": "rnn", "stem": 8, "width": 8, "layers": 2, "hidden": 8, "two_way": False},
        "teacher.model.two_way: renamed to 'bidirectional'",
    ),
    "clip_norm": ("student_training.clip_norm", 1.0, "student_training.clip_norm: renamed to 'max_grad_norm'"),
    "quantised": ("student_training.quantised", "int8", "student_training.quantised: renamed to 'qat'"),
    "match": (
        "students.distilled.objective",
        {"beta": 1.0, "match": {"name": "soft_targets"}},
        "students.distilled.objective.match: renamed to 'distill'",
    ),
    "labels": (
        "students.baseline.objective",
        {"labels": 1.0},
        "students.baseline.objective.labels: renamed to 'label_weight'",
    ),
    "itself": (
        "students.baseline.objective",
        {"itself": [{"name": "cr_ctc"}]},
        "students.baseline.objective.itself: renamed to 'self_distillation'",
    ),
    "hears": ("teacher.hears", None, "teacher.hears: renamed to 'supervision'"),
    "kinds": (
        "students.pruned.operators",
        [{"op": "prune_units", "kinds": ["width"], "sparsity": 0.5}],
        "students.pruned.operators.0.kinds: renamed to 'dims'",
    ),
    "kinds_by": (
        "students.pruned.operators",
        [{**PRUNE, "kinds_by": "alike"}],
        "students.pruned.operators.0.kinds_by: renamed to 'cross_dim'",
    ),
    "gives": (
        "teachers",
        {"a": {"source": "model", "path": "models/distilled", "gives": "frames"}},
        "teachers.a.gives: renamed to 'output'",
    ),
    "outputs": ("outputs", {}, "outputs: renamed to 'logit_cache'"),
    "keep": ("logit_cache", {"keep": 3}, "logit_cache.keep: renamed to 'top_k'"),
    "others": ("evaluation.others", {}, "evaluation.others: renamed to 'external'"),
    "alike": (
        "students.pruned.operators",
        [{**PRUNE, "cross_dim": "alike"}],
        "students.pruned.operators.0.cross_dim: 'alike' is renamed to 'equal'",
    ),
    "frames": (
        "teachers",
        {"a": {"source": "model", "path": "models/distilled", "output": "frames"}},
        "teachers.a.output: 'frames' is renamed to 'posteriors'",
    ),
    "surest": (
        "ensembles",
        {"a": {"first": "teacher", "second": "distilled", "combine": "surest"}},
        "ensembles.a.combine: 'surest' is renamed to 'max_confidence'",
    ),
}


def default() -> dict[str, Any]:
    return dict(yaml.safe_load((REPO / "params.yaml").read_text()))


def test_each_renamed_key_and_value_has_its_case() -> None:
    assert set(OLD) == {*RENAMED, *(old for values in RENAMED_VALUES.values() for old in values)}


@pytest.mark.parametrize("old", OLD)
def test_an_old_name_is_an_error_that_says_the_new_one(old: str) -> None:
    key, value, expected = OLD[old]
    data = default()
    *path, last = key.split(".")
    place = data
    for part in path:
        place = place[part]
    place[last] = value
    with pytest.raises(ParamsError) as caught:
        parse_params(data)
    assert caught.value.lines == [expected]


def test_a_model_of_then_is_read() -> None:
    """Its folder as it was written before the names changed: a bidirectional LSTM that a teacher taught."""
    model = load_checkpoint(BEFORE / "model").model
    assert model.settings.encoder.bidirectional is True
    history = read_history(BEFORE / "model")
    assert {"distill_loss", "nonblank_kl", "blank_kl", "spike_f1", "distill_gradient", "lr"} <= history[0].keys()
    assert best_metrics(history)["epochs"] == 2
    assert {row["valid_error"] for row in history} == {1.0833333333333333}
    assert load_checkpoint(BEFORE / "model").facts["initial_valid_error"] == 1.0833333333333333


def test_an_export_of_then_transcribes(tmp_path: Path) -> None:
    wav = tmp_path / "noise.wav"
    soundfile.write(wav, np.random.default_rng(1).normal(0, 0.1, 16_000), 16_000)
    command = [sys.executable, "-m", "kd.runtime", "transcribe", str(BEFORE / "export"), str(wav)]
    assert subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


def test_a_table_of_results_of_then_is_shown(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "reports").mkdir()
    shutil.copy2(BEFORE / "results.csv", tmp_path / "reports")
    assert show_table(tmp_path)
    table = capsys.readouterr().out
    assert [line.split()[0] for line in table.splitlines() if "%" in line] == ["teacher", "baseline", "distilled"]
    assert "44.8 %" in table
    assert "test WER" in table


def test_the_gate_and_the_trials_of_then_are_read() -> None:
    forms = read_released(BEFORE / "gate")["forms"]
    assert forms["int8_dynamic"]["valid_error"] == 1.0
    found = read_result(BEFORE / "trial")
    assert found is not None
    assert {found[f"{of}valid_error"] for of in ("", "initial_", "teacher_")} == {0.5}


@pytest.mark.parametrize("kind", ["transcription", "keyword"])
def test_a_search_that_minimises_the_error_says_of_what(kind: str, tmp_path: Path) -> None:
    """Its trials are those that it had by the old name."""
    params = {**default(), "problem": {**default()["problem"], "kind": kind}}
    search = {"name": "s", "params": params, "student": "distilled", "space": {"x": {"from": 1, "to": 2}}, "trials": 1}
    name, other = ("valid_wer", "valid_keyword_error")[:: 1 if kind == "transcription" else -1]
    for minimise, said in (
        ("error", f"minimise: 'error' is renamed to '{name}'"),
        (other, f"minimise: the problem of these params has {name}, and no {other}: write minimise: {name}"),
    ):
        (tmp_path / "s.yaml").write_text(yaml.safe_dump({**search, "minimise": minimise}))
        with pytest.raises(ParamsError) as caught:
            load_search(tmp_path / "s.yaml")
        assert caught.value.lines == [said]
    assert in_old_words({"minimise": name}) == {"minimise": "error"}
    assert Search.model_validate({**search, "minimise": name}).minimises_error


def test_records_and_hashes_translate_both_ways() -> None:
    assert in_new_words({"first": "a", "combine": "surest"}) == {"first": "a", "combine": "max_confidence"}
    new = {
        "logit_cache": {"top_k": 3},
        "optimiser": {"lr": 0.1},
        "operators": [{"cross_dim": "equal", "keep": {"a": 1}}],
    }
    old = {"outputs": {"keep": 3}, "optimiser": {"rate": 0.1}, "operators": [{"kinds_by": "alike", "keep": {"a": 1}}]}
    assert in_old_words(new) == old
    assert in_old_words({"space": {"students.a.objective.label_weight": 1}}) == {
        "space": {"students.a.objective.labels": 1}
    }


def test_a_plain_no_in_yaml_means_no() -> None:
    """PyYAML reads it as false."""
    training = yaml.safe_load("{epochs: 1, batch_seconds: 24, qat: no, precision: no}")
    assert training["qat"] is False
    found = parse_params({**default(), "student_training": training}).student_training
    assert (found.qat, found.precision) == ("no", "no")
