"""Impossible combinations of teachers, ensembles, students and parts are named before any work starts."""

import re
from typing import Any

import pytest
from workspace import ENCODERS, make_params

from kd.config.filtering import FilterSettings
from tasks.params.errors import ParamsError
from tasks.params.graph import gives_text
from tasks.params.load import parse_params

SMALL = {"init": "random", "model": ENCODERS["baseline"]}
LABELS = {**SMALL, "teacher": "none"}
TEXT = {"label_weight": 0.0, "beta": 1.0, "distill": {"name": "hypotheses"}}
TABLE = {"source": "table", "path": "said.csv"}
FEATURES = {"label_weight": 0.0, "beta": 1.0, "distill": {"name": "features"}}
STATES = {**SMALL, "teacher": "teacher", "objective": FEATURES}
TAUGHT = {**SMALL, "teacher": "crowd", "objective": TEXT}
SEVERAL = {
    "kind": "several",
    "root": ".",
    "parts": {name: {"corpus": {"kind": "fsdd", "root": name}} for name in ("made", "real")},
}


def lines(**changes: Any) -> list[str]:
    with pytest.raises(ParamsError) as found:
        make_params("transcription", **{"students": {"a": LABELS}, **changes})
    return found.value.lines


@pytest.mark.parametrize(
    ("changes", "line"),
    [
        (
            {"teachers": {"crowd": TABLE}, "students": {"a": {**TAUGHT, "objective": {"beta": 1.0}}}},
            "students.a.objective.distill: crowd gives text and no posteriors",
        ),
        (
            {"students": {"a": {**SMALL, "teacher": "teacher", "objective": {"beta": 1.0}, "filter": {}}}},
            "students.a.filter: teacher gives posteriors, not transcripts",
        ),
        (
            {"teachers": {"crowd": TABLE}, "students": {"a": {**TAUGHT, "filter": {"max_disagreement": 0.2}}}},
            "students.a.filter.max_disagreement: crowd has no second opinion",
        ),
        ({"students": {"a": {**TAUGHT, "teacher": "crwd"}}, "teachers": {"crowd": TABLE}}, "did you mean 'crowd'?"),
        ({"teachers": {"a": TABLE}}, "teachers.a: another model of this file has that name"),
        ({"teachers": {"teacher": TABLE}}, "nothing may be called teacher"),
        (
            {"teachers": {"transcripts": {"source": "model", "path": "models/b"}}},
            "teachers.transcripts.path: 'b' is no model of this file",
        ),
        (
            {"teachers": {"crowd": TABLE, "transcripts": {"source": "model", "path": "models/crowd"}}},
            "teachers.transcripts.path: crowd gives text already",
        ),
        (
            {
                "teachers": {"transcripts": {"source": "model", "path": "models/a"}},
                "students": {"a": {**TAUGHT, "teacher": "transcripts"}},
            },
            "students.a: its init and teacher lead back to itself (a -> transcripts -> a)",
        ),
        ({"ensembles": {"e": {"first": "teacher", "second": "x"}}}, "ensembles.e.second: 'x' is no model of this file"),
        (
            {"teachers": {"crowd": TABLE}, "ensembles": {"e": {"first": "teacher", "second": "crowd"}}},
            "ensembles.e.combine: crowd gives text, of which there is no mean: use max_confidence",
        ),
        (
            {"ensembles": {"e": {"first": "f", "second": "a"}, "f": {"first": "e", "second": "a"}}},
            "ensembles.e: its members lead back to itself (e -> f -> e)",
        ),
        ({"ensembles": {"e": {"first": "a", "second": "a"}}}, "first and second are both 'a'"),
        (
            {"ensembles": {"e": {"first": "a", "second": "teacher", "combine": "max_confidence", "weight": 0.4}}},
            "weight belongs to combine: mean",
        ),
        (
            {"corpus": SEVERAL, "students": {"a": {**LABELS, "supervision": {"rael": "labelled"}}}},
            "students.a.supervision: 'rael' is no part of the corpus, which has made, real (did you mean 'real'?)",
        ),
        (
            {"corpus": SEVERAL, "students": {"a": {**LABELS, "supervision": {"real": "unlabelled"}}}},
            "students.a.supervision: no part is labelled, but objective.label_weight is not 0",
        ),
        (
            {
                "corpus": SEVERAL,
                "students": {"a": {**LABELS, "supervision": {"made": "labelled", "real": "unlabelled"}}},
            },
            "students.a.supervision: unlabelled audio teaches nothing without a teacher",
        ),
        (
            {"teachers": {"crowd": {**TABLE, "parts": ["real"]}}},
            "teachers.crowd.parts: 'real' is no part of the corpus",
        ),
        (
            {"students": {"a": {**STATES, "objective": {**FEATURES, "distill": {"name": "features", "layers": 2}}}}},
            "students.a.objective.distill: features asks for 2 pairs of layers with the student, which has 1",
        ),
        (
            {
                "students": {
                    "a": {**STATES, "objective": {**FEATURES, "distill": {"name": "features", "pairs": [[1, 3]]}}}
                }
            },
            "students.a.objective.distill: features names layer 3 of the teacher, which has 2",
        ),
        (
            {"students": {"a": {**STATES, "teacher": "crowd"}}, "teachers": {"crowd": TABLE}},
            "students.a.objective.distill: crowd gives text and no posteriors: use distill: {name: hypotheses}",
        ),
        (
            {
                "students": {"a": {**STATES, "teacher": "two"}, "b": LABELS},
                "ensembles": {"two": {"first": "teacher", "second": "b"}},
            },
            "students.a.objective.distill: features compares inner states, but two is an ensemble",
        ),
        (
            {
                "students": {"a": {**STATES, "teacher": "wav2vec"}},
                "teachers": {
                    "wav2vec": {
                        "source": "torchaudio",
                        "bundle": "HUBERT_ASR_LARGE",
                        "path": "x",
                        "output": "posteriors",
                    }
                },
            },
            "students.a.objective.distill: features compares inner states, but wav2vec shows posteriors alone",
        ),
    ],
)
def test_each_mistake_is_one_line_with_its_key(changes: dict[str, Any], line: str) -> None:
    assert any(line in found for found in lines(**changes)), lines(**changes)


