"""The verdict: which student is best, and what is said of it."""

import re

import numpy as np
import pytest
from report_models import BASELINE, EVALUATION, STUDENT, TEACHER, make_model

from tasks.reporting.choice import best_student
from tasks.reporting.comparisons import compare_all
from tasks.reporting.results import Model
from tasks.reporting.verdict import Verdict, conclude


def judge(models: list[Model]) -> Verdict:
    return conclude(models, compare_all(models, EVALUATION), EVALUATION.confidence)


def test_the_verdict_in_numbers() -> None:
    verdict = judge([TEACHER, BASELINE, STUDENT])
    assert verdict.best == "taught"
    assert verdict.headline == (
        "taught has a WER of 15.0\u202f% where the teacher has 5.0\u202f%, with 1/19 of its bytes and 1/5 of its time."
    )
    chosen, against_teacher, against_baseline = verdict.details
    assert "validation WER, 15.0\u202f%" in chosen
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
