"""Stage `adopt_teacher`: external recognisers fill a table, students learn from what a filter leaves of it."""

import json
import sys
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from tiny_stages import TRAINING, run_student, same, stage_params, weights
from workspace import ENCODERS, make_params, make_workspace

from tasks.checkpoint import load_checkpoint
from tasks.data.prepared import PreparedData
from tasks.params.pipeline import Params
from tasks.runner.paths import Paths
from tasks.stages import adopt_teacher
from tasks.teachers.pseudo_label_table import Hypothesis, PseudoLabel, read_pseudo_labels

FROM_TEXT = {"label_weight": 0.0, "beta": 1.0, "distill": {"name": "hypotheses"}}
SMALL = {"init": "random", "model": ENCODERS["baseline"]}
TABLE = {"source": "table", "path": "said.csv"}


def params(
    others: dict[str, Any], students: dict[str, Any] | None = None, problem: str = "transcription", **changes: Any
) -> Params:
    students = students or {"taught": {**SMALL, "teacher": next(iter(others)), "objective": FROM_TEXT}}
    values = {"teachers": others, "students": students, "student_training": TRAINING, **changes}
    return make_params(problem, **values)


def write_table(paths: Paths, **wrong: dict[str, Any]) -> dict[str, str]:
    """A table of the true transcripts in capitals, with changed cells by id; returns what is said by id."""
    train = PreparedData.load(paths.prepared).split("train")
    rows = [{"id": u.id, "hypothesis": f"{u.text.upper()}.", "confidence": 0.9} | wrong.get(u.id, {}) for u in train]
    pd.DataFrame(rows).to_csv(paths.root / "said.csv", index=False)
    return {u.id: u.text for u in train}


@pytest.fixture
def paths(tmp_path: Path) -> Paths:
    return make_workspace(tmp_path)


def test_a_table_becomes_answers_in_the_pipelines_own_units(paths: Paths) -> None:
    said = write_table(paths, **{"utterance-04": {"hypothesis": "Zebra 7"}, "utterance-08": {"hypothesis": ""}})
    metrics = adopt_teacher.run(params({"crowd": {**TABLE, "replace": {"TWO": "three"}}}), paths, "crowd")
    answers = read_pseudo_labels(paths.model("crowd"))
    assert answers.keys() == said.keys()
    assert answers["utterance-04"] == PseudoLabel("utterance-04", (Hypothesis("Zebra 7", None, 1.0),), confidence=0.9)
    assert answers["utterance-08"].hypotheses == (Hypothesis("", None, 1.0),)
    for name in said.keys() - {"utterance-04", "utterance-08"}:
        assert answers[name].best == Hypothesis(f"{said[name].upper()}.", said[name].replace("two", "three"), 1.0)
    assert metrics["utterances"] == metrics["answered"] == len(said)
    assert 0 < metrics["train_error"] < 1
    assert json.loads((paths.model("crowd") / "teacher.json").read_text())["source"] == "table"


def test_only_the_parts_that_are_named_are_transcribed(paths: Paths) -> None:
    write_table(paths)
    program = (
        "import csv, sys\n"
        "rows = csv.DictReader(open(sys.argv[1]))\n"
        "open(sys.argv[2], 'w').write('id,hypothesis\\n' + ''.join(row['id'] + ',one\\n' for row in rows))"
    )
    command = {
        "source": "command",
        "path": "models/none",
        "command": [sys.executable, "-c", program, "{files}", "{table}"],
    }
    corpus = {
        "kind": "several",
        "root": ".",
        "parts": {name: {"corpus": {"kind": "fsdd", "root": name}} for name in ("made", "real")},
    }
    adopt_teacher.run(params({"crowd": {**command, "parts": ["real"]}}, corpus=corpus), paths, "crowd")
    train = PreparedData.load(paths.prepared).split("train")
    assert (
        read_pseudo_labels(paths.model("crowd")).keys()
        == {u.id for u in train if u.part == "real"}
        < {u.id for u in train}
    )


def test_a_model_transcribes_at_other_speeds_too(paths: Paths) -> None:
    settings = {"source": "model", "path": "models/teacher", "speeds": [0.9, 1.1]}
    metrics = adopt_teacher.run(params({"transcripts": settings}), paths, "transcripts")
    answers = read_pseudo_labels(paths.model("transcripts"))
    assert all(len(a.opinions) == 2 and 0 < (a.confidence or 0) <= 1 for a in answers.values())
    assert metrics["answered"] == len(answers)
    first = {name: a.hypotheses for name, a in answers.items()}
    adopt_teacher.run(params({"transcripts": settings}), paths, "transcripts")
    assert {name: a.hypotheses for name, a in read_pseudo_labels(paths.model("transcripts")).items()} == first
    (cache,) = (paths.scratch / "pseudo_labels").glob("model-*.jsonl")
    assert len(cache.read_text().split("\n[")) == 1 + 3 * len(answers)


def test_another_checkpoint_is_adopted_under_its_name(paths: Paths) -> None:
    students = {"taught": {**SMALL, "teacher": "old", "objective": {"label_weight": 1.0, "beta": 0.5}}}
    settings = params({"old": {"source": "checkpoint", "path": "models/distilled"}}, students)
    adopt_teacher.run(settings, paths, "old")
    assert same(weights(paths.model("old")), weights(paths.model("distilled")))
    assert load_checkpoint(paths.model("old")).role == "teacher"
    run_student(settings, paths, "taught")
    assert load_checkpoint(paths.model("taught")).objective == "labels + teacher"


