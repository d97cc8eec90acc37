"""What is said to be impossible is so, and nothing else is."""

import json
from pathlib import Path

import pytest
from preparation_cards import write_test_part
from report_models import BASELINE, EVALUATION, STUDENT, TEACHER, make_model
from workspace import make_params, make_workspace

from kd.stats import Difference, judge
from kd.stats.limits import FEW_SPEAKERS, limit_of, most_comparisons
from tasks.evaluation.power import impossible, num_comparisons
from tasks.reporting.comparisons import compare_all


def plain_claims(num_speakers: int, count: int) -> set[str]:
    """Claims about differences as plain as can be."""
    errors = [9.0 + 0.1 * i for i in range(num_speakers)]
    one = Difference.of(errors, [0.0] * num_speakers, [10.0] * num_speakers, [str(i) for i in range(num_speakers)])
    return {judgement.claim for judgement in judge([one] * count, [0.01] * count, 0.95)}


@pytest.mark.parametrize("num_speakers", [1, 2, 5, 6, 7, 8, 9])
def test_the_limit_is_where_claims_begin(num_speakers: int) -> None:
    most = most_comparisons(num_speakers, 0.95)
    assert most is not None
    if most:
        assert plain_claims(num_speakers, most) == {"worse"}
    assert plain_claims(num_speakers, most + 1) == {"too little data to tell"}


def test_the_limit_in_words() -> None:
    assert limit_of(5, 0.95) == (
        "the test part has 5 speakers: no claim can be made at 95% confidence, at least 6 are needed"
    )
    assert limit_of(1, 0.95).startswith("the test part has 1 speaker: no claim")
    assert limit_of(8, 0.95).endswith("enough for 6 comparisons at once, no more")
    assert limit_of(FEW_SPEAKERS + 1, 0.95) == ""


def test_comparisons_are_counted_as_the_report_makes_them() -> None:
    params = make_params()
    assert num_comparisons(params) == len(compare_all([TEACHER, BASELINE, STUDENT], EVALUATION)) == 4
    taught = params.students["distilled"].model_dump(mode="json", exclude_none=True)
    alone = make_params(students={"a": taught, "b": taught})
    twice = [TEACHER, make_model("a", "student", [1] * 24), make_model("b", "student", [1] * 24)]
    assert num_comparisons(alone) == len(compare_all(twice, EVALUATION)) == 2


@pytest.mark.parametrize(
    ("speakers", "said"),
    [
        (1, "the test part has 1 speaker: no claim"),
        (7, "enough for 3 comparisons at once, no more. These parameters make 4: no verdict but 'too little data"),
        (8, None),
        (30, None),
    ],
)
def test_what_the_parameters_cannot_get_is_said(tmp_path: Path, speakers: int, said: str | None) -> None:
    write_test_part(tmp_path, speakers=speakers, utterances=200)
    lines = impossible(make_params(), tmp_path)
    assert len(lines) == (said is not None)
    assert said is None or said in lines[0]
    assert speakers != 7 or lines[0].endswith("Have at least 8 test speakers, or compare 3 at most")


def test_unknown_speakers_leave_the_utterances(tmp_path: Path) -> None:
    write_test_part(tmp_path, speakers=0, utterances=200)
    assert impossible(make_params(), tmp_path) == []


def test_a_margin_of_nothing_is_pointed_out(tmp_path: Path) -> None:
    write_test_part(tmp_path, speakers=30, utterances=200)
    params = make_params(evaluation={"margin": {"kind": "absolute", "value": 0}})
    (line,) = impossible(params, tmp_path)
    assert line.startswith("evaluation.margin is 0")


def test_nothing_is_said_before_anything_is_prepared(tmp_path: Path) -> None:
    assert impossible(make_params(), tmp_path) == []
    prepared = make_workspace(tmp_path).prepared
    assert json.loads((prepared / "card.json").read_text())["splits"]["test"]["speakers"] == 3
    assert len(impossible(make_params(), prepared)) == 1
