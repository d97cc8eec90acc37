"""What a teacher supplies is decided once, by what the teacher is and what the student's losses read."""

from pathlib import Path
from typing import Any

import pytest
from accelerate import Accelerator
from tiny_stages import stage_params
from workspace import ENCODERS, make_workspace

from tasks.checkpoint import load_checkpoint
from tasks.data.prepared import PreparedData
from tasks.runner.paths import Paths
from tasks.runner.reporter import NullReporter
from tasks.teachers.pseudo_label_table import Hypothesis, PseudoLabel, write_pseudo_labels
from tasks.teachers.supply import (
    CachedLogits,
    LiveTeacher,
    NoTeacher,
    PosteriorSupply,
    PseudoLabelSupply,
    TeacherSupply,
    teacher_supply,
)
from tasks.training.batch_teacher import TeacherBatch, TeacherTargets

SEARCHED = {"name": "hypotheses", "n_best": 2, "beam": 4}


@pytest.fixture
def paths(tmp_path: Path) -> Paths:
    return make_workspace(tmp_path)


@pytest.fixture
def data(paths: Paths) -> PreparedData:
    return PreparedData.load(paths.prepared)


def supplied(paths: Paths, data: PreparedData, teacher: str, **objective: Any) -> TeacherSupply:
    recipe = {"init": "random", "model": ENCODERS["baseline"], "teacher": teacher, "objective": objective}
    teachers = {"said": {"source": "table", "path": "said.csv"}}
    if teacher == "said":
        recipe["filter"] = None
    params = stage_params("transcription", students={"one": recipe}, teachers=teachers)
    student = load_checkpoint(paths.model("teacher"))
    return teacher_supply(params, paths, "one", data, data.split("train"), student, NullReporter())


def first_targets(supply: TeacherSupply, data: PreparedData) -> TeacherTargets:
    batch = next(data.batches(data.split("train"), 2.5))
    return supply.open(Accelerator(cpu=True)).of(TeacherBatch.of(batch, data.split("train")))


def given(targets: TeacherTargets) -> set[str]:
    return {name for name, value in vars(targets).items() if value is not None}


@pytest.mark.parametrize(
    ("losses", "origin", "expected"),
    [
        ([{"name": "soft_targets"}], CachedLogits, {"log_probs_BTV", "lengths_B"}),
        ([{"name": "soft_targets"}, SEARCHED], CachedLogits, {"log_probs_BTV", "lengths_B", "hypotheses"}),
        ([SEARCHED], CachedLogits, {"hypotheses"}),
        ([{"name": "features"}], LiveTeacher, {"log_probs_BTV", "lengths_B", "states"}),
        ([{"name": "relational"}, SEARCHED], LiveTeacher, {"log_probs_BTV", "lengths_B", "states", "hypotheses"}),
    ],
)
def test_a_teacher_of_posteriors_gives_what_the_losses_read(
    losses: list[dict[str, Any]], origin: type, expected: set[str], paths: Paths, data: PreparedData
) -> None:
    supply = supplied(paths, data, "teacher", beta=1, distill=losses)
    assert isinstance(supply, PosteriorSupply)
    assert isinstance(supply.origin, origin)
    assert given(first_targets(supply, data)) == expected
    assert (supply.open(Accelerator(cpu=True)).encoder is not None) == ("states" in expected)
    assert all(supply.teaches(utterance) for utterance in data.split("train"))


def test_without_a_teacher_nothing_is_given(paths: Paths, data: PreparedData) -> None:
    supply = supplied(paths, data, "none")
    assert isinstance(supply, NoTeacher)
    assert given(first_targets(supply, data)) == set()
    assert supply.metrics() == {}
    assert not any(supply.teaches(utterance) for utterance in data.split("train"))


def test_a_teacher_of_text_gives_the_hypotheses_that_were_kept(paths: Paths, data: PreparedData) -> None:
    first, *rest = data.split("train")
    said = [PseudoLabel(first.id, (Hypothesis("one", "one", 1.0),)), *(PseudoLabel(u.id, ()) for u in rest)]
    write_pseudo_labels(paths.model("said"), said, {})
    supply = supplied(paths, data, "said", beta=1, distill=[{"name": "hypotheses"}])
    assert isinstance(supply, PseudoLabelSupply)
    assert [u.id for u in data.split("train") if supply.teaches(u)] == [first.id]
    assert given(first_targets(supply, data)) == {"hypotheses"}
    teacher = supply.open(Accelerator(cpu=True))
    assert teacher.believes(first) == [(data.vocabulary.encode("one"), 1.0)]
    assert teacher.believes(rest[0]) == ()
    assert 0 < supply.metrics()["labels_kept_share"] < 1
    paths.model("one").mkdir()
    supply.write(paths.model("one"))
    assert (paths.model("one") / "labels.parquet").is_file()
