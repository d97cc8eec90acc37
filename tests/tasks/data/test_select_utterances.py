"""Which utterances a model is given, and whose transcripts; unlabelled audio teaches through the teacher alone."""

from collections.abc import Collection
from pathlib import Path

import pandas as pd
import pytest
import torch
from precision import FLOAT32
from tiny_stages import LEARNS, TRAINING, run_student, run_teacher, same, stage_params, weights
from workspace import ENCODERS, make_workspace

from kd.config.losses import ObjectiveSettings
from kd.training import Inputs, Objective
from kd.training.student_with_heads import Outputs
from tasks.data.prepared import PreparedData
from tasks.data.select_utterances import labelled, select_utterances, teachable
from tasks.runner.paths import Paths

CORPUS = {
    "kind": "several",
    "root": ".",
    "parts": {name: {"corpus": {"kind": "fsdd", "root": name}} for name in ("made", "real")},
}


@pytest.fixture
def paths(tmp_path: Path) -> Paths:
    return make_workspace(tmp_path)


@pytest.fixture
def data(paths: Paths) -> PreparedData:
    return PreparedData.load(paths.prepared)


def forget(paths: Paths, part: str) -> None:
    """Take away the training transcripts of a part, as if nobody had written them."""
    file = paths.prepared / "utterances.parquet"
    table = pd.read_parquet(file)
    table.loc[(table["part"] == part) & (table["split"] == "train"), "text"] = None
    table.to_parquet(file)


def test_parts_are_chosen_and_transcripts_hidden(data: PreparedData) -> None:
    everything = data.split("train")
    assert select_utterances(data, None) == everything
    only = select_utterances(data, {"made": "labelled"})
    assert only == tuple(u for u in everything if u.part == "made")
    mixed = select_utterances(data, {"made": "labelled", "real": "unlabelled"})
    assert [u.id for u in mixed] == [u.id for u in everything]
    assert all((u.text, u.units) == ("", ()) for u in mixed if u.part == "real")
    assert labelled(mixed, "x") == only
    with pytest.raises(ValueError, match="no training utterance is of elsewhere"):
        select_utterances(data, {"elsewhere": "labelled"})
    with pytest.raises(ValueError, match=r"students\.x: none of its 3 training utterances has a transcript"):
        labelled(select_utterances(data, {"real": "unlabelled"}), "students.x")


def test_only_what_can_teach_is_kept(data: PreparedData) -> None:
    mixed = select_utterances(data, {"made": "labelled", "real": "unlabelled"})
    real = [u.id for u in mixed if u.part == "real"]
    made = [u.id for u in mixed if u.part == "made"]

    def ids(taught: Collection[str], *, by_labels: bool = False) -> list[str]:
        return [u.id for u in teachable(mixed, by_labels=by_labels, by_teacher=lambda u: u.id in taught)]

    assert ids([], by_labels=True) == made
    assert ids([*made, *real]) == [u.id for u in mixed]
    assert ids(real[:1]) == real[:1]
    assert sorted(ids(real[:1], by_labels=True)) == sorted([*made, real[0]])
    with pytest.raises(ValueError, match="has a label or a pseudo-label that a filter kept"):
        ids([])


def test_transcripts_that_nobody_wrote_are_read_as_none(paths: Paths) -> None:
    forget(paths, "real")
    data = PreparedData.load(paths.prepared)
    assert {u.part for u in data.split("train") if u.units} == {"made"}
    assert {u.part for u in data.split("train")} == {"made", "real"}


@pytest.mark.parametrize("problem", ["transcription", "keyword"])
def test_a_batch_is_labelled_by_what_is_labelled(problem: str) -> None:
    """The labels' term of a mixed batch is that of its labelled rows alone; the teacher's is that of all."""
    torch.manual_seed(0)
    frames = 6 if problem == "transcription" else 1
    logits, teacher = torch.randn(3, frames, 5, requires_grad=True), torch.randn(3, frames, 5)
    lengths = torch.full((3,), frames)
    targets, target_lengths = torch.tensor([[1], [0], [2]]), torch.tensor([1, 0, 1])
    itself = [{"name": "intermediate_ctc"}] if problem == "transcription" else []
    objective = Objective(
        ObjectiveSettings.model_validate({"label_weight": 1.0, "beta": 1.0, "self_distillation": itself}), problem
    )

    def terms(rows: list[int]) -> dict[str, tuple[float, int]]:
        inputs = Inputs(logits[rows], lengths[rows], targets[rows], target_lengths[rows], teacher[rows])
        outputs = Outputs(logits[rows], lengths[rows], (teacher[rows],))
        return {t.name: (float(t.value.detach()), t.count) for t in objective.terms(outputs, inputs)}

    for name in ("labels", *(loss["name"] for loss in itself)):
        assert terms([0, 1, 2])[name] == pytest.approx(terms([0, 2])[name], rel=FLOAT32)
        assert terms([1])[name] == (0.0, 0)
    assert terms([0, 1, 2])["soft_targets"][1] == 3 * frames


def test_unlabelled_audio_changes_a_student_through_its_teacher_alone(paths: Paths) -> None:
    forget(paths, "real")
    small = {"init": "random", "model": ENCODERS["baseline"]}
    part, all_ = {"made": "labelled"}, {"made": "labelled", "real": "unlabelled"}
    students = {
        "labels-of-part": {**small, "teacher": "none", "supervision": part},
        "labels-of-all": {**small, "teacher": "none"},
        "taught-by-part": {**small, "teacher": "teacher", "objective": LEARNS, "supervision": part},
        "taught-by-all": {**small, "teacher": "teacher", "objective": LEARNS, "supervision": all_},
        "teacher-alone": {
            **small,
            "teacher": "teacher",
            "objective": {"label_weight": 0, "beta": 1},
            "supervision": {"real": "unlabelled"},
        },
    }
    params = stage_params("transcription", students=students, corpus=CORPUS, student_training=TRAINING)
    for name in students:
        run_student(params, paths, name)
    found = {name: weights(paths.model(name)) for name in students}
    head = "head.weight"
    assert not torch.equal(found["taught-by-part"][head], found["taught-by-all"][head])
    assert not torch.equal(found["labels-of-part"][head], found["taught-by-part"][head])
    assert not same(found["teacher-alone"], weights(paths.initial("teacher-alone")))


def test_a_teacher_that_is_given_one_part_is_untouched_by_the_other(
    paths: Paths, tmp_path_factory: pytest.TempPathFactory
) -> None:
    params = stage_params("transcription", corpus=CORPUS)
    teacher = params.teacher.model_copy(update={"supervision": {"made": "labelled"}})
    params = params.model_copy(update={"teacher": teacher})
    run_teacher(params, paths)
    other = make_workspace(tmp_path_factory.mktemp("other"))
    forget(other, "real")
    run_teacher(params, other)
    assert same(weights(paths.model("teacher")), weights(other.model("teacher")))
