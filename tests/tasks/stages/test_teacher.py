"""Stage `teacher`: trained here or adopted; its files; killed and gone on with."""

import csv
import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from tiny_stages import TRAINING, Killed, KillingReporter, same, stage_params, weights
from workspace import ENCODERS, FRONTEND, make_params, make_workspace

from kd.config.frontend import FrontEndSettings
from kd.text.vocabulary import Vocabulary
from tasks.checkpoint import Checkpoint, load_checkpoint, save_checkpoint
from tasks.data.prepared import PreparedData
from tasks.metric_names import error_name
from tasks.runner.paths import Paths
from tasks.stages import teacher

PROBLEMS = ["transcription", "keyword"]
HISTORY = ["epoch", "train_loss", "label_loss", "distill_loss", "lr"]
ERRORS = {"transcription": "valid_wer", "keyword": "valid_keyword_error"}


@pytest.mark.parametrize("problem", PROBLEMS)
def test_writes_a_model_and_its_history(problem: str, tmp_path: Path) -> None:
    paths = make_workspace(tmp_path, problem)
    reporter = KillingReporter()
    metrics = teacher.run(stage_params(problem), paths, reporter=reporter)
    folder = paths.model("teacher")
    assert {f.name for f in folder.iterdir()} == {"config.json", "model.safetensors", "history.csv"}
    config = json.loads((folder / "config.json").read_text())
    assert {key: config[key] for key in ("role", "init", "objective", "lineage")} == {
        "role": "teacher", "init": "random", "objective": "labels", "lineage": [],
    }  # fmt: skip
    assert config["model"]["problem"] == problem
    with (folder / "history.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert list(rows[0]) == [*HISTORY, ERRORS[problem], "valid_loss"]
    assert [row["epoch"] for row in rows] == ["0", "1", "2", "3"]
    for row, curve in zip(rows, reporter.curves.values(), strict=True):
        assert {k: float(v) for k, v in row.items() if k != "epoch"} == curve
    best = min(rows, key=lambda row: (float(row[ERRORS[problem]]), float(row["valid_loss"])))
    assert metrics == {
        **{error_name(k, "error"): float(v) for k, v in best.items() if k != "epoch"},
        "best_epoch": float(best["epoch"]),
        "epochs": 4,
    }
    assert float(rows[-1]["train_loss"]) < float(rows[0]["train_loss"])


ITSELF = {"self_distillation": [{"name": "cr_ctc"}, {"name": "intermediate_ctc", "head": "own"}]}
BUT_EPOCHS = {key: value for key, value in TRAINING.items() if key != "epochs"}
CHANGES: dict[str, dict[str, Any]] = {
    "stored features": {"augment": {}},
    "fresh features": {"augment": {"speeds": [0.9, 1.0, 1.1], "noise_share": 0.5}},
    "itself": {"objective": ITSELF},
    "averaged, in steps": {"training": {**BUT_EPOCHS, "steps": 7, "averaging": 0.8}},
}


def test_without_a_length_the_hours_of_speech_choose_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Six utterances, in two batches."""
    paths, asked = make_workspace(tmp_path), []
    data = PreparedData.load(paths.prepared)
    seconds = sum(utterance.num_samples for utterance in data.split("train")) / data.sample_rate_hz
    monkeypatch.setattr("kd.config.training.steps_for", lambda hours: asked.append(hours) or 5)
    trained = {"source": "train", "model": ENCODERS["teacher"], "training": BUT_EPOCHS}
    assert teacher.run(stage_params("transcription", teacher=trained), paths)["epochs"] == 3
    assert asked == [pytest.approx(seconds / 3600)]


@pytest.mark.parametrize("changes", CHANGES.values(), ids=CHANGES)
def test_a_killed_run_ends_as_if_never_killed(changes: dict[str, Any], tmp_path: Path) -> None:
    """Killed in the middle of epochs 0, 2 and 3, and just before the files are written."""
    trained = {"source": "train", "model": ENCODERS["teacher"], "training": TRAINING, **changes}
    params = stage_params("transcription", teacher=trained)
    whole = make_workspace(tmp_path / "whole")
    teacher.run(params, whole, reporter=KillingReporter(tmp_path / "scratch of the whole"))
    killed = make_workspace(tmp_path / "killed")
    before = weights(killed.model("teacher"))
    curves: dict[int, dict[str, float]] = {}
    for kill_at in (0, 2, 3):
        reporter = KillingReporter(tmp_path / "scratch", kill_at)
        with pytest.raises(Killed):
            teacher.run(params, killed, reporter=reporter)
        assert min(reporter.curves, default=kill_at) == max(curves, default=-1) + 1, "goes on, and does nothing twice"
        curves |= reporter.curves
        assert same(weights(killed.model("teacher")), before), "nothing is written before the end"
    last = KillingReporter(tmp_path / "scratch")
    assert teacher.run(params, killed, reporter=last)["epochs"] == 4
    assert last.said[0] == "going on after epoch 3 of 4, where the last run stopped"
    again = KillingReporter(tmp_path / "scratch")
    teacher.run(params, killed, reporter=again)
    assert not again.curves, "a run that had finished when it was killed trains no more"
    for file in ("model.safetensors", "config.json", "history.csv"):
        expected = (whole.model("teacher") / file).read_bytes()
        assert (killed.model("teacher") / file).read_bytes() == expected, file


def test_a_resume_file_is_whole_or_not_there(tmp_path: Path) -> None:
    paths = make_workspace(tmp_path / "work")
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    (scratch / "resume.pt.123").write_bytes(b"cut short by a kill")
    teacher.run(stage_params("transcription"), paths, reporter=KillingReporter(scratch))
    assert (scratch / "resume.pt").stat().st_size > 1000


def adopt(paths: Paths, problem: str = "transcription", **changes: Any) -> dict[str, float]:
    params = make_params(problem, teacher={"source": "checkpoint", "path": "models/baseline"}, **changes)
    return teacher.run(params, paths)


def rewritten(folder: Path, **changes: Any) -> None:
    save_checkpoint(folder, Checkpoint(**(vars(load_checkpoint(folder)) | changes)))


@pytest.mark.parametrize("problem", PROBLEMS)
def test_adopts_a_checkpoint(problem: str, tmp_path: Path) -> None:
    paths = make_workspace(tmp_path, problem)
    metrics = adopt(paths, problem)
    adopted = load_checkpoint(paths.model("teacher"))
    assert (adopted.role, adopted.init, adopted.objective) == ("teacher", "checkpoint", "labels")
    assert same(weights(paths.model("teacher")), weights(paths.model("baseline")))
    assert metrics.keys() == {"valid_error", "valid_loss"}
    (head, *_) = (paths.model("teacher") / "history.csv").read_text().splitlines()
    assert head == f"epoch,{ERRORS[problem]},valid_loss"


def test_a_training_that_ended_too_early_is_said_and_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In the log and in config.json, also of a checkpoint that is adopted; the weights are the same."""
    params, paths = stage_params("transcription"), make_workspace(tmp_path)
    for warning in (None, "it fell and fell: train it longer"):
        monkeypatch.setattr("tasks.teachers.train_teacher.unfinished", lambda history, warning=warning: warning)
        reporter = KillingReporter()
        teacher.run(params, paths, reporter=reporter)
        facts = {} if warning is None else {"unfinished": warning}
        assert load_checkpoint(paths.model("teacher")).facts == facts
        assert reporter.said == [f"warning: {warning}" for warning in facts.values()]
    shutil.move(paths.model("teacher"), paths.model("baseline").with_name("early"))
    adopted = make_params("transcription", teacher={"source": "checkpoint", "path": "models/early"})
    reporter = KillingReporter()
    teacher.run(adopted, paths, reporter=reporter)
    assert load_checkpoint(paths.model("teacher")).facts == facts
    assert reporter.said == ["warning: it fell and fell: train it longer"]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"frontend": FRONTEND.model_copy(update={"sample_rate_hz": 16_000})},
            "its sample rate in Hz differs: 16000 found, 8000 expected. Change params",
        ),
        (
            {"vocabulary": Vocabulary.characters("enowtrhux'")},
            "its units differ: 11 found, 11 expected, the first difference at 9: 'x' for ' '. Change params",
        ),
    ],
)
def test_an_unfit_checkpoint_is_refused(changes: dict[str, Any], message: str, tmp_path: Path) -> None:
    paths = make_workspace(tmp_path)
    rewritten(paths.model("baseline"), **changes)
    before = (paths.model("teacher") / "model.safetensors").read_bytes()
    with pytest.raises(ValueError, match=f"^teacher.path models/baseline: {message}") as refused:
        adopt(paths)
    assert "\n" not in str(refused.value)
    assert (paths.model("teacher") / "model.safetensors").read_bytes() == before