def test_what_the_messages_say_of_keywords_and_text_can_be_done() -> None:
    """Posteriors of a keyword are matched as such, text by hypotheses."""
    frames = {"source": "torchaudio", "bundle": "HUBERT_ASR_LARGE", "path": "x", "output": "posteriors"}
    for teachers, student, line in (
        (
            {"crowd": TABLE},
            {**TAUGHT, "objective": {"beta": 1.0}},
            "crowd gives text and no posteriors: use distill: {na",
        ),
        ({"crowd": TABLE}, {**TAUGHT, "teacher": "teacher"}, "searches CTC's paths, which a keyword problem has not"),
        ({"crowd": frames}, TAUGHT, "use output: text, which students match by hypotheses"),
    ):
        with pytest.raises(ParamsError, match=re.escape(line)):
            make_params("keyword", teachers=teachers, students={"a": student})
    for table in (TABLE, {**frames, "output": "text"}):
        params = make_params("keyword", teachers={"crowd": table}, students={"a": TAUGHT})
        assert params.students["a"].filter == FilterSettings()


def test_text_is_filtered_unless_said_otherwise() -> None:
    """Also that of an ensemble; posteriors and labels have no filter. Written down and read again, nothing changes."""
    posteriors = {**SMALL, "teacher": "teacher", "objective": {"beta": 1.0}}
    students = {
        "usual": TAUGHT,
        "joined": {**TAUGHT, "teacher": "both"},
        "own": {**TAUGHT, "filter": {"min_seconds": 1.0}},
        "all": {**TAUGHT, "filter": None},
        "posteriors": posteriors,
        "labels": LABELS,
    }
    both = {"first": "teacher", "second": "crowd", "combine": "max_confidence"}
    params = make_params("transcription", teachers={"crowd": TABLE}, ensembles={"both": both}, students=students)
    usual = FilterSettings()
    expected = [usual, usual, FilterSettings(min_seconds=1.0), None, None, None]
    assert [recipe.filter for recipe in params.students.values()] == expected
    assert parse_params(params.model_dump(mode="json")) == params


def test_what_gives_text_is_known_through_ensembles() -> None:
    params = make_params(
        "transcription",
        students={"a": LABELS},
        teachers={"crowd": TABLE, "old": {"source": "checkpoint", "path": "old"}},
        ensembles={
            "mixed": {"first": "teacher", "second": "crowd", "combine": "max_confidence"},
            "models": {"first": "teacher", "second": "old"},
            "outer": {"first": "models", "second": "mixed", "combine": "max_confidence"},
        },
    )
    found = {name for name in ("teacher", "crowd", "old", "mixed", "models", "outer") if gives_text(params, name)}
    assert found == {"crowd", "mixed", "outer"}
