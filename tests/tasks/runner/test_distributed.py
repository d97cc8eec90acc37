"""Which stages torchrun's processes share, and which the first does alone."""

from typing import Any

import pytest
from tiny_stages import TRAINING
from workspace import make_params

from tasks.params.pipeline import Params
from tasks.runner.distributed import divides_work
from tasks.runner.threads import threads_of_stage

WHISPER = {"source": "pretrained", "path": "theirs"}
FINE_TUNE = {"training": {**TRAINING, "threads": 3}}
CHECKPOINT = {"source": "checkpoint", "path": "models/theirs"}


def params(**changes: Any) -> Params:
    return make_params(frontend={"kind": "whisper"}, **changes)


@pytest.mark.parametrize(
    ("command", "changes", "divided"),
    [
        ("teacher", {}, True),
        ("teacher", {"teacher": CHECKPOINT}, False),
        ("teacher", {"teacher": {**WHISPER, "fine_tune": FINE_TUNE}}, True),
        ("teacher", {"teacher": {**WHISPER, "fine_tune": None}}, False),
        ("adopt_teacher", {"teachers": {"other": {**WHISPER, "fine_tune": FINE_TUNE}}}, True),
        ("adopt_teacher", {"teachers": {"other": {**WHISPER, "fine_tune": None}}}, False),
        ("distil", {}, True),
        ("evaluate", {}, False),
    ],
)
def test_what_is_trained_is_shared(command: str, changes: dict[str, Any], divided: bool) -> None:
    """A stage that trains nothing would have every process write the same folder at once."""
    name = {"adopt_teacher": "other", "teacher": ""}.get(command, "small")
    assert divides_work(command, params(**changes), name) is divided


def test_a_fine_tuned_teacher_has_the_threads_of_its_training() -> None:
    tuned, raw = {**WHISPER, "fine_tune": FINE_TUNE}, {**WHISPER, "fine_tune": None}
    given = params(teachers={"tuned": tuned, "raw": raw})
    assert threads_of_stage(given, "adopt_teacher", "tuned") == 3
    assert threads_of_stage(given, "adopt_teacher", "raw") == given.evaluation.threads
