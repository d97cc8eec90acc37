from typing import get_args

from tasks.params.teachers import AnyTextTeacher, CheckpointTeacher, OtherTeacher
from tasks.params.trained import PretrainedTeacher
from tasks.teachers.transcribers import TRANSCRIBERS


def test_every_source_of_text_has_its_transcriber() -> None:
    """And every one can be named in params.yaml."""
    text = get_args(AnyTextTeacher)
    assert {get_args(kind.model_fields["source"].annotation)[0] for kind in text} == set(TRANSCRIBERS)
    named, _ = get_args(OtherTeacher)
    assert set(get_args(named)) == {CheckpointTeacher, PretrainedTeacher, *text}