def test_a_checkpoint_of_another_problem_is_refused(tmp_path: Path) -> None:
    make_workspace(tmp_path / "keyword", "keyword")
    paths = make_workspace(tmp_path / "transcription")
    params = make_params("transcription", teacher={"source": "checkpoint", "path": "../keyword/models/teacher"})
    with pytest.raises(ValueError, match="its problem differs"):
        teacher.run(params, paths)


def test_data_at_another_rate_are_refused(tmp_path: Path) -> None:
    paths = make_workspace(tmp_path)
    other = FrontEndSettings(sample_rate_hz=16_000, num_mels=16).model_dump()
    with pytest.raises(ValueError, match="holds audio at 8000 Hz, but the front end expects 16000 Hz"):
        teacher.run(stage_params("transcription", frontend=other), paths)


def test_learns_from_itself(tmp_path: Path) -> None:
    trained = {"source": "train", "model": ENCODERS["teacher"], "training": TRAINING, "objective": ITSELF}
    paths, reporter = make_workspace(tmp_path), KillingReporter()
    teacher.run(stage_params("transcription", teacher=trained), paths, reporter=reporter)
    assert json.loads((paths.model("teacher") / "config.json").read_text())["objective"] == "labels + self-distillation"
    first, *_, last = reporter.curves.values()
    assert last["self_loss"] < first["self_loss"]
    assert first.keys() >= {"cr_ctc_loss", "intermediate_ctc_loss"}
    assert "head_1.weight" not in weights(paths.model("teacher"))
