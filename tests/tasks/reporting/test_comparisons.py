"""Which models are compared, and what is said of them."""

import math
import re
from dataclasses import replace
from itertools import pairwise

import pytest
from report_models import BASELINE, EVALUATION, STUDENT, TEACHER, make_model

from kd.stats import Discordant, MatchedPairs, adjusted
from tasks.params.evaluation import AbsoluteMargin, EvaluationParams, RelativeMargin
from tasks.reporting.comparisons import beside, compare_all, twin_of, verdicts, without_twin
from tasks.reporting.forest import forests

ALL = [TEACHER, BASELINE, STUDENT]


def test_everything_is_compared_with_the_teacher_and_with_a_baseline() -> None:
    found = [(c.model, c.other, c.against) for c in compare_all(ALL, EVALUATION)]
    assert found == [
        ("baseline", "teacher", "teacher"),
        ("taught", "teacher", "teacher"),
        ("teacher", "baseline", "baseline"),
        ("taught", "baseline", "baseline"),
    ]


def test_verdicts_for_the_table() -> None:
    said = verdicts(ALL, compare_all(ALL, EVALUATION))
    assert said == {
        "teacher": "better than baseline",
        "baseline": "worse than teacher",
        "taught": "worse than teacher; better than baseline",
    }
    assert verdicts([TEACHER], compare_all([TEACHER], EVALUATION)) == {"teacher": "compared with nothing"}


def test_a_wider_margin_makes_more_count_as_not_worse() -> None:
    close = make_model("close", "student", [0, 1, 1, 1] + [0, 1, 0, 1] * 5)
    said = [
        verdicts([TEACHER, close], compare_all([TEACHER, close], EvaluationParams(margin=margin)))["close"]
        for margin in (
            AbsoluteMargin(kind="absolute", value=0.05),
            RelativeMargin(kind="relative", value=1.0),
            AbsoluteMargin(kind="absolute", value=0.0001),
        )
    ]
    assert said[:2] == ["not worse than teacher"] * 2
    assert re.fullmatch(r"too little data to tell from teacher \(about [\d\u202f]+ more speakers needed\)", said[2])


def test_a_relative_margin_is_a_share_of_the_others_error() -> None:
    margins = {
        c.other: c.judgement.margin
        for c in compare_all(ALL, EvaluationParams(margin=RelativeMargin(kind="relative", value=0.1)))
    }
    assert margins == {"teacher": pytest.approx(0.005), "baseline": pytest.approx(0.05)}


def test_a_twin_has_the_same_shape_whatever_its_dropout() -> None:
    shape = {"family": "rnn", "width": 8, "dropout": 0.1}
    twin = make_model("twin", "baseline", [3] * 24, shape=shape | {"dropout": 0.0})
    other = make_model("other", "baseline", [2] * 24, shape=shape | {"width": 9})
    student = make_model("student", "student", [1] * 24, shape=shape)
    models = [TEACHER, other, twin, student]
    assert twin_of(student, models) is twin
    assert without_twin(models) == []
    assert without_twin([TEACHER, other, student]) == ["student"]
    found = {
        c.other: c.twin for c in compare_all(models, EVALUATION) if (c.model, c.against) == ("student", "baseline")
    }
    assert found == {"twin": True}


def test_without_a_twin_the_best_baseline_stands_in_and_is_called_so() -> None:
    odd = make_model("odd", "student", [1] * 24, shape={"family": "cnn"})
    poor = make_model("poor", "baseline", [9] * 24)
    found = [c for c in compare_all([TEACHER, poor, BASELINE, odd], EVALUATION) if c.model == "odd"]
    assert [(c.other, c.twin) for c in found] == [("teacher", False), ("baseline", False)]


def test_more_comparisons_make_each_more_careful() -> None:
    alone = next(c for c in compare_all([TEACHER, STUDENT], EVALUATION) if c.against == "teacher")
    rivals = [make_model(f"r{i}", "student", [1, 0, 1, 0] * 6) for i in range(4)]
    among = next(c for c in compare_all([TEACHER, STUDENT, *rivals], EVALUATION) if c.model == "taught")
    assert among.judgement.low < alone.judgement.low


def test_words_are_tested_by_segments_and_keywords_by_mcnemar() -> None:
    assert isinstance(beside(STUDENT, TEACHER), MatchedPairs)
    one, other = (make_model(n, "student", e, kind="keyword_error") for n, e in (("a", [1, 0] * 4), ("b", [0, 0] * 4)))
    assert beside(one, other) == Discordant(4, 0, 0.125)


def test_p_values_beside_are_adjusted_too() -> None:
    comparisons = compare_all(ALL, EVALUATION)
    assert [c.other_p for c in comparisons] == adjusted([c.other_test.p for c in comparisons])


def test_no_bound_is_said_to_be_none() -> None:
    few = [replace(m, utterances=m.utterances.assign(speaker="only")) for m in (TEACHER, STUDENT)]
    (comparison,) = compare_all(few, EVALUATION)
    assert comparison.judgement.high == math.inf
    assert comparison.bounds == "+10.0 points, and no bound at this confidence"
    assert comparison.verdict.startswith("too little data to tell from teacher (about")


def test_the_forest_draws_all_that_it_says_in_order() -> None:
    for forest in forests(compare_all(ALL, EVALUATION)):
        for row in forest.rows:
            judgement = row.comparison.judgement
            numbers = sorted([judgement.low, judgement.estimate, judgement.high, 0.0, judgement.margin])
            places = {
                judgement.low: row.left, judgement.estimate: row.estimate, judgement.high: row.right,
                0.0: forest.zero, judgement.margin: row.margin,
            }  # fmt: skip
            assert all(places[a] < places[b] for a, b in pairwise(numbers))
            assert all(0 <= place <= 100 for place in places.values())


def test_the_forest_stays_on_the_page_without_bounds() -> None:
    few = [replace(m, utterances=m.utterances.assign(speaker="only")) for m in (TEACHER, STUDENT)]
    ((row,),) = [forest.rows for forest in forests(compare_all(few, EVALUATION))]
    assert (row.left, row.right, row.kind) == (0, 100, "too")
