"""Parts of the report: verdict, transcripts, charts, numbers."""

import re

import numpy as np
import pytest
from report_models import BASELINE, EVALUATION, STUDENT, TEACHER, make_model

from tasks.reporting.choice import best_student
from tasks.reporting.circumstances import seeds
from tasks.reporting.comparisons import compare_all
from tasks.reporting.figures import error_chart, learning_curves, marker_symbol
from tasks.reporting.results import Model
from tasks.reporting.transcripts import Word, align, most_disputed, unchosen
from tasks.reporting.verdict import Verdict, conclude
from tasks.reporting.wording import compact, points_of, share


def judge(models: list[Model]) -> Verdict:
    return conclude(models, compare_all(models, EVALUATION), EVALUATION.confidence)


def test_the_verdict_in_numbers() -> None:
    verdict = judge([TEACHER, BASELINE, STUDENT])
    assert verdict.best == "taught"
    assert verdict.headline == (
        "taught has a WER of 15.0\u202f% where the teacher has 5.0\u202f%, with 1/19 of its bytes and 1/5 of its time."
    )
    chosen, against_teacher, against_baseline = verdict.details
    assert "validation error, 15.0\u202f%" in chosen
    assert against_teacher.startswith("It is worse than the teacher: +10.0 points (")
    assert against_teacher.endswith(", with a margin of 1.0.")
    assert against_baseline.startswith("It is better than baseline, which had no teacher: −35.0 points (")


def test_zeroed_weights_are_told_where_the_bytes_are_not_fewer() -> None:
    sparse = make_model("sparse", "student", [1] * 24, size_bytes=19e6, rtf=0.5, nonzero_params=340)
    assert judge([TEACHER, sparse]).headline.endswith(
        "with the same bytes, 1/3 of its non-zero weights and the same time."
    )


def test_too_little_data_is_called_so_with_what_is_needed() -> None:
    rng = np.random.default_rng(1)
    twin = make_model("twin", "baseline", (rng.permutation([1, 2, 1, 2] * 6)).tolist())
    said = judge([TEACHER, twin, STUDENT]).details[2]
    assert said.startswith(
        "There is too little data to tell whether its error rate is above that of twin, which had no teacher, by more"
    )
    assert re.search(r"; (about \d+ more speakers? needed|no number of speakers would settle it)\.$", said)


def test_the_test_part_has_no_say_in_the_choice() -> None:
    lucky = make_model("lucky", "student", [0] * 24, valid_error=0.9)
    assert judge([TEACHER, lucky, STUDENT]).best == "taught"


def test_headline_and_candidate_name_the_same_student_even_where_a_baseline_errs_less() -> None:
    models = [TEACHER, make_model("lucky", "baseline", [0] * 24), STUDENT]
    assert judge(models).best == best_student(model.row for model in models) == "taught"


@pytest.mark.parametrize(("models", "best"), [([TEACHER], "teacher"), ([TEACHER, BASELINE], "baseline")])
def test_without_students_it_still_says_something(models: list[Model], best: str) -> None:
    assert judge(models).best == best


def test_other_utterances_cannot_be_paired() -> None:
    with pytest.raises(ValueError, match="different utterances"):
        judge([make_model("teacher", "teacher", [1] * 8), STUDENT])


@pytest.mark.parametrize(
    ("ratio", "expected"),
    [
        (1 / 19, "1/19 of its bytes"),
        (0.4, "1/2 of its bytes"),
        (0.76, "76\u202f% of its bytes"),
        (1.02, "the same bytes"),
        (1.31, "1.3 times its bytes"),
    ],
)
def test_shares(ratio: float, expected: str) -> None:
    assert share(ratio, "bytes") == expected


def test_differences_have_a_sign() -> None:
    assert (points_of(0.0213), points_of(-0.0213)) == ("+2.1", "−2.1")


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (79_837, "79.8 k"),
        (7_135_200, "7.14 M"),
        (999_600, "1000 k"),
        (12, "12.0"),
        (0, "0"),
        (0.00123, "0.00123"),
        (3.2e9, "3.20 G"),
    ],
)
def test_compact_numbers(value: float, expected: str) -> None:
    assert compact(value) == expected


def test_alignment_names_each_kind_of_error() -> None:
    assert align("turn on the light please", "turn off light please now") == (
        Word("right", "turn"), Word("wrong", "off", "on"), Word("missing", "the"), Word("right", "light"),
        Word("right", "please"), Word("added", "now"),
    )  # fmt: skip
    assert align("one", "") == (Word("missing", "one"),)
    assert align("", "") == ()


def test_disputed_utterances_come_from_different_speakers_first() -> None:
    disputed = most_disputed([TEACHER, BASELINE, STUDENT], 5)
    assert len(disputed) == 5
    assert {one.speaker for one in disputed[:4]} == {"s0", "s2", "s4", "s6"}
    assert disputed[0].speaker == "s2"
    assert most_disputed([TEACHER, TEACHER], 5) == []


def test_unchosen_utterances_lie_at_even_distances() -> None:
    assert [one.id for one in unchosen([TEACHER], 3)] == ["u6", "u12", "u17"]
    assert [one.id for one in unchosen([make_model("a", "teacher", [1])], 3)] == ["u0"]


def test_charts_take_every_colour_from_the_page() -> None:
    models = [TEACHER, BASELINE, STUDENT]
    for svg in (error_chart(models, "size_bytes", "MB", 1e-6), learning_curves(models), marker_symbol(2)):
        colours = set(re.findall(r"(?:stroke|fill): ?([^;\"]+)", svg))
        assert colours <= {"none", "currentColor", "var(--grid)", *(f"var(--model-{i})" for i in range(8))}
        assert "var(--model-2)" in svg
        assert "DOCTYPE" not in svg
        assert "metadata" not in svg


def test_models_of_one_size_are_drawn_apart() -> None:
    svg = error_chart([TEACHER, BASELINE, STUDENT], "size_bytes", "MB", 1e-6)
    markers = re.findall(r'<use xlink:href="#[\w-]+" x="([\d.]+)" y="[\d.]+" style="fill: var\(--model-[12]\)', svg)
    assert len(set(markers)) == 2


def test_a_colour_for_any_number_of_models() -> None:
    models = [make_model(f"m{i}", "student", [i % 5 + 1] * 8, size_bytes=1e6 * (i + 1)) for i in range(20)]
    assert "var(--model-7)" in error_chart(models, "size_bytes", "MB", 1e-6)


def test_every_seed_is_found() -> None:
    from workspace import make_params

    found = seeds(make_params(preprocess={"splits": {"seed": 7}}))
    assert found["preprocess.splits.seed"] == 7
    assert found["student_training.seed"] == 1