def test_errors_name_the_teacher(paths: Paths) -> None:
    with pytest.raises(ValueError, match=r"teachers\.crowd: .*said\.csv: no such table"):
        adopt_teacher.run(params({"crowd": TABLE}), paths, "crowd")


def test_a_student_learns_from_text_what_the_filter_leaves(paths: Paths) -> None:
    said = write_table(
        paths,
        **{
            "utterance-00": {"confidence": 0.2},
            "utterance-04": {"hypothesis": "zebra"},
            "utterance-08": {"hypothesis": "one two one two one two one two one two"},
        },
    )
    filtered = {
        **SMALL,
        "teacher": "crowd",
        "objective": FROM_TEXT,
        "filter": {"min_confidence": 0.5, "min_range_db": None},
    }
    settings = params({"crowd": TABLE}, {"all": {**filtered, "filter": None}, "some": filtered})
    adopt_teacher.run(settings, paths, "crowd")
    reasons = {}
    for name in ("all", "some"):
        run_student(settings, paths, name)
        table = pd.read_parquet(paths.model(name) / "labels.parquet").set_index("id")
        assert set(table.index) == set(said)
        reasons[name] = table["reason"][table["reason"] != ""].to_dict()
        assert not same(weights(paths.model(name)), weights(paths.initial(name))), "it learnt"
    assert reasons["all"] == {"utterance-04": "out_of_vocabulary", "utterance-08": "not_alignable"}
    assert reasons["some"] == {"utterance-00": "unsure", **reasons["all"]}
    assert load_checkpoint(paths.model("some")).objective == "teacher"


def test_keywords_are_learnt_from_text_that_names_a_class(tmp_path: Path) -> None:
    """A table teaches classes, that of index 0 too; what names none is dropped, and n best are weighed."""
    paths = make_workspace(tmp_path, "keyword")
    said = write_table(paths, **{"utterance-00": {"hypothesis": "zebra"}, "utterance-04": {"hypothesis": "one two"}})
    table = pd.read_csv(tmp_path / "said.csv").assign(weight=3.0)
    second = {"id": "utterance-08", "hypothesis": "one", "confidence": 0.9, "weight": 1.0}
    pd.concat([table, pd.DataFrame([second])]).to_csv(tmp_path / "said.csv", index=False)
    taught = {**SMALL, "teacher": "crowd", "objective": FROM_TEXT, "filter": None}
    settings = params({"crowd": TABLE}, {"taught": taught}, "keyword")
    adopt_teacher.run(settings, paths, "crowd")
    run_student(settings, paths, "taught")
    labels = pd.read_parquet(paths.model("taught") / "labels.parquet").set_index("id")
    assert labels["reason"][labels["reason"] != ""].to_dict() == {
        "utterance-00": "out_of_vocabulary",
        "utterance-04": "out_of_vocabulary",
    }
    assert labels["detail"]["utterance-00"] == "'zebra' cannot be written in the student's units"
    assert set(labels.index) == set(said)
    history = pd.read_csv(paths.model("taught") / "history.csv")
    assert history["distill_loss"].iloc[-1] < history["distill_loss"].iloc[0]
    assert load_checkpoint(paths.model("taught")).objective == "teacher"


def test_a_student_that_names_no_filter_has_the_usual_one(paths: Paths) -> None:
    """Which hears no speech in the noise of these clips."""
    said = write_table(paths)
    beside = {**SMALL, "teacher": "crowd", "objective": {**FROM_TEXT, "label_weight": 1.0}}
    settings = params({"crowd": TABLE}, {"usual": beside, "all": {**beside, "filter": None}})
    adopt_teacher.run(settings, paths, "crowd")
    for name, reason in (("usual", "no_sound"), ("all", "")):
        run_student(settings, paths, name)
        table = pd.read_parquet(paths.model(name) / "labels.parquet")
        assert table["reason"].tolist() == [reason] * len(said)


def test_where_nothing_is_left_the_stage_says_so(paths: Paths) -> None:
    write_table(paths)
    strict = {**SMALL, "teacher": "crowd", "objective": FROM_TEXT, "filter": {"min_confidence": 0.99}}
    settings = params({"crowd": TABLE}, {"some": strict})
    adopt_teacher.run(settings, paths, "crowd")
    with pytest.raises(ValueError, match="none of 6 utterances has a label or a pseudo-label that a filter kept"):
        run_student(settings, paths, "some")


def test_a_teacher_assistant_is_just_a_student(paths: Paths) -> None:
    """A chain of sizes: teacher -> assistant -> small."""
    middle = {"init": "random", "model": {**ENCODERS["baseline"], "width": 12, "hidden": 12}}
    learns = {"objective": {"label_weight": 1.0, "beta": 0.5}}
    settings = stage_params(
        "transcription",
        students={
            "assistant": {**middle, "teacher": "teacher", **learns},
            "small": {**SMALL, "teacher": "assistant", **learns},
        },
    )
    for name in ("assistant", "small"):
        run_student(settings, paths, name)
    assert not same(weights(paths.model("small")), weights(paths.initial("small")))
