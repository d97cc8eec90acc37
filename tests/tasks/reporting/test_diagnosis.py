"""How distillation went, in one sentence a model and in curves."""

import math
import re
from dataclasses import replace
from typing import Any

import pandas as pd
import pytest

from kd.config.losses import ObjectiveSettings
from tasks.reporting.diagnosis import diagnose, sentence_of
from tasks.reporting.results import COLUMNS, Model

SPIKES = {"spike_f1": 0.9, "blank_kl": 0.1, "nonblank_kl": 2.0}
LATE = {**SPIKES, "delay_frames": 2.0, "delay_ms": 80.0}


def make_model(name: str, **columns: list[float]) -> Model:
    curve = pd.DataFrame({"epoch": [0, 1, 2], "valid_error": [0.9, 0.5, 0.4], **columns})
    facts: dict[str, Any] = dict.fromkeys(COLUMNS, 0)
    return Model(name, facts, "m", "rnn", (), {}, curve, pd.DataFrame())


@pytest.mark.parametrize(
    ("figures", "expected"),
    [
        (
            LATE,
            "The student's spikes come 80 ms later than the teacher's: allow a delay of 2 frames; "
            "90.0\u202f% of the student's and the teacher's spikes are common.",
        ),
        (
            {**LATE, "delay_frames": 1.0, "delay_ms": 40.0},
            "The student's spikes come 40 ms later than the teacher's: allow a delay of 1 frame; ",
        ),
        ({**LATE, "delay_frames": -1.0, "delay_ms": -40.0}, "The student's spikes come 40 ms earlier than the"),
        (
            {**LATE, "delay_frames": 0.0, "delay_ms": 0.0, "label_gradient": 2.0, "distill_gradient": 1.0},
            "The student's spikes come when the teacher's do; 90.0\u202f% of the student's and the teacher's spikes "
            "are common; the gradients of teacher and labels stand 0.50 to 1.",
        ),
        (SPIKES, "Student and teacher have no spike in common: the student may still emit blanks only."),
        ({"spike_f1": 0.5}, "50.0\u202f% of the student's and the teacher's answers in training agree."),
        (
            {"label_gradient": 0.1, "distill_gradient": 2.3},
            "The teacher's gradient drowns the labels', 23 to 1: lower beta.",
        ),
        (
            {"label_gradient": 4.0, "distill_gradient": 0.1},
            "The labels' gradient drowns the teacher's, 40 to 1: raise beta.",
        ),
        ({"label_gradient": 4.0}, ""),
        ({"valid_error": 0.3}, ""),
    ],
)  # fmt: skip
def test_sentences(figures: dict[str, float], expected: str) -> None:
    found = sentence_of(figures)
    assert found.startswith(expected)
    assert bool(found) is bool(expected)


FLAT = "the teacher is nearly flat, at 95.0\u202f% of the greatest entropy: it has little to teach"
BLANKS = "92.0\u202f% of the divergence lies in the teacher's blank frames: blank_selected leaves it out"


@pytest.mark.parametrize(
    ("figures", "num_units", "expected"),
    [
        ({"teacher_entropy": 0.95 * math.log(8)}, 8, [FLAT]),
        ({"teacher_entropy": 0.95 * math.log(8)}, 30, []),
        ({"teacher_entropy": 0.95 * math.log(8)}, None, []),
        ({"blank_share": 0.92}, 8, [BLANKS]),
        ({"blank_share": 0.88}, 8, []),
        ({"teacher_entropy": 0.95 * math.log(8), "blank_share": 0.92}, 8, [FLAT, BLANKS]),
    ],
)
def test_a_flat_teacher_and_one_of_blanks_are_named(
    figures: dict[str, float], num_units: int | None, expected: list[str]
) -> None:
    """The greatest entropy of 8 units is log 8."""
    found = sentence_of({**LATE, **figures}, num_units)
    assert found == f"{'; '.join([sentence_of(LATE)[:-1], *expected])}."


def test_of_a_teacher_that_never_speaks_blanks_are_not_left_out() -> None:
    silent = {name: value for name, value in LATE.items() if name != "nonblank_kl"}
    assert BLANKS not in sentence_of({**silent, "blank_share": 1.0}, 8)


def test_nothing_is_advised_that_the_objective_does_already() -> None:
    blanks = {**LATE, "blank_share": 0.92}

    def told(**match: Any) -> str:
        return sentence_of(blanks, 8, ObjectiveSettings.model_validate({"beta": 1.0, "distill": match}))

    assert "allow a delay of 2 frames" in told(name="soft_targets")
    assert BLANKS in told(name="soft_targets")
    assert BLANKS not in told(name="blank_selected")
    assert "80 ms later than the teacher's;" in told(name="shift_tolerant", max_delay=2)
    assert "allow a delay of 2 frames" in told(name="shift_tolerant", max_delay=1)


def test_only_the_taught_are_told_of_by_their_last_known_figures() -> None:
    nan = float("nan")
    late = {"spike_f1": [0.1, 0.8, 0.9], "blank_kl": [1.0, 0.5, 0.1], "delay_frames": [nan, 2, nan]}
    taught = make_model("taught", **late, delay_ms=[nan, 80, nan], label_gradient=[1, 2, 4], distill_gradient=[1, 1, 1])
    taught.curve["teacher_entropy"] = [1.0, 1.0, 2.0]
    taught = replace(taught, num_units=8)
    found = diagnose([make_model("alone"), taught], {})
    assert found.sentences.keys() == {"taught"}
    assert "80 ms later" in found.sentences["taught"]
    assert "at 96.2\u202f% of the greatest entropy" in found.sentences["taught"]
    assert [title for title, _ in found.charts] == [
        "Agreement of spikes with the teacher's",
        "Delay behind the teacher",
        "Entropy of the teacher",
        "Divergence in the teacher's blank frames",
        "Teacher's gradient by the labels'",
    ]
    for _, svg in found.charts:
        colours = set(re.findall(r"(?:stroke|fill): ?([^;\"]+)", svg))
        assert colours <= {"none", "currentColor", "var(--grid)", "var(--model-1)"}
        assert "var(--model-1)" in svg
    assert diagnose([make_model("alone")], {}).charts == ()
