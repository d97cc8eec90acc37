"""Doubtful teachers: one that had not converged, and one that errs no less than its baseline."""

from dataclasses import replace

import pytest
from report_models import BASELINE, STUDENT, TEACHER, make_model

from tasks.reporting.results import Model
from tasks.reporting.teacher_warnings import teacher_warnings

SENTENCE = "its validation error was still falling: train it longer"


def marks(*models: Model) -> list[str]:
    return [warning.mark for warning in teacher_warnings(models)]


def test_nothing_is_said_against_a_teacher_that_errs_less() -> None:
    assert marks(TEACHER, BASELINE, STUDENT) == []
    assert marks(TEACHER) == []
    assert marks(BASELINE, STUDENT) == []


def test_a_teacher_that_had_not_converged_is_named() -> None:
    (warning,) = teacher_warnings([replace(TEACHER, unfinished=SENTENCE), BASELINE])
    assert warning.mark == "had not converged"
    assert warning.sentence == f"The teacher had not converged: {SENTENCE}."


@pytest.mark.parametrize("errors", [5, 6])
def test_a_teacher_is_held_against_the_best_baseline(errors: int) -> None:
    worse = make_model("worse", "baseline", [9] * 24)
    teacher, baseline = make_model("teacher", "teacher", [errors] * 24), make_model("small", "baseline", [5] * 24)
    (warning,) = teacher_warnings([teacher, worse, baseline, STUDENT])
    assert warning.mark == "no better than small"
    assert warning.sentence.startswith(
        f"The teacher has no lower error rate than small, which had no teacher: {10 * errors}.0"
    )
    assert "against 50.0" in warning.sentence
    assert marks(make_model("teacher", "teacher", [4] * 24), worse, baseline) == []


def test_a_student_may_err_less_than_its_teacher() -> None:
    assert marks(make_model("teacher", "teacher", [4] * 24), BASELINE, STUDENT) == []
