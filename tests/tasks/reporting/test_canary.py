"""What the report says was forgotten."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pandas as pd
import pytest
from report_models import BASELINE, EVALUATION, STUDENT, TEACHER
from workspace import make_params

from tasks.reporting.canary import CanarySection, canary_section
from tasks.reporting.results import Model

FACTS = {"canary": "general", "canary_interval_method": "m", "canary_error_low": 0.0, "canary_error_high": 1.0}
FINE_TUNE = {"training": {"epochs": 1, "batch_seconds": 20}}


def heard(model: Model, errors: Sequence[int]) -> Model:
    """With a canary of utterances of ten words, of which so many are wrong."""
    count = len(errors)
    own = pd.DataFrame({
        "id": [f"c{i}" for i in range(count)], "split": "canary", "speaker": [f"s{i % 8}" for i in range(count)],
        "errors": errors, "reference_units": 10,
    })  # fmt: skip
    error = sum(errors) / (10 * count)
    return replace(model, utterances=pd.concat([model.utterances, own]), canary={**FACTS, "canary_error": error})


def section(student_errors: list[int], known: Sequence[int] = (0, 1) * 12, **teacher: Any) -> CanarySection:
    params = make_params(teacher=teacher, frontend={}) if teacher else make_params()
    models = [heard(TEACHER, known), heard(BASELINE, [9] * 24), heard(STUDENT, student_errors)]
    found = canary_section(models, EVALUATION, params.teacher)
    assert found is not None
    return found


@pytest.mark.parametrize(
    ("known", "errors", "said"),
    [
        (
            [0, 1],
            [4, 5],
            "More than the margin of 1.0 points was forgotten by taught (+40.0 points against the teacher, ",
        ),
        ([5, 6], [0, 1], "No more than the margin of 1.0 points was forgotten by taught (−50.0 points against the tea"),
        (
            [0, 1],
            [1, 0],
            "It cannot be told whether more than the margin of 1.0 points was forgotten by taught (+0.0 p",
        ),
    ],
)
def test_a_student_is_said_to_have_forgotten_where_the_data_tell(
    known: list[int], errors: list[int], said: str
) -> None:
    found = section(errors * 12, known * 12)
    error = 5 * sum(known)
    assert found.sentences[0].startswith(
        f"On general, which nothing was trained on or chosen by, the error rate of the teacher is {error}.0"
    )
    assert found.sentences[1].startswith(said)
    assert found.sentences[1].endswith("; on the test part +10.0).")
    assert len(found.sentences) == 2, "a baseline has nothing to forget"


def test_differences_are_paired_with_the_teacher_on_both_test_sets() -> None:
    teacher, baseline, student = section([2, 3] * 12).rows
    assert (teacher.judgement, teacher.test_difference) == (None, None)
    assert baseline.judgement is not None
    assert baseline.judgement.estimate == pytest.approx(0.85)
    assert student.judgement is not None
    assert student.judgement.estimate == pytest.approx(0.2)
    assert student.judgement.low < 0.2 < student.judgement.high
    assert student.test_difference == pytest.approx(0.1)


def test_a_pretrained_teacher_is_named_and_what_is_not_measured_is_said() -> None:
    found = section([4, 5] * 12, source="pretrained", path="models/none", hub="openai/tiny", fine_tune=FINE_TUNE)
    assert found.sentences[1].startswith("The teacher is the pre-trained openai/tiny, fine-tuned here: ")
    assert "forgotten by taught" in found.sentences[2]
    untrained = section([4, 5] * 12, source="pretrained", path="whisper", fine_tune=None)
    assert untrained.sentences[-1].startswith("The teacher is the pre-trained whisper with an output layer that has l")


def test_without_a_canary_there_is_no_section() -> None:
    assert canary_section([TEACHER, STUDENT], EVALUATION, make_params().teacher) is None
